"""Vectors of clause 6.3.2: Zstandard frames with damage that a decoder can overlook."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from writers.zstd_codes import Table, backward
from writers.zstd_writer import (
    COMPRESSED,
    REPEAT,
    TABLE,
    TREELESS,
    Blocks,
    Codes,
    Copy,
    Literals,
    frame,
    sequences_section,
)

from segment.segment_cases import put
from segment.zstd_block_cases import CLAUSE, LENGTHS, MEGA, TREE, ZSTD, frame_case, text_of

if TYPE_CHECKING:
    from cases import Case

TEXT = text_of(90, 7)
COPY = [Copy(10, 4, 6)]
LITERALS = Literals(TEXT).section()
SEQUENCES = sequences_section(COPY)
BLOCKS = Blocks().packed(Literals(TEXT), COPY)
SIZE = len(BLOCKS.content.data)
BASE = frame_case("sequences-plain", "a block of literals and one sequence", BLOCKS)


def _bad(name: str, what: str, data: bytes) -> Case:
    return BASE.reject(
        f"06-segment/zstd-{name}",
        f"{what} is rejected",
        CLAUSE,
        ZSTD,
        put("raw.zstd", data, 0),
        stage="frame",
        frame=0,
    )


def _frame(body: bytes, *, window: int = MEGA, size: int | None = None) -> bytes:
    """Return a frame of one compressed block; with a size that the block only says."""
    head = struct.pack("<IBBI", 0xFD2FB528, 2 << 6, window, SIZE)
    said = len(body) if size is None else size
    return head + (said << 3 | 2 << 1 | 1).to_bytes(3, "little") + body


WHOLE = _frame(LITERALS + SEQUENCES)


def _copied(name: str, what: str, *copies: Copy) -> Case:
    return _bad(name, what, _frame(LITERALS + sequences_section(copies)))


def _tabled(name: str, what: str, codes: Codes) -> Case:
    made = sequences_section(COPY, (codes, Codes(), Codes()))
    return _bad(name, what, _frame(LITERALS + made))


def _lettered(name: str, what: str, literals: bytes) -> Case:
    return _bad(name, what, _frame(literals + SEQUENCES))


def _sequences() -> list[Case]:
    many = Table(10, (1024 - 35, *(1,) * 35))
    beyond = bytes([1, 1 << 6, 36]) + backward([(2, 5), (3, 6), (0, 2)])
    flagged = SEQUENCES[:1] + bytes([SEQUENCES[1] | 1]) + SEQUENCES[2:]
    return [
        _copied("offset-far", "a copy from before the content", Copy(9, 10 + 3, 6)),
        _copied("offset-first", "a copy before there is any content", Copy(0, 4, 6)),
        _copied("offset-none", "a copy from a distance of 0", Copy(10, 4, 3), Copy(0, 3, 3)),
        _copied("copy-long", "a copy that makes more than the content", Copy(10, 4, 7)),
        _lettered("literals-lacking", "a sequence of more literals than there are", b"\0"),
        _lettered("literals-few", "a block that makes fewer", Literals(TEXT[:-5]).section()),
        _tabled("repeat-first", "tables again before there are any", Codes(REPEAT, LENGTHS)),
        _tabled("table-accuracy", "a table of lengths of 2^10 states", Codes(TABLE, many)),
        _tabled("table-code", "a code too many", Codes(TABLE, Table(6, (28, *(1,) * 36)))),
        _bad("code-beyond", "a length code of 36", _frame(LITERALS + beyond)),
        _bad("mode-bits", "bits set that are kept for later", _frame(LITERALS + flagged)),
        _bad("bits-left", "sequences with bits left over", _frame(LITERALS + _with_bits())),
        _bad("bits-none", "sequences without the mark of their end", _marked(0)),
        _bad("bits-cut", "sequences that end too soon", _frame(LITERALS + SEQUENCES[:-1])),
    ]


def _marked(last: int) -> bytes:
    """Return the frame with another last byte of the sequences."""
    return _frame(LITERALS + SEQUENCES[:-1] + bytes([last]))


def _with_bits() -> bytes:
    """Return one sequence and a bit that belongs to nothing."""
    number = int.from_bytes(SEQUENCES[2:], "little")
    mark = number.bit_length() - 1
    body = (number ^ 1 << mark) << 1 | 1 << (mark + 1)
    return SEQUENCES[:2] + body.to_bytes((body.bit_length() + 7) // 8, "little")


def _trees() -> list[Case]:
    treeless = Literals(TEXT, TREELESS, TREE, 0).section()
    return [
        _lettered("treeless-first", "a tree again before there is one", treeless),
        _lettered("tree-weights", "a tree of weights of 0 alone", _tree_of(0, 0)),
        _lettered(
            "tree-uneven",
            "a tree whose weights leave no power of two",
            _tree_of(*(0,) * 97, 3, 3, 2, 3, 1),
        ),
        _lettered("tree-high", "a tree with a code of 12 bits", _tree_of(12, *range(11, 0, -1))),
        _lettered("stream-bits", "a stream of literals with bits left over", _longer_stream()),
        _lettered("stream-short", "a stream with fewer literals than it says", _shorter_stream()),
    ]


def _section(description: bytes, stream: bytes) -> bytes:
    """Return literals of a tree in one stream, from their parts."""
    body = description + stream
    return (len(body) << 14 | len(TEXT) << 4 | COMPRESSED).to_bytes(3, "little") + body


def _tree_of(*said: int) -> bytes:
    """Return literals whose tree has these weights written, whether they fit or not."""
    pairs = [*said, 0][: len(said) + len(said) % 2]
    packed = bytes(a << 4 | b for a, b in zip(pairs[::2], pairs[1::2], strict=True))
    return _section(bytes([127 + len(said)]) + packed, TREE.stream(TEXT))


def _longer_stream() -> bytes:
    """Return literals whose stream has one letter more than the header says."""
    return _section(TREE.description(), TREE.stream(TEXT + b"a"))


def _shorter_stream() -> bytes:
    """Return literals whose stream has one letter fewer than the header says."""
    return _section(TREE.description(), TREE.stream(TEXT[:-1]))


def _frames() -> list[Case]:
    def flagged(flags: int) -> bytes:
        return WHOLE[:4] + bytes([WHOLE[4] | flags]) + WHOLE[5:]

    block = 10  # where the only block begins
    unlast = WHOLE[:block] + bytes([WHOLE[block] & 0xFE]) + WHOLE[block + 1 :]
    body = LITERALS + SEQUENCES
    skippable = struct.pack("<II", 0x184D2A5F, SIZE) + bytes(BLOCKS.content.data)
    return [
        _bad("block-cut", "a block longer than the frame", _frame(body, size=len(body) + 1)),
        _bad("no-last", "a frame without a last block", unlast),
        _bad("bit-reserved", "the reserved bit of the descriptor", flagged(8)),
        _bad("checksum-missing", "a checksum that is not there", flagged(4)),
        _bad("magic", "a frame of another magic number", b"\x27" + WHOLE[1:]),
        _bad("skippable-alone", "a skippable frame alone", skippable),
        _bad("skippable-empty", "a skippable frame of no bytes", _SKIP + WHOLE),
        _bad("skippable-last", "an empty skippable frame at the end", WHOLE + _SKIP),
        _bad("frame-empty", "an empty frame before the frame", _EMPTY + WHOLE),
        _bad("window-27-eighth", "a window of 9 times 2^24", _frame(body, window=17 << 3 | 1)),
        _bad("window-largest", "the largest window that there is", _frame(body, window=0xFF)),
        *(_bad(f"checksum-wrong-{i}", f"a checksum wrong in byte {i}", _sum(i)) for i in (0, 3)),
    ]


_SKIP = struct.pack("<II", 0x184D2A50, 0)
_EMPTY = struct.pack("<IBB", 0xFD2FB528, 0x20, 0) + b"\1\0\0"


def _sum(i: int) -> bytes:
    """Return the frame with a checksum that is wrong in one byte."""
    data = bytearray(frame(BLOCKS, window=MEGA, checksum=True))
    data[len(data) - 4 + i] ^= 0x40
    return bytes(data)


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [BASE, *_sequences(), *_trees(), *_frames()]
