"""Picture of the scores of held-out views, a panel a metric (clause 5.1, second render mode)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmc_framework.evaluation.held_out import METRICS, ViewScore
from nmc_framework.whole_files import whole

_INK, _MEAN = "#2b3440", "#1f6f78"
_VIEWS = ("#c98a3c", "#7a8ba3", "#a35d6a", "#6f9a62", "#8d76b0", "#b0a04c")
_LABELS = {
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "lpips": "LPIPS (less is better)",
    "flicker": "flicker (less is better)",
    "static_flicker": "flicker, still parts",
    "psnr_aligned": "PSNR (dB), aligned",
}
#: Views that get a line and a name of their own; of more, only the mean and the range are drawn.
_NAMED = len(_VIEWS)


def plot_scores(path: Path, scores: Sequence[ViewScore], title: str) -> None:
    """Draw every metric that was measured over the frames, by view and in the mean, into a PNG."""
    frames = sorted({score.frame for score in scores})
    views = list(dict.fromkeys(score.view for score in scores))
    tables = {}
    for metric in METRICS:
        table = np.full((len(frames), len(views)), np.nan)
        for score in scores:
            value = getattr(score, metric)
            table[frames.index(score.frame), views.index(score.view)] = value
        table[~np.isfinite(table)] = np.nan
        if np.isfinite(table).any():
            tables[metric] = table
    with mpl.rc_context({"text.color": _INK, "axes.labelcolor": _INK, "font.size": 10}):
        height = 0.9 + 1.7 * max(len(tables), 1)
        figure = Figure(figsize=(9, height), layout="constrained", dpi=120)
        axes = figure.subplots(max(len(tables), 1), 1, sharex=True, squeeze=False)[:, 0]
        for panel, (metric, table) in zip(axes, tables.items(), strict=False):
            _panel(panel, frames, views, table)
            panel.set_ylabel(_LABELS[metric])
        axes[0].set_title(title, loc="left", fontweight="bold")
        axes[-1].set_xlabel("frame")
        axes[-1].set_xticks(frames if len(frames) <= 24 else frames[:: len(frames) // 12])
        if tables:
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
        with whole(path) as partial:
            figure.savefig(partial)


def _panel(
    panel: Axes, frames: list[int], views: list[str], table: npt.NDArray[np.float64]
) -> None:
    counted = np.isfinite(table)
    total = np.where(counted, table, 0).sum(axis=1)
    count = counted.sum(axis=1)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    if len(views) <= _NAMED:
        for k, view in enumerate(views):
            panel.plot(frames, table[:, k], color=_VIEWS[k], lw=1, marker=".", ms=4, label=view)
    else:
        low = np.where(counted, table, np.inf).min(axis=1)
        high = np.where(counted, table, -np.inf).max(axis=1)
        known = count > 0
        at = np.array(frames)[known]
        panel.fill_between(at, low[known], high[known], color="#dbe3ea", label="range of views")
    if len(views) > 1:
        panel.plot(frames, mean, color=_MEAN, marker="o", lw=2, ms=4, label="mean")
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color="#e6eaee")
    panel.set_axisbelow(True)
