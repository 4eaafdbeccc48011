"""Rounding of rows whose columns take up each other's errors (an encoder's business).

Numbers here are binary64: they choose symbols, and no decoder sees them.
"""

from __future__ import annotations

import numpy as np

from nmc.coding.arithmetic.jit import Array, kernel

FARTHEST = 2.0**30
"""No symbol is farther from 0: what errors add up to stays a number of 32 bits."""


@kernel
def feed_back(wanted: Array, upper: Array, symbols: Array) -> None:
    """Round all rows.

    Parameters
    ----------
    wanted : float64[R, C]
        In the order in which columns are rounded; destroyed.
    upper : float64[C, C]
        What an error of 1 in column j is worth in column k > j.
    symbols : int32[R, C]
        The result.
    """
    rows, columns = wanted.shape
    for r in range(rows):
        row = wanted[r]
        for j in range(columns):
            found = min(max(np.rint(row[j]), -FARTHEST), FARTHEST)
            symbols[r, j] = np.int32(found)
            error = row[j] - found
            if error != 0.0:
                factors = upper[j]
                for k in range(j + 1, columns):
                    row[k] -= error * factors[k]
