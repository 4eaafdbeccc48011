"""Points of structure from motion beside the cameras they were found with (clause 5.1).

``points.ply`` beside a camera file, as ``nmc sfm`` writes it, or the points of a COLMAP model. Of a
PLY file (Turk 1994) the places of the vertices are read, whatever else it holds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras.camera import FloatArray
from nmc_framework.cameras.formats.colmap_points import read_points
from nmc_framework.cameras.formats.rig_document import ConversionError

#: The file of reconstructed points, beside the cameras.
POINTS = "points.ply"

_AXES = ("x", "y", "z")
_TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "float": "f4",
    "double": "f8",
    "float32": "f4",
    "float64": "f8",
}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
#: A header is not longer, in bytes.
_LONGEST, _END = 1 << 16, b"end_header\n"


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
        When it is none, is truncated, or its vertices have no places.
    """
    data = path.read_bytes()
    end = data.find(_END, 0, _LONGEST) + len(_END)
    if not data.startswith(b"ply\n") or end < len(_END):
        raise ConversionError(f"{path.name} is no PLY file that can be read")
    try:
        order, count, row = _header(data[:end].decode("ascii").splitlines())
        if count > len(data):
            raise ValueError(f"{count} vertices do not fit into it")
        names = row.names or ()
        if not set(_AXES) <= set(names):
            raise ValueError("its vertices have no x, y and z")
        if order:
            found = np.frombuffer(data, row, count, end)
            columns = [found[axis] for axis in _AXES]
        else:
            words = data[end:].split(maxsplit=count * len(names))[: count * len(names)]
            table = np.array(words, np.float64).reshape(count, len(names))
            columns = [table[:, names.index(axis)] for axis in _AXES]
    except (ValueError, IndexError, KeyError) as error:
        raise ConversionError(f"{path.name} is not a file of points: {error}") from error
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def write_cloud(path: Path, points: FloatArray) -> None:
    """Write points (P, 3) as a binary PLY file, in double precision."""
    properties = "".join(f"property double {axis}\n" for axis in _AXES)
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{properties}"
    path.write_bytes(head.encode() + _END + np.ascontiguousarray(points, "<f8").tobytes())


def _header(lines: list[str]) -> tuple[str, int, np.dtype[np.void]]:
    """Return byte order (none of text), number and layout of the vertices, which come first."""
    order, count, fields = "", -1, list[tuple[str, npt.DTypeLike]]()
    for line in lines[1:]:
        match line.split():
            case ["format", kind, _]:
                order = _ORDERS[kind]
            case ["element", "vertex", number] if count < 0:
                count = int(number)
            case ["element", *_]:
                if count < 0:
                    raise ValueError("its vertices do not come first")
                break
            case ["property", kind, name]:
                fields.append((name, f"{order}{_TYPES[kind]}"))
            case ["property", *_]:
                raise ValueError("its vertices hold lists")
    if count < 0:
        raise ValueError("it has no vertices")
    return order, count, np.dtype(fields)
