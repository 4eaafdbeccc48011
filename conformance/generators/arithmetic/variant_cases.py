"""Vectors of clause 8 that wrong programs asked for: unknown variants, frames without a stream."""

from __future__ import annotations

import numpy as np
from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Edits, Frame, Row
from model.model_cases import random_bytes

from arithmetic import coder_static
from arithmetic.arithmetic_cases import (
    NAMES,
    STREAM,
    arithmetic_case,
    coded,
    trained,
    training_chain,
)
from arithmetic.coder_words import History, coded_tensor

_UNKNOWN = {0: 8, 1: 5, 2: 18, 3: 7}
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


def _tableless() -> Chain:
    """Return a chain of words that move, and of words far from them that stay."""
    small, large = ((np.arange(20, dtype="<f4") + 1) * scale for scale in (1, 2.0**40))
    old = np.concatenate([small, large]).astype("<f4")
    new = old.view("<u4").copy()
    new[:20:2] += 3
    before, after = old.tobytes(), new.tobytes()
    tensor = coded_tensor(0, "F32", (40,), before, after)
    body = coder_static.encode([tensor], History(), tableless=True)
    moved = Frame(
        DELTA, (Cell(INTEGER, after),), integer="nmc", payloads={STREAM: bytes([1]) + body}
    )
    frames = (Frame(KEY, (Cell(RAW, before),)), moved)
    return Chain((Row("a", "F32", (40,)),), frames, profile="main")


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
    made.append(
        arithmetic_case(
            "static-tableless",
            "in a context without a table a word stays, and its code point can be any",
            ("8.6.3", "8.6.4"),
            _tableless(),
        )
    )
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
