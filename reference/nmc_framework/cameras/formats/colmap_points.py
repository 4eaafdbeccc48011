"""The points of a COLMAP model: where structure from motion found something.

Layouts as in COLMAP's documentation, "Output Format": ``points3D.txt`` and ``points3D.bin``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nmc_framework.cameras.camera import FloatArray
from nmc_framework.cameras.formats.colmap_values import cursor, lines
from nmc_framework.cameras.formats.rig_document import ConversionError

#: A point's number, place, colour, error, and how many pictures have it; then these, 8 bytes each.
_POINT = "<Q3d3BdQ"
_SEEN_BYTES = 8


def read_points(folder: Path) -> FloatArray | None:
    """Return the points (P, 3) of the model in a folder; None where it has no file of points.

    Raises
    ------
    ConversionError
        When the file is damaged.
    """
    binary, text = folder / "points3D.bin", folder / "points3D.txt"
    if binary.is_file():
        return _of_binary(binary)
    return _of_text(text) if text.is_file() else None


def _of_binary(path: Path) -> FloatArray:
    take = cursor(path)
    (count,), size = take("<Q"), path.stat().st_size
    found = []
    for _ in range(count):
        _, x, y, z, *_, seen = take(_POINT)
        if seen * _SEEN_BYTES > size:
            raise ConversionError(f"{path.name}: a point says that {seen} pictures have it")
        take(f"<{2 * seen}I")
        found.append((x, y, z))
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def _of_text(path: Path) -> FloatArray:
    try:
        found = [[float(number) for number in line.split()[1:4]] for line in lines(path)]
        return np.array(found, dtype=np.float64).reshape(-1, 3)
    except ValueError as error:
        raise ConversionError(f"{path.name} is not a file of points: {error}") from error
