"""Vectors of clauses 6.2, 10.1, 12.1.3 and 12.6.1: modes and declared errors."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chain import KEY, QUANTISED, RAW, UPDATE, Cell, Row
from segment.segment_cases import drop, modes, put, streams

from quantised.payload_cases import BASE
from quantised.quantised_cases import quantised_case
from quantised.quantised_chain import (
    BINS,
    BOUNDS,
    KEPT,
    Act,
    Symbols,
    one_part,
    quantised_chain,
    symbols,
)

if TYPE_CHECKING:
    from cases import Case

SURPLUS, MISSING = "segment/stream-surplus", "segment/stream-missing"
MODE, BOUND = "segment/mode-quantised", "segment/bounds"

_ROWS = (Row("w", "F32", (4, 6)), Row("x", "F32", (2, 2)))
_PAIR = struct.pack("<4f", 1, 2, 3, 4)


def _skipping() -> Case:
    acts = [
        Act((Symbols(symbols(111, 24), one_part((4,))), Cell(RAW, _PAIR)), KEY),
        Act((Symbols(symbols(112, 24)), KEPT)),
        Act((KEPT, KEPT)),
        Act((Cell(RAW, bytes(96)), KEPT)),
    ]
    return quantised_case(
        "small-skipped",
        "a small package that updates a tensor, skips it and makes it raw",
        ("12.6.1",),
        _ROWS,
        acts,
    )


def _bounds() -> list[Case]:
    """Return declared errors that are wrong, or whose number is."""
    skipping = _skipping()

    def bad(
        name: str, what: str, code: tuple[str, ...], edits: Any, base: Case = BASE, t: int = 1
    ) -> Case:
        return base.reject(
            f"12-quantised/bounds-{name}",
            f"{what} is rejected",
            "12.6.1",
            code,
            edits,
            stage="frame",
            frame=t,
        )

    def number(name: str, what: str, word: int) -> Case:
        def change(data: bytes) -> bytes:
            return data[:4] + word.to_bytes(4, "little")

        edits = streams(lambda made: {**made, BOUNDS: change(made[BOUNDS])})
        return bad(name, f"a declared error that is {what}", (BOUND,), edits)

    lengths = (BOUND, "segment/stream-length")
    surplus = (BOUND, SURPLUS)
    return [
        skipping,
        bad(
            "missing",
            "a frame of quantised tensors without declared errors",
            (BOUND, MISSING),
            drop(BOUNDS),
        ),
        bad(
            "missing-skipped",
            "a frame that skips a quantised tensor, without declared errors",
            (BOUND, MISSING),
            drop(BOUNDS, 2),
            skipping,
            2,
        ),
        bad(
            "surplus",
            "a declared error where no row is quantised",
            surplus,
            put(BOUNDS, bytes(4), 3),
            skipping,
            3,
        ),
        bad(
            "empty",
            "a stream of no declared errors where no row is quantised",
            surplus,
            put(BOUNDS, b"", 3),
            skipping,
            3,
        ),
        bad("short", "one declared error of two quantised rows", lengths, put(BOUNDS, bytes(4))),
        bad("long", "three declared errors of two quantised rows", lengths, put(BOUNDS, bytes(12))),
        bad("bytes", "a stream of declared errors of seven bytes", lengths, put(BOUNDS, bytes(7))),
        number("nan", "not a number", 0x7FC00000),
        number("nan-negative", "not a number, with a sign", 0xFFC00001),
        number("infinite", "infinite", 0x7F800000),
        number("negative", "negative", 0xBF800000),
        number("minus-zero", "a zero with a sign", 0x80000000),
        BASE.vary(
            "12-quantised/bounds-edges",
            "the largest and the least declared errors",
            "12.6.1",
            put(BOUNDS, struct.pack("<II", 0x7F7FFFFF, 0)),
        ),
    ]


def _modes() -> list[Case]:
    """Return modes that a tensor, a frame or a profile cannot have."""

    def bad(
        name: str,
        what: str,
        clause: str,
        codes: str | tuple[str, ...],
        t: int = 1,
        base: Case = BASE,
        **more: Any,
    ) -> Case:
        return base.reject(
            f"12-quantised/{name}",
            f"{what} is rejected",
            clause,
            codes,
            stage="frame",
            frame=t,
            **more,
        )

    skipping = _skipping()
    main = replace(BASE.chain, profile="main")
    return [
        bad(
            "profile-main",
            "a quantised tensor in a Main package",
            "10.1",
            "profile/mode-refused",
            0,
            chain=main,
        ),
        bad(
            "profile-baseline",
            "a quantised tensor in a Baseline package",
            "10.1",
            ("profile/mode-refused", "profile/coding-refused"),
            0,
            chain=replace(BASE.chain, profile="baseline"),
        ),
        bad(
            "mode-6",
            "a mode of 6 in a Lossy package",
            "6.2.2",
            "segment/mode",
            1,
            edits=modes(6, UPDATE),
        ),
        bad(
            "update-raw",
            "an update of a row that is raw in the frame before",
            "12.1.3",
            MODE,
            1,
            _was(Cell(RAW, _PAIR)),
            edits=modes(UPDATE, UPDATE),
        ),
        bad(
            "update-absent",
            "an update of a row that is absent in the frame before",
            "6.2.2",
            "segment/mode-reference",
            1,
            _was(None),
            edits=modes(UPDATE, UPDATE),
        ),
        bad(
            "update-key",
            "an update in a key frame",
            "6.2.2",
            "segment/mode-key-frame",
            0,
            edits=modes(QUANTISED, UPDATE, t=0),
        ),
        _typed("I32"),
        _typed("F8_E4M3"),
        _empty(),
        bad(
            "bins-missing",
            "a frame of quantised tensors without bins",
            "6.2.1",
            MISSING,
            1,
            edits=drop(BINS),
        ),
        bad(
            "bins-surplus",
            "bins in a frame that skips all tensors",
            "6.2.1",
            SURPLUS,
            2,
            skipping,
            edits=put(BINS, b"\2\1", 2),
        ),
        bad(
            "bins-plain",
            "a stream bins without coding",
            "6.2.1",
            ("segment/stream-unknown", MISSING),
            1,
            edits=streams(lambda made: {("bins" if n == BINS else n): d for n, d in made.items()}),
        ),
    ]


def _was(before: Cell | None) -> Case:
    """Return the case of a tensor that is quantised after it was something else."""
    acts = [
        Act((Symbols(symbols(111, 24), one_part((4,))), before), KEY),
        Act((Symbols(symbols(112, 24)), Symbols([1, 2, 3, 4], one_part((2,))))),
    ]
    name = "absent" if before is None else "raw"
    return quantised_case(
        f"small-{name}",
        f"a tensor that was {name} is quantised",
        ("6.2.2", "12.1.3"),
        _ROWS,
        acts,
    )


def _typed(dtype: str) -> Case:
    """Return the case of a quantised tensor of another type: its bins are 0, and its bytes."""
    row = Row("w", dtype, (4, 6))
    size = 4 if dtype == "I32" else 1
    acts = [
        Act((Symbols([0] * 24, one_part((4,))),), KEY),
    ]
    chain = quantised_chain((replace(row, dtype="F32"),), acts)
    cells = (Cell(QUANTISED, bytes(24 * size)),)
    chain = replace(chain, rows=(row,), frames=(replace(chain.frames[0], cells=cells),))
    return BASE.reject(
        f"12-quantised/type-{dtype.lower().replace('_', '-')}",
        f"a quantised tensor of type {dtype} is rejected",
        ("12.1.3", "12.1.1"),
        MODE,
        stage="frame",
        frame=0,
        chain=chain,
    )


def _empty() -> Case:
    """Return the case of a quantised tensor without elements beside another one."""
    rows = (Row("w", "F32", (2, 2)), Row("x", "F32", (3, 0)))
    acts = [Act((Symbols([1, 2, 3, 4], one_part((2,))), None), KEY)]
    chain = quantised_chain(rows, acts)
    frame = chain.frames[0]
    entry = b"\0\1\3\1\0\0\0\0\0\0"
    data = frame.payloads[BINS]
    end = 2 + 10  # variant, substreams, and the entry of the first tensor
    payloads = {BINS: data[:end] + entry + data[end:], BOUNDS: bytes(8)}
    cells = (frame.cells[0], Cell(QUANTISED, b""))
    chain = replace(chain, frames=(replace(frame, cells=cells, payloads=payloads),))
    return BASE.reject(
        "12-quantised/empty",
        "a quantised tensor without elements is rejected",
        "12.1.3",
        MODE,
        stage="frame",
        frame=0,
        chain=chain,
    )


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_bounds(), *_modes(), _was(None), _was(Cell(RAW, _PAIR))]
