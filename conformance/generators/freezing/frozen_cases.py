"""Vectors of clause 9.2.2: frozen parameters that change, which a checker has to find."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from bases import ROWS
from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, SKIP, Cell, Chain, Frame
from model.model_cases import SEED, random_bytes, stepped

from freezing.freezing_cases import FROZEN, freezing_case, objects_of, record_of

if TYPE_CHECKING:
    from chain import Array

CHANGED = "freezing/frozen-changed"


def _changed() -> list[Case]:
    """Return frozen parameters that change, which only a checker has to find."""

    def bad(name: str, what: str, trained: list[int], listed: list[list[int] | None]) -> Case:
        case = freezing_case(f"frozen-{name}", what, "9.2.2", CHANGED, record_of(trained, listed))
        return replace(case, stage="check")

    none: list[list[int] | None] = [None] * 5
    key = replace(FROZEN.chain, frames=_with_key_change(FROZEN.chain))
    across = Case(
        "09-freezing/key-frame-trained",
        "a parameter is trained in a key frame",
        ("9.2.2",),
        objects_of(key, record_of([7, 1, 5, 4, 1], none)),
        seed=SEED,
    )
    shape = _reshaped()
    absent = _appearing()
    return [
        bad("changed", "a frozen parameter that changes in a delta frame", [7, 0, 5, 0, 1], none),
        bad(
            "changed-later",
            "a frozen parameter that changes in a later frame",
            [7, 1, 1, 0, 1],
            none,
        ),
        across,
        across.reject(
            "09-freezing/frozen-across-key-frame",
            "a frozen parameter that changes across a key frame is found",
            "9.2.2",
            CHANGED,
            chain=objects_of(key, record_of([7, 1, 5, 0, 1], none)),
            stage="check",
        ),
        shape,
        shape.reject(
            "09-freezing/frozen-shape",
            "a frozen parameter that changes its shape is found",
            "9.2.2",
            CHANGED,
            chain=objects_of(shape.chain, _grads([[1], [0]])),
            stage="check",
        ),
        absent,
        absent.reject(
            "09-freezing/frozen-appears",
            "a frozen parameter that was not there before is found",
            "9.2.2",
            CHANGED,
            chain=objects_of(absent.chain, _grads([[1], [1]])),
            stage="check",
        ),
    ]


def _with_key_change(chain: Chain) -> tuple[Frame, ...]:
    frames = list(chain.frames)
    rear = random_bytes(8, 95)
    for t in (3, 4):
        cells = list(frames[t].cells)
        cells[2] = Cell(RAW if t == 3 else SKIP, rear)
        frames[t] = replace(frames[t], cells=tuple(cells))
    return tuple(frames)


def _grads(rows: list[list[int]]) -> dict[str, Array]:
    return {
        "/training/trained_from": np.array([-1, 0], "<i8"),
        "/training/requires_grad": np.array(rows, "u1"),
        "/training/requires_grad_known": np.ones(len(rows), "u1"),
    }


def _reshaped() -> Case:
    data = random_bytes(8, 96)
    chain = Chain(
        (replace(ROWS[2], shape=(4,)),),
        (Frame(KEY, (Cell(RAW, data),)), Frame(DELTA, (Cell(RAW, data, (2, 2)),))),
        objects=_grads([[1], [1]]),
    )
    return Case(
        "09-freezing/trained-shape",
        "a trained parameter can change its shape",
        ("9.2.2",),
        chain,
        seed=SEED,
    )


def _appearing() -> Case:
    a, b = random_bytes(8, 97), random_bytes(8, 98)
    rows = (replace(ROWS[2], name="a"), replace(ROWS[2], name="b"))
    chain = Chain(
        rows,
        (
            Frame(KEY, (Cell(RAW, a), None)),
            Frame(DELTA, (Cell(INTEGER, stepped("F16", a)), Cell(RAW, b))),
        ),
        objects=_grads([[1], [3]]),
    )
    return Case(
        "09-freezing/trained-appears",
        "a parameter that appears is trained",
        ("9.2.2",),
        chain,
        seed=SEED,
    )


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return _changed()
