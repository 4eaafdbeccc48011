"""Reads Gaussians as viewers store them, rounded: .splat and .spz; the rounded numbers are kept.

Layouts: https://github.com/antimatter15/splat (32 bytes a Gaussian, no header) and
https://github.com/nianticlabs/spz (versions 2 and 3: a header and columns, in gzip).
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from nmc_tools.checkpoints.bounded_zip import BASE_DECODED_BYTES, MAX_EXPANSION
from nmc_tools.checkpoints.checkpoint import Checkpoint, Refusal, plain

if TYPE_CHECKING:
    from nmc_format.dtypes import Array

_SPLAT = np.dtype(
    [("position", "<f4", 3), ("scale", "<f4", 3), ("colors", "u1", 4), ("rotation", "u1", 4)]
)
_SPZ_MAGIC = b"NGSP"
_COEFFICIENTS = (0, 3, 8, 15, 24)


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
            f"has {size} bytes, which are no whole Gaussians of {_SPLAT.itemsize}",
            "the file is truncated, or no .splat file",
        )
    rows = np.frombuffer(file.read(), _SPLAT)
    state: dict[str, Array] = {
        name: np.ascontiguousarray(rows[name]) for name in _SPLAT.names or ()
    }
    return Checkpoint(state, frozenset(), "splat")


def read_spz(file: BinaryIO) -> Checkpoint:
    """Read a .spz file: each column as it is stored, uint8, one row for each Gaussian.

    Raises
    ------
    Refusal
        If it is damaged, exceeds the bounds, or has another version.
    """
    size = file.seek(0, 2)
    file.seek(0)
    data = file.read()
    if data.startswith(b"\x1f\x8b"):
        stream = zlib.decompressobj(wbits=31)
        try:
            data = stream.decompress(data, BASE_DECODED_BYTES + MAX_EXPANSION * size)
        except zlib.error as error:
            raise Refusal(f"its gzip data is damaged: {plain(error)}", "copy it again") from None
        if not stream.eof:
            raise Refusal("its gzip data ends too early, or holds more than its bounds allow")
    if len(data) < 16 or not data.startswith(_SPZ_MAGIC):
        raise Refusal("is not an .spz file of version 2 or 3", "convert it to .ply")
    version, count, degree, bits, flags = struct.unpack("<IIBBB", data[4:15])
    if version not in (2, 3) or degree >= len(_COEFFICIENTS):
        raise Refusal(
            f"is a .spz file of version {version} with harmonics of degree {degree}; versions 2 "
            "and 3 are read",
            "convert it to .ply, for instance with @playcanvas/splat-transform",
        )
    columns = {
        "positions": 9,
        "alphas": 1,
        "colors": 3,
        "scales": 3,
        "rotations": 3 if version == 2 else 4,
        "sh": 3 * _COEFFICIENTS[degree],
    }
    if 16 + count * sum(columns.values()) != len(data):
        raise Refusal(
            f"promises {count} Gaussians of {sum(columns.values())} bytes, {len(data) - 16} bytes "
            "follow its header",
            "the file is truncated; copy it again",
        )
    state: dict[str, Array] = {}
    at = 16
    for name, width in columns.items():
        if width:
            state[name] = np.frombuffer(data, np.uint8, count * width, at).reshape(count, width)
        at += count * width
    facts = {"version": version, "sh_degree": degree, "fractional_bits": bits, "flags": flags}
    return Checkpoint(state, frozenset(), "spz", extra={"spz": facts})
