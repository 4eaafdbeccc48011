"""Reads and writes .spz files: Gaussians as rounded columns, kept and written as they are stored.

Layout: https://github.com/nianticlabs/spz (README.md, src/cc/load-spz.cc). Versions 2 and 3 are a
header of 16 bytes and columns, in gzip; version 4 is a header of 32 bytes, records of extensions,
a table of sizes and one zstd frame for each column. Axes are x right, y up, z backward.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import zstandard

from nmc_tools.checkpoints import gaussians as splats
from nmc_tools.checkpoints.bounded_zip import BASE_DECODED_BYTES, MAX_EXPANSION
from nmc_tools.checkpoints.checkpoint import Checkpoint, Refusal, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc_format.dtypes import Array
    from nmc_tools.checkpoints.gaussians import Gaussians

MAGIC = b"NGSP"
VERSION = 4
"""The version that is written for Gaussians of other kinds."""

FRACTIONAL_BITS = 12
"""Bits of a coordinate behind the point, fewer where it would not fit into 24 bits with sign."""

_HEAD = struct.Struct("<4sIIBBBB")
_HEAD_4_BYTES = 32
_EXTENSIONS = 0x2
MAX_EXTENSIONS = 4096
_COLOUR_SCALE = 0.15
_HALF = 511 / np.sqrt(0.5)
"""Steps of a component of a quaternion that is not the largest."""

_SH_BUCKETS = (8, 16)
"""Steps of harmonics of degree 1, and of those above, in units of 1/128 (5 and 4 bits)."""

BOUNDS = (
    "of .spz: places to 1/8192 (12 bits behind the point), logarithms of scales to 1/32 between "
    "-10 and 5.9375, opacities to 1/510, f_dc to 0.0131 between -3.33 and 3.33, the components of "
    "unit quaternions to 0.0021, harmonics of degree 1 to 0.036 and above to 0.067 between -1 and 1"
)
"""How far a number can be from what it was."""

_Column = np.ndarray[Any, np.dtype[np.uint8]]


def _columns(version: int, degree: int) -> dict[str, int]:
    """Return the bytes of a Gaussian in each column."""
    widths = {
        "positions": 9,
        "alphas": 1,
        "colors": 3,
        "scales": 3,
        "rotations": 3 if version == 2 else 4,
        "sh": 3 * splats.COEFFICIENTS[degree],
    }
    return {name: width for name, width in widths.items() if width}


def read_spz(file: BinaryIO) -> Checkpoint:
    """Read a .spz file: each column as it is stored, uint8, one row for each Gaussian.

    ``header`` has version, degree of the harmonics, bits behind the point and flags.

    Raises
    ------
    Refusal
        If it is damaged, exceeds the bounds, or has another version.
    """
    size = file.seek(0, 2)
    file.seek(0)
    data = file.read()
    most = BASE_DECODED_BYTES + MAX_EXPANSION * size
    if data.startswith(b"\x1f\x8b"):
        stream = zlib.decompressobj(wbits=31)
        try:
            data = stream.decompress(data, most)
        except zlib.error as error:
            raise Refusal(f"its gzip data is damaged: {plain(error)}", "copy it again") from None
        if not stream.eof:
            raise Refusal("its gzip data ends too early, or holds more than its bounds allow")
    if len(data) < _HEAD.size or not data.startswith(MAGIC):
        raise Refusal("is not an .spz file of version 2, 3 or 4", "convert it to .ply")
    _, version, count, degree, bits, flags, last = _HEAD.unpack_from(data)
    if version not in (2, 3, 4) or degree >= len(splats.COEFFICIENTS):
        raise Refusal(
            f"is a .spz file of version {version} with harmonics of degree {degree}; versions 2 "
            "to 4 are read",
            "convert it to .ply, for instance with @playcanvas/splat-transform",
        )
    widths = _columns(version, degree)
    if count * sum(widths.values()) > most:
        raise Refusal(
            f"promises {count} Gaussians of {sum(widths.values())} bytes in a file of {size}",
            "the file is damaged",
        )
    header = np.array([[version, degree, bits, flags]], np.uint8)
    state: dict[str, Array] = {"header": header}
    extra: dict[str, Any] = {}
    if version == VERSION:
        columns, extensions = _streams(data, count, widths, flags, last)
        state |= columns
        if extensions:
            extra["extensions"] = extensions.hex()
    else:
        state |= _rows(data, count, widths)
    facts = {"version": version, "sh_degree": degree, "fractional_bits": bits, "flags": flags}
    return Checkpoint(state, frozenset(), "spz", extra={"spz": facts | extra})


def _rows(data: bytes, count: int, widths: Mapping[str, int]) -> dict[str, _Column]:
    """Return the columns of a file of version 2 or 3."""
    if _HEAD.size + count * sum(widths.values()) != len(data):
        raise Refusal(
            f"promises {count} Gaussians of {sum(widths.values())} bytes, "
            f"{len(data) - _HEAD.size} bytes follow its header",
            "the file is truncated; copy it again",
        )
    columns = {}
    at = _HEAD.size
    for name, width in widths.items():
        columns[name] = np.frombuffer(data, np.uint8, count * width, at).reshape(count, width)
        at += count * width
    return columns


def _streams(
    data: bytes, count: int, widths: Mapping[str, int], flags: int, streams: int
) -> tuple[dict[str, _Column], bytes]:
    """Return the columns of a file of version 4, and its records of extensions."""
    if len(data) < _HEAD_4_BYTES:
        raise Refusal("ends within its header", "the file is truncated; copy it again")
    table = int.from_bytes(data[16:20], "little")
    begin = table + 16 * streams
    if streams != len(widths) or not table >= _HEAD_4_BYTES or begin > len(data):
        raise Refusal(
            f"has {streams} columns at byte {table}, expected {len(widths)} in {len(data)} bytes",
            "the file is damaged, or cut",
        )
    if table - _HEAD_4_BYTES > MAX_EXTENSIONS or (table > _HEAD_4_BYTES) != bool(
        flags & _EXTENSIONS
    ):
        raise Refusal(f"has {table - _HEAD_4_BYTES} bytes of extensions, and flags {flags:#x}")
    columns = {}
    at = begin
    for i, (name, width) in enumerate(widths.items()):
        packed, size = struct.unpack_from("<QQ", data, table + 16 * i)
        if packed > len(data) - at or size != count * width:
            raise Refusal(
                f"column {name} has {size} bytes in {packed}, expected {count * width} in at most "
                f"{len(data) - at}",
                "the file is damaged, or cut",
            )
        columns[name] = _inflated(name, data[at : at + packed], size).reshape(count, width)
        at += packed
    if at != len(data):
        raise Refusal(f"{len(data) - at} bytes follow its last column", "the file is damaged")
    return columns, data[_HEAD_4_BYTES:table]


def _inflated(name: str, data: bytes, size: int) -> _Column:
    try:
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(data) as reader:
            plain_bytes = reader.read(size + 1)
    except zstandard.ZstdError as error:
        raise Refusal(f"column {name} is damaged: {plain(error)}", "copy it again") from None
    if len(plain_bytes) != size:
        raise Refusal(f"column {name} has {len(plain_bytes)} bytes or more, expected {size}")
    return np.frombuffer(plain_bytes, np.uint8)


def write_spz(file: BinaryIO, state: Mapping[str, Array], extra: Mapping[str, Any]) -> None:
    """Write columns as `read_spz` returns them, or Gaussians of another kind, rounded.

    Raises
    ------
    Refusal
        If these are no Gaussians, or what .spz cannot hold.
    """
    from nmc_tools.checkpoints.gaussian_kinds import gaussians_of

    columns = columns_of(state)
    facts = extra.get("spz", {})
    extensions = bytes.fromhex(str(facts.get("extensions", ""))) if columns else b""
    if columns is None:
        columns = packed(gaussians_of(state, extra))
    version, degree, bits, flags = columns["header"][0].tolist()
    widths = _columns(version, degree)
    parts = [np.ascontiguousarray(columns[name]).tobytes() for name in widths]
    count = len(columns["positions"])
    if version != VERSION:
        head = _HEAD.pack(MAGIC, version, count, degree, bits, flags, 0)
        file.write(gzip.compress(b"".join([head, *parts]), mtime=0))
        return
    flags = flags | _EXTENSIONS if extensions else flags & ~_EXTENSIONS
    coder = zstandard.ZstdCompressor(level=12, write_content_size=True)
    coded = [coder.compress(part) for part in parts]
    table = _HEAD_4_BYTES + len(extensions)
    file.write(_HEAD.pack(MAGIC, version, count, degree, bits, flags, len(parts)))
    file.write(struct.pack("<I12x", table) + extensions)
    file.writelines(
        struct.pack("<QQ", len(part), len(whole)) for part, whole in zip(coded, parts, strict=True)
    )
    file.write(b"".join(coded))


def columns_of(state: Mapping[str, Array]) -> dict[str, _Column] | None:
    """Return the columns of a state that came from a .spz file; None where it did not.

    Raises
    ------
    Refusal
        If they do not fit each other.
    """
    header = state.get("header")
    if not isinstance(header, np.ndarray) or "positions" not in state:
        return None
    if header.shape != (1, 4) or header.dtype != np.uint8:
        raise Refusal("its header is not four bytes: version, degree, bits and flags")
    version, degree = int(header[0, 0]), int(header[0, 1])
    if version not in (2, 3, 4) or degree >= len(splats.COEFFICIENTS):
        raise Refusal(f"its header has version {version} and harmonics of degree {degree}")
    widths = _columns(version, degree)
    count = len(np.asarray(state["positions"]))
    columns: dict[str, _Column] = {"header": header}
    for name, width in widths.items():
        column = state.get(name)
        if not isinstance(column, np.ndarray) or column.dtype != np.uint8:
            raise Refusal(f"there is no column {name} of bytes")
        if column.shape != (count, width):
            raise Refusal(f"column {name} has the shape {list(column.shape)}")
        columns[name] = column
    if state.keys() != columns.keys():
        raise Refusal(
            f"there are other tensors than columns: {plain(state.keys() - columns.keys())}"
        )
    return columns


def packed(gaussians: Gaussians) -> dict[str, _Column]:
    """Return Gaussians as columns of version 4, rounded as the reference implementation does.

    Raises
    ------
    Refusal
        If a number is not finite, or a coordinate too large.
    """
    for name, array in gaussians.items():
        if not np.isfinite(array).all():
            raise Refusal(f"{name} has numbers that are not finite, which .spz cannot hold")
    turned = splats.turned(gaussians)
    xyz = turned["xyz"].astype("f8")
    far = float(np.abs(xyz).max(initial=0.0))
    bits = FRACTIONAL_BITS
    while bits >= 0 and np.rint(far * 2.0**bits) >= 2**23:
        bits -= 1
    if bits < 0:
        raise Refusal(f"a coordinate is {far:g}, which .spz cannot hold")
    fixed = _round(xyz * 2.0**bits).astype("<i4")
    rest = turned.get("f_rest")
    degree = splats.degree_of(0 if rest is None else rest.shape[1])
    columns = {
        "header": np.array([[VERSION, degree, bits, 0]], np.uint8),
        "positions": splats.flat(fixed.view(np.uint8).reshape(len(fixed), 3, 4)[:, :, :3]),
        "alphas": _byte(splats.sigmoid(turned["opacity"]) * 255),
        "colors": _byte(turned["f_dc"].astype("f8") * (_COLOUR_SCALE * 255) + 127.5),
        "scales": _byte((turned["scale"].astype("f8") + 10) * 16),
        "rotations": _smallest_three(splats.unit(turned["rotation"])),
    }
    if rest is not None:
        units = (_round(splats.by_coefficient(rest).astype("f8") * 128) + 128).astype(np.int64)
        step = np.where(np.arange(units.shape[1]) < 3, *_SH_BUCKETS)[None, :, None]
        # C rounds a quotient to 0, below 0 too; what lies there is 0 in the end
        buckets = np.maximum(units + step // 2, 0) // step * step
        columns["sh"] = splats.flat(np.clip(buckets, 0, 255).astype(np.uint8))
    return columns


def _round(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Round halves away from 0, as C does."""
    rounded: np.ndarray[Any, Any] = np.copysign(np.floor(np.abs(values) + 0.5), values)
    return rounded


def _byte(values: np.ndarray[Any, Any]) -> _Column:
    rounded: _Column = np.clip(_round(values), 0, 255).astype(np.uint8)
    return rounded


def _smallest_three(rotation: np.ndarray[Any, Any]) -> _Column:
    """Return unit quaternions w x y z in 32 bits: which is the largest, and the three others."""
    q = np.roll(rotation, -1, axis=1)  # x y z w
    largest = np.abs(q).argmax(axis=1)
    q = np.where(np.take_along_axis(q, largest[:, None], 1) < 0, -q, q)
    packed_bits = largest.astype(np.uint32)
    for i in range(4):
        magnitude = (np.abs(q[:, i]) * _HALF + 0.5).astype(np.uint32)
        field = (q[:, i] < 0).astype(np.uint32) << 9 | np.minimum(magnitude, 511)
        packed_bits = np.where(largest == i, packed_bits, packed_bits << 10 | field)
    stored: _Column = packed_bits.astype("<u4").view(np.uint8).reshape(-1, 4)
    return stored


def unpacked(columns: Mapping[str, _Column], extra: Mapping[str, Any]) -> Gaussians:
    """Return the Gaussians that columns stand for, with the axes of 3DGS.

    Raises
    ------
    Refusal
        If an extension may say that the columns stand for something else.
    """
    version, degree, bits, _ = columns["header"][0].tolist()
    if extra.get("spz", {}).get("extensions"):
        raise Refusal("it has extensions, with which its columns may mean something else")
    count = len(columns["positions"])
    fixed = np.zeros((count, 3, 4), np.uint8)
    fixed[:, :, 1:] = columns["positions"].reshape(count, 3, 3)
    made = {
        "xyz": ((splats.flat(fixed).view("<i4") >> 8) / 2.0**bits).astype("f4"),
        "f_dc": ((columns["colors"] / 255 - 0.5) / _COLOUR_SCALE).astype("f4"),
        "opacity": splats.logit(columns["alphas"] / 255),
        "scale": (columns["scales"] / 16 - 10).astype("f4"),
        "rotation": (_of_three if version == 2 else _of_smallest_three)(columns["rotations"]),
    }
    if degree:
        made["f_rest"] = splats.by_channel(((columns["sh"].astype("f4") - 128) / 128).astype("f4"))
    return splats.turned({name: made[name] for name in splats.NAMES if name in made})


def _of_three(stored: _Column) -> splats.Floats:
    xyz = stored / 127.5 - 1
    w = np.sqrt(np.maximum(0, 1 - (xyz**2).sum(axis=1, keepdims=True)))
    return np.hstack([w, xyz]).astype("f4")


def _of_smallest_three(stored: _Column) -> splats.Floats:
    fields = np.ascontiguousarray(stored).view("<u4").reshape(-1)
    largest = (fields >> 30).astype(np.int64)
    q = np.zeros((len(fields), 4))
    for i in (3, 2, 1, 0):
        value = (fields & 511) / _HALF * np.where(fields & 512, -1.0, 1.0)
        q[:, i] = np.where(largest == i, 0, value)
        fields = np.where(largest == i, fields, fields >> 10)
    rest = np.sqrt(np.maximum(0, 1 - (q**2).sum(axis=1)))
    np.put_along_axis(q, largest[:, None], rest[:, None], 1)
    return np.roll(q, 1, axis=1).astype("f4")
