"""Several probabilities for one decision, mixed in the logistic domain (clause 8.5.7)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmc.arithmetic.jit import get, inline, put, routine
from nmc.arithmetic.range_kernel import arithmetic, learn
from nmc.arithmetic.words import clip

Array = Any
U = np.uint64
I = np.int64  # noqa: E741

NODES = 256
CONTEXTS = 1024
SIZE_SETS = 4
SIGN_SETS = 5
SIGN_TABLES = SIZE_SETS * CONTEXTS * NODES
TABLE_SLOTS = SIGN_TABLES + SIGN_SETS * CONTEXTS

INPUTS = 8  # one weight set; the last used input is the constant one
FINE = 18 * INPUTS  # weight sets chosen by kind come first, those chosen by level or node after
WEIGHT_COUNT = FINE + 280 * INPUTS
FIRST_WEIGHT = 20000
RANGE = 4095

KIND_ZERO, KIND_FLIP, KIND_FIRST, KIND_UP, KIND_DOWN, KIND_SIGN = 0, 1, 2, 3, 4, 5


def _logarithms(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Binary logarithms in 1/256, from below, of numbers below 2**16 (clause 8.5.7)."""
    length = np.zeros_like(numbers)
    for shift in (8, 4, 2, 1):
        length += shift * (numbers >> (length + shift) > 0)
    fraction = (numbers << 16) >> length
    result = length
    for _ in range(8):
        fraction = fraction * fraction >> 16
        double = fraction >> 17
        fraction >>= double
        result = 2 * result + double
    return result


def _stretch() -> NDArray[np.int64]:
    p = np.maximum(np.arange(4096), 1)
    return _logarithms(p) - _logarithms(4096 - p)


def _squash() -> NDArray[np.int64]:
    p = np.arange(1, 65536)
    stretched = _logarithms(p) - _logarithms(65536 - p)
    counts = np.searchsorted(stretched, np.arange(-RANGE - 1, RANGE + 1), side="right")
    return np.clip(counts, 32, 65504).astype(np.int64)


STRETCH = _stretch()
SQUASH = _squash()
