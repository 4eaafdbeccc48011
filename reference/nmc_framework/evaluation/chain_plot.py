"""Pictures of a chain: quality and bytes of every frame in one figure (clause 5.1, second mode)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from nmc_framework.whole_files import whole

_INK = "#2b3440"
_RAW, _KEY, _DELTA, _QUALITY = "#c9d1da", "#b5442e", "#e0a458", "#1f6f78"


@dataclass(frozen=True)
class ChainPoint:
    """What the figure shows of one frame: PSNR in dB on held-out views, bytes, how it is coded."""

    index: int
    psnr: float
    raw_bytes: int
    coded_bytes: int
    coding: str


def plot_chain(
    path: Path,
    points: Sequence[ChainPoint],
    title: str,
    *,
    quality: str = "PSNR on held-out views (dB)",
) -> None:
    """Draw PSNR per frame above bytes per frame, raw against coded, into a PNG.

    ``quality`` is the name of the upper axis.
    """
    with mpl.rc_context({"text.color": _INK, "axes.labelcolor": _INK, "font.size": 10}):
        figure = Figure(figsize=(9, 6), layout="constrained", dpi=120)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.15])
        index = [point.index for point in points]
        upper.plot(index, [p.psnr for p in points], color=_QUALITY, marker="o", lw=2, ms=5)
        upper.set_ylabel(quality)
        upper.set_title(title, loc="left", fontweight="bold")
        low, high = min(p.psnr for p in points), max(p.psnr for p in points)
        upper.set_ylim(low - max(1.0, 0.3 * (high - low)), high + max(1.0, 0.3 * (high - low)))
        mega = 1e-6
        lower.bar(index, [p.raw_bytes * mega for p in points], color=_RAW, width=0.8, label="raw")
        for coding, colour in (("key", _KEY), ("delta", _DELTA)):
            chosen = [p for p in points if p.coding == coding]
            lower.bar(
                [p.index for p in chosen],
                [p.coded_bytes * mega for p in chosen],
                color=colour,
                width=0.52,
                label=f"coded, {coding} frame",
            )
        for p in points:
            ratio = p.raw_bytes / max(p.coded_bytes, 1)
            lower.annotate(  # with many frames there is room for four figures
                f"{ratio:.{2 if ratio < 10 else 1 if ratio < 100 else 0}f}:1",
                (p.index, p.coded_bytes * mega),
                (0, 2),
                ha="center",
                va="bottom",
                textcoords="offset points",
                fontsize=8,
            )
        lower.set_ylabel("megabytes a frame")
        lower.set_xlabel("frame")
        lower.set_xticks(index if len(index) <= 24 else index[:: len(index) // 12])
        lower.set_ylim(0, 1.3 * mega * max(p.raw_bytes for p in points))
        lower.legend(loc="upper right", ncols=3, frameon=False)
        for axes in (upper, lower):
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", color="#e6eaee")
            axes.set_axisbelow(True)
        with whole(path) as partial:
            figure.savefig(partial)
