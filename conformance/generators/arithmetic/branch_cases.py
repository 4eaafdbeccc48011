"""Vectors of clause 8 for what a rare branch decides: each way of it is taken by some vector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Frame, Row
from model.model_cases import random_bytes, size_of
from segment.segment_cases import put
from writers.stream_writer import planes
from writers.zstd_writer import Blocks, Copy, Literals, frame

from arithmetic import coder_static
from arithmetic.arithmetic_cases import (
    ADAPTIVE,
    MIXED,
    NAMES,
    STATIC,
    arithmetic_case,
    coded,
    trained,
    training_chain,
)
from arithmetic.coder_static import Faults
from arithmetic.coder_words import History, coded_tensor
from arithmetic.payload_fields import StaticParts

WINDOW = 0x50
"""Byte of a window of 1 MiB."""


def _periodic(content: bytes) -> Blocks:
    """Return a block of what repeats itself, so that a long key frame stays small."""
    literals, copies, at, since = b"", [], 0, 0
    while at < len(content):
        best, period = 0, 0
        for p in (1, 2, 4, 8):
            n = 0
            while p <= at and at + n < len(content) and content[at + n] == content[at + n - p]:
                n += 1
            if n > best:
                best, period = n, p
        if best < 6:
            literals, at, since = literals + content[at : at + 1], at + 1, since + 1
            continue
        copies.append(Copy(since, period + 3, best))
        at, since = at + best, 0
    return Blocks().packed(Literals(literals), copies)


def _two(dtype: str, shape: tuple[int, ...], *states: bytes) -> Chain:
    """Return a key frame and delta frames of one tensor."""
    first, *others = states
    frames = (Frame(KEY, (Cell(RAW, first),)), *(Frame(DELTA, (Cell(INTEGER, d),)) for d in others))
    return Chain((Row("a", dtype, shape),), frames)


def _in_each(
    name: str, what: str, clauses: tuple[str, ...], chain: Chain, variants: tuple[int, ...]
) -> list[Case]:
    return [
        arithmetic_case(
            f"{NAMES[v]}-{name}",
            f"the {NAMES[v]} variant where {what}",
            clauses,
            coded(chain, [v] * len(chain.frames)),
        )
        for v in variants
    ]


def _packed_key(case: Case, data: bytes, dtype: str) -> Case:
    """Return a case whose key frame is in the coding zstd, by what repeats itself."""
    blocks = _periodic(planes("raw", [(dtype, data)]))
    key = replace(case.chain.frames[0], raw="zstd")
    chain = replace(case.chain, frames=(key, *case.chain.frames[1:]))
    return replace(case, chain=chain, edits=put("raw.zstd", frame(blocks, window=WINDOW), 0))


def _long() -> list[Case]:
    """Return words whose sizes leap, until weights of the trend reach both of their limits.

    At the end sizes are small, and what the weights add takes the forecast below 0.
    """
    n = 12_000
    exponents = np.tile(np.array([60, 2040], "<u8"), n // 2)
    exponents[-600:] = np.tile(np.array([1, 30], "<u8"), 300)
    words = exponents << np.uint64(52) | np.uint64(1 << 20)
    chain = _two("F64", (n // 4, 4), words.tobytes(), (words + np.uint64(1)).tobytes())
    leaps = _in_each(
        "leaps",
        "weights of the trend reach their limits, and a forecast would be below 0",
        ("8.5.4", "8.5.7"),
        chain,
        (ADAPTIVE, MIXED),
    )
    same = np.full(3000, 0x3F800000, "<u4")
    moving = _in_each(
        "moving",
        "each of 3,000 words moves in the same way, until weights are sure of a 0",
        ("8.5.8", "8.5.3"),
        _two("F32", (3000,), same.tobytes(), (same + np.uint32(16)).tobytes()),
        (MIXED,),
    )
    return [
        *(_packed_key(case, words.tobytes(), "F64") for case in leaps),
        *(_packed_key(case, same.tobytes(), "F32") for case in moving),
    ]


def _centres() -> list[Case]:
    """Return signs that flip where the exponent that is expected would be out of its range."""
    low = np.full(64, 1 << 23 | 5, "<u4")
    small = low + np.uint32(1)
    small[40:] |= np.uint32(1 << 31)
    far = small.copy()
    far[50:] = np.uint32(1 << 31) | np.arange(14, dtype="<u4") * np.uint32(9 << 23)
    ramp = np.concatenate([np.arange(1, 255), np.full(60, 254)]).astype("<u2")
    high = ramp << np.uint16(7) | np.uint16(1)
    large = high + np.uint16((1 << 7) - 2)
    large[254:] = high[254:] | np.uint16(1 << 15)
    large[290:] = np.uint16(1 << 15) | np.arange(24, dtype="<u2") * np.uint16(10 << 7)
    clauses = ("8.5.5", "8.5.6")
    below = _two("F32", (64,), low.tobytes(), small.tobytes())
    apart = _two("F32", (64,), low.tobytes(), far.tobytes())
    above = _two("BF16", (len(high),), high.tobytes(), large.tobytes())
    what = "signs flip and the expected exponent would be"
    return [
        *_in_each("centre-low", f"{what} below 0", clauses, below, (ADAPTIVE, MIXED)),
        *_in_each(
            "centre-low-far",
            f"{what} below 0, and far ones come",
            clauses,
            apart,
            (ADAPTIVE, MIXED),
        ),
        *_in_each("centre-high", f"{what} above the highest", clauses, above, (ADAPTIVE, MIXED)),
    ]


def _averages() -> list[Case]:
    """Return words that all change by about as much, of which the large ones can not show it.

    One tensor has a line that is longer than an average remembers, the other one such columns.
    """
    rows = (Row("wide", "BF16", (2, 190)), Row("high", "BF16", (190, 2)))
    data = [(np.arange(380) * 7 % 61 + 90 + 20 * k).astype("<u4") << 23 | 5 << 16 for k in (0, 1)]
    frames = [Frame(KEY, tuple(Cell(RAW, (d >> 16).astype("<u2").tobytes()) for d in data))]
    for t in range(3):
        step = np.float32(2.0 ** (t - 14))
        ways = np.where(np.arange(380) * (t + 3) % 5 < 3, step, -step)
        data = [(d.view("<f4") + ways).astype("<f4").view("<u4") & 0xFFFF0000 for d in data]
        data = [d.astype("<u4") for d in data]
        cells = tuple(Cell(INTEGER, (d >> 16).astype("<u2").tobytes()) for d in data)
        frames.append(Frame(DELTA, cells))
    return _in_each(
        "averages",
        "many words are too large to change, beside small ones that do",
        ("8.5.4", "8.5.7"),
        Chain(rows, tuple(frames)),
        (ADAPTIVE, MIXED),
    )


def _lines() -> list[Case]:
    """Return shapes whose lines end at a dimension of 32, one below and one above it."""
    shapes = (
        ("F32", (2, 3, 40)),
        ("F32", (2, 2, 4, 8)),
        ("F32", (2, 2, 2, 31)),
        ("F32", (2, 3, 32)),
        ("F16", (2, 2, 3, 33)),
        ("C64", (3, 2, 16)),
        ("C64", (2, 3, 15)),
        ("F4", (3, 4, 40)),
        ("U8", (2, 1, 1, 1, 33)),
        ("I16", (4, 16, 2, 1)),
    )
    rows = tuple(Row(f"s{i}", dtype, shape) for i, (dtype, shape) in enumerate(shapes))
    return _in_each(
        "line-ends",
        "lines end at a dimension of 32 or more",
        ("8.1.2",),
        training_chain(rows, 3, 29),
        (STATIC, ADAPTIVE, MIXED),
    )


def _empty() -> list[Case]:
    """Return word formats whose tensors have no words: they have no section in a static payload."""
    rows = (
        Row("a", "F16", (0,)),
        Row("b", "F32", (9,)),
        Row("c", "I16", (0, 3)),
        Row("d", "F32", (0, 2)),
        Row("e", "F64", (3, 0)),
        Row("f", "U8", (5,)),
    )
    return _in_each(
        "empty-layouts",
        "no tensor of a word format has any words",
        ("8.6.1", "8.5.1", "8.5.4"),
        training_chain(rows, 3, 31),
        (STATIC, ADAPTIVE, MIXED),
    )


def _rare_words() -> list[Case]:
    """Return words at the bounds of their types, changed in each way there is."""
    made = []
    for dtype in ("F16", "F64", "F8_E4M3", "F8_E5M2", "I64", "U8"):
        width = {"F16": 2, "F64": 8, "I64": 8}.get(dtype, 1)
        top = (1 << 8 * width) - 1
        half = 1 << (8 * width - 1)
        edges = (0, 1, 2, half - 2, half - 1, half, half + 1, half + 2, top - 1, top)
        pairs = [(x, z) for x in edges for z in edges]
        old = b"".join(x.to_bytes(width, "little") for x, _ in pairs)
        new = b"".join(z.to_bytes(width, "little") for _, z in pairs)
        made.append((dtype, len(pairs), old, new))
    rows = tuple(Row(dtype.lower(), dtype, (n,)) for dtype, n, _, _ in made)
    frames = (
        Frame(KEY, tuple(Cell(RAW, old) for _, _, old, _ in made)),
        Frame(DELTA, tuple(Cell(INTEGER, new) for *_, new in made)),
        Frame(DELTA, tuple(Cell(INTEGER, old) for _, _, old, _ in made)),
    )
    return _in_each(
        "edges",
        "words at the bounds of their types become each other",
        ("8.4.1", "8.4.2"),
        Chain(rows, frames),
        (STATIC, ADAPTIVE, MIXED),
    )


def _trends() -> list[Case]:
    """Return rows that get a trend late: a copy of the last one of their word format."""
    rows = (
        Row("a", "F32", (6,)),
        Row("b", "F32", (5,)),
        Row("c", "F32", (7,)),
        Row("d", "F32", (4,)),
        Row("e", "I32", (4,)),
    )
    data = [random_bytes(size_of(r.dtype, r.shape), 700 + i) for i, r in enumerate(rows)]
    coded_rows = ((0, 4), (0, 2, 4), (1, 3), (2, 1, 0), (0, 1, 2, 3, 4))
    frames = [Frame(KEY, tuple(Cell(RAW, d) for d in data))]
    for t, chosen in enumerate(coded_rows):
        cells = []
        for i, row in enumerate(rows):
            if i in chosen:
                data[i] = trained(row.dtype, data[i], 40 * t + i)
            cells.append(Cell(INTEGER if i in chosen else 1, data[i]))
        frames.append(Frame(DELTA, tuple(cells)))
    return _in_each(
        "late-trends",
        "rows get a trend in a later frame, as a copy or a fresh one",
        ("8.5.4", "8.3.3"),
        Chain(rows, tuple(frames)),
        (ADAPTIVE, MIXED),
    )


def _tables() -> list[Case]:
    """Return tables whose frequencies add up to more than 1024, and tables that are cut."""
    old = np.full(16, 7, "<u2")
    new = old + np.array([0, 1, 0, 1, 3, 0, 1, 2, 0, 0, 1, 1, 0, 1, 5, 0], "<u2")
    base = arithmetic_case(
        "static-tables-plain",
        "a payload of one table",
        ("8.6.3",),
        coded(_two("U16", (16,), old.tobytes(), new.tobytes()), [STATIC] * 2),
    )
    stream = base.chain.frames[1].payloads["integer.nmc"]
    parts = StaticParts.of(stream, 16, 1)
    table = parts.tables

    def refused(name: str, what: str, made: bytes) -> Case:
        return base.reject(
            f"08-arithmetic/static-tables-{name}",
            f"tables {what} are rejected",
            ("8.6.3", "8.3.4"),
            "segment/coder",
            put("integer.nmc", made, 1),
            stage="frame",
            frame=1,
        )

    def other(tables: bytes) -> bytes:
        return replace(parts, tables=tables).data()

    tensor = coded_tensor(0, "U16", (16,), old.tobytes(), new.tobytes())
    over = bytes([STATIC]) + coder_static.encode([tensor], History(), Faults(overfull=True))
    stated = bytes([STATIC]) + coder_static.encode([tensor], History(), Faults(overstated=True))
    return [
        base,
        refused("over", "of frequencies that add up to 1025", over),
        refused("over-stated", "that say 1025, and of which 1024 are used,", stated),
        refused("cut", "that end too soon", other(table[:-1])),
        refused("cut-inside", "that end within a frequency", other(table[: len(table) // 2])),
        refused("none", "of no bytes", other(b"")),
    ]


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [
        *_long(),
        *_centres(),
        *_averages(),
        *_lines(),
        *_empty(),
        *_rare_words(),
        *_trends(),
        *_tables(),
    ]
