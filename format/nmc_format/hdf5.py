"""Reads the compact form of HDF5 in which manifests are written (clause 5.3.1), in plain Python.

The HDF5 library is large and trusts its input more than a reader of untrusted files can afford.
This reader knows the one small part of the HDF5 File Format Specification (version 3.0) that the
compact form needs, checks every bound and checksum, and answers `OutsideSubset` for all else;
`nmc_format.hdf5_sandbox` then reads the file with the library, in a process of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from nmc_format.lookup3 import lookup3

RawObjects: TypeAlias = "dict[str, np.ndarray[Any, Any]]"
"""Datasets by path, attributes by ``path@name``; strings as fixed-length bytes (numpy ``S``)."""

MAX_OBJECTS = 256
"""Groups, datasets and attributes a reader visits before it gives up; a manifest has under 50."""

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_UNDEFINED = 0xFFFF_FFFF_FFFF_FFFF
_HEADER_FLAG_TIMES = 0x20
_HEADER_FLAG_PHASE = 0x10
_HEADER_FLAG_ORDER = 0x04


class OutsideSubset(Exception):  # noqa: N818 - not an error: the library may still read the file
    """The file is damaged, or uses a part of HDF5 that the compact form leaves out."""


@dataclass(frozen=True)
class _Message:
    kind: int
    body: bytes


@dataclass
class _Reader:
    """The bytes of a file, and which objects of it were read."""

    data: bytes
    seen: set[int] = field(default_factory=set)
    count: int = 0
    objects: RawObjects = field(default_factory=dict)

    def take(self, start: int, size: int) -> bytes:
        if start < 0 or size < 0 or start + size > len(self.data):
            raise OutsideSubset(f"{size} bytes at {start} lie outside the file")
        return self.data[start : start + size]


class _Cursor:
    """Reads little-endian fields from a few bytes, within their bounds."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise OutsideSubset("a structure ends before its last field")
        self.at += size
        return self.data[self.at - size : self.at]

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def expect(self, size: int, *allowed: int) -> int:
        value = self.uint(size)
        if value not in allowed:
            raise OutsideSubset(f"field value {value}, expected {allowed}")
        return value


def read_compact(data: bytes) -> RawObjects:
    """Read every object of a manifest in compact form.

    Parameters
    ----------
    data : bytes
        The whole file.

    Returns
    -------
    dict
        Path → array. All arrays own their memory; sizes are bounded by the file's.

    Raises
    ------
    OutsideSubset
        If the file is anything else than sound and compact.
    """
    reader = _Reader(data)
    cursor = _Cursor(reader.take(0, 48))
    if cursor.take(8) != _SIGNATURE:
        raise OutsideSubset("no HDF5 signature")
    cursor.expect(1, 2, 3)
    cursor.expect(1, 8)
    cursor.expect(1, 8)
    cursor.uint(1)
    cursor.expect(8, 0)
    cursor.expect(8, _UNDEFINED)
    cursor.expect(8, len(data))
    root = cursor.uint(8)
    if cursor.uint(4) != lookup3(data[:44]):
        raise OutsideSubset("superblock checksum")
    _read_object(reader, root, "", depth=0)
    return reader.objects


def _count(reader: _Reader) -> None:
    """Count a group, a dataset or an attribute against the limit of clause 5.3.2."""
    reader.count += 1
    if reader.count > MAX_OBJECTS:
        raise OutsideSubset("too many objects")


def _store(reader: _Reader, path: str, value: np.ndarray[Any, Any]) -> None:
    if path in reader.objects:
        raise OutsideSubset(f"{path} occurs twice")
    _count(reader)
    reader.objects[path] = value


def _read_object(reader: _Reader, address: int, path: str, depth: int) -> None:
    if address in reader.seen or depth > 4:
        raise OutsideSubset(f"object at {address} is linked twice, or too deep")
    reader.seen.add(address)
    messages = _messages(reader, address)
    for message in messages:
        if message.kind == 0x0C:
            name, value = _attribute(message.body)
            _store(reader, f"{path or '/'}@{name}", value)
    by_kind = {m.kind: m.body for m in messages}
    if 0x08 in by_kind:
        if not {0x01, 0x03} <= by_kind.keys():
            raise OutsideSubset("dataset without type or space")
        _store(reader, path, _dataset(reader, by_kind))
        return
    _count(reader)
    for message in messages:
        if message.kind == 0x06:
            name, target = _link(message.body)
            _read_object(reader, target, f"{path}/{name}", depth + 1)


def _messages(reader: _Reader, address: int) -> list[_Message]:
    """Parse an object header of version 2, its continuations included."""
    prefix = _Cursor(reader.take(address, min(36, len(reader.data) - address)))
    if prefix.take(4) != b"OHDR":
        raise OutsideSubset("no version 2 object header")
    prefix.expect(1, 2)
    flags = prefix.uint(1)
    prefix.take(16 if flags & _HEADER_FLAG_TIMES else 0)
    prefix.take(4 if flags & _HEADER_FLAG_PHASE else 0)
    size = prefix.uint(1 << (flags & 3))
    block = reader.take(address, prefix.at + size + 4)
    chunks = [(block, prefix.at)]
    continued: set[int] = set()
    messages: list[_Message] = []
    for block, start in chunks:  # grows while continuations are found
        if len(chunks) > MAX_OBJECTS or lookup3(block[:-4]) != int.from_bytes(block[-4:], "little"):
            raise OutsideSubset("object header checksum")
        for message in _split(block[start:-4], ordered=bool(flags & _HEADER_FLAG_ORDER)):
            if message.kind == 0x10:
                where = _Cursor(message.body)
                where_to = where.uint(8)
                more = reader.take(where_to, where.uint(8))
                if where_to in continued or more[:4] != b"OCHK":
                    raise OutsideSubset("no continuation block")
                continued.add(where_to)
                chunks.append((more, 4))
            else:
                messages.append(message)
    return messages


def _split(block: bytes, *, ordered: bool) -> list[_Message]:
    cursor = _Cursor(block)
    head = 6 if ordered else 4
    messages = []
    while len(block) - cursor.at >= head:
        kind, size, flags = cursor.uint(1), cursor.uint(2), cursor.uint(1)
        cursor.take(head - 4)
        body = cursor.take(size)
        if flags & 0x02:
            raise OutsideSubset("shared message")
        _check_kind(kind, body)
        messages.append(_Message(kind, body))
    return messages


def _check_kind(kind: int, body: bytes) -> None:
    """Accept the messages of the compact form; dense storage and filters are outside of it."""
    if kind in {0x02, 0x15}:  # link info, attribute info: the dense storage must be undefined
        cursor = _Cursor(body)
        cursor.expect(1, 0)
        index = cursor.uint(1)
        cursor.take((8 if kind == 0x02 else 2) if index & 1 else 0)
        cursor.expect(8, _UNDEFINED)
    elif kind not in {0x00, 0x01, 0x03, 0x05, 0x06, 0x08, 0x0A, 0x0C, 0x10}:
        raise OutsideSubset(f"message type {kind:#x}")


def _link(body: bytes) -> tuple[str, int]:
    cursor = _Cursor(body)
    cursor.expect(1, 1)
    flags = cursor.uint(1)
    if flags & 0x08:
        cursor.expect(1, 0)  # hard
    cursor.take(8 if flags & 0x04 else 0)
    cursor.take(1 if flags & 0x10 else 0)
    name = _name(cursor.take(cursor.uint(1 << (flags & 3))))
    return name, cursor.uint(8)


def _name(raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OutsideSubset("a name is not UTF-8") from error
    if not name or "/" in name or "@" in name or "\0" in name:
        raise OutsideSubset("a name is malformed")
    return name


def _attribute(body: bytes) -> tuple[str, np.ndarray[Any, Any]]:
    cursor = _Cursor(body)
    cursor.expect(1, 3)
    cursor.expect(1, 0)
    sizes = [cursor.uint(2) for _ in range(3)]
    cursor.take(1)
    name = _name(cursor.take(sizes[0]).rstrip(b"\0"))
    dtype = _datatype(cursor.take(sizes[1]))
    shape = _dataspace(cursor.take(sizes[2]))
    return name, _array(body[cursor.at :], dtype, shape)


def _dataset(reader: _Reader, messages: dict[int, bytes]) -> np.ndarray[Any, Any]:
    dtype = _datatype(messages[0x03])
    shape = _dataspace(messages[0x01])
    cursor = _Cursor(messages[0x08])
    cursor.expect(1, 3, 4)
    layout = cursor.expect(1, 0, 1)
    if layout == 0:
        return _array(cursor.take(cursor.uint(2)), dtype, shape)
    address, size = cursor.uint(8), cursor.uint(8)
    data = b"" if address == _UNDEFINED and size == 0 else reader.take(address, size)
    return _array(data, dtype, shape)


def _array(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    count = 1
    for dim in shape:
        count *= dim
    if count * dtype.itemsize > len(data):
        raise OutsideSubset("an array is larger than its data")
    return np.frombuffer(data, dtype, count).reshape(shape).copy()


def _dataspace(body: bytes) -> tuple[int, ...]:
    cursor = _Cursor(body)
    cursor.expect(1, 2)
    rank, _flags = cursor.uint(1), cursor.uint(1)
    kind = cursor.expect(1, 0, 1)
    if rank > 8 or (kind == 0 and rank):
        raise OutsideSubset("rank")
    return tuple(cursor.uint(8) for _ in range(rank))


def _datatype(body: bytes) -> np.dtype[Any]:
    cursor = _Cursor(body)
    kind = cursor.uint(1)
    bits = cursor.uint(3)
    size = cursor.uint(4)
    if kind >> 4 not in {1, 2, 3}:
        raise OutsideSubset("datatype version")
    match kind & 0x0F:
        case 0 if size in {1, 2, 4, 8} and bits & ~0x08 == 0:
            if (cursor.uint(2), cursor.uint(2)) != (0, 8 * size):
                raise OutsideSubset("partial integer")
            return np.dtype(f"<{'i' if bits & 0x08 else 'u'}{size}")
        case 1 if size == 8 and bits == 0x3F20 and cursor.take(12) == _IEEE_F64:
            return np.dtype("<f8")
        case 3 if 0 < size <= 1 << 20 and bits & 0x0F in {0, 1}:
            return np.dtype(f"S{size}")
    raise OutsideSubset(f"datatype {kind & 0x0F} of {size} bytes")


# bit offset 0, precision 64, exponent at 52 of 11 bits, mantissa at 0 of 52 bits, bias 1023
_IEEE_F64 = bytes.fromhex("00004000340b0034ff030000")
