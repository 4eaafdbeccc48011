"""Reads manifests in the compact form of annex D, for the suite's own purposes.

It is not a checker: it gives up on what it does not expect, and the suite leaves the input as it
is. What it reads it reads by the text, without an HDF5 library.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

SIGNATURE = b"\x89HDF\r\n\x1a\n"
DIGEST = "/@manifest_digest"
_MASK = 0xFFFFFFFF
_SPACE, _TYPE, _LINK, _LAYOUT, _ATTRIBUTE, _CONTINUATION = 0x01, 0x03, 0x06, 0x08, 0x0C, 0x10
_MAX_OBJECTS = 256
_TURNS = (4, 6, 8, 16, 19, 4)


class NotCompactError(Exception):
    """The bytes are no manifest in the compact form, or one with a fault."""


@dataclass(frozen=True)
class Value:
    """One object of a manifest.

    Attributes
    ----------
    type : str
        Class and width, as the manifest digest has it: ``str``, ``u1``, ``f8``.
    shape : tuple of int
        Dimensions.
    start, end : int
        Where its elements lie in the file.
    width : int
        Bytes of an element.
    """

    type: str
    shape: tuple[int, ...]
    start: int
    end: int
    width: int


@dataclass
class Manifest:
    """A manifest in the compact form.

    Attributes
    ----------
    data : bytes
        The file.
    values : dict of str to Value
        By path.
    blocks : list of (int, int)
        Runs of bytes whose last four are a checksum of those before.
    """

    data: bytes
    values: dict[str, Value] = field(default_factory=dict)
    blocks: list[tuple[int, int]] = field(default_factory=list)

    def texts(self, path: str) -> list[bytes]:
        """Return the texts of an object without their padding."""
        value = self.values[path]
        step = value.width
        return [
            self.data[at : at + step].rstrip(b"\0") for at in range(value.start, value.end, step)
        ]

    def digest(self) -> bytes:
        """Return the manifest digest (clause 5.3.4)."""
        h = hashlib.sha256(b"nmc manifest 1\0")
        for path in sorted(self.values.keys() - {DIGEST}, key=str.encode):
            value = self.values[path]
            h.update(_framed(path.encode()) + _framed(value.type.encode()))
            h.update(struct.pack(f"<I{len(value.shape)}Q", len(value.shape), *value.shape))
            if value.type == "str":
                h.update(b"".join(map(_framed, self.texts(path))))
            else:
                h.update(self.data[value.start : value.end])
        return h.digest()


def _framed(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


def _rot(x: int, k: int) -> int:
    return ((x << k) | (x >> (32 - k))) & _MASK


def lookup3(data: bytes) -> int:
    """Return the checksum of clause D.6."""
    v = [(0xDEADBEEF + len(data)) & _MASK] * 3
    at = 0
    while len(data) - at > 12:
        v = [(a + b) & _MASK for a, b in zip(v, struct.unpack_from("<III", data, at), strict=True)]
        for k, turn in enumerate(_TURNS):
            a, b, c = k % 3, (k + 1) % 3, (k + 2) % 3
            v[a] = ((v[a] - v[c]) & _MASK) ^ _rot(v[c], turn)
            v[c] = (v[c] + v[b]) & _MASK
        at += 12
    if at == len(data):
        return v[2]
    rest = struct.unpack("<III", data[at:].ljust(12, b"\0"))
    a, b, c = (v[k] + rest[k] & _MASK for k in range(3))
    c = ((c ^ b) - _rot(b, 14)) & _MASK
    a = ((a ^ c) - _rot(c, 11)) & _MASK
    b = ((b ^ a) - _rot(a, 25)) & _MASK
    c = ((c ^ b) - _rot(b, 16)) & _MASK
    a = ((a ^ c) - _rot(c, 4)) & _MASK
    b = ((b ^ a) - _rot(a, 14)) & _MASK
    return int(c ^ b) - _rot(b, 24) & _MASK


def summed(block: bytes) -> bool:
    """Whether the last four bytes of a block are the checksum of those before."""
    return struct.pack("<I", lookup3(block[:-4])) == block[-4:]


def parse(data: bytes) -> Manifest:
    """Read a manifest.

    Parameters
    ----------
    data : bytes
        The file, or bytes that begin with it: the superblock says where it ends.

    Raises
    ------
    NotCompactError
        If it is not in the compact form, or a structure of it is damaged.
    """
    try:
        return _Reader(data).read()
    except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise NotCompactError(str(error)) from None


class _Reader:
    def __init__(self, data: bytes) -> None:
        _need(data[:8] == SIGNATURE and data[8] in {2, 3} and data[9:11] == b"\x08\x08")
        _, _, end, self._root = struct.unpack_from("<QQQQ", data, 12)
        _need(48 <= end <= len(data))
        self._made = Manifest(bytes(data[:end]))
        self._data = self._made.data
        self._block(0, 48)

    def read(self) -> Manifest:
        """Read every object."""
        self._object(self._root, "")
        return self._made

    def _block(self, start: int, end: int) -> None:
        _need(end <= len(self._data) and (start, end) not in self._made.blocks)
        _need(len(self._made.blocks) < 2 * _MAX_OBJECTS and summed(self._data[start:end]))
        self._made.blocks.append((start, end))

    def _object(self, address: int, path: str) -> None:
        space, kind, data = b"", b"", None
        for message, start, end in self._messages(address):
            body = self._data[start:end]
            if message == _ATTRIBUTE:
                self._attribute(start, end, path or "/")
            elif message == _LINK:
                name, child = _link(body)
                self._object(child, f"{path}/{name}")
            elif message == _SPACE:
                space = body
            elif message == _TYPE:
                kind = body
            elif message == _LAYOUT:
                data = _layout(body, start)
        if data is not None:
            self._add(path, kind, space, *data)

    def _messages(self, address: int) -> list[tuple[int, int, int]]:
        data = self._data
        _need(data[address : address + 5] == b"OHDR\x02")
        flags = data[address + 5]
        at = address + 6 + 16 * (flags >> 5 & 1) + 4 * (flags >> 4 & 1)
        width = 1 << (flags & 3)
        size = int.from_bytes(data[at : at + width], "little")
        at += width
        self._block(address, at + size + 4)
        todo, found = [(at, at + size)], []
        head = 6 if flags & 4 else 4
        while todo:
            at, end = todo.pop()
            while end - at >= head:
                kind, length = struct.unpack_from("<BH", data, at)
                start = at + head
                at = start + length
                _need(at <= end)
                if kind == _CONTINUATION:
                    where, size = struct.unpack_from("<QQ", data, start)
                    _need(data[where : where + 4] == b"OCHK" and len(todo) < _MAX_OBJECTS)
                    self._block(where, where + size)
                    todo.append((where + 4, where + size - 4))
                found.append((kind, start, at))
        return found

    def _attribute(self, start: int, end: int, owner: str) -> None:
        body = self._data[start:end]
        version, flags, name, kind, space = struct.unpack_from("<BBHHH", body)
        _need(version == 3 and flags == 0)
        at = 9 + name
        text = body[9:at].rstrip(b"\0").decode()
        where = start + at + kind + space
        self._add(
            f"{owner}@{text}",
            body[at : at + kind],
            body[at + kind : at + kind + space],
            where,
            end - where,
        )

    def _add(self, path: str, kind: bytes, space: bytes, start: int, size: int) -> None:
        name, width = _type(kind)
        shape = _shape(space)
        count = width
        for dimension in shape:
            count *= dimension
        _need(count == size and start + size <= len(self._data) and path not in self._made.values)
        _need(len(self._made.values) < _MAX_OBJECTS)
        self._made.values[path] = Value(name, shape, start, start + size, width)


def _need(condition: bool) -> None:
    if not condition:
        raise NotCompactError("it is not in the compact form, or damaged")


def _type(body: bytes) -> tuple[str, int]:
    size = struct.unpack_from("<I", body, 4)[0]
    kind = body[0] & 15
    if kind == 3:
        return "str", size
    _need(size in {1, 2, 4, 8})
    if kind == 1:
        return f"f{size}", size
    _need(kind == 0 and body[1] in {0, 8})
    return f"{'i' if body[1] & 8 else 'u'}{size}", size


def _shape(body: bytes) -> tuple[int, ...]:
    version, rank, _, kind = struct.unpack_from("<BBBB", body)
    _need(version == 2 and kind in {0, 1})
    return struct.unpack_from(f"<{rank}Q", body, 4)


def _link(body: bytes) -> tuple[str, int]:
    flags = body[1]
    at = 2
    _need(body[0] == 1 and (not flags & 8 or body[at] == 0))
    at += (flags >> 3 & 1) + 8 * (flags >> 2 & 1) + (flags >> 4 & 1)
    width = 1 << (flags & 3)
    size = int.from_bytes(body[at : at + width], "little")
    at += width
    return body[at : at + size].decode(), struct.unpack_from("<Q", body, at + size)[0]


def _layout(body: bytes, start: int) -> tuple[int, int]:
    """Return where the data of a dataset lies, and its bytes."""
    if body[1] == 0:
        return start + 4, struct.unpack_from("<H", body, 2)[0]
    _need(body[1] == 1)
    address, size = struct.unpack_from("<QQ", body, 2)
    return (0, 0) if size == 0 else (address, size)
