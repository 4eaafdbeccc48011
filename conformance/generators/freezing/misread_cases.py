"""Vectors of clause 9 that wrong programs asked for: what somebody reads into the text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, SKIP, Cell, Chain, Frame, Row
from model.model_cases import SEED, random_bytes, stepped

from freezing.freezing_cases import (
    BITS,
    DISAGREE,
    FROZEN,
    LISTED,
    TRAINED,
    freezing_case,
    objects_of,
    record_of,
)


def _listed(frame: int, layers: list[int] | None) -> list[list[int] | None]:
    return [layers if t == frame else kept for t, kept in enumerate(LISTED)]


def _unreached() -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    made = record_of()
    more = np.concatenate([made["/training/exclude_layers"], np.array([2], "<i4")])
    return {**made, "/training/exclude_layers": more.astype("<i4")}


def _buffer_layer() -> Case:
    """Return FROZEN with its buffer in a layer that no parameter has."""
    rows = FROZEN.chain.rows
    chain = replace(FROZEN.chain, rows=(*rows[:3], replace(rows[3], layer=7)))
    return FROZEN.vary(
        "09-freezing/buffer-layer",
        "the layer of a buffer is not a layer, and is not listed where everything else is frozen",
        ("4.2", "9.3.2"),
        chain=objects_of(chain, record_of()),
    )


def _ten_rows() -> Chain:
    """Return a chain of ten rows, of which the last one is a buffer."""
    rows = [Row(f"w{i}", "U8", (2,), layer=i) for i in range(9)]
    rows.append(Row("steps", "U8", (2,), role=1))
    data = [random_bytes(2, 70 + i) for i in range(10)]
    moved = [stepped("U8", d) for d in data]
    return Chain(
        tuple(rows),
        (
            Frame(KEY, tuple(Cell(RAW, d) for d in data)),
            Frame(
                DELTA,
                tuple(
                    Cell(INTEGER if i >= 8 else SKIP, moved[i] if i >= 8 else data[i])
                    for i in range(10)
                ),
            ),
        ),
    )


def _ninth_late() -> Chain:
    """Return the ten rows, the last two of which begin with frame 1."""
    key, delta = _ten_rows().frames
    rows = [replace(row, first_frame=int(i >= 8)) for i, row in enumerate(_ten_rows().rows)]
    new = [Cell(RAW, cell.data) for cell in delta.cells[8:] if cell]
    return Chain(
        tuple(rows),
        (replace(key, cells=key.cells[:8]), replace(delta, cells=(*delta.cells[:8], *new))),
    )


def _late_bits(first: int) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    return {**_bits([0, 1]), "/training/requires_grad": np.array([[255, first], [0, 1]], "u1")}


def _bits(second: list[int]) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    return {
        "/training/trained_from": np.array([-1, 0], "<i8"),
        "/training/requires_grad": np.array([[255, 1], second], "u1"),
        "/training/requires_grad_known": np.ones(2, "u1"),
    }


def cases() -> list[Case]:
    """Return the cases."""
    buffer = _buffer_layer()
    ten = Case(
        "09-freezing/rows-10-buffer",
        "a buffer among the rows of the second byte has the bit 0",
        ("5.5", "9.2.1"),
        replace(_ten_rows(), objects=_bits([0, 1])),
        seed=SEED,
    )
    late = Case(
        "09-freezing/rows-10-late",
        "rows of the second byte that begin later have the bit 0 before",
        ("9.2.1",),
        replace(_ninth_late(), objects=_late_bits(0)),
        seed=SEED,
    )
    return [
        buffer,
        late,
        late.reject(
            "09-freezing/requires-grad-second-byte-early",
            "a bit in the second byte for a row before its first frame is rejected",
            "9.2.1",
            BITS,
            chain=replace(_ninth_late(), objects=_late_bits(1)),
        ),
        buffer.reject(
            "09-freezing/buffer-layer-listed",
            "a list that names the layer of a buffer is rejected",
            ("4.2", "9.3.1"),
            "freezing/exclude-layers-range",
            chain=objects_of(
                buffer.chain,
                {n: a for n, a in record_of(None, _listed(1, [2, 7])).items() if "grad" not in n},
            ),
        ),
        ten,
        ten.reject(
            "09-freezing/requires-grad-second-byte",
            "a bit of a buffer in the second byte is rejected",
            "9.2.1",
            BITS,
            chain=replace(_ten_rows(), objects=_bits([0, 3])),
        ),
        ten.reject(
            "09-freezing/requires-grad-second-byte-beyond",
            "a bit behind the last row in the second byte is rejected",
            "9.2.1",
            BITS,
            chain=replace(_ten_rows(), objects=_bits([0, 0x81])),
        ),
        freezing_case(
            "exclude-layers-unreached",
            "an entry behind the lists of all frames",
            "9.3.1",
            "freezing/exclude-layers-count",
            _unreached(),
        ),
        freezing_case(
            "exclude-layers-empty-list",
            "an empty list in a frame that froze a layer",
            "9.3.2",
            DISAGREE,
            record_of(TRAINED, _listed(4, [])),
        ),
        freezing_case(
            "exclude-layers-all-empty",
            "an empty list in a frame that froze every layer",
            "9.3.2",
            DISAGREE,
            record_of(TRAINED, _listed(3, [])),
        ),
    ]
