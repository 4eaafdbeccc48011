"""Descriptors matched with each other: mutual nearest neighbours under Lowe's ratio test.

What COLMAP's brute-force matcher computes (``colmap/feature/sift.cc``), pair for pair, by matrix
products: these use all cores, and a product of whole numbers this small is exact in single
precision, so that the matches do not depend on how many there are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: A descriptor has this length; COLMAP's limits of the angle between two, and of the ratio of two.
_LENGTH = 512.0
_MOST_ANGLE, _MOST_RATIO = 0.7, 0.8
#: So many rows of the table of products are made at once.
_BLOCK = 2048

Descriptors = npt.NDArray[np.uint8]
Matches = npt.NDArray[np.int64]


def mutual(here: Descriptors, there: Descriptors) -> Matches:
    """Return pairs of rows that are each other's nearest, and clearly nearer than the next.

    Parameters
    ----------
    here, there
        (N, 128) and (M, 128) uint8.

    Returns
    -------
    ndarray of int64
        (K, 2), ascending by the first.
    """
    none = np.zeros((0, 2), dtype=np.int64)
    if not len(here) or not len(there):
        return none
    a, b = here.astype(np.float32), there.astype(np.float32).T
    forward = np.full(len(here), -1, dtype=np.int64)
    # Of every column the best row so far, its product and the next best.
    best = np.full(len(there), -1.0, dtype=np.float32)
    second, rows = best.copy(), np.zeros(len(there), dtype=np.int64)
    for start in range(0, len(here), _BLOCK):
        table = a[start : start + _BLOCK] @ b
        forward[start : start + _BLOCK] = _nearest(table)
        top, first, next_ = _two_best(table.T)
        better = top > best
        second = np.maximum(np.where(better, best, top), np.maximum(second, next_))
        rows[better], best = first[better] + start, np.maximum(best, top)
    back = np.where(_clear(best, second), rows, -1)
    found = np.flatnonzero(forward >= 0)
    found = found[back[forward[found]] == found]
    return np.stack([found, forward[found]], axis=1) if len(found) else none


def _nearest(table: npt.NDArray[np.float32]) -> Matches:
    best, first, second = _two_best(table)
    return np.where(_clear(best, second), first, -1)


def _two_best(
    table: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], Matches, npt.NDArray[np.float32]]:
    """Return the largest product of each row, its column, and the next largest."""
    first = np.argmax(table, axis=1)
    best = np.take_along_axis(table, first[:, None], axis=1)[:, 0]
    if table.shape[1] < 2:
        return best, first, np.zeros_like(best)
    second = np.partition(table, -2, axis=1)[:, -2]
    return best, first, np.asarray(second, dtype=np.float32)


def _clear(best: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return where the nearest is near enough, and nearer than the next by Lowe's ratio."""
    near = np.arccos(np.clip(best / _LENGTH**2, -1, 1))
    next_ = np.arccos(np.clip(second / _LENGTH**2, -1, 1))
    return np.asarray((near <= _MOST_ANGLE) & (near < _MOST_RATIO * next_), dtype=np.bool_)
