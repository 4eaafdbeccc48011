"""Points of structure from motion beside the cameras they were found with (clause 5.1).

``points.ply`` beside a camera file, as ``nmc sfm`` writes it, or the points of a COLMAP model. Of a
PLY file (Turk 1994) the places of the vertices are read, whatever else it holds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nmc_framework.cameras.camera import FloatArray
from nmc_framework.cameras.formats.colmap_points import read_points
from nmc_framework.cameras.formats.rig_document import ConversionError
from nmc_framework.ply_header import MAX_HEADER_BYTES, default_header, parse_header, split_header
from nmc_framework.whole_files import write_bytes

#: The file of reconstructed points, beside the cameras.
POINTS = "points.ply"

_AXES = ("x", "y", "z")


def cloud_beside(cameras: Path) -> Path | None:
    """Return the file of points beside a camera file, if there is one."""
    path = cameras.with_name(POINTS)
    return path if not cameras.is_dir() and path.is_file() else None


def points_beside(cameras: Path) -> FloatArray | None:
    """Return the points (P, 3) beside a camera file, or of the COLMAP model in a folder.

    In scene units; None where there are none.

    Raises
    ------
    ConversionError
        When the file of points is damaged.
    """
    if cameras.is_dir():
        return read_points(cameras)
    path = cloud_beside(cameras)
    return None if path is None else read_cloud(path)


def read_cloud(path: Path) -> FloatArray:
    """Return the places (P, 3) of the vertices of a PLY file.

    Raises
    ------
    ConversionError
        When it is not a PLY file, is truncated, or its vertices have no places.
    """
    data = path.read_bytes()
    try:
        header = parse_header(split_header(data[:MAX_HEADER_BYTES]))
        if header.count > len(data):
            raise ValueError(f"{header.count} vertices do not fit into it")
        names = header.row.names or ()
        if not set(_AXES) <= set(names):
            raise ValueError("its vertices have no x, y and z")
        end = len(header.text)
        if header.encoding == "ascii":
            words = data[end:].split(maxsplit=header.count * len(names))
            table = np.array(words[: header.count * len(names)], np.float64)
            table = table.reshape(header.count, len(names))
            columns = [table[:, names.index(axis)] for axis in _AXES]
        else:
            found = np.frombuffer(data, header.row, header.count, end)
            columns = [found[axis] for axis in _AXES]
    except ValueError as error:
        raise ConversionError(f"{path.name} is not a file of points: {error}") from error
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def write_cloud(path: Path, points: FloatArray) -> None:
    """Write points (P, 3) as a binary PLY file, in double precision."""
    head = default_header(_AXES, len(points), "double")
    write_bytes(path, head.encode() + np.ascontiguousarray(points, "<f8").tobytes())
