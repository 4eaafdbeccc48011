"""Vectors of clause 6.3.2: streams in the coding zstd, frame by frame of RFC 8878."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from bases import PAIR, ROWS
from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Frame, Row
from model.model_cases import SEED, random_bytes, size_of, stepped
from writers.stream_writer import planes, stored_zstd
from writers.xxh64 import xxh64_low

from segment.segment_cases import put, segment_case, streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from chain import Streams

ZSTD = "segment/zstd"


def _zstd_case(name: str, what: str, raw: str, integer: str, t0: str = "zstd") -> Case:
    key, delta = PAIR.chain.frames
    frames = (replace(key, raw=t0), replace(delta, raw=raw, integer=integer))
    return Case(
        f"06-segment/{name}",
        what,
        ("6.3.2", "10.1"),
        replace(PAIR.chain, frames=frames, profile="main"),
        seed=SEED,
    )


def _with_size(content: bytes, size: bytes, descriptor: int) -> bytes:
    """Return a frame of one stored block with a frame header of one's own."""
    head = struct.pack("<IB", 0xFD2FB528, descriptor) + size
    return head + (len(content) << 3 | 1).to_bytes(3, "little") + content


def _ending_in_zero(chain: Chain) -> Chain:
    """Return a chain whose raw planes end in a zero, which a reader has who fills up with zeros."""
    step = (1024).to_bytes(8, "little")
    key, *others = chain.frames
    first = replace(key, cells=(*key.cells[:-1], Cell(RAW, step)))
    return replace(chain, frames=(first, *others))


def _zstd() -> list[Case]:
    clause = "6.3.2"
    both = _zstd_case("zstd", "raw bytes and differences in the coding zstd", "zstd", "zstd")

    def bad(
        name: str, what: str, change: Callable[[bytes], bytes], chain: Chain = both.chain
    ) -> Case:
        def edit(made: Streams) -> Streams:
            return {**made, "raw.zstd": change(made["raw.zstd"])}

        edits = streams(edit, 0)
        return segment_case(f"zstd-{name}", what, clause, ZSTD, edits, both, 0, chain=chain)

    cells = both.chain.frames[0].cells
    pairs = zip(ROWS, cells, strict=True)
    content = planes("raw", [(row.dtype, cell.data) for row, cell in pairs if cell is not None])
    size = len(content)
    skippable = struct.pack("<II", 0x184D2A50, 4) + b"skip"
    window = struct.pack("<IBB", 0xFD2FB528, 0b1100_0000, (28 - 10) << 3)
    blocks = [content[:10], b"", content[10:]]
    many = struct.pack("<IB", 0xFD2FB528, 0x20) + bytes([size])
    for i, block in enumerate(blocks):
        many += (len(block) << 3 | int(i == 2)).to_bytes(3, "little") + block
    window_max = struct.pack("<IBB", 0xFD2FB528, 0b1100_0000, (27 - 10) << 3)
    window_max += struct.pack("<Q", size) + (size << 3 | 1).to_bytes(3, "little") + content

    def good(name: str, what: str, data: bytes) -> Case:
        edits = streams(lambda made: {**made, "raw.zstd": data}, 0)
        return both.vary(f"06-segment/zstd-{name}", what, clause, edits)

    whole = content
    return [
        both,
        _zstd_case(
            "zstd-mixed", "each stream can have a coding of its own", "zstd", "none", "none"
        ),
        good("blocks", "a frame of several blocks, one of them empty", many),
        good("window-27", "a window of 2^27 bytes is allowed", window_max),
        good("checksum", "a frame can have a checksum", _checksummed(whole)),
        bad(
            "checksum-wrong",
            "a frame with a wrong checksum",
            lambda _: _checksummed(whole)[:-1] + b"\x00",
        ),
        bad(
            "no-size",
            "a frame without its content size",
            lambda _: _with_size(whole, b"\x38", 0x00),
        ),
        bad(
            "size-unsaid",
            "a content size in a byte that the descriptor says nothing of",
            lambda _: _with_size(whole, b"\x38" + bytes([size]), 0x00),
        ),
        bad(
            "size-small",
            "a content size that is too small",
            lambda _: _with_size(whole, bytes([size - 1]), 0x20),
        ),
        bad(
            "size-large",
            "a content size that is too large",
            lambda _: _with_size(whole, bytes([size + 1]), 0x20),
        ),
        bad(
            "size-huge",
            "a content size of 2^60 bytes",
            lambda _: _with_size(whole, struct.pack("<Q", 1 << 60), 0xE0),
        ),
        bad(
            "makes-fewer",
            "a frame that makes fewer bytes than it says",
            lambda data: _with_size(data[16:-1], bytes([size]), 0x20),
            _ending_in_zero(both.chain),
        ),
        bad(
            "makes-more",
            "a frame that makes more bytes than it says",
            lambda _: _with_size(whole + b"\0", bytes([size]), 0x20),
        ),
        bad(
            "dictionary",
            "a frame that needs a dictionary",
            lambda _: _with_size(whole, b"\x07" + bytes([size]), 0x21),
        ),
        bad(
            "two-frames",
            "a second frame",
            lambda _: _with_size(whole, bytes([size]), 0x20) + stored_zstd(b""),
        ),
        bad("skippable", "a skippable frame before the frame", lambda data: skippable + data),
        bad("skippable-after", "a skippable frame after the frame", lambda data: data + skippable),
        bad("byte-after", "a byte after the frame", lambda data: data + b"\0"),
        bad(
            "cut",
            "a frame that is cut off",
            lambda data: data[:-1],
            _ending_in_zero(both.chain),
        ),
        bad(
            "window-28",
            "a window of 2^28 bytes",
            lambda _: (
                window + struct.pack("<Q", size) + (size << 3 | 1).to_bytes(3, "little") + whole
            ),
        ),
        bad(
            "block-reserved",
            "a block of the reserved type",
            lambda data: data[:13] + bytes([data[13] | 6]) + data[14:],
        ),
        bad("no-frame", "bytes that are no frame", lambda data: data[16:]),
        both.reject(
            "06-segment/zstd-not-planes",
            "a frame of plain bytes, not byte planes, makes another state",
            ("6.3.2", "7.2.3"),
            "decoding/state-digest-mismatch",
            streams(
                lambda _: {
                    "modes": bytes((RAW,) * 4),
                    "raw.zstd": stored_zstd(b"".join(c.data for c in cells if c is not None)),
                },
                0,
            ),
            stage="frame",
            frame=0,
        ),
        _run_lengths(),
    ]


def _checksummed(content: bytes) -> bytes:
    return _with_size(content, bytes([len(content)]), 0x24) + xxh64_low(content)


def _run_lengths() -> Case:
    """Return a frame of a block of run length: 64 equal words."""
    data = b"\x3f" * 256
    chain = Chain(
        (Row("a", "F32", (64,)),), (Frame(KEY, (Cell(RAW, data),), raw="zstd"),), profile="main"
    )
    frame = struct.pack("<IBH", 0xFD2FB528, 0x60, 0) + (256 << 3 | 2 | 1).to_bytes(3, "little")
    return Case(
        "06-segment/zstd-run",
        "a block of a run of one byte",
        ("6.3.2",),
        chain,
        put("raw.zstd", frame + b"\x7e", 0),
        seed=SEED,
    )


def _all_widths() -> Case:
    """Return words of every width, floating and not, so that planes and folds all matter."""
    rows = tuple(
        Row(name.lower(), name, (5,))
        for name in ("U8", "F32", "I16", "F8_E5M2", "F64", "BF16", "U64", "C64", "BOOL", "I32")
    )
    first = [random_bytes(size_of(r.dtype, r.shape), 90 + i) for i, r in enumerate(rows)]
    second = [
        stepped(r.dtype, d, 5 - 3 * i) for i, (r, d) in enumerate(zip(rows, first, strict=True))
    ]
    chain = Chain(
        rows,
        (
            Frame(KEY, tuple(Cell(RAW, data) for data in first), raw="zstd"),
            Frame(DELTA, tuple(Cell(INTEGER, data) for data in second), integer="zstd"),
        ),
        profile="main",
    )
    return Case(
        "06-segment/zstd-widths",
        "byte planes of words of every width, folded",
        ("6.3.2",),
        chain,
        seed=SEED,
    )


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_zstd(), _all_widths()]
