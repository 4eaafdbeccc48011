"""Vectors of clause 6.3.2: Zstandard frames with blocks of every kind that RFC 8878 has."""

from __future__ import annotations

from typing import Any

from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Frame, Row
from model.model_cases import SEED, random_bytes, stepped
from writers.stream_writer import planes
from writers.zstd_codes import PREDEFINED_TABLES, Huffman, Table
from writers.zstd_writer import (
    COMPRESSED,
    LITERAL_LENGTHS,
    MATCH_LENGTHS,
    ONE,
    REPEAT,
    RLE,
    TABLE,
    TREELESS,
    Blocks,
    Codes,
    Copy,
    Literals,
    frame,
)

from segment.segment_cases import put

CLAUSE = "6.3.2"
ZSTD = "segment/zstd"

KILO = 0x00
"""Byte of a window of 1 KiB; eight more double it."""

MEGA = 0x50
"""Byte of a window of 1 MiB."""


def chain_of(content: bytes, level: int = 1) -> Chain:
    """Return one key frame of bytes, whose planes are the bytes themselves."""
    key = Frame(KEY, (Cell(RAW, content),), raw="zstd")
    return Chain((Row("bytes", "U8", (len(content),)),), (key,), profile="main", level=level)


def frame_case(name: str, what: str, blocks: Blocks, **options: Any) -> Case:
    """Return the case of a frame of these blocks."""
    options.setdefault("window", MEGA)
    chain = chain_of(bytes(blocks.content.data))
    data = frame(blocks, **options)
    return Case(f"06-segment/zstd-{name}", what, (CLAUSE,), chain, put("raw.zstd", data, 0))


def text_of(count: int, seed: int, letters: int = 8) -> bytes:
    """Return bytes of a few values, the first ones more often."""
    return bytes(
        97 + min(b % 16, b // 16 % letters, letters - 1) for b in random_bytes(count, seed)
    )


TREE = Huffman((*(0,) * 97, 3, 3, 2, 2, 1, 1, 1, 1))
"""Codes of two to four bits for eight letters."""

WEIGHTS = Table(5, (20, 6, 4, 2))
"""Codes the weights of :data:`TREE`."""

LENGTHS = Table(5, (8, 0, 0, 10, 0, -1, -1, 1, 0, 0, 11))
OFFSETS = Table(5, (4, 8, 8, 4, 8))
MATCHES = Table(6, (10, 0, 20, 10, 0, 0, -1, *(0,) * 7, 23))
COPIES = (
    Copy(10, 4, 6),
    Copy(0, 5, 9),
    Copy(3, 7, 6),
    Copy(10, 2, 3),
    Copy(0, 3, 5),
    Copy(3, 18, 17),
)
OWN = (Codes(TABLE, LENGTHS), Codes(TABLE, OFFSETS), Codes(TABLE, MATCHES))
AGAIN = (Codes(REPEAT, LENGTHS), Codes(REPEAT, OFFSETS), Codes(REPEAT, MATCHES))
ALIKE = (Codes(ONE), Codes(ONE), Codes(ONE))
ALIKE_AGAIN = (Codes(REPEAT), Codes(REPEAT), Codes(REPEAT))


def _deep() -> Huffman:
    """Return a tree with codes of 1 to 11 bits."""
    return Huffman((*(0,) * 97, *range(11, 0, -1), 1))


def _literals() -> list[Case]:
    short, long = text_of(60, 1), text_of(5000, 2)
    coded = Huffman(TREE.weights, WEIGHTS)
    odd = Huffman((*(0,) * 96, 1, 1, 2, 3, 4))
    deep = bytes(97 + (b & -b).bit_length() % 12 for b in random_bytes(300, 3))
    raw, runs, one, four = Blocks(), Blocks(), Blocks(), Blocks()
    for size, form in ((1, 0), (30, 0), (31, 0), (20, 1), (4095, 1), (7, 3), (5000, 3)):
        raw.packed(Literals(long[:size], form=form), [Copy(size, 4, 3)])
        runs.packed(Literals(bytes([form + 1]) * size, RLE, form=form), [Copy(size, 4, 4)])
    for size in (6, 60, 300):
        one.packed(Literals(long[:size], COMPRESSED, TREE, 0))
    for size, form in ((10, 1), (61, 1), (1023, 1), (1022, 2), (4096, 2), (10, 3), (5000, 3)):
        four.packed(Literals(long[:size], COMPRESSED, TREE, form))
    again = Blocks().packed(Literals(short, COMPRESSED, TREE, 0), [Copy(4, 4, 3)])
    again.raw(b"raw").packed(Literals(short[::-1], TREELESS, TREE, 0), [Copy(4, 7, 3)])
    again.packed(Literals(b"q" * 9, RLE)).packed(Literals(short, TREELESS, TREE, 1))
    again.packed(Literals(b"\0\1" * 9, COMPRESSED, Huffman((1, 1)), 0))
    again.packed(Literals(b"\1\0" * 9, TREELESS, Huffman((1, 1)), 0))
    return [
        frame_case("literals-raw", "literals as they are, with headers of one to three bytes", raw),
        frame_case(
            "literals-run", "literals of one byte, with headers of one to three bytes", runs
        ),
        frame_case("literals-one-stream", "literals of a Huffman tree in one stream", one),
        frame_case(
            "literals-four-streams", "literals in four streams, with headers of all sizes", four
        ),
        frame_case("literals-treeless", "literals of the tree of a block before", again),
        frame_case(
            "tree-coded",
            "a Huffman tree whose weights have a table of their own",
            Blocks().packed(Literals(long[:300], COMPRESSED, coded, 0)),
        ),
        frame_case(
            "tree-odd",
            "a Huffman tree of an even number of weights that are written, and an odd one",
            Blocks()
            .packed(Literals(b"abcd" * 9, COMPRESSED, odd, 0))
            .packed(Literals(bytes(b - 1 for b in b"abcd" * 9), COMPRESSED, _shifted(odd), 0)),
        ),
        frame_case(
            "tree-deep",
            "a Huffman tree with codes of 1 to 11 bits",
            Blocks().packed(Literals(deep, COMPRESSED, _deep(), 0)),
        ),
        frame_case(
            "tree-two",
            "a Huffman tree of two bytes",
            Blocks().packed(Literals(b"\0\1\1\0\1" * 12, COMPRESSED, Huffman((1, 1)), 1)),
        ),
    ]


def _shifted(tree: Huffman) -> Huffman:
    return Huffman(tree.weights[1:])


def _all_lengths() -> Blocks:
    """Return copies with the first and the last length of every code."""
    made = Blocks().raw(b"first")
    for table, top in ((LITERAL_LENGTHS, 34), (MATCH_LENGTHS, 51)):
        for step in range(2):
            copies = []
            for first, width in table[: top + 1]:
                length = first + (step * ((1 << width) - 1) if width < 12 else step)
                is_match = table is MATCH_LENGTHS
                copies.append(Copy(1, 4, length) if is_match else Copy(length, 4, 3))
            literals = sum(c.literals for c in copies)
            made.packed(Literals(b"\x07" * literals, RLE), copies)
    made.packed(Literals(b"\x09" * 65_537, RLE), [Copy(65_537, 4, 3)])
    return made.packed(Literals(b"\x0a", RLE), [Copy(1, 4, 65_540)])


def _offsets() -> Blocks:
    """Return copies that repeat each of the three offsets, with literals before and without."""
    text = text_of(200, 5)
    fresh = [Copy(12, 1, 3), Copy(2, 2, 3), Copy(2, 3, 3), Copy(1, 3, 4), Copy(1, 2, 5)]
    mixed = [Copy(5, 20, 3), Copy(4, 12, 4), Copy(2, 33, 5)]
    mixed += [Copy(0, 1, 3), Copy(0, 1, 4), Copy(0, 2, 5), Copy(0, 2, 3), Copy(0, 3, 6)]
    mixed += [Copy(1, 1, 3), Copy(0, 3, 4), Copy(1, 3, 3), Copy(1, 2, 4), Copy(0, 3, 3)]
    later = [Copy(0, 2, 3), Copy(1, 3, 3), Copy(0, 1, 4), Copy(2, 2, 3)]
    made = Blocks().packed(Literals(text[:60]), fresh).packed(Literals(text[:80]), mixed)
    made.raw(b"between").run(3, 5).packed(Literals(text[90:120])).packed(Literals(text), later)
    return made


def _sequences() -> list[Case]:
    text = text_of(90, 7)
    same = [Copy(3, 5, 8)] * 5
    own = Blocks().packed(Literals(text), COPIES, OWN)
    again = Blocks().packed(Literals(text), COPIES, OWN).raw(b"-").packed(Literals(b"no copies"))
    again.packed(Literals(text[::-1]), COPIES[::-1], AGAIN)
    again.packed(Literals(text), COPIES, (OWN[0], AGAIN[1], Codes()))
    again.packed(Literals(text), COPIES, (AGAIN[0], Codes(), Codes(REPEAT, PREDEFINED_TABLES[2])))
    alike = Blocks().packed(Literals(text), same, ALIKE)
    alike.packed(Literals(text), same[:2], ALIKE_AGAIN).packed(Literals(text), same, ALIKE)
    mixed = Blocks().packed(
        Literals(text, COMPRESSED, TREE, 1),
        [Copy(n, v, 8) for n, v in ((3, 4), (10, 5), (0, 7))],
        (OWN[0], Codes(), Codes(ONE)),
    )
    overlaps = Blocks().packed(
        Literals(text[:20]), [Copy(4, 4, 50), Copy(3, 5, 51), Copy(2, 6, 52), Copy(9, 10, 53)]
    )
    counts = Blocks()
    for n, form in ((1, 1), (127, 1), (128, 1), (5, 2), (300, 2)):
        counts.packed(Literals(text[:9]), [Copy(i == 0, 4, 3 + i % 7) for i in range(n)], form=form)
    many = Blocks().packed(Literals(text[:9]), [Copy(i == 0, 4, 3) for i in range(0x7F00 + 7)])
    return [
        frame_case(
            "sequences-predefined", "the first and last length of every code", _all_lengths()
        ),
        frame_case("sequences-tables", "sequences by tables of their own", own),
        frame_case("sequences-repeat", "sequences by the tables of blocks before", again),
        frame_case("sequences-alike", "sequences of one code each, and the same again", alike),
        frame_case("sequences-mixed", "each code of sequences in another mode", mixed),
        frame_case(
            "sequences-offsets", "each of the three offsets repeated in every way", _offsets()
        ),
        frame_case("sequences-overlap", "copies of bytes that they make themselves", overlaps),
        frame_case("sequences-counts", "counts of sequences of one and two bytes", counts),
        frame_case("sequences-many", "a count of sequences of three bytes", many),
    ]


def _frames() -> list[Case]:
    text = text_of(700, 9)
    mixed = Blocks().raw(text[:100]).run(5, 300).packed(Literals(text, COMPRESSED, TREE, 1))
    mixed.raw(b"").packed(Literals(text[:90]), COPIES, OWN).run(0, 1).raw(text[:3])
    small = Blocks()
    for i in range(12):
        small.packed(Literals(text[i : i + 500]), [Copy(200, 4 + 900 if i else 4, 400)])
    least, edge = Blocks(), Blocks()
    for i in range(3):
        least.raw(text[:424] + bytes([i]) * 600)
    edge.raw(text[:512]).raw(text[:512]).packed(Literals(b"ab"), [Copy(1, 1024 + 3, 3)])
    far = Blocks().raw(text[:90]).run(7, 1 << 17).run(8, 1 << 17)
    steps = [Copy(2, (1 << 18) + 60 + 3, 40), Copy(0, (3 << 16) + 10 + 3, 30)]
    far.packed(Literals(b"ab"), steps)
    fill = Blocks().run(1, 1 << 17).packed(Literals(b"x" * (1 << 17), RLE)).run(2, 1)
    full = Blocks().raw((text + text)[:1024])
    few, some = Blocks().raw(text[:90]), Blocks().raw(text[:300])

    def header(name: str, what: str, blocks: Blocks, **options: Any) -> Case:
        return frame_case(name, what, blocks, **options)

    return [
        header(
            "blocks-mixed",
            "blocks of all kinds in one frame, with a checksum",
            mixed,
            checksum=True,
        ),
        header("window-small", "a window of 1 KiB in 7 KiB of content", small, window=KILO),
        header("window-blocks", "blocks as long as the window of 1 KiB", least, window=KILO),
        header("window-full", "a block as long as the window", full, window=KILO),
        header("window-reach", "a copy from as far as the window reaches", edge, window=KILO),
        header("window-eighths", "a window of 15 eighths of 1 KiB", small, window=KILO + 7),
        header("copy-far", "copies from further back than 192 KiB and 256 KiB", far),
        header("block-largest", "blocks of 128 KiB", fill, checksum=True),
        header("size-2", "a content size of two bytes", some, window=None, size_field=2),
        header("size-4", "a content size of four bytes", few, window=None, size_field=4),
        header("size-8", "a content size of eight bytes", few, window=None, size_field=8),
        header("size-window", "a content size beside a window", some, size_field=2),
        header("dictionary-0-1", "a dictionary identifier of 0 in one byte", few, dictionary=b"\0"),
        header(
            "dictionary-0-2", "a dictionary identifier of 0 in two bytes", few, dictionary=bytes(2)
        ),
        header(
            "dictionary-0-4", "a dictionary identifier of 0 in four bytes", few, dictionary=bytes(4)
        ),
        header("bit-unused", "the bit of the descriptor that nobody reads is set", few, flags=0x10),
        _differences(),
    ]


def _differences() -> Case:
    """Return differences of words of several widths, in blocks of literals of a tree."""
    rows = tuple(Row(d.lower(), d, (40,)) for d in ("F32", "I16", "U8"))
    first = [random_bytes(40 * w, 11 + w) for w in (4, 2, 1)]
    second = [stepped(r.dtype, d, s) for r, d, s in zip(rows, first, (3, -2, 1), strict=True)]
    chain = Chain(
        rows,
        (
            Frame(KEY, tuple(Cell(RAW, d) for d in first)),
            Frame(DELTA, tuple(Cell(INTEGER, d) for d in second), integer="zstd"),
        ),
        profile="main",
    )
    content = planes(
        "integer", [("F32", _steps(4, 3)), ("I16", _steps(2, -2)), ("U8", _steps(1, 1))]
    )
    tree = Huffman((3, 0, 1, 1, 0, 0, 2))
    assert set(content) == {0, 2, 3, 6}
    blocks = Blocks().run(0, 120)
    blocks.packed(Literals(content[120:], COMPRESSED, tree, 1))
    assert bytes(blocks.content.data) == content
    return Case(
        "06-segment/zstd-differences",
        "differences in a block of a run and a block of a tree",
        (CLAUSE, "8.2.1"),
        chain,
        put("integer.zstd", frame(blocks, window=KILO)),
        seed=SEED,
    )


def _steps(width: int, step: int) -> bytes:
    return (step % (1 << 8 * width)).to_bytes(width, "little") * 40


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_literals(), *_sequences(), *_frames()]
