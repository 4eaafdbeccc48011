"""Writes manifests in the compact form of annex D, as bytes in memory: no library, no file.

The HDF5 library reports a failed write when it closes a file, where nobody hears it. So a manifest
is complete in memory, and can be compared, before any of it goes to a disk.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from nmc_format.manifest.compact.headers import (
    ATTRIBUTE,
    DATASPACE,
    DATATYPE,
    FILL_VALUE,
    GROUP_INFO,
    LAYOUT,
    LINK,
    LINK_INFO,
    SIGNATURE,
)
from nmc_format.manifest.compact.lookup3 import lookup3

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    Array: TypeAlias = np.ndarray[Any, Any]

MAX_MESSAGE = 0xFFFF
"""Bytes of a message of an object header; a longer attribute lies in a heap, outside annex D."""

_UNDEFINED = b"\xff" * 8
_SUPERBLOCK_BYTES = 48
_CONSTANT = 1  # flag of a message that does not change
_EARLY_NEVER = bytes((3, 0x05))  # fill value: space allocated early, never filled
_LINKS_INSIDE = b"\0\0" + _UNDEFINED * 2
_BINARY64 = struct.pack("<HHBBBBI", 0, 64, 52, 11, 0, 52, 1023)


@dataclass
class _Group:
    """A group: attributes and members, in the order in which they were given."""

    attributes: dict[str, Array] = field(default_factory=dict)
    groups: dict[str, _Group] = field(default_factory=dict)
    datasets: dict[str, Array] = field(default_factory=dict)


def fits(objects: Mapping[str, Array]) -> bool:
    """Whether every attribute is short enough for the compact form."""
    return all(
        len(_attribute(path.partition("@")[2], array)) <= MAX_MESSAGE
        for path, array in objects.items()
        if "@" in path
    )


def write_compact(objects: Mapping[str, Array]) -> bytes:
    """Return a file in compact form; every byte belongs to a structure, none lies between two.

    Parameters
    ----------
    objects : mapping of str to numpy.ndarray
        Datasets by path, attributes by ``path@name``, as
        :func:`nmc_format.manifest.compact.reader.read_compact` returns them, of little-endian
        types. The same mapping gives the same bytes.

    Raises
    ------
    ValueError
        If an attribute is too long (:func:`fits`).
    """
    blocks = [bytes(_SUPERBLOCK_BYTES)]
    root, end = _put_group(_tree(objects), blocks, _SUPERBLOCK_BYTES)
    head = SIGNATURE + bytes((2, 8, 8, 0)) + bytes(8) + _UNDEFINED + struct.pack("<QQ", end, root)
    blocks[0] = _summed(head)
    return b"".join(blocks)


def _tree(objects: Mapping[str, Array]) -> _Group:
    root = _Group()
    for path, array in objects.items():
        place, _, attribute = path.partition("@")
        names = [name for name in place.split("/") if name]
        group = root
        for name in names if attribute else names[:-1]:
            group = group.groups.setdefault(name, _Group())
        if attribute:
            group.attributes[attribute] = array
        else:
            group.datasets[names[-1]] = array
    return root


def _put_group(group: _Group, blocks: list[bytes], at: int) -> tuple[int, int]:
    """Add a group and all below it; return its address, and where the next block goes."""
    links = b""
    for name, below in group.groups.items():
        address, at = _put_group(below, blocks, at)
        links += _link(name, address)
    for name, array in group.datasets.items():
        address, at = _put_dataset(array, blocks, at)
        links += _link(name, address)
    attributes = b"".join(
        _message(ATTRIBUTE, _attribute(name, array)) for name, array in group.attributes.items()
    )
    messages = _message(LINK_INFO, _LINKS_INSIDE) + _message(GROUP_INFO, b"\0\0", _CONSTANT)
    return _put(_header(messages + links + attributes), blocks, at)


def _put_dataset(array: Array, blocks: list[bytes], at: int) -> tuple[int, int]:
    data = array.tobytes()
    address = _UNDEFINED
    if data:
        start, at = _put(data, blocks, at)
        address = struct.pack("<Q", start)
    header = _header(
        _message(DATASPACE, _dataspace(array))
        + _message(DATATYPE, _datatype(array.dtype), _CONSTANT)
        + _message(FILL_VALUE, _EARLY_NEVER, _CONSTANT)
        + _message(LAYOUT, bytes((3, 1)) + address + struct.pack("<Q", len(data)), _CONSTANT)
    )
    return _put(header, blocks, at)


def _put(block: bytes, blocks: list[bytes], at: int) -> tuple[int, int]:
    blocks.append(block)
    return at, at + len(block)


def _header(messages: bytes) -> bytes:
    return _summed(b"OHDR" + bytes((2, 2)) + struct.pack("<I", len(messages)) + messages)


def _summed(block: bytes) -> bytes:
    return block + struct.pack("<I", lookup3(block))


def _message(kind: int, body: bytes, flags: int = 0) -> bytes:
    if len(body) > MAX_MESSAGE:
        raise ValueError(f"a message of {len(body)} bytes; the compact form has {MAX_MESSAGE}")
    return struct.pack("<BHB", kind, len(body), flags) + body


def _link(name: str, address: int) -> bytes:
    raw = name.encode()
    return _message(LINK, bytes((1, 0, len(raw))) + raw + struct.pack("<Q", address))


def _attribute(name: str, array: Array) -> bytes:
    raw = name.encode() + b"\0"
    kind, space = _datatype(array.dtype), _dataspace(array)
    head = struct.pack("<BBHHHB", 3, 0, len(raw), len(kind), len(space), 0)
    return head + raw + kind + space + array.tobytes()


def _dataspace(array: Array) -> bytes:
    head = bytes((2, array.ndim, 0, 1 if array.ndim else 0))
    return head + struct.pack(f"<{array.ndim}Q", *array.shape)


def _datatype(dtype: np.dtype[Any]) -> bytes:
    size = dtype.itemsize
    if dtype.kind == "S":  # padded with zero bytes, UTF-8
        return struct.pack("<BBBBI", 0x13, 0x11, 0, 0, size)
    if dtype.kind == "f" and size == 8:
        return struct.pack("<BBBBI", 0x11, 0x20, 0x3F, 0, size) + _BINARY64
    if dtype.kind not in "iu":
        raise ValueError(f"{dtype} is not a type of a manifest")
    signed = 0x08 if dtype.kind == "i" else 0
    return struct.pack("<BBBBIHH", 0x10, signed, 0, 0, size, 0, 8 * size)
