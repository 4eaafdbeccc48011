"""Vectors of clause 8.8: portions of a large payload, and faults of what is said of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from chain import Row
from segment.segment_cases import streams

from arithmetic import coder_divided
from arithmetic.arithmetic_cases import (
    ADAPTIVE,
    DIVIDED,
    STREAM,
    arithmetic_case,
    payload,
    payload_chain,
    trained,
)
from arithmetic.coder_divided import Body
from arithmetic.coder_words import History, coded_tensor
from arithmetic.payload_cases import CODER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cases import Case

    from arithmetic.arithmetic_cases import Make

LEAST = 65536
"""Words of every portion but the last one."""

CLAUSES = ("8.8.1",)


def _states(rows: Sequence[Row], frames: int) -> list[list[bytes]]:
    """Return words by frame: of the first row one in some hundred moves, of others most."""
    words = [np.zeros(int(np.prod(row.shape)), np.int64) for row in rows]  # one run of a byte
    widths = ["<u1" if row.dtype == "U8" else "<u4" for row in rows]
    states = [[w.astype(kind).tobytes() for w, kind in zip(words, widths, strict=True)]]
    for t in range(1, frames):
        state = []
        for k, (row, data) in enumerate(zip(rows, states[-1], strict=True)):
            if k:
                state.append(trained(row.dtype, data, 90 * t + k))
                continue
            after = np.frombuffer(data, "<u1").copy()
            after[t::211] += np.uint8(t)
            after[-40:] += np.arange(40, dtype=np.uint8) % 3
            state.append(after.tobytes())
        states.append(state)
    return states


def _divided(*words: int) -> Make:
    """Return a way to make portions of so many words, and one of all that are left."""
    return lambda tensors, history: _payload(coder_divided.body(tensors, history, words))


def _payload(body: Body) -> bytes:
    return bytes([DIVIDED]) + body.serialize()


def _good() -> list[Case]:
    rows = (
        Row("a", "U8", (1900, 37)),
        Row("b", "F32", (4, 9)),
        Row("none", "F32", (0, 3)),
        Row("c", "F32", (40,)),
    )
    inner = payload_chain(
        rows,
        _states(rows, 4),
        [
            _divided(1772 * 37),
            lambda tensors, history: payload(tensors, history, ADAPTIVE),
            _divided(1800 * 37),
        ],
    )
    more = (Row("a", "U8", (LEAST,)), *rows[1:], Row("d", "U8", (70,)))
    apart = payload_chain(more, _states(more, 3), [_divided(LEAST)] * 2)
    three = (Row("a", "U8", (3600, 37)), Row("b", "F32", (40,)))
    uneven = payload_chain(
        three,
        _states(three, 4),
        [_divided(1775 * 37, 1772 * 37), _divided(), _divided(1775 * 37)],
    )
    return [
        arithmetic_case(
            "divided-uneven",
            "portions of different lengths; one portion in the frame between, and the second one "
            "goes on with the slots that it had",
            (*CLAUSES, "8.3.3"),
            uneven,
        ),
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
    states = _states(rows, 2)
    tensors = [
        coded_tensor(i, row.dtype, row.shape, states[0][i], states[1][i])
        for i, row in enumerate(rows)
    ]

    def body(*words: int) -> Body:
        return coder_divided.body(tensors, History(), words)

    two = body(LEAST + 2)
    chain = payload_chain(rows, states, [lambda *_: _payload(two)])
    base = arithmetic_case("divided-two", "two portions", CLAUSES, chain)

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

    words, sizes, (first, second) = two.words, two.sizes, two.bodies
    return [
        base,
        bad(
            "words-few", "a portion of 65534 words before another one is", _payload(body(LEAST - 2))
        ),
        bad("words-none", "a portion without words is", _payload(body(sum(words)))),
        bad(
            "words-fewer",
            "portions that have not all words are",
            _payload(replace(two, words=(words[0], words[1] - 1))),
        ),
        bad(
            "words-more",
            "portions of more words than there are are",
            _payload(replace(two, words=(words[0], words[1] + 1))),
        ),
        bad("line", "a portion that begins within a line is", _payload(body(LEAST + 1))),
        bad("number-none", "a payload without portions is", bytes([DIVIDED, 0])),
        bad(
            "number-huge",
            "a number of 2^63 - 1 portions is",
            bytes([DIVIDED]) + b"\xff" * 8 + b"\x7f" + _payload(two)[2:],
        ),
        bad(
            "size-more",
            "a portion with a byte behind its body is",
            _payload(Body(words, (sizes[0] + 1, sizes[1]), (first + b"\0", second))),
        ),
        bad(
            "size-fewer",
            "a portion whose body goes on into the next one is",
            _payload(replace(two, sizes=(sizes[0] - 1, sizes[1] + 1))),
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_good(), *_bad()]
