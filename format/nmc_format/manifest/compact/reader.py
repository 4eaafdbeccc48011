"""Reads the compact form of HDF5 in which manifests are written (clause 5.3.1), in plain Python.

The HDF5 library is large and trusts its input more than a reader of untrusted files can afford.
This reader knows the one small part of the HDF5 File Format Specification (version 3.0) that the
compact form needs. It refuses what table D-2 never allows, and answers `OutsideSubset` for what it
only does not know: `nmc_format.manifest.sandbox` then reads the file with the library, in a process
of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_format.issues import refuse
from nmc_format.manifest.compact.headers import (
    ATTRIBUTE,
    DATASPACE,
    DATATYPE,
    LAYOUT,
    LINK,
    LINK_INFO,
    UNDEFINED,
    Blocks,
    Fields,
    OutsideSubset,
    damaged,
    messages_at,
    root_address,
)
from nmc_format.manifest.objects import MAX_OBJECTS

if TYPE_CHECKING:
    from nmc_format.manifest.compact.headers import Message
    from nmc_format.manifest.objects import RawObjects

_DATASET = (DATASPACE, DATATYPE, LAYOUT)
"""The messages that a dataset has, each once."""

_MAX_DEPTH = 4
"""Names in a path."""

_MAX_RANK = 8
_NULL_SPACE = 2

# bit offset 0, precision 64, exponent at 52 of 11 bits, mantissa at 0 of 52 bits, bias 1023
_IEEE_F64 = bytes.fromhex("00004000340b0034ff030000")


@dataclass
class _Reader:
    """The blocks of a file, and which of its objects were read."""

    blocks: Blocks
    seen: set[int] = field(default_factory=set)
    count: int = 0
    objects: RawObjects = field(default_factory=dict)


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
    blocks = Blocks(data)
    reader = _Reader(blocks)
    _read_object(reader, root_address(blocks), "", depth=0)
    blocks.check_rest()
    return reader.objects


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
    messages = messages_at(reader.blocks, address)
    _read_attributes(reader, messages, path)
    bodies: dict[int, list[bytes]] = {}
    for message in messages:
        bodies.setdefault(message.kind, []).append(message.body)
    counts = tuple(len(bodies.get(kind, ())) for kind in (*_DATASET, LINK_INFO))
    links = [_link(body, path) for body in bodies.get(LINK, ())]
    if counts == (1, 1, 1, 0) and not links and path:
        space, kind, layout = (bodies[number][0] for number in _DATASET)
        _store(reader, path, _dataset(reader, space, kind, layout, path))
        return
    if counts != (0, 0, 0, 1):
        raise OutsideSubset("an object is neither a group nor a dataset")
    _count(reader)
    if len({name for name, _ in links}) < len(links):
        damaged(f"two links of {path or '/'} have the same name")
    for name, target in links:
        _read_object(reader, target, f"{path}/{name}", depth + 1)


def _read_attributes(reader: _Reader, messages: list[Message], path: str) -> None:
    for message in messages:
        if message.kind == ATTRIBUTE:
            name, value = _attribute(message.body, path or "/")
            if f"{path or '/'}@{name}" in reader.objects:
                damaged(f"two attributes of {path or '/'} have the same name")
            _store(reader, f"{path or '/'}@{name}", value)


def _link(body: bytes, path: str) -> tuple[str, int]:
    fields = Fields(body)
    fields.expect(1, 1)
    flags = fields.uint(1)
    if flags & 0xE0:
        damaged("flags of a link that HDF5 does not have")
    if flags & 0x08:
        fields.expect(1, 0)  # hard
    fields.take(8 if flags & 0x04 else 0)
    fields.take(1 if flags & 0x10 else 0)
    name = _name(fields.take(fields.uint(1 << (flags & 3))), f"{path}/")
    address = fields.uint(8)
    fields.end()
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
    fields = Fields(body)
    fields.expect(1, 3)
    fields.expect(1, 0)
    sizes = [fields.uint(2) for _ in range(3)]
    fields.take(1)
    name = _name(fields.take(sizes[0]).rstrip(b"\0"), f"{place}@")
    dtype = _datatype(fields.take(sizes[1]))
    shape = _dataspace(fields.take(sizes[2]), f"{place}@{name}")
    return name, _array(body[fields.at :], dtype, shape)


def _dataset(
    reader: _Reader, space: bytes, kind: bytes, layout: bytes, path: str
) -> np.ndarray[Any, Any]:
    dtype = _datatype(kind)
    shape = _dataspace(space, path)
    fields = Fields(layout)
    fields.expect(1, 3, 4)
    if fields.expect(1, 0, 1) == 0:
        data = fields.take(fields.uint(2))
    else:
        address, size = fields.uint(8), fields.uint(8)
        data = b"" if address == UNDEFINED and size == 0 else reader.blocks.take(address, size)
    fields.end()
    return _array(data, dtype, shape)


def _array(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    count = 1
    for dim in shape:
        count *= dim
    if count * dtype.itemsize != len(data):
        damaged(f"an array of {count * dtype.itemsize} bytes has data of {len(data)}")
    return np.frombuffer(data, dtype, count).reshape(shape).copy()


def _dataspace(body: bytes, place: str) -> tuple[int, ...]:
    fields = Fields(body)
    fields.expect(1, 2)
    rank, largest = fields.uint(1), fields.expect(1, 0, 1)
    kind = fields.expect(1, 0, 1, _NULL_SPACE)
    if kind == _NULL_SPACE:
        raise refuse("manifest/object-shape", pointer=place, actual="null", expected="a value")
    if rank > _MAX_RANK or (kind == 0 and rank):
        raise OutsideSubset("rank")
    shape = tuple(fields.uint(8) for _ in range(rank))
    fields.take(8 * rank * largest)
    fields.end()
    return shape


def _datatype(body: bytes) -> np.dtype[Any]:
    fields = Fields(body)
    version, kind = divmod(fields.uint(1), 16)
    bits = fields.uint(3)
    size = fields.uint(4)
    if version not in {1, 2, 3}:
        raise OutsideSubset("datatype version")
    made: np.dtype[Any] | None = None
    if kind == 0 and size in {1, 2, 4, 8} and bits & ~0x08 == 0:
        if (fields.uint(2), fields.uint(2)) == (0, 8 * size):
            made = np.dtype(f"<{'i' if bits & 0x08 else 'u'}{size}")
    elif kind == 1 and size == 8 and bits == 0x3F20 and fields.take(12) == _IEEE_F64:
        made = np.dtype("<f8")
    elif kind == 3 and 0 < size <= 1 << 20 and bits & 0x0F in {0, 1}:
        made = np.dtype(f"S{size}")
    if made is None:
        raise OutsideSubset(f"datatype {kind} of {size} bytes")
    fields.end()
    return made
