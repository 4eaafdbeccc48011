"""What COLMAP's files are made of: quaternions, lines of text, packed numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmc_framework.cameras.camera import FloatArray
from nmc_framework.cameras.formats.rig_document import ConversionError


def rotation_from_quaternion(quaternion: Sequence[float]) -> FloatArray:
    """Return the rotation of a Hamilton quaternion (w, x, y, z) of any length, (3, 3)."""
    values = np.asarray(quaternion, dtype=np.float64)
    norm = np.linalg.norm(values)
    if not np.isfinite(norm) or norm == 0:
        raise ConversionError(f"the quaternion {tuple(quaternion)} is not a rotation")
    w, x, y, z = values / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_rotation(rotation: FloatArray) -> FloatArray:
    """Return the Hamilton quaternion (w, x, y, z), w ≥ 0, of a rotation (Shepperd 1978)."""
    r = rotation
    trace = float(np.trace(r))
    choice = int(np.argmax([trace, r[0, 0], r[1, 1], r[2, 2]]))
    if choice == 0:
        q = np.array([1 + trace, r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    else:
        i = choice - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        q = np.empty(4)
        q[0] = r[k, j] - r[j, k]
        q[1 + i] = 1 + r[i, i] - r[j, j] - r[k, k]
        q[1 + j], q[1 + k] = r[j, i] + r[i, j], r[k, i] + r[i, k]
    unit: FloatArray = q / np.linalg.norm(q) * (1.0 if q[0] >= 0 else -1.0)
    return unit


def lines(path: Path, *, keep_blank: bool = False) -> list[str]:
    """Return the lines of a text file without its comments."""
    found = path.read_text(encoding="utf-8").splitlines()
    return [line for line in found if not line.startswith("#") and (keep_blank or line.strip())]


def cursor(path: Path) -> Callable[[str], tuple[Any, ...]]:
    """Return a function that takes the next values of a binary file, by a layout of ``struct``."""
    data = path.read_bytes()
    position = 0

    def take(layout: str) -> tuple[Any, ...]:
        nonlocal position
        try:
            size = struct.calcsize(layout)
        except struct.error:  # a count that no file has
            size = len(data) + 1
        if position + size > len(data):
            raise ConversionError(
                f"{path.name} ends at byte {len(data)}, in the middle of a record"
            )
        values = struct.unpack_from(layout, data, position)
        position += size
        return values

    return take
