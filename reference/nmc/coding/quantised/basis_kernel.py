"""Orthonormal columns in whole numbers (clause 12.5.3).

Every number here is an integer below 2**53, so that binary64 holds it exactly and the order of a
sum does not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nmc.coding.arithmetic.jit import Array, exact_kernel, inline

UNIT = 16384.0
DIGITS = 2.0**21


@inline
def settle(column: Array) -> Any:
    """Scale a column by a power of two so that its largest magnitude has 21 bits."""
    largest = 0.0
    for value in column:
        largest = max(largest, abs(value))
    if largest == 0.0:
        return
    factor = 1.0
    while largest * factor >= DIGITS:
        factor *= 0.5
    while largest * factor * 2.0 < DIGITS:
        factor *= 2.0
    for k in range(column.size):
        column[k] = np.floor(column[k] * factor)


@exact_kernel
def orthonormal(columns: Array, basis: Array, total: Array) -> None:
    """Make the rows of `basis` orthonormal in units of 2**-14, from those of `columns`.

    Both are float64[n, n] with one vector in a row; `columns` is destroyed, `total` is work space
    of n numbers.
    """
    n = columns.shape[0]
    for j in range(n):
        column = columns[j]
        settle(column)
        for _ in range(2):
            total[:] = 8192.0
            for i in range(j):
                vector = basis[i]
                dot = 8192.0
                for k in range(n):
                    dot += column[k] * vector[k]
                dot = np.floor(dot * 2.0**-14)
                for k in range(n):
                    total[k] += dot * vector[k]
            for k in range(n):
                column[k] -= np.floor(total[k] * 2.0**-14)
            settle(column)
        square = 0.0
        for k in range(n):
            square += column[k] * column[k]
        norm = np.floor(np.sqrt(square))
        if norm > 0.0:
            for k in range(n):
                basis[j, k] = np.floor((2.0 * UNIT * column[k] + norm) / (2.0 * norm))
