"""The points as a plot: what is seen over bytes a frame, a row for each chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_tools.bench_rd.curves import by_codec

if TYPE_CHECKING:
    from nmc_tools.bench_rd.points import Point
    from nmc_tools.bench_rd.presentation import Chains

_INK = "#2b3440"
_OURS = ("#c1272d", "#e8743b", "#8e1b4f", "#d4a017", "#e0559a")
_OTHERS = (
    "#1f6f78", "#5b6b8c", "#6aa6ad", "#8a8f98", "#a68a64", "#3f7f4c", "#7b5ea7", "#b0b7c0",
)  # fmt: skip
_MARKS = {"ours": "o-", "trained": "*-", "estimate": "x:", "peer": "s--", "baseline": "^-"}

Quality = Callable[["Point"], float | None]


def plot(chains: Chains, path: Path) -> None:
    """Draw fidelity over bytes a frame, and beside it the change against the truth where known.

    Where nobody has the truth, fidelity over the bytes of a delta frame is beside it.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    shown = [(chain, points) for chain, points in chains if points]
    if not shown:
        return
    with mpl.rc_context({"text.color": _INK, "axes.labelcolor": _INK, "font.size": 9}):
        figure = Figure(figsize=(13, 4.6 * len(shown)), layout="constrained", dpi=110)
        axes = figure.subplots(len(shown), 2, squeeze=False)
        colours = _colours([points for _, points in shown])
        for (left, right), (chain, points) in zip(axes, shown, strict=True):
            _panel(left, points, colours, lambda p: p.rate, lambda p: p.fidelity)
            left.set_title(f"{chain.name}: bytes a frame on disk", loc="left", fontweight="bold")
            left.set_ylabel("fidelity (dB)")
            if any(point.held_out is not None for point in points):
                _panel(right, points, colours, lambda p: p.rate, lambda p: p.held_out)
                right.set_ylabel("change of held-out PSNR (dB)")
                right.set_ylim(-2, 0.5)
                words = "bytes a frame on disk"
            else:
                _panel(right, points, colours, lambda p: p.delta, lambda p: p.fidelity)
                right.set_ylabel("fidelity (dB)")
                words = "bytes of a delta frame"
            right.set_title(f"{chain.name}: {words}", loc="left", fontweight="bold")
        handles: dict[str, Any] = {}
        for place in axes.flat:
            handles |= {str(line.get_label()): line for line in place.get_lines()}
        figure.legend(
            [handles[name] for name in colours],
            list(colours),
            loc="outside lower center",
            ncols=4,
            frameon=False,
            fontsize=8,
        )
        figure.savefig(path)


def _colours(chains: Sequence[Sequence[Point]]) -> dict[str, str]:
    """Return a colour for each codec, the same on every chain."""
    own, others = iter(_OURS * 3), iter(_OTHERS * 3)
    found: dict[str, str] = {}
    for name, measured in by_codec([point for points in chains for point in points]).items():
        found[name] = next(own if measured[0].kind in ("ours", "trained") else others)
    return found


def _panel(
    axes: Any,
    points: Sequence[Point],
    colours: Mapping[str, str],
    rate: Callable[[Point], float],
    quality: Quality,
) -> None:
    for name, measured in by_codec(points).items():
        kind = measured[0].kind
        own = kind in ("ours", "trained")
        colour = colours[name]
        found = [(rate(p), quality(p)) for p in measured]
        seen = sorted((size, level) for size, level in found if level is not None)
        if not seen:
            axes.axvline(found[0][0], color=colour, lw=0.9, ls=":", label=name)
            continue
        axes.plot(
            [size for size, _ in seen],
            [level for _, level in seen],
            _MARKS[kind],
            color=colour,
            lw=2.0 if own else 1.2,
            ms=5 if own else 4,
            label=name,
            zorder=3 if own else 2,
        )
    axes.set_xscale("log")
    axes.set_xlabel("bytes (log)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(which="both", color="#e6eaee")
    axes.set_axisbelow(True)
