"""Vectors of clause 9.2.2: frozen parameters are compared by their bytes, not as numbers."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, SKIP, Cell, Chain, Frame, Row
from model.model_cases import SEED

if TYPE_CHECKING:
    from chain import Array

CHANGED = "freezing/frozen-changed"


@dataclass(frozen=True)
class _Change:
    """A parameter in one frame and in the next: its element type and its bytes."""

    name: str
    what: str
    dtype: str
    before: bytes
    after: bytes
    shape: tuple[int, ...] = (1,)
    shape_after: tuple[int, ...] | None = None


def _chain(change: _Change, *, frozen: bool, coding: int = DELTA, mode: int = RAW) -> Chain:
    """Return two frames of a parameter that is frozen in the second one, or not."""
    second = Cell(mode, change.after, change.shape_after)
    return Chain(
        (Row("weight", change.dtype, change.shape, layer=3),),
        (Frame(KEY, (Cell(RAW, change.before),)), Frame(coding, (second,))),
        objects=_record([1, 0 if frozen else 1]),
    )


def _record(bits: list[int]) -> dict[str, Array]:
    return {
        "/training/trained_from": np.arange(-1, len(bits) - 1, dtype="<i8"),
        "/training/requires_grad": np.array(bits, "u1").reshape(-1, 1),
        "/training/requires_grad_known": np.ones(len(bits), "u1"),
    }


def _f32(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


QUIET, OTHER, SIGNALLING = (bytes.fromhex(h) for h in ("0000C07F", "0100C07F", "0100807F"))

CHANGES = (
    _Change("zero-sign", "a zero whose sign changes", "F32", _f32(0.0), _f32(-0.0)),
    _Change(
        "zero-sign-f64", "a zero of 64 bits whose sign changes", "F64", bytes(8), bytes(7) + b"\x80"
    ),
    _Change("zero-sign-f16", "a zero of 16 bits whose sign changes", "F16", b"\0\x80", b"\0\0"),
    _Change(
        "zero-imaginary", "an imaginary zero whose sign changes", "C64", _f32(1, 0.0), _f32(1, -0.0)
    ),
    _Change("nan-payload", "a NaN whose payload changes", "F32", QUIET, OTHER),
    _Change("nan-sign", "a NaN whose sign changes", "F32", QUIET, b"\0\0\xc0\xff"),
    _Change("nan-quiet", "a NaN that becomes a quiet one", "F32", SIGNALLING, OTHER),
    _Change("nan-one-of", "one NaN of two", "F32", QUIET + QUIET, QUIET + OTHER, (2,)),
    _Change("truth", "a true value in other bytes", "BOOL", b"\x01", b"\x02"),
    _Change(
        "last-bit",
        "the lowest bit of a number of 64 bits",
        "F64",
        struct.pack("<d", 1.0),
        b"\x01" + struct.pack("<d", 1.0)[1:],
    ),
    _Change(
        "integer-high",
        "an integer that is the same in binary64",
        "I64",
        (1 << 53).to_bytes(8, "little"),
        ((1 << 53) + 1).to_bytes(8, "little"),
    ),
    _Change("unused-nan", "a number without a sign of zero", "F8_E4M3FNUZ", b"\x80", b"\x00"),
    _Change("rank", "the rank alone", "F32", _f32(1.5), _f32(1.5), (), (1,)),
    _Change(
        "turned", "the order of the dimensions alone", "U8", bytes(6), bytes(6), (2, 3), (3, 2)
    ),
    _Change(
        "empty-shape", "the shape of a tensor without elements", "F32", b"", b"", (0, 3), (3, 0)
    ),
)


def _changes() -> list[Case]:
    made = []
    for change in CHANGES:
        base = Case(
            f"09-freezing/bytes-{change.name}-trained",
            f"{change.what} changes in a parameter that is trained",
            ("9.2.2",),
            _chain(change, frozen=False),
            seed=SEED,
        )
        made += [
            base,
            base.reject(
                f"09-freezing/bytes-{change.name}",
                f"a frozen parameter of which {change.what} changes is found",
                ("9.2.2", "9.6"),
                CHANGED,
                chain=_chain(change, frozen=True),
                stage="check",
            ),
        ]
    sign = CHANGES[0]
    key = Case(
        "09-freezing/bytes-key-frame-trained",
        "a zero changes its sign across a key frame in a parameter that is trained",
        ("9.2.2",),
        _chain(sign, frozen=False, coding=KEY),
        seed=SEED,
    )
    made += [
        key,
        key.reject(
            "09-freezing/bytes-key-frame",
            "a frozen parameter of which a zero changes its sign across a key frame is found",
            "9.2.2",
            CHANGED,
            chain=_chain(sign, frozen=True, coding=KEY),
            stage="check",
        ),
    ]
    return made


def _kept() -> list[Case]:
    """Return frozen parameters that stay the same, however they are coded."""
    words = QUIET + SIGNALLING + _f32(-0.0, 0.0, 1.5) + b"\xff\xff\xff\xff"
    same = _Change("", "", "F32", words, words, (6,))

    def kept(name: str, what: str, coding: int, mode: int) -> Case:
        chain = _chain(same, frozen=True, coding=coding, mode=mode)
        return Case(f"09-freezing/bytes-kept-{name}", what, ("9.2.2",), chain, seed=SEED)

    return [
        kept("raw", "a frozen parameter with NaNs, coded again", DELTA, RAW),
        kept("skip", "a frozen parameter with NaNs, skipped", DELTA, SKIP),
        kept("integer", "a frozen parameter with NaNs, by differences of 0", DELTA, INTEGER),
        kept("key-frame", "a frozen parameter with NaNs across a key frame", KEY, RAW),
    ]


def _rows() -> list[Case]:
    """Return frozen parameters that are another row, or come back after they were away."""
    one = _f32(1.5)
    rows = (Row("weight", "F32", (1,)), Row("weight", "I32", (1,)))
    frames = (Frame(KEY, (Cell(RAW, one), None)), Frame(DELTA, (None, Cell(RAW, one))))

    def retyped(bits: int) -> Chain:
        return Chain(rows, frames, objects=_record([1, bits]))

    back = (
        Frame(KEY, (Cell(RAW, one), Cell(RAW, b"\x01"))),
        Frame(DELTA, (None, Cell(INTEGER, b"\x02"))),
        Frame(DELTA, (Cell(RAW, one), Cell(INTEGER, b"\x03"))),
    )

    def returned(bits: int) -> Chain:
        table = (Row("weight", "F32", (1,)), Row("other", "U8", (1,)))
        return Chain(table, back, objects=_record([3, 2, bits]))

    buffer = Chain(
        (Row("weight", "F32", (1,), layer=0), Row("mean", "F32", (1,), role=1, layer=0)),
        (
            Frame(KEY, (Cell(RAW, one), Cell(RAW, one))),
            Frame(DELTA, (Cell(SKIP, one), Cell(INTEGER, _f32(2.5)))),
        ),
        objects={
            **_record([1, 0]),
            "/training/exclude_layers": np.array([0], "<i4"),
            "/training/exclude_layers_count": np.array([0, 1], "<i4"),
        },
    )
    type_base = Case(
        "09-freezing/bytes-type-trained",
        "a trained parameter changes its element type and keeps its bytes",
        ("9.2.2", "4.4"),
        retyped(2),
        seed=SEED,
    )
    back_base = Case(
        "09-freezing/bytes-back-trained",
        "a trained parameter comes back as it was",
        ("9.2.2",),
        returned(3),
        seed=SEED,
    )
    return [
        type_base,
        type_base.reject(
            "09-freezing/bytes-type",
            "a frozen parameter that changes its element type and keeps its bytes is found",
            ("9.2.2", "4.4"),
            CHANGED,
            chain=retyped(0),
            stage="check",
        ),
        back_base,
        back_base.reject(
            "09-freezing/bytes-back",
            "a frozen parameter that was away in the frame before, and comes back, is found",
            "9.2.2",
            CHANGED,
            chain=returned(2),
            stage="check",
        ),
        Case(
            "09-freezing/bytes-buffer",
            "a buffer changes in a layer that is frozen",
            ("9.2.2", "9.3.2"),
            buffer,
            seed=SEED,
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_changes(), *_kept(), *_rows()]
