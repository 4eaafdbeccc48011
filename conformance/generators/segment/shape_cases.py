"""Vectors of clause 6.2.3: shapes that are not those of the tensor table."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
from bases import PAIR
from cases import Case
from chain import KEY, NO_EDITS, RAW, Cell, Chain, Edits, Frame, Row
from model.model_cases import SEED, random_bytes
from writers.stream_writer import shape_record

from segment.segment_cases import LENGTH, SURPLUS, put, segment_case, without

SHAPES = "segment/shapes"


def _chain(*cells: Cell) -> Chain:
    """Return a key frame of these rows; a cell without a shape has that of the table."""
    rows = (
        Row("a", "U8", (6,)),
        Row("b", "U8", (4,)),
        Row("c", "F4", (8,)),
        Row("d", "U8", (1,)),
    )
    return Chain(rows[: len(cells)], (Frame(KEY, cells),))


_A, _B, _C = (Cell(RAW, random_bytes(n)) for n in (6, 4, 4))
_A23, _C42 = replace(_A, shape=(2, 3)), replace(_C, shape=(4, 2))

_SHAPED = Case(
    "06-segment/shapes",
    "two tensors have other shapes than the table",
    ("6.2.3",),
    _chain(_A23, _B, _C42),
    seed=SEED,
)


def cases() -> list[Case]:
    """Return the cases of this clause; the states are those of a decoder without the check."""
    clause = ("6.2.3", "7.1.2")
    a, b, c = shape_record(0, (2, 3)), shape_record(1, (4,)), shape_record(2, (4, 2))

    def bad(
        name: str,
        what: str,
        data: bytes | None,
        chain: Chain = _SHAPED.chain,
        codes: str | tuple[str, ...] = SHAPES,
    ) -> Case:
        edits = NO_EDITS if data is None else put("shapes", data, 0)
        summary = f"in the stream of shapes, {what}"
        return segment_case(
            f"shapes-{name}", summary, clause, codes, edits, _SHAPED, 0, chain=chain
        )

    def shaped(row: int, shape: tuple[int, ...], size: int) -> Chain:
        """Return the tensors with one of another shape, and of so many bytes."""
        cells = [_A23, _B, _C42]
        cells[row] = Cell(RAW, random_bytes(size), shape)
        return _chain(*cells)

    sizes = np.array([14], "<u8")
    later = Case(
        "06-segment/absent-later",
        "a row can be absent from frame 1 on",
        ("6.2.2",),
        without(PAIR.chain, 1, 1),
        seed=SEED,
    )
    ends = _chain(_A23, _B, replace(_C, shape=(2, 4)))
    scalar = _chain(_A23, _B, _C42, Cell(RAW, b"x", ()))
    wide, many = 1 << 32, 1 << 24
    return [
        _SHAPED,
        _SHAPED.vary(
            "06-segment/shapes-rank-32",
            "a shape can have 32 dimensions",
            "6.2.3",
            chain=shaped(2, (8, *(1,) * 31), 4),
        ),
        later,
        segment_case(
            "shapes-empty",
            "a stream of shapes without records",
            clause,
            (SURPLUS, SHAPES),
            put("shapes", b"", 0),
            PAIR,
            0,
        ),
        bad("cut", "a record that ends too early", a + shape_record(2, (2, 4, 1))[:-8], ends),
        bad("odd-length", "a length that is not a multiple of 8", a + c + b"\0"),
        bad("head-only", "a record without its rank", a + c[:8], _chain(_A23, _B, _C)),
        bad("rank-33", "a rank of 33", None, shaped(2, (8, *(1,) * 32), 4)),
        bad(
            "rank-huge",
            "a rank beyond the stream",
            a + c + struct.pack("<QQ", 3, 1 << 61),
            scalar,
        ),
        bad("descending", "rows that do not ascend", c + a),
        bad("row-twice", "a row that has two records", a + a + c),
        bad("row-beyond", "a row beyond the table", a + c + shape_record(3, (1,))),
        bad("repeats", "a record that repeats the shape of the table", a + b + c),
        # 0 bytes in 32 bits, in 64 bits, and in truth
        bad("product", "a shape of 2^48 elements", None, shaped(0, (many, many), 0)),
        bad(
            "product-wraps",
            "a shape whose product wraps around in 64 bits",
            None,
            shaped(0, (wide, wide, 6), 0),
        ),
        bad(
            "product-zero",
            "a shape of 2^48 elements apart from a zero",
            None,
            shaped(0, (many, 0, many), 0),
        ),
        bad("bits", "a packed shape that does not fill its bytes", None, shaped(2, (7,), 4)),
        segment_case(
            "shapes-other-size",
            "in the stream of shapes, a shape with other bytes than the state has",
            clause,
            ("segment/state-bytes", LENGTH),
            Edits(objects=lambda made: {**made, "/frames/state_bytes": sizes}),
            _SHAPED,
            0,
            chain=shaped(2, (10,), 5),
        ),
        segment_case(
            "shapes-not-raw",
            "a shape for a tensor that is skipped",
            clause,
            SHAPES,
            put("shapes", shape_record(1, (1, 3))),
            PAIR,
        ),
        segment_case(
            "shapes-integer",
            "a shape for a difference",
            clause,
            SHAPES,
            put("shapes", shape_record(0, (3, 2))),
        ),
        segment_case(
            "shapes-absent",
            "a shape for an absent tensor",
            clause,
            SHAPES,
            put("shapes", shape_record(1, (1, 3))),
            later,
        ),
    ]
