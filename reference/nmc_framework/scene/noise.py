"""Value noise over a plane, the same on every machine: a table of random numbers, interpolated."""

from __future__ import annotations

import numpy as np

from nmc_framework.scene.solids import Scalars

_SIDE = 64
_TABLE = np.random.default_rng(2024).random((_SIDE, _SIDE)).astype(np.float32)


def noise(x: Scalars, y: Scalars, octaves: int = 1) -> Scalars:
    """Return noise from 0 to 1 at points of a plane, (N,); its grain is 1, halved each octave."""
    total = np.zeros_like(x)
    for octave in range(octaves):
        total += _smooth(x * np.float32(2**octave), y * np.float32(2**octave)) / np.float32(
            2**octave
        )
    return total / np.float32(2 - 2.0 ** (1 - octaves))


def _smooth(x: Scalars, y: Scalars) -> Scalars:
    left, low = np.floor(x), np.floor(y)
    u, v = x - left, y - low
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    i, j = left.astype(np.int32) % _SIDE, low.astype(np.int32) % _SIDE
    k, m = (i + 1) % _SIDE, (j + 1) % _SIDE
    a, b, c, d = _TABLE[i, j], _TABLE[k, j], _TABLE[i, m], _TABLE[k, m]
    lower, upper = a + (b - a) * u, c + (d - c) * u
    blended: Scalars = lower + (upper - lower) * v
    return blended
