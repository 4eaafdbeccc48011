"""Vectors of clause 6.2.6: how runs are written, and where slices of several tensors come from."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from arithmetic import coder_static
from arithmetic.coder_words import History, coded_tensor
from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Frame, Row, SliceMap
from model.model_cases import SEED, random_bytes
from quantised.quantised_chain import Act, Symbols, one_part, quantised_chain
from writers.package_writer import count

from segment.segment_cases import put
from segment.slices_cases import SLICES

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLAUSES = ("6.2.6", "7.2.2")


def _good(name: str, what: str, chain: Chain) -> Case:
    return Case(f"06-segment/slices-{name}", what, _CLAUSES, chain, seed=SEED)


def _moved(data: bytes) -> bytes:
    """Return bytes of which some are others."""
    return bytes((b + 3) % 256 if i % 5 == 0 else b for i, b in enumerate(data))


def _chain(rows: Sequence[Row], made: SliceMap) -> Chain:
    """Return a key frame of tensors of bytes, and a frame in which all of them have one map."""
    start = [Cell(RAW, random_bytes(prod(row.shape), 95 + i)) for i, row in enumerate(rows)]
    after = [
        Cell(
            INTEGER,
            _moved(made.take(cell.data, row)),
            (len(made.origins), *row.shape[1:]),
        )
        for cell, row in zip(start, rows, strict=True)
    ]
    return Chain(tuple(rows), (Frame(KEY, tuple(start)), Frame(DELTA, tuple(after), maps=(made,))))


def _runs_of_one() -> Case:
    """Return a map whose runs have a length, though it is 1."""
    chain = _chain((Row("a", "U8", (5, 3)),), SliceMap((0,), (0, 3, None, 2)))
    runs = [3, 11, 1, 9]  # 0; 2 further; fresh; 2 back
    data = count(1) + b"\0" + count(4) + b"".join(count(s) + count(1) for s in runs)
    case = _good("runs-of-one", "runs of one slice have a length", chain)
    return replace(case, edits=put("slices", data))


def _counts() -> list[Case]:
    """Return counts in more bytes than they need, and one of which 32 bits would fit."""
    chain = _chain((Row("a", "U8", (5, 3)),), SliceMap((0,), (0, 3, None, 2)))
    data = chain.frames[1].maps[0].serialize()  # each count is one byte
    padded = b"".join(bytes([n | 128]) + b"\x80" * (i % 8) + b"\0" for i, n in enumerate(data))
    good = _good("counts-padded", "counts in up to nine bytes, of which one would do", chain)
    wrapped = data[:2] + count(2**32 + data[2]) + data[3:]
    return [
        replace(good, edits=put("slices", padded)),
        good.reject(
            "06-segment/slices-wrapped",
            "in the stream of slices, 2^32 + 4 slices of which four follow: rejected",
            ("6.2.6", "7.1.2"),
            SLICES,
            put("slices", wrapped),
            stage="frame",
            frame=1,
        ),
    ]


def _unlike() -> list[Case]:
    rows = (Row("a", "U8", (5, 2)), Row("b", "U8", (3, 4)))
    fits = _good(
        "unlike",
        "two tensors of one map have other numbers of slices before",
        _chain(rows, SliceMap((0, 1), (2, 1, 0, None))),
    )

    def bad(name: str, what: str, chain: Chain) -> Case:
        return fits.reject(
            f"06-segment/slices-{name}",
            f"in the stream of slices, {what}: rejected",
            ("6.2.6", "7.1.2"),
            SLICES,
            chain=chain,
            stage="frame",
            frame=1,
        )

    return [
        fits,
        bad(
            "source-second",
            "an origin behind the last slice of the second tensor alone",
            _chain(rows, SliceMap((0, 1), (0, 1, 4, 2))),
        ),
        bad(
            "source-run-end",
            "a run that begins before the last slice, and ends behind it",
            _chain(rows[:1], SliceMap((0,), (3, 4, 5, 6))),
        ),
        bad(
            "source-behind",
            "a run that ends one slice behind the last",
            _chain(rows[:1], SliceMap((0,), (2, 3, 4, 5))),
        ),
    ]


def _of_another_width() -> Case:
    """Return a tensor that was wider than its row says before it gets a map."""
    row, made = Row("a", "U8", (5, 2)), SliceMap((0,), (3, None, 0))
    old = random_bytes(20, 99)
    wide = replace(row, shape=(4, 5))
    after = Cell(INTEGER, _moved(made.take(old, wide)), (3, 5))
    frames = (Frame(KEY, (Cell(RAW, old, (4, 5)),)), Frame(DELTA, (after,), maps=(made,)))
    return _good("width", "slices are as wide as in the frame before", Chain((row,), frames))


def _was_quantised() -> Case:
    """Return a row that is quantised in the key frame, and has a map in the next one."""
    rows = (Row("a", "F32", (4, 2)), Row("b", "F16", (3,)))
    b = Symbols([5, -7, 0], one_part((3,), 1, -6))
    key = Act((Symbols([3, 0, -2, 9, 1, 4, -8, 6], one_part((4,), 3, -8)), b), KEY)
    made = SliceMap((0,), (3, None, 1))
    before = quantised_chain(rows, [key]).frames[0].cells[0]
    assert before is not None
    after = Cell(INTEGER, _moved(made.take(before.data, rows[0])), (3, 2))
    chain = quantised_chain(rows, [key, Act((after, Symbols([1, 0, 2])))])
    frames = (chain.frames[0], replace(chain.frames[1], maps=(made,)))
    return _good(
        "was-quantised",
        "a row that was quantised has a map, and is not quantised any more",
        replace(chain, frames=frames),
    )


def _history_of_others() -> Case:
    """Return frames in which one row has maps, and the coder goes on with another one."""
    rows = (Row("point", "U8", (40, 3)), Row("other", "F16", (90,)))
    made = SliceMap((0,), tuple(range(39, -1, -1)))
    last = [random_bytes(120, 97), random_bytes(180, 98)]
    frames = [Frame(KEY, tuple(Cell(RAW, data) for data in last))]
    history = History()
    for t in range(3):
        mapped = t == 1
        old = [made.take(last[0], rows[0]) if mapped else last[0], last[1]]
        new = [_moved(old[0]), _changed(last[1], t)]
        tensors = [
            coded_tensor(i, row.dtype, row.shape, before, after)
            for i, (row, before, after) in enumerate(zip(rows, old, new, strict=True))
        ]
        if mapped:
            history.forget(0)
        data = b"\1" + coder_static.encode(tensors, history)
        frames.append(
            Frame(
                DELTA,
                tuple(Cell(INTEGER, each) for each in new),
                integer="nmc",
                payloads={"integer.nmc": data},
                maps=(made,) if mapped else (),
            )
        )
        last = new
    return _good(
        "beside-history",
        "the coder forgets what it knew of a row with a map, and of no other row",
        Chain(rows, tuple(frames), profile="main"),
    )


def _changed(data: bytes, t: int) -> bytes:
    """Return words of 16 bits, of which the same ones grow, shrink or stay in every frame."""
    made = bytearray(data)
    for i in range(0, len(data), 2):
        word = int.from_bytes(data[i : i + 2], "little")
        word = (word + (5 + t, 0, -9)[i // 2 % 3]) % 65536
        made[i : i + 2] = word.to_bytes(2, "little")
    return bytes(made)


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [
        _runs_of_one(),
        *_counts(),
        *_unlike(),
        _of_another_width(),
        _was_quantised(),
        _history_of_others(),
    ]
