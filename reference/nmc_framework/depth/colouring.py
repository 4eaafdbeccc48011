"""Depth as colours for people: near is red, far is blue."""

from __future__ import annotations

import numpy as np

from nmc_framework.depth.difference import Picture
from nmc_framework.depth.pairs import DepthMap

#: Shares of the depths between which colours are spread.
_SHARES = (0.01, 0.99)
#: Depths that differ by a smaller share are told as one.
_ALIKE = 0.02


def coloured(depth: DepthMap, bounds: tuple[float, float] | None = None) -> Picture:
    """Return depth (height, width) as colours (height, width, 3) uint8; black where it is 0.

    ``bounds`` are the depths in metres of the first and the last colour, by default those of
    almost all pixels.
    """
    from matplotlib import colormaps

    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    low, high = bounds or np.quantile(depth[known], _SHARES)
    if high - low < _ALIKE * high:  # one distance: in the middle of the colours
        low, high = low * (1 - _ALIKE), high * (1 + _ALIKE)
    # Reciprocals, as steps of near depths matter more.
    share = (1 / np.maximum(depth, 1e-3) - 1 / high) / max(1 / low - 1 / high, 1e-9)
    colours = colormaps["turbo"](np.clip(share, 0, 1))[..., :3]
    colours[~known] = 0
    return np.asarray((colours * 255).round(), np.uint8)
