"""How steady a rendering is along the motion of the scene: the warped error (clause 5.1).

After Lai et al. 2018 (Learning Blind Video Temporal Consistency, section 4.2): a picture is
compared with the one before, moved as the scene moved. Motion is found in the true pictures, by
matching blocks as video coders do; what has no match, such as what was hidden before, is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nmc_framework.metrics import MetricError, unit

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

#: Pixels of a block's sides, and by how many it may have moved.
BLOCK, REACH = 8, 6
#: Largest mean difference 0..1 of a block from its match.
_MATCHED = 0.02
#: What a shift has to save, 0..1, for each pixel it is long: of equal matches the nearest.
_PRICE = 1e-4


def block_motion(now: Picture, before: Picture) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return where each block of a picture was in the one before, and by how much it differs.

    Parameters
    ----------
    now, before
        (height, width, 3) uint8 of one size, at least a block.

    Returns
    -------
    tuple of ndarray
        Shifts (rows, columns, 2) in pixels, down and to the right, that lead from a block to its
        match; and mean absolute differences (rows, columns) in 0..1. Pixels that fill no block are
        left out.

    Raises
    ------
    MetricError
        When the pictures are smaller than a block, or of unequal size.
    """
    if now.shape != before.shape or min(now.shape[:2]) < BLOCK:
        raise MetricError(f"no blocks can be matched of {now.shape} and {before.shape}")
    a, b = unit(now), unit(before)
    rows, columns = a.shape[0] // BLOCK, a.shape[1] // BLOCK
    inside = np.pad(np.ones(a.shape[:2]), REACH)
    padded = np.pad(b, ((REACH, REACH), (REACH, REACH), (0, 0)))
    least = np.full((rows, columns), np.inf)
    found = np.full((rows, columns), np.inf)
    shifts = np.zeros((rows, columns, 2), np.int64)
    for down in range(-REACH, REACH + 1):
        for right in range(-REACH, REACH + 1):
            window = np.s_[
                REACH + down : REACH + down + a.shape[0],
                REACH + right : REACH + right + a.shape[1],
            ]
            apart = _of_blocks(np.abs(a - padded[window]).mean(axis=2))
            whole = _of_blocks(inside[window]) == 1
            cost = np.where(whole, apart + _PRICE * np.hypot(down, right), np.inf)
            better = cost < least
            least[better], found[better] = cost[better], apart[better]
            shifts[better] = (down, right)
    return shifts, found


def warped_error(image: Any, before: Any, truth: Picture, truth_before: Picture) -> float:
    """Return by how much a rendering changes where the truth only moves, in 0..1.

    The mean absolute difference of each block from the block of the rendering before that it moved
    from; NaN where no block of the truth has a match. All four pictures, (height, width, 3) uint8,
    have one size.
    """
    if image.shape != truth.shape or before.shape != truth.shape:
        raise MetricError(f"images of unequal shape: {image.shape} and {truth.shape}")
    shifts, apart = block_motion(truth, truth_before)
    now, then = unit(image), unit(before)
    errors = []
    for row, column in np.argwhere(apart <= _MATCHED):
        y, x = BLOCK * row, BLOCK * column
        down, right = shifts[row, column]
        old = then[y + down : y + down + BLOCK, x + right : x + right + BLOCK]
        errors.append(np.abs(now[y : y + BLOCK, x : x + BLOCK] - old).mean())
    return float(np.mean(errors)) if errors else float("nan")


def _of_blocks(values: Floats) -> Floats:
    """Return the means (rows, columns) of the blocks of values (height, width)."""
    rows, columns = values.shape[0] // BLOCK, values.shape[1] // BLOCK
    cut = values[: rows * BLOCK, : columns * BLOCK]
    return np.asarray(cut.reshape(rows, BLOCK, columns, BLOCK).mean(axis=(1, 3)))
