"""Vectors of clause 8.8: portions of a large payload, and faults of what is said of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Frame, Row
from segment.segment_cases import streams

from arithmetic import coder_divided
from arithmetic.arithmetic_cases import (
    ADAPTIVE,
    DIVIDED,
    STREAM,
    arithmetic_case,
    payload,
    trained,
)
from arithmetic.coder_divided import Body
from arithmetic.coder_words import CodedTensor, History, coded_tensor
from arithmetic.payload_cases import CODER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cases import Case

LEAST = 65536
"""Words of every portion but the last one."""

CLAUSES = ("8.8.1",)


def _states(rows: Sequence[Row], frames: int, few: int) -> list[list[bytes]]:
    """Return words by frame: of `few` rows one in some hundred moves, of the others most."""
    words = [np.zeros(int(np.prod(row.shape)), np.int64) for row in rows]  # one run of a byte
    widths = ["<u1" if row.dtype == "U8" else "<u4" for row in rows]
    states = [[w.astype(kind).tobytes() for w, kind in zip(words, widths, strict=True)]]
    for t in range(1, frames):
        state = []
        for k, (row, data) in enumerate(zip(rows, states[-1], strict=True)):
            if k >= few:
                state.append(trained(row.dtype, data, 90 * t + k))
                continue
            after = np.frombuffer(data, "<u1").copy()
            after[t :: 211 + k] += np.uint8(t)
            after[-40:] += np.arange(40, dtype=np.uint8) % 3
            state.append(after.tobytes())
        states.append(state)
    return states


def _divided_chain(rows: tuple[Row, ...], few: int, words: Sequence[Sequence[int] | None]) -> Chain:
    """Return a chain whose delta frames have portions of so many words; None: variant 2."""
    states = _states(rows, 1 + len(words), few)
    history = History()
    frames = [Frame(KEY, tuple(Cell(RAW, d) for d in states[0]), raw="zstd")]
    for t, each in enumerate(words, 1):
        tensors = [
            coded_tensor(i, row.dtype, row.shape, states[t - 1][i], states[t][i])
            for i, row in enumerate(rows)
        ]
        data = _payload(tensors, history, each)
        cells = tuple(Cell(INTEGER, d) for d in states[t])
        frames.append(Frame(DELTA, cells, integer="nmc", payloads={STREAM: data}))
    return Chain(rows, tuple(frames), profile="main")


def _payload(tensors: list[CodedTensor], history: History, words: Sequence[int] | None) -> bytes:
    if words is None:
        return payload(tensors, history, ADAPTIVE)
    for p in tensors:
        history.ways.pop(p.row, None)
    return bytes([DIVIDED]) + coder_divided.body(tensors, history, words).serialize()


def _good() -> list[Case]:
    rows = (
        Row("a", "U8", (1900, 37)),
        Row("b", "F32", (4, 9)),
        Row("none", "F32", (0, 3)),
        Row("c", "F32", (40,)),
    )
    inner = _divided_chain(rows, 1, [[1772 * 37], None, [1800 * 37]])
    more = (Row("a", "U8", (LEAST,)), *rows[1:], Row("d", "U8", (70,)))
    apart = _divided_chain(more, 1, [[LEAST], [LEAST]])
    return [
        arithmetic_case(
            "divided-within",
            "portions that begin within a tensor, elsewhere in each frame; the first one has the "
            "slots of variant 2",
            (*CLAUSES, "8.3.3", "8.5.4"),
            inner,
        ),
        arithmetic_case(
            "divided-tensors",
            "a portion of as few words as it can have, and one of whole tensors behind it",
            (*CLAUSES, "8.3.3"),
            apart,
        ),
    ]


def _bad() -> list[Case]:
    """Return payloads of two portions, the words and sizes of which are wrong."""
    rows = (Row("a", "U8", (LEAST // 2 + 3, 2)), Row("b", "F32", (4, 9)))
    chain = _divided_chain(rows, 1, [[LEAST + 2]])
    base = arithmetic_case("divided-two", "two portions", CLAUSES, chain)
    states = _states(rows, 2, 1)
    tensors = [
        coded_tensor(i, row.dtype, row.shape, states[0][i], states[1][i])
        for i, row in enumerate(rows)
    ]

    def body(*words: int) -> Body:
        return coder_divided.body(tensors, History(), words)

    two = body(LEAST + 2)
    total = sum(two.words)

    def changed(change: Callable[[Body], Body]) -> bytes:
        return bytes([DIVIDED]) + change(two).serialize()

    def bad(name: str, what: str, data: bytes) -> Case:
        return base.reject(
            f"08-arithmetic/divided-{name}",
            f"{what} rejected",
            "8.8.1",
            (CODER, "decoding/state-digest-mismatch"),
            streams(lambda made: {**made, STREAM: data}),
            stage="frame",
            frame=1,
        )

    few = bytes([DIVIDED]) + body(LEAST - 2).serialize()
    line = bytes([DIVIDED]) + body(LEAST + 1).serialize()
    none = bytes([DIVIDED]) + body(total).serialize()
    first, second = two.bodies
    return [
        base,
        bad("words-few", "a portion of 65534 words before another one is", few),
        bad("words-none", "a portion without words is", none),
        bad(
            "words-fewer",
            "portions that have not all words are",
            changed(lambda b: replace(b, words=(b.words[0], b.words[1] - 1))),
        ),
        bad(
            "words-more",
            "portions of more words than there are are",
            changed(lambda b: replace(b, words=(b.words[0], b.words[1] + 1))),
        ),
        bad("line", "a portion that begins within a line is", line),
        bad("number-none", "a payload without portions is", bytes([DIVIDED, 0])),
        bad(
            "number-huge",
            "a number of 2^63 - 1 portions is",
            bytes([DIVIDED]) + b"\xff" * 8 + b"\x7f" + changed(lambda b: b)[2:],
        ),
        bad(
            "size-more",
            "a portion with a byte behind its body is",
            changed(lambda b: Body(b.words, (b.sizes[0] + 1, b.sizes[1]), (first + b"\0", second))),
        ),
        bad(
            "size-fewer",
            "a portion whose body goes on into the next one is",
            changed(lambda b: replace(b, sizes=(b.sizes[0] - 1, b.sizes[1] + 1))),
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_good(), *_bad()]
