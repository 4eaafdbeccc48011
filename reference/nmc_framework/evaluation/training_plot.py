"""Picture of what training took: seconds and the last loss of every frame (clause 5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from nmc_framework.whole_files import whole

_INK, _TIME, _LOSS = "#2b3440", "#1f6f78", "#b5442e"


def plot_training(
    path: Path, seconds: Sequence[float | None], losses: Sequence[float | None], title: str
) -> None:
    """Draw seconds above losses, a point a frame, into a PNG; None where nothing is known.

    Both axes are logarithmic: frame 0 takes many times what a later one does.
    """
    rows = [
        (values, label, colour)
        for values, label, colour in (
            (seconds, "seconds of training", _TIME),
            (losses, "last loss", _LOSS),
        )
        if any(value is not None for value in values)
    ]
    with mpl.rc_context({"text.color": _INK, "axes.labelcolor": _INK, "font.size": 10}):
        figure = Figure(figsize=(9, 1 + 2.5 * max(len(rows), 1)), layout="constrained", dpi=120)
        panels = figure.subplots(max(len(rows), 1), 1, sharex=True, squeeze=False)[:, 0]
        for panel, (values, label, colour) in zip(panels, rows, strict=False):
            known = [(k, v) for k, v in enumerate(values) if v is not None and np.isfinite(v)]
            index = [k for k, _ in known]
            panel.plot(index, [v for _, v in known], color=colour, marker="o", ms=4, lw=1.5)
            if all(v > 0 for _, v in known):
                panel.set_yscale("log")
            panel.set_ylabel(label)
            panel.spines[["top", "right"]].set_visible(False)
            panel.grid(axis="y", color="#e6eaee")
            panel.set_axisbelow(True)
        panels[0].set_title(title, loc="left", fontweight="bold")
        panels[-1].set_xlabel("frame")
        with whole(path) as partial:
            figure.savefig(partial)
