"""The points as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nmc_tools.bench.published import machine
from nmc_tools.bench_rd.coded import KEY_EVERY
from nmc_tools.bench_rd.curves import Rate, bd_rate, by_codec, curve
from nmc_tools.bench_rd.equal import at_equal_quality

if TYPE_CHECKING:
    from nmc_tools.bench_rd.chains import BenchChain
    from nmc_tools.bench_rd.points import Point

ANCHOR = "NNCodec differential"
#: Fidelities, in dB, at which bytes are compared.
_AT = (60.0, 50.0, 42.0)
#: Kinds that are our own.
_OWN = ("ours", "trained")
_EQUAL = (
    "Bytes a frame of the plain chain by NNCodec, at the held-out PSNR of what was trained for\n"
    "rate; within 0.1 dB of its best where the trained one is better than that:"
)
_VERSIONS = ("numpy", "numba", "torch", "zstandard", "bjontegaard")

_INTRODUCTION = (
    f"Bytes on disk a frame, of a group of {KEY_EVERY}: a key frame, {KEY_EVERY - 1} delta\n"
    "frames, manifest and all. *Fidelity* is the PSNR between what is seen of the decoded and\n"
    "of the original model; *held-out* the change of the PSNR against the truth; encode and\n"
    "decode are MB/s of raw model by the time of one core. BD-rate is over the range of fidelity\n"
    "that both curves share, the second one of the delta frames alone. *Estimates* are no\n"
    "files: tables are not counted. What sensitivity and curvature take to be measured, once a\n"
    "chain and once a frame, is not in the times."
)

Chains = Sequence[tuple["BenchChain", Sequence["Point"]]]


def _rate(point: Point) -> float:
    return point.rate


def _delta(point: Point) -> float:
    return point.delta


def markdown(chains: Chains, notes: Sequence[str], more: Sequence[str] = ()) -> str:
    """Return the tables of all chains and others, what was left out, and what it ran on."""
    parts = [
        _INTRODUCTION,
        *(_chain(chain, points) for chain, points in chains),
        *more,
        *notes,
        f"Measured on {machine(_VERSIONS, 'one thread used to code')}.",
    ]
    return "\n\n".join(parts) + "\n"


def _chain(chain: BenchChain, points: Sequence[Point]) -> str:
    if not points:
        return f"**`{chain.name}`**: nothing measured yet."
    raw = f"{points[0].frames} frames of {points[0].raw:,.0f} bytes, judged by {chain.seen}"
    parts = [f"**`{chain.name}`**: {raw}.", summary(points), equal_table(points), table(points)]
    return "\n\n".join(part for part in parts if part)


def equal_table(points: Sequence[Point]) -> str:
    """Return what was trained for rate beside plain chains of the same quality; empty of none."""
    found = at_equal_quality(points, ANCHOR)
    if not found:
        return ""
    lines = [
        f"| trained for rate | bytes/frame | key | delta | held-out | {ANCHOR} | at | times |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| **{e.trained.setting}** | {e.trained.rate:,.0f} | {e.trained.key:,.0f} | "
        f"{e.trained.delta:,.0f} | {e.trained.held_out:+.3f} | {e.rate:,.0f} | "
        f"{e.held_out:+.3f} | {e.times:.1f} |"
        for e in found
    ]
    return f"{_EQUAL}\n\n" + "\n".join(lines)


def summary(points: Sequence[Point]) -> str:
    """Return each codec's BD-rate against the anchor, and its bytes at a few fidelities."""
    codecs = by_codec(points)
    lines = [
        "| codec | BD-rate | delta frames | over dB | "
        + " | ".join(f"delta at {at:.0f} dB" for at in _AT)
        + " |",
        "|---|---:|---:|---:|" + "---:|" * len(_AT),
    ]
    for name, measured in codecs.items():
        deltas = curve(measured, _delta)
        if not deltas.is_one:
            continue
        cells = [_difference(codecs, name, rate) for rate in (_rate, _delta)]
        sizes = [deltas.rate_at(at) for at in _AT]
        shown = ["" if size is None else f"{size:,.0f}" for size in sizes]
        lines.append(
            f"| {_name(measured[0])} | {cells[0][0]} | {cells[1][0]} | {cells[1][1]} | "
            + " | ".join(shown)
            + " |"
        )
    return "\n".join(lines)


def _difference(codecs: Mapping[str, Sequence[Point]], name: str, rate: Rate) -> tuple[str, str]:
    if name == ANCHOR or ANCHOR not in codecs:
        return "", ""
    found = bd_rate(curve(codecs[ANCHOR], rate), curve(codecs[name], rate))
    if found is None:
        return "", ""
    return f"{found.percent:+.1f} %", f"{found.lower:.0f} to {found.upper:.0f}"


def table(points: Sequence[Point]) -> str:
    """Return every point as a row."""
    lines = [
        "| codec, setting | bytes/frame | key | delta | fidelity | held-out | encode | decode |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {_name(p)}, {p.setting} | {p.rate:,.0f} | {p.key:,.0f} | {p.delta:,.0f} | "
        f"{p.shown_fidelity} | "
        f"{'' if p.held_out is None else f'{p.held_out:+.3f}'} | "
        f"{speed(p.encode)} | {speed(p.decode)} |"
        for p in points
    ]
    return "\n".join(lines)


def speed(value: float | None) -> str:
    """Return MB/s for a cell: three digits are enough."""
    if value is None:
        return ""
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _name(point: Point) -> str:
    if point.kind in _OWN:
        return f"**{point.codec}**"
    return f"*{point.codec}*" if point.kind == "estimate" else point.codec
