"""A part of one picture as every way shows it, side by side, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmc_framework.evaluation.panel import above, beside, captioned
from nmc_framework.super_resolution.luma import luma
from nmc_framework.super_resolution.resampling import Pictures
from nmc_tools.pictures import write_png

#: Sides (width, height) of the part that is shown, how many times each pixel, and columns.
_PART, _TIMES, _COLUMNS = (88, 66), 4, 2
#: Pixels from one place that is tried to the next.
_STRIDE = 8


def write_sheet(path: Path, shown: Sequence[tuple[str, Pictures]]) -> None:
    """Write the part of pictures with the most detail in the last of them, each with its caption.

    ``shown`` are captions and pictures (height, width, 3) uint8 of one size.
    """
    top, left = _busiest(shown[-1][1])
    tiles = []
    for caption, picture in shown:
        part = picture[top : top + _PART[1], left : left + _PART[0]]
        large = part.repeat(_TIMES, axis=0).repeat(_TIMES, axis=1)
        tiles.append(captioned(large, caption))
    if len(tiles) % _COLUMNS:
        tiles.append(np.full_like(tiles[-1], 24))
    rows = [beside(tiles[k : k + _COLUMNS]) for k in range(0, len(tiles), _COLUMNS)]
    write_png(path, above(rows))


def _busiest(picture: Pictures) -> tuple[int, int]:
    """Return the upper left corner (row, column) of the part whose brightness changes most."""
    grey = luma(picture)
    change = np.zeros_like(grey)
    change[:, 1:] += np.abs(np.diff(grey, axis=1))
    change[1:] += np.abs(np.diff(grey, axis=0))
    total = np.pad(change, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    height, width = (min(a, b) for a, b in zip(_PART[::-1], grey.shape, strict=True))
    places = [
        (y, x)
        for y in range(0, grey.shape[0] - height + 1, _STRIDE)
        for x in range(0, grey.shape[1] - width + 1, _STRIDE)
    ]

    def detail(place: tuple[int, int]) -> float:
        y, x = place
        corners = total[y + height, x + width] + total[y, x]
        return float(corners - total[y, x + width] - total[y + height, x])

    return max(places, key=detail)
