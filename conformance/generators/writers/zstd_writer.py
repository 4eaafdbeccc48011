"""Writes Zstandard frames part by part, so that every kind of block can be had (RFC 8878).

A library chooses the kinds that compress best; here the caller chooses. The tables of codes and the
bits are made from the RFC alone.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from writers.xxh64 import xxh64_low
from writers.zstd_codes import PREDEFINED_TABLES, Huffman, Table, backward, steps

MAGIC = 0xFD2FB528
RAW, RLE, COMPRESSED, TREELESS = range(4)
"""Kinds of literals. The first two are kinds of blocks too."""

PREDEFINED, ONE, TABLE, REPEAT = range(4)
"""Modes of the codes of sequences; ``ONE`` is what the RFC calls RLE."""

LITERAL_LENGTHS = (
    *((n, 0) for n in range(16)),
    *((16, 1), (18, 1), (20, 1), (22, 1), (24, 2), (28, 2), (32, 3), (40, 3), (48, 4), (64, 6)),
    *((1 << b, b) for b in range(7, 17)),
)
"""First value and further bits of each code."""

MATCH_LENGTHS = (
    *((n + 3, 0) for n in range(32)),
    *((35, 1), (37, 1), (39, 1), (41, 1), (43, 2), (47, 2), (51, 3), (59, 3), (67, 4), (83, 4)),
    (99, 5),
    *((3 + (1 << b), b) for b in range(7, 17)),
)


@dataclass(frozen=True)
class Literals:
    """The literals of a block and how they are written.

    Attributes
    ----------
    data : bytes
        The literals.
    kind : int
        ``RAW``, ``RLE``, ``COMPRESSED`` or ``TREELESS``.
    tree : Huffman or None
        For the last two kinds; a treeless section leaves its description out.
    form : int or None
        Size format of the header; None takes the least that holds the size.
    """

    data: bytes
    kind: int = RAW
    tree: Huffman | None = None
    form: int | None = None

    def section(self) -> bytes:
        """Return the section."""
        size = len(self.data)
        if self.kind in {RAW, RLE}:
            form = self.form
            if form is None:
                form = 0 if size < 32 else 1 if size < 4096 else 3
            # Of the one-byte header the upper bit of the format is the lowest of the size.
            width, shift = {0: (1, 3), 1: (2, 4), 3: (3, 4)}[form]
            head = (size << shift | form << 2 | self.kind).to_bytes(width, "little")
            return head + (self.data if self.kind == RAW else self.data[:1])
        return self._coded(self.form or 0)

    def _coded(self, form: int) -> bytes:
        size = len(self.data)
        assert self.tree is not None
        body = self.tree.description() if self.kind == COMPRESSED else b""
        if form == 0:
            body += self.tree.stream(self.data)
        else:
            part = (size + 3) // 4
            four = [self.tree.stream(self.data[i * part : (i + 1) * part]) for i in range(3)]
            body += struct.pack("<3H", *map(len, four))
            body += b"".join([*four, self.tree.stream(self.data[3 * part :])])
        bits, width = {0: (10, 3), 1: (10, 3), 2: (14, 4), 3: (18, 5)}[form]
        head = len(body) << (4 + bits) | size << 4 | form << 2 | self.kind
        return head.to_bytes(width, "little") + body


@dataclass(frozen=True)
class Copy:
    """One sequence: literals, then a copy of what was made before.

    Attributes
    ----------
    literals, match : int
        Bytes of both.
    offset : int
        Offset value: 1 to 3 repeat an offset, others are the distance plus 3.
    """

    literals: int
    offset: int
    match: int


def _code(value: int, table: Sequence[tuple[int, int]]) -> tuple[int, int, int]:
    """Return the code of a length, and its further bits with their width."""
    code = max(c for c, (first, _) in enumerate(table) if first <= value)
    first, width = table[code]
    assert value - first < 1 << width
    return code, value - first, width


@dataclass(frozen=True)
class Codes:
    """How one of the three codes of sequences is written.

    Attributes
    ----------
    mode : int
        ``PREDEFINED``, ``ONE``, ``TABLE`` or ``REPEAT``.
    table : Table or None
        The table that is described or repeated; None where every code is the same one.
    """

    mode: int = PREDEFINED
    table: Table | None = None


Three = tuple[Codes, Codes, Codes]
USUAL: Three = (Codes(), Codes(), Codes())


def sequences_section(copies: Sequence[Copy], codes: Three = USUAL, form: int = 1) -> bytes:
    """Return the sequences of a block: of literal lengths, offsets and match lengths.

    ``form`` is the number of bytes of their count, at least.
    """
    n = len(copies)
    if n == 0:
        return b"\0"
    if form == 1 and n < 128:
        head = bytes([n])
    elif form <= 2 and n < 0x7F00:
        head = bytes([(n >> 8) + 128, n & 255])
    else:
        head = b"\xff" + struct.pack("<H", n - 0x7F00)
    lengths = [_code(c.literals, LITERAL_LENGTHS) for c in copies]
    matches = [_code(c.match, MATCH_LENGTHS) for c in copies]
    offsets = [(c.offset.bit_length() - 1, c.offset) for c in copies]
    offset_bits = [(code, value - (1 << code), code) for code, value in offsets]
    kinds = (lengths, offset_bits, matches)
    head += bytes([codes[0].mode << 6 | codes[1].mode << 4 | codes[2].mode << 2])
    first, more, widths = [], [], []
    for kind, how, usual in zip(kinds, codes, PREDEFINED_TABLES, strict=True):
        run = [code for code, _, _ in kind]
        table = usual if how.mode == PREDEFINED else how.table
        if how.mode == ONE:
            assert len(set(run)) == 1
            head += bytes([run[0]])
        elif how.mode == TABLE:
            assert table is not None
            head += table.description()
        state, bits = steps(table, run)
        first.append(state)
        widths.append(0 if table is None else table.accuracy)
        more.append(bits)
    bits = list(zip(first, widths, strict=True))
    for i in range(n):
        bits += [offset_bits[i][1:], matches[i][1:], lengths[i][1:]]
        if i + 1 < n:
            bits += [more[0][i], more[2][i], more[1][i]]
    return head + backward(bits)


@dataclass
class Content:
    """What the blocks of a frame make so far, and the three offsets that can be repeated."""

    data: bytearray = field(default_factory=bytearray)
    offsets: list[int] = field(default_factory=lambda: [1, 4, 8])

    def run(self, literals: bytes, copies: Sequence[Copy]) -> None:
        """Carry out the sequences of a block (RFC 8878, 3.1.1.5)."""
        at = 0
        for copy in copies:
            self.data += literals[at : at + copy.literals]
            at += copy.literals
            start = len(self.data) - self._offset(copy)
            assert start >= 0
            for i in range(copy.match):
                self.data.append(self.data[start + i])
        self.data += literals[at:]

    def _offset(self, copy: Copy) -> int:
        if copy.offset > 3:
            self.offsets = [copy.offset - 3, *self.offsets[:2]]
            return self.offsets[0]
        which = copy.offset - 1 + (copy.literals == 0)
        found = self.offsets[which] if which < 3 else self.offsets[0] - 1
        assert found > 0
        kept = [o for i, o in enumerate(self.offsets) if i != min(which, 2)]
        self.offsets = [found, *kept]
        return found


@dataclass
class Blocks:
    """Gathers the blocks of a frame, and what they make."""

    content: Content = field(default_factory=Content)
    parts: list[tuple[int, int, bytes]] = field(default_factory=list)

    def raw(self, data: bytes) -> Blocks:
        """Add a block of bytes as they are."""
        self.parts.append((RAW, len(data), data))
        self.content.data += data
        return self

    def run(self, byte: int, count: int) -> Blocks:
        """Add a block of one byte many times."""
        self.parts.append((RLE, count, bytes([byte])))
        self.content.data += bytes([byte]) * count
        return self

    def packed(
        self, literals: Literals, copies: Sequence[Copy] = (), codes: Three = USUAL, form: int = 1
    ) -> Blocks:
        """Add a block of literals and sequences."""
        body = literals.section() + sequences_section(copies, codes, form)
        self.parts.append((COMPRESSED, len(body), body))
        self.content.run(literals.data, copies)
        return self

    def bytes(self) -> bytes:
        """Return all blocks, the last one marked as such."""
        made = b""
        for i, (kind, size, body) in enumerate(self.parts):
            last = int(i + 1 == len(self.parts))
            made += (size << 3 | kind << 1 | last).to_bytes(3, "little") + body
        return made


def frame(
    blocks: Blocks,
    *,
    window: int | None = None,
    size_field: int | None = None,
    checksum: bool = False,
    dictionary: bytes = b"",
    flags: int = 0,
) -> bytes:
    """Return a frame.

    Parameters
    ----------
    blocks : Blocks
        Its blocks.
    window : int or None
        Byte of the window; None makes a frame of a single segment.
    size_field : int or None
        Bytes of the content size: 1, 2, 4 or 8; None takes the least that hold it.
    checksum : bool
        Whether a checksum ends it.
    dictionary : bytes
        The identifier of a dictionary, of 0, 1, 2 or 4 bytes.
    flags : int
        Further bits of the descriptor.
    """
    content = bytes(blocks.content.data)
    size = len(content)
    if size_field is None:
        size_field = next(
            n for n, top in ((1, 256), (2, 65792), (4, 1 << 32), (8, 1 << 64)) if size < top
        )
        if size_field == 1 and window is not None:
            size_field = 4 if size < 256 else 2
    shown = size - 256 if size_field == 2 else size
    descriptor = {1: 0, 2: 1, 4: 2, 8: 3}[size_field] << 6 | (window is None) << 5
    descriptor |= checksum << 2 | {0: 0, 1: 1, 2: 2, 4: 3}[len(dictionary)] | flags
    head = struct.pack("<IB", MAGIC, descriptor)
    head += (b"" if window is None else bytes([window])) + dictionary
    head += shown.to_bytes(size_field, "little")
    return head + blocks.bytes() + (xxh64_low(content) if checksum else b"")
