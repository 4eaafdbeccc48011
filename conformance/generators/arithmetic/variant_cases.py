"""Vectors of clause 8 that wrong programs asked for: unknown variants, frames without a stream."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Edits, Frame, Row
from model.model_cases import random_bytes

from arithmetic.arithmetic_cases import (
    NAMES,
    STREAM,
    arithmetic_case,
    coded,
    trained,
    training_chain,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNKNOWN = {0: 8, 1: 9, 2: 18, 3: 7}
"""By a variant: another number, of which the low bits are its own for some."""


def _raw_alone(variant: int) -> Chain:
    """Return a chain with a delta frame of raw tensors, which has no stream of the coder."""
    rows = (Row("a", "F32", (40,)), Row("b", "I16", (40,)))
    data = [random_bytes(160, 31), random_bytes(80, 32)]
    frames = [Frame(KEY, tuple(Cell(RAW, d) for d in data))]
    for t in range(1, 5):
        data = [trained(r.dtype, d, 40 * t) for r, d in zip(rows, data, strict=True)]
        mode = RAW if t == 2 else INTEGER
        frames.append(Frame(DELTA, tuple(Cell(mode, d) for d in data)))
    return coded(Chain(rows, tuple(frames)), [None, variant, None, variant, variant])


_SIZES = {"U8": 65536 + 8192, "I8": 65536, "BOOL": 65536 + 8191}


def chunks(sizes: Mapping[str, int] = _SIZES, frames: int = 2) -> Chain:
    """Return tensors of one chunk and of two, whose last one has just enough words for eight lanes.

    Of a third one it has a word fewer, and one lane.
    """
    rows = tuple(Row(dtype.lower(), dtype, (n,)) for dtype, n in sizes.items())
    data = [np.zeros(n, np.uint8) for n in sizes.values()]
    made = [Frame(KEY, tuple(Cell(RAW, d.tobytes()) for d in data), raw="zstd")]
    for t in range(1, frames + 1):
        for k, d in enumerate(data):
            step = 1 if k == 2 else 3
            d[t :: 509 + k] ^= step
            d[-4:] ^= 1
        made.append(Frame(DELTA, tuple(Cell(INTEGER, d.tobytes()) for d in data)))
    return Chain(rows, tuple(made))


def _heads() -> Chain:
    """Return tensors of all kinds of heads, and of odd numbers of lines and columns."""
    shapes = ((5, 7), (3, 2, 9), (4, 40), (33, 3), (1, 5), (6,), (2, 33), (7, 2))
    rows = tuple(Row(f"h{i}", "F32" if i % 3 else "F16", s) for i, s in enumerate(shapes))
    return coded(training_chain(rows, 4, 61), [None, 1, 1, 1])


def _alternating() -> Chain:
    """Return frames of every variant in turn: each forgets what others remember."""
    rows = (Row("a", "F32", (4, 9)), Row("b", "I16", (21,)))
    return coded(training_chain(rows, 8, 67), [None, 1, 2, 1, 0, 1, 3, 2])


def cases() -> list[Case]:
    """Return the cases."""
    made = [
        arithmetic_case(
            f"{NAMES[variant]}-raw-alone",
            f"rows that are raw are forgotten without a stream of the {NAMES[variant]} coder too",
            ("8.3.3", "6.3.3"),
            _raw_alone(variant),
        )
        for variant in (1, 2, 3, 4)
    ]
    made += [
        replace(
            arithmetic_case(
                "static-chunks",
                "tensors of several chunks, of eight lanes and of one",
                ("8.6.1", "8.6.4"),
                coded(chunks(), [None, 1, 1]),
            ),
            inflate=True,
        ),
        arithmetic_case(
            "static-heads",
            "heads with offsets of columns, of lines, of both and of none",
            ("8.6.1", "8.6.2"),
            _heads(),
        ),
        arithmetic_case(
            "alternating",
            "each kind of variant forgets what the other one remembers",
            ("8.3.3",),
            _alternating(),
        ),
    ]
    rows = (Row("a", "F32", (2, 8)), Row("b", "I16", (9,)))
    for variant, other in _UNKNOWN.items():
        name = NAMES[variant]
        base = arithmetic_case(
            f"{name}-few-words",
            f"a few words by the {name} variant",
            ("8.3.2",),
            coded(training_chain(rows, 3, 51), [None, variant, variant]),
        )
        edits = Edits(
            streams={1: lambda s, other=other: {**s, STREAM: bytes([other]) + s[STREAM][1:]}}
        )
        made += [
            base,
            base.reject(
                f"08-arithmetic/{name}-as-variant-{other}",
                f"variant {other} before a payload of the {name} variant is rejected",
                "8.3.2",
                "segment/coder",
                edits,
                stage="frame",
                frame=1,
            ),
        ]
    return made
