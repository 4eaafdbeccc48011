"""Reads .splat files: Gaussians as viewers store them, rounded; the rounded numbers are kept.

Layout: https://github.com/antimatter15/splat (32 bytes a Gaussian, no header).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from nmc_tools.checkpoints.checkpoint import Checkpoint, Refusal

if TYPE_CHECKING:
    from nmc_format.dtypes import Array

_SPLAT = np.dtype(
    [("position", "<f4", 3), ("scale", "<f4", 3), ("colors", "u1", 4), ("rotation", "u1", 4)]
)


def read_splat(file: BinaryIO) -> Checkpoint:
    """Read a .splat file: position and scale float32 (N, 3), colors and rotation uint8 (N, 4).

    Raises
    ------
    Refusal
        If it holds no whole number of Gaussians.
    """
    size = file.seek(0, 2)
    file.seek(0)
    if size % _SPLAT.itemsize:
        raise Refusal(
            f"has {size} bytes, which are not whole Gaussians of {_SPLAT.itemsize}",
            "the file is truncated, or no .splat file",
        )
    rows = np.frombuffer(file.read(), _SPLAT)
    state: dict[str, Array] = {
        name: np.ascontiguousarray(rows[name]) for name in _SPLAT.names or ()
    }
    return Checkpoint(state, frozenset(), "splat")
