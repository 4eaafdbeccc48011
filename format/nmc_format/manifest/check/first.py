"""Where a column goes wrong first: one finding a rule, however many entries break it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def first_true(mask: NDArray[np.bool_]) -> list[int]:
    """Return the first index where a mask of shape (N,) holds; an empty list where none does."""
    first: list[int] = np.flatnonzero(mask)[:1].tolist()
    return first
