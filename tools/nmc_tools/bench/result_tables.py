"""Tables and the plot of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PEERS_VERSIONS = (
    "numpy",
    "numba",
    "zstandard",
    "pcodec",
    "zipnn",
    "z4ai",
    "openzl",
    "h5py",
    "safetensors",
)


def coder_table(methods: dict[str, dict[str, float]]) -> str:
    """Return the table of the coders on one chain as Markdown."""
    lines = [
        "| method | bytes/frame | ratio | encode MB/s | decode MB/s | memory MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for method, r in methods.items():
        name = f"**{method}**" if method.startswith("nmc") else method
        lines.append(
            f"| {name} | {r['bytes_per_frame']:,.0f} | {r['ratio']:.3f} | {r['encode']:.0f} | "
            f"{r['decode']:.0f} | {r['memory'] / 1e6:.0f} |"
        )
    return "\n".join(lines)


_FAST, _QUICK, _SMALL = "nmc fast", "pcodec 8, integer difference", "pcodec 12, ordered difference"


def beside_table(chains: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return how *fast* does beside pcodec as Markdown, on chains whose frames have one shape."""
    lines = [
        "| chain | bytes of pcodec 12 | encode speed of pcodec 8 | decode speed of pcodec 8 |",
        "|---|---:|---:|---:|",
    ]
    for chain, methods in chains.items():
        if {_FAST, _QUICK, _SMALL} <= methods.keys():
            own, quick, small = (methods[name] for name in (_FAST, _QUICK, _SMALL))
            larger = own["bytes_per_frame"] / small["bytes_per_frame"] - 1
            speeds = (own[way] / quick[way] for way in ("encode", "decode"))
            cells = (f"{speed:.2f} times" for speed in speeds)
            lines.append(f"| {chain} | {100 * larger:+.1f} % | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def package_table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the table of whole packages as Markdown."""
    lines = [
        "| chain, effort | deltas | on disk | container | encode | decode, verified | not | seek |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {chain}, {effort} | {r['ratio']:.3f} | {r['package_ratio']:.3f} | "
        f"{r['container']:,.0f} B, {100 * r['container_share']:.3f} % | {r['encode']:.0f} | "
        f"{r['decode']:.0f}, {r['decode'] / r['unverified']:.2f} of it | {r['unverified']:.0f} | "
        f"{r['seek']:.1f} of {r['seek_frames']:.0f} frames' time |"
        for chain, efforts in results.items()
        for effort, r in efforts.items()
    ]
    return "\n".join(lines)


def thread_table(seconds: dict[str, dict[int, float]]) -> str:
    """Return the table of checking, writing and reading with some threads as Markdown."""
    numbers = list(next(iter(seconds.values())))
    lines = [
        "| way, coding | " + " | ".join(f"{n} thread{'s' * (n > 1)}" for n in numbers) + " |",
        "|---|" + "---:|" * len(numbers),
    ]
    for coding, taken in seconds.items():
        cells = [f"{1e3 * taken[n]:.0f} ms, {taken[1] / taken[n]:.2f} times" for n in numbers]
        lines.append(f"| {coding} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def use_table(
    memory: dict[str, dict[str, float]], one_tensor: dict[str, dict[str, float]], tensors: int
) -> str:
    """Return the table of memory, and of one tensor alone, as Markdown."""
    lines = [
        f"| coding | writing, states | reading, states | a frame | one of {tensors} tensors |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {coding} | {used['writing']:.2f} | {used['reading']:.2f} | "
        + " | ".join(_milliseconds(one_tensor, coding, what) for what in ("state", "tensor"))
        + " |"
        for coding, used in memory.items()
    ]
    return "\n".join(lines)


def _milliseconds(seconds: dict[str, dict[str, float]], coding: str, what: str) -> str:
    return f"{1e3 * seconds[coding][what]:.1f} ms" if coding in seconds else ""


def start_table(seconds: dict[str, float]) -> str:
    """Return the table of starting programs as Markdown."""
    lines = ["| start of | seconds |", "|---|---:|"]
    lines += [f"| {what} | {taken:.2f} |" for what, taken in seconds.items()]
    return "\n".join(lines)


def plot(results: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw ratio against speed, one panel for each chain and direction."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    chains = list(results)
    figure, axes = plt.subplots(
        len(chains), 2, figsize=(12, 4.6 * len(chains)), squeeze=False, layout="constrained"
    )
    for row, chain in enumerate(chains):
        for column, direction in enumerate(("encode", "decode")):
            _panel(axes[row][column], results[chain], chain, direction)
    figure.suptitle(
        "Lossless delta frames on one core: smaller is up, faster is right; nmc in red", fontsize=13
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(axis: Any, methods: dict[str, dict[str, float]], chain: str, direction: str) -> None:
    ordered = sorted(methods.items(), key=lambda item: -item[1]["ratio"])
    for rank, (name, r) in enumerate(ordered, 1):
        own = name.startswith("nmc")
        axis.scatter(r[direction], r["ratio"], s=70, c="#d62728" if own else "#7f7f7f", zorder=3)
        axis.annotate(
            name.removeprefix("nmc ") if own else str(rank),
            (r[direction], r["ratio"]),
            textcoords="offset points",
            xytext=(7, 4),
            fontsize=9,
            weight="bold" if own else "normal",
            color="#d62728" if own else "#333333",
        )
    peers = [f"{i}  {n}" for i, (n, _) in enumerate(ordered, 1) if not n.startswith("nmc")]
    axis.text(
        0.02,
        0.02,
        "\n".join(peers),
        transform=axis.transAxes,
        fontsize=7.5,
        va="bottom",
        color="#333333",
        bbox={"boxstyle": "round", "fc": "white", "ec": "#cccccc", "alpha": 0.9},
    )
    axis.set_xscale("log")
    axis.set_xlim(0.005, 4e4)  # the slowest is near 1; the list of peers lies to the left
    axis.margins(y=0.1)
    axis.grid(visible=True, which="both", alpha=0.25)
    axis.set_xlabel(f"{direction}, MB/s of raw model (log)")
    axis.set_ylabel("ratio raw / coded")
    axis.set_title(f"{chain}: {direction}")
