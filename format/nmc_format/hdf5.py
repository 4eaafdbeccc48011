"""Reads the compact form of HDF5 in which manifests are written (clause 5.3.1), in plain Python.

The HDF5 library is large and trusts its input more than a reader of untrusted files can afford.
This reader knows the one small part of the HDF5 File Format Specification (version 3.0) that the
compact form needs. It refuses what table D-2 never allows, and answers `OutsideSubset` for what it
only does not know: `nmc_format.hdf5_sandbox` then reads the file with the library, in a process of
its own. Structures never overlap and bytes between them are 0, so that the work is in proportion to
the file, and every bit of it matters (clause D.1).
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NoReturn, TypeAlias

import numpy as np

from nmc_format.issues import refuse
from nmc_format.lookup3 import lookup3

RawObjects: TypeAlias = "dict[str, np.ndarray[Any, Any]]"
"""Datasets by path, attributes by ``path@name``; strings as fixed-length bytes (numpy ``S``)."""

MAX_OBJECTS = 256
"""Groups, datasets and attributes a reader visits before it gives up; a manifest has under 50."""

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_UNDEFINED = 0xFFFF_FFFF_FFFF_FFFF
_OFFSET_SIZES = (2, 4, 8, 16, 32)
"""Sizes of an address that HDF5 has; the checksum of the superblock lies by them."""

_HEADER_FLAG_TIMES = 0x20
_HEADER_FLAG_PHASE = 0x10
_HEADER_FLAG_INDEXED = 0x08
_HEADER_FLAG_ORDER = 0x04
_MESSAGE_FLAGS = 0x45
"""Flags of a message that say nothing to a reader: constant, not to be shared, may be shared."""

_MAX_BLOCKS = 256
"""Blocks of one object header."""

_MAX_DEPTH = 4
"""Names in a path."""

_MAX_RANK = 8
_NULL_SPACE = 2


class OutsideSubset(Exception):  # noqa: N818 - not an error: the library may still read the file
    """The file uses a part of HDF5 that the compact form leaves out."""


def _damaged(reason: str) -> NoReturn:
    """Refuse what no manifest may hold in its compact form (table D-2)."""
    raise refuse("manifest/unreadable", pointer="/", reason=reason)


@dataclass(frozen=True)
class _Message:
    kind: int
    body: bytes


@dataclass
class _Reader:
    """The bytes of a file, and which of them and of its objects were read."""

    data: bytes
    seen: set[int] = field(default_factory=set)
    count: int = 0
    objects: RawObjects = field(default_factory=dict)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def take(self, start: int, size: int) -> bytes:
        """Return the bytes of one structure; no other one may have any of them."""
        end = start + size
        if end > len(self.data):
            _damaged(f"{size} bytes at {start} lie outside of the file")
        if size:
            at = bisect(self.spans, (start, end))
            before = self.spans[at - 1][1] if at else 0
            after = self.spans[at][0] if at < len(self.spans) else len(self.data)
            if start < before or end > after:
                _damaged(f"{size} bytes at {start} overlap another structure")
            self.spans.insert(at, (start, end))
        return self.data[start:end]

    def peek(self, start: int, size: int) -> bytes:
        """Return up to so many bytes, which :meth:`take` is asked for next."""
        if start >= len(self.data):
            _damaged(f"an object header at {start} lies outside of the file")
        return self.data[start : start + size]

    def check_rest(self) -> None:
        """Refuse bytes that belong to no structure and are not 0."""
        edges = [(0, 0), *self.spans, (len(self.data), len(self.data))]
        for (_, end), (start, _) in pairwise(edges):
            if self.data.count(0, end, start) != start - end:
                _damaged(f"bytes {end} to {start} belong to nothing, and are not 0")


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

    def end(self) -> None:
        if self.at != len(self.data):
            raise OutsideSubset("bytes follow the last field of a structure")


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
        If the file uses anything else of HDF5.
    FormatError
        If it holds what table D-2 never allows.
    """
    reader = _Reader(data)
    root = _superblock(reader)
    _read_object(reader, root, "", depth=0)
    reader.check_rest()
    return reader.objects


def _superblock(reader: _Reader) -> int:
    """Return the address of the root group."""
    head = reader.data[:12]
    if len(head) < 12 or head[:8] != _SIGNATURE:
        _damaged("it does not begin with the signature of HDF5")
    if head[8] > 3:
        _damaged(f"superblock of version {head[8]}")
    if head[8] < 2:
        raise OutsideSubset(f"superblock of version {head[8]}")
    if head[9] not in _OFFSET_SIZES:
        _damaged(f"addresses of {head[9]} bytes")
    block = reader.take(0, 12 + 4 * head[9] + 4)
    if int.from_bytes(block[-4:], "little") != lookup3(block[:-4]):
        _damaged("checksum of the superblock")
    cursor = _Cursor(block[9:])
    cursor.expect(1, 8)
    cursor.expect(1, 8)
    cursor.expect(1, 0)
    cursor.expect(8, 0)
    cursor.expect(8, _UNDEFINED)
    end = cursor.uint(8)
    if end != len(reader.data):
        _damaged(f"it ends at byte {end}, the file has {len(reader.data)}")
    return cursor.uint(8)


def _count(reader: _Reader) -> None:
    """Count a group, a dataset or an attribute against the limit of clause 5.3.2."""
    reader.count += 1
    if reader.count > MAX_OBJECTS:
        raise OutsideSubset("too many objects")


def _store(reader: _Reader, path: str, value: np.ndarray[Any, Any]) -> None:
    _count(reader)
    reader.objects[path] = value


def _read_object(reader: _Reader, address: int, path: str, depth: int) -> None:
    if address in reader.seen:
        raise refuse("manifest/link", pointer=path or "/", kind="second or cyclic hard")
    if depth > _MAX_DEPTH:
        raise OutsideSubset(f"a path of more than {_MAX_DEPTH} names")
    reader.seen.add(address)
    messages = _messages(reader, address)
    _read_attributes(reader, messages, path)
    bodies: dict[int, list[bytes]] = {}
    for message in messages:
        bodies.setdefault(message.kind, []).append(message.body)
    counts = tuple(len(bodies.get(kind, ())) for kind in (0x01, 0x03, 0x08, 0x02))
    links = [_link(body, path) for body in bodies.get(0x06, ())]
    if counts == (1, 1, 1, 0) and not links and path:
        space, kind, layout = (bodies[number][0] for number in (0x01, 0x03, 0x08))
        _store(reader, path, _dataset(reader, space, kind, layout, path))
        return
    if counts != (0, 0, 0, 1):
        raise OutsideSubset("an object is neither a group nor a dataset")
    _count(reader)
    if len({name for name, _ in links}) < len(links):
        _damaged(f"two links of {path or '/'} have the same name")
    for name, target in links:
        _read_object(reader, target, f"{path}/{name}", depth + 1)


def _read_attributes(reader: _Reader, messages: list[_Message], path: str) -> None:
    for message in messages:
        if message.kind == 0x0C:
            name, value = _attribute(message.body, path or "/")
            if f"{path or '/'}@{name}" in reader.objects:
                _damaged(f"two attributes of {path or '/'} have the same name")
            _store(reader, f"{path or '/'}@{name}", value)


def _messages(reader: _Reader, address: int) -> list[_Message]:
    """Parse an object header of version 2, its continuations included."""
    prefix = _Cursor(reader.peek(address, 36))
    if prefix.data[:4] != b"OHDR":
        if prefix.data[:1] == b"\1":
            raise OutsideSubset("an object header of version 1")
        _damaged(f"there is no object header at {address}")
    prefix.take(4)
    if prefix.uint(1) != 2:
        _damaged("version of an object header")
    flags = prefix.uint(1)
    if flags & 0xC0:
        _damaged("flags of an object header that HDF5 does not have")
    prefix.take(16 if flags & _HEADER_FLAG_TIMES else 0)
    prefix.take(4 if flags & _HEADER_FLAG_PHASE else 0)
    size = prefix.uint(1 << (flags & 3))
    chunks = [(_summed(reader.take(address, prefix.at + size + 4)), prefix.at)]
    if flags & _HEADER_FLAG_INDEXED:
        raise OutsideSubset("indexed attributes")
    messages: list[_Message] = []
    for block, start in chunks:  # grows while continuations are found
        for message in _split(block[start:], ordered=bool(flags & _HEADER_FLAG_ORDER)):
            if message.kind != 0x10:
                messages.append(message)
                continue
            where = _Cursor(message.body)
            more = reader.take(where.uint(8), where.uint(8))
            where.end()
            if more[:4] != b"OCHK" or len(more) < 8:
                _damaged("a continuation leads to no block")
            if len(chunks) >= _MAX_BLOCKS:
                raise OutsideSubset(f"an object header of more than {_MAX_BLOCKS} blocks")
            chunks.append((_summed(more), 4))
    return messages


def _summed(block: bytes) -> bytes:
    """Return a block without its checksum, which is right."""
    if lookup3(block[:-4]) != int.from_bytes(block[-4:], "little"):
        _damaged("checksum of an object header")
    return block[:-4]


def _split(block: bytes, *, ordered: bool) -> list[_Message]:
    cursor = _Cursor(block)
    head = 6 if ordered else 4
    messages = []
    while len(block) - cursor.at >= head:
        kind, size, flags = cursor.uint(1), cursor.uint(2), cursor.uint(1)
        cursor.take(head - 4)
        body = cursor.take(size)
        if flags & ~_MESSAGE_FLAGS:
            raise OutsideSubset(f"flags {flags:#x} of a message")
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


def _link(body: bytes, path: str) -> tuple[str, int]:
    cursor = _Cursor(body)
    cursor.expect(1, 1)
    flags = cursor.uint(1)
    if flags & 0xE0:
        _damaged("flags of a link that HDF5 does not have")
    if flags & 0x08:
        cursor.expect(1, 0)  # hard
    cursor.take(8 if flags & 0x04 else 0)
    cursor.take(1 if flags & 0x10 else 0)
    name = _name(cursor.take(cursor.uint(1 << (flags & 3))), f"{path}/")
    address = cursor.uint(8)
    cursor.end()
    return name, address


def _name(raw: bytes, before: str) -> str:
    """Return a name as text; one that no manifest may hold is refused (clause 5.3.2).

    ``before`` is what its path begins with.
    """
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        name = ""
    if not name or "/" in name or "@" in name or "\0" in name:
        reason = f"the name {raw!r} of a group, dataset or attribute is not allowed"
        # What cannot be shown is told at the object that has it.
        place = before + name if name.isprintable() and name else before
        raise refuse("manifest/value", pointer=place, reason=reason)
    return name


def _attribute(body: bytes, place: str) -> tuple[str, np.ndarray[Any, Any]]:
    cursor = _Cursor(body)
    cursor.expect(1, 3)
    cursor.expect(1, 0)
    sizes = [cursor.uint(2) for _ in range(3)]
    cursor.take(1)
    name = _name(cursor.take(sizes[0]).rstrip(b"\0"), f"{place}@")
    dtype = _datatype(cursor.take(sizes[1]))
    shape = _dataspace(cursor.take(sizes[2]), f"{place}@{name}")
    return name, _array(body[cursor.at :], dtype, shape)


def _dataset(
    reader: _Reader, space: bytes, kind: bytes, layout: bytes, path: str
) -> np.ndarray[Any, Any]:
    dtype = _datatype(kind)
    shape = _dataspace(space, path)
    cursor = _Cursor(layout)
    cursor.expect(1, 3, 4)
    if cursor.expect(1, 0, 1) == 0:
        data = cursor.take(cursor.uint(2))
    else:
        address, size = cursor.uint(8), cursor.uint(8)
        data = b"" if address == _UNDEFINED and size == 0 else reader.take(address, size)
    cursor.end()
    return _array(data, dtype, shape)


def _array(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    count = 1
    for dim in shape:
        count *= dim
    if count * dtype.itemsize != len(data):
        _damaged(f"an array of {count * dtype.itemsize} bytes has data of {len(data)}")
    return np.frombuffer(data, dtype, count).reshape(shape).copy()


def _dataspace(body: bytes, place: str) -> tuple[int, ...]:
    cursor = _Cursor(body)
    cursor.expect(1, 2)
    rank, largest = cursor.uint(1), cursor.expect(1, 0, 1)
    kind = cursor.expect(1, 0, 1, _NULL_SPACE)
    if kind == _NULL_SPACE:
        raise refuse("manifest/object-shape", pointer=place, actual="null", expected="a value")
    if rank > _MAX_RANK or (kind == 0 and rank):
        raise OutsideSubset("rank")
    shape = tuple(cursor.uint(8) for _ in range(rank))
    cursor.take(8 * rank * largest)
    cursor.end()
    return shape


def _datatype(body: bytes) -> np.dtype[Any]:
    cursor = _Cursor(body)
    version, kind = divmod(cursor.uint(1), 16)
    bits = cursor.uint(3)
    size = cursor.uint(4)
    if version not in {1, 2, 3}:
        raise OutsideSubset("datatype version")
    made: np.dtype[Any] | None = None
    if kind == 0 and size in {1, 2, 4, 8} and bits & ~0x08 == 0:
        if (cursor.uint(2), cursor.uint(2)) == (0, 8 * size):
            made = np.dtype(f"<{'i' if bits & 0x08 else 'u'}{size}")
    elif kind == 1 and size == 8 and bits == 0x3F20 and cursor.take(12) == _IEEE_F64:
        made = np.dtype("<f8")
    elif kind == 3 and 0 < size <= 1 << 20 and bits & 0x0F in {0, 1}:
        made = np.dtype(f"S{size}")
    if made is None:
        raise OutsideSubset(f"datatype {kind} of {size} bytes")
    cursor.end()
    return made


# bit offset 0, precision 64, exponent at 52 of 11 bits, mantissa at 0 of 52 bits, bias 1023
_IEEE_F64 = bytes.fromhex("00004000340b0034ff030000")
