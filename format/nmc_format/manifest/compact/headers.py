"""The blocks of a file in compact form (annex D): superblock, object headers and their messages.

Structures never overlap and bytes between them are 0, so that the work is in proportion to the
file, and every bit of it matters (clause D.1).
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NoReturn

from nmc_format.issues import refuse
from nmc_format.manifest.compact.lookup3 import lookup3

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 0xFFFF_FFFF_FFFF_FFFF
"""The address of what is not there."""

DATASPACE, LINK_INFO, DATATYPE, FILL_VALUE = 0x01, 0x02, 0x03, 0x05
LINK, LAYOUT, GROUP_INFO, ATTRIBUTE = 0x06, 0x08, 0x0A, 0x0C
_NIL, _CONTINUATION, _ATTRIBUTE_INFO = 0x00, 0x10, 0x15
"""Types of messages of an object header (table D-1)."""

_PLAIN = {_NIL, DATASPACE, DATATYPE, FILL_VALUE, LINK, LAYOUT, GROUP_INFO, ATTRIBUTE, _CONTINUATION}
"""Those that the compact form may have whatever they hold."""

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


class OutsideSubset(Exception):  # noqa: N818 - not an error: the library may still read the file
    """The file uses a part of HDF5 that the compact form leaves out."""


def damaged(reason: str) -> NoReturn:
    """Refuse what no manifest may hold in its compact form (table D-2).

    Raises
    ------
    FormatError
        Always: ``manifest/unreadable`` for this reason.
    """
    raise refuse("manifest/unreadable", pointer="/", reason=reason)


@dataclass(frozen=True)
class Message:
    """One message of an object header: its type, and its bytes without their head."""

    kind: int
    body: bytes


@dataclass
class Blocks:
    """The bytes of a file, and which of them belong to a structure that was read.

    Its methods raise FormatError where two structures overlap, or one lies outside of the file.
    """

    data: bytes
    spans: list[tuple[int, int]] = field(default_factory=list)

    def take(self, start: int, size: int) -> bytes:
        """Return the bytes of one structure; no other one may have any of them."""
        end = start + size
        if end > len(self.data):
            damaged(f"{size} bytes at {start} lie outside of the file")
        if size:
            at = bisect(self.spans, (start, end))
            before = self.spans[at - 1][1] if at else 0
            after = self.spans[at][0] if at < len(self.spans) else len(self.data)
            if start < before or end > after:
                damaged(f"{size} bytes at {start} overlap another structure")
            self.spans.insert(at, (start, end))
        return self.data[start:end]

    def peek(self, start: int, size: int) -> bytes:
        """Return up to so many bytes, which :meth:`take` is asked for next."""
        if start >= len(self.data):
            damaged(f"an object header at {start} lies outside of the file")
        return self.data[start : start + size]

    def check_rest(self) -> None:
        """Refuse bytes that belong to no structure and are not 0."""
        edges = [(0, 0), *self.spans, (len(self.data), len(self.data))]
        for (_, end), (start, _) in pairwise(edges):
            if self.data.count(0, end, start) != start - end:
                damaged(f"bytes {end} to {start} belong to nothing, and are not 0")


class Fields:
    """Reads little-endian fields from a few bytes, within their bounds."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        """Return so many bytes.

        Raises
        ------
        OutsideSubset
            If there are fewer.
        """
        if size < 0 or self.at + size > len(self.data):
            raise OutsideSubset("a structure ends before its last field")
        self.at += size
        return self.data[self.at - size : self.at]

    def uint(self, size: int) -> int:
        """Return an unsigned integer of so many bytes."""
        return int.from_bytes(self.take(size), "little")

    def expect(self, size: int, *allowed: int) -> int:
        """Return an unsigned integer that is one of those allowed.

        Raises
        ------
        OutsideSubset
            If it is another one.
        """
        value = self.uint(size)
        if value not in allowed:
            raise OutsideSubset(f"field value {value}, expected {allowed}")
        return value

    def end(self) -> None:
        """Make sure that every byte was read.

        Raises
        ------
        OutsideSubset
            If some were not.
        """
        if self.at != len(self.data):
            raise OutsideSubset("bytes follow the last field of a structure")


def root_address(blocks: Blocks) -> int:
    """Return the address of the root group, from the superblock (clause D.2).

    Raises
    ------
    OutsideSubset
        If the superblock is one that only the library knows.
    FormatError
        If it is none, or damaged.
    """
    head = blocks.data[:12]
    if len(head) < 12 or head[:8] != SIGNATURE:
        damaged("it does not begin with the signature of HDF5")
    if head[8] > 3:
        damaged(f"superblock of version {head[8]}")
    if head[8] < 2:
        raise OutsideSubset(f"superblock of version {head[8]}")
    if head[9] not in _OFFSET_SIZES:
        damaged(f"addresses of {head[9]} bytes")
    block = blocks.take(0, 12 + 4 * head[9] + 4)
    if int.from_bytes(block[-4:], "little") != lookup3(block[:-4]):
        damaged("checksum of the superblock")
    fields = Fields(block[9:])
    fields.expect(1, 8)
    fields.expect(1, 8)
    fields.expect(1, 0)
    fields.expect(8, 0)
    fields.expect(8, UNDEFINED)
    end = fields.uint(8)
    if end != len(blocks.data):
        damaged(f"it ends at byte {end}, the file has {len(blocks.data)}")
    return fields.uint(8)


def messages_at(blocks: Blocks, address: int) -> list[Message]:
    """Return the messages of an object header of version 2, its continuations included (D.3).

    Raises
    ------
    OutsideSubset
        If it is of another version, or has messages that the compact form leaves out.
    FormatError
        If there is none at this address, or it is damaged.
    """
    prefix = Fields(blocks.peek(address, 36))
    if prefix.data[:4] != b"OHDR":
        if prefix.data[:1] == b"\1":
            raise OutsideSubset("an object header of version 1")
        damaged(f"there is no object header at {address}")
    prefix.take(4)
    if prefix.uint(1) != 2:
        damaged("version of an object header")
    flags = prefix.uint(1)
    if flags & 0xC0:
        damaged("flags of an object header that HDF5 does not have")
    prefix.take(16 if flags & _HEADER_FLAG_TIMES else 0)
    prefix.take(4 if flags & _HEADER_FLAG_PHASE else 0)
    size = prefix.uint(1 << (flags & 3))
    chunks = [(_summed(blocks.take(address, prefix.at + size + 4)), prefix.at)]
    if flags & _HEADER_FLAG_INDEXED:
        raise OutsideSubset("indexed attributes")
    messages: list[Message] = []
    for block, start in chunks:  # grows while continuations are found
        for message in _split(block[start:], ordered=bool(flags & _HEADER_FLAG_ORDER)):
            if message.kind != _CONTINUATION:
                messages.append(message)
                continue
            where = Fields(message.body)
            more = blocks.take(where.uint(8), where.uint(8))
            where.end()
            if more[:4] != b"OCHK" or len(more) < 8:
                damaged("a continuation leads to no block")
            if len(chunks) >= _MAX_BLOCKS:
                raise OutsideSubset(f"an object header of more than {_MAX_BLOCKS} blocks")
            chunks.append((_summed(more), 4))
    return messages


def _summed(block: bytes) -> bytes:
    """Return a block without its checksum, which is right."""
    if lookup3(block[:-4]) != int.from_bytes(block[-4:], "little"):
        damaged("checksum of an object header")
    return block[:-4]


def _split(block: bytes, *, ordered: bool) -> list[Message]:
    fields = Fields(block)
    head = 6 if ordered else 4
    messages = []
    while len(block) - fields.at >= head:
        kind, size, flags = fields.uint(1), fields.uint(2), fields.uint(1)
        fields.take(head - 4)
        body = fields.take(size)
        if flags & ~_MESSAGE_FLAGS:
            raise OutsideSubset(f"flags {flags:#x} of a message")
        _check_kind(kind, body)
        messages.append(Message(kind, body))
    return messages


def _check_kind(kind: int, body: bytes) -> None:
    """Accept the messages of the compact form; dense storage and filters are outside of it."""
    if kind in {
        LINK_INFO,
        _ATTRIBUTE_INFO,
    }:  # link info, attribute info: the dense storage must be undefined
        fields = Fields(body)
        fields.expect(1, 0)
        index = fields.uint(1)
        fields.take((8 if kind == LINK_INFO else 2) if index & 1 else 0)
        fields.expect(8, UNDEFINED)
    elif kind not in _PLAIN:
        raise OutsideSubset(f"message type {kind:#x}")
