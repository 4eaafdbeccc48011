"""Vectors of clause 15: messages that are applied."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from arithmetic.arithmetic_cases import ADAPTIVE, DIVIDED, MIXED, NAMES, SPARSE, STATIC
from bases import GROUPS
from cases import Case
from chain import INTEGER, RAW, SKIP, Cell, Chain, Row, SliceMap
from model.model_cases import random_bytes, stepped
from segment.digests_cases import digests_of

from messages.sent import Sent, accepted, all_of, by_variant, delta, delta_of, key, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

A, B = Row("a", "F32", (4, 3)), Row("b", "U8", (6,))
ROWS = (A, B)
_A0, _B0 = random_bytes(48, 150), random_bytes(6, 151)
_A1, _A2 = stepped("F32", _A0, 3), stepped("F32", _A0, -40)

PLAIN = Chain(
    ROWS,
    (
        key(Cell(RAW, _A0), Cell(RAW, _B0)),
        delta(Cell(INTEGER, _A1), Cell(SKIP, _B0)),
        delta(Cell(INTEGER, _A2), Cell(RAW, _B0[::-1])),
    ),
)
"""Three states of two tensors, whose rows are in the order of their names."""

PAIR = accepted(
    "key-and-delta",
    "a key message and a delta message",
    ("15.1", "15.2"),
    key_of(PLAIN),
    delta_of(PLAIN),
)
ONE = accepted("key", "a key message of two tensors", ("15.1", "15.2"), key_of(PLAIN))


def _sorted(chain: Chain) -> Chain:
    """Return a chain with its rows in the order of their names."""
    order = sorted(range(len(chain.rows)), key=lambda i: chain.rows[i].name.encode())
    frames = tuple(replace(f, cells=tuple(f.cells[i] for i in order)) for f in chain.frames)
    return replace(chain, rows=tuple(chain.rows[i] for i in order), frames=frames)


def _new_tensors() -> list[Case]:
    """Rows that a delta message brings, and those that a state loses."""
    c, words = Row("aa", "I16", (5,)), random_bytes(10, 152)
    grown = Chain(
        (*ROWS, c), (PLAIN.frames[0], delta(Cell(SKIP, _A0), Cell(SKIP, _B0), Cell(RAW, words)))
    )
    moved = stepped("I16", words, 9)
    # the state has a, aa and b now: that is the order of the rows, whatever it was before
    next_ = Chain(
        (A, c, B),
        (
            key(Cell(RAW, _A0), Cell(RAW, words), Cell(RAW, _B0)),
            delta(Cell(INTEGER, _A1), Cell(INTEGER, moved), Cell(SKIP, _B0)),
        ),
    )
    lost = Chain(ROWS, (PLAIN.frames[0], delta(Cell(INTEGER, _A1), None)))
    back = Chain((A, B), (key(Cell(RAW, _A1)), delta(Cell(SKIP, _A1), Cell(RAW, _B0))))
    other = Row("b", "F16", (3,))
    cast = Chain(
        (*ROWS, other), (PLAIN.frames[0], delta(Cell(SKIP, _A0), None, Cell(RAW, _B0[:6])))
    )
    return [
        accepted(
            "new-tensor",
            "a tensor that a delta message brings stands in its place by name in the next one",
            ("15.2",),
            key_of(PLAIN),
            delta_of(grown, new=1),
            delta_of(next_),
        ),
        accepted(
            "gone-and-back",
            "a tensor that the state has lost is brought again",
            ("15.2",),
            key_of(PLAIN),
            delta_of(lost),
            delta_of(back, new=1),
        ),
        accepted(
            "other-dtype",
            "a tensor of the same name and another dtype is a row of its own",
            ("15.2",),
            key_of(PLAIN),
            delta_of(cast, new=1),
        ),
    ]


def _keys() -> list[Case]:
    """Key messages behind others: the state that was there is gone."""
    other = Row("c", "I16", (5,))
    words = random_bytes(10, 153)
    second = Chain(
        (other,), (key(Cell(RAW, words)), delta(Cell(INTEGER, stepped("I16", words, 2))))
    )
    still = Chain(ROWS, (PLAIN.frames[0], delta(Cell(SKIP, _A0), Cell(SKIP, _B0))))
    return [
        accepted(
            "delta-of-nothing",
            "a delta message that changes nothing makes the state that it builds on",
            ("15.2",),
            key_of(PLAIN),
            delta_of(still),
            delta_of(still),
        ),
        accepted(
            "key-of-others",
            "the state of a key message has its tensors alone, whatever was there",
            ("15.2", "15.3"),
            key_of(PLAIN),
            delta_of(PLAIN),
            key_of(second),
            delta_of(second),
        ),
    ]


def _rows() -> list[Case]:
    """Rows at the bounds of a tensor table."""

    def of(row: Row) -> Sent:
        data = random_bytes(2, 154)
        return key_of(Chain((row,), (key(Cell(RAW, data)),)))

    return [
        accepted(
            "largest-row",
            "a tensor of rank 32, with a name of 1024 bytes",
            ("15.1", "5.4.3"),
            of(Row("é" * 512, "U8", (1,) * 31 + (2,))),
        ),
    ]


def _orders() -> list[Case]:
    """Names whose order is not that of the key message, nor that of UTF-16."""
    names = ("z", "\U0001f600", "\uff5e", "B", "a", "é")
    rows = tuple(Row(name, "U8", (2 + i,)) for i, name in enumerate(names))
    data = [random_bytes(2 + i, 160 + i) for i in range(len(rows))]
    chain = Chain(
        rows,
        (
            key(*(Cell(RAW, d) for d in data)),
            delta(*(Cell(INTEGER, stepped("U8", d, 1 + i)) for i, d in enumerate(data))),
        ),
    )
    return [
        accepted(
            "order-of-names",
            "rows of a delta message are in the order of the names as UTF-8",
            ("15.2",),
            key_of(chain),
            delta_of(_sorted(chain)),
        )
    ]


def _shapes() -> list[Case]:
    """Return what shows that a shape is that of the state, whatever an earlier row said."""
    long = random_bytes(9, 170)
    first = Chain(ROWS, (PLAIN.frames[0], delta(Cell(SKIP, _A0), Cell(RAW, long, (3, 3)))))
    second = Chain(
        (A, Row("b", "U8", (3, 3))),
        (key(Cell(RAW, _A0), Cell(RAW, long)), delta(Cell(SKIP, _A0), Cell(RAW, long[::-1]))),
    )
    empty = Chain(
        (Row("none", "F64", (0, 3)), Row("scalar", "I64", ())),
        (key(Cell(RAW, b""), Cell(RAW, random_bytes(8, 171))),),
    )
    return [
        accepted(
            "shape-of-state",
            "the shape of a row is that of the state before",
            ("15.2",),
            key_of(PLAIN),
            delta_of(first),
            delta_of(second),
        ),
        accepted(
            "empty-tensor", "a tensor without elements, and a scalar", ("15.1",), key_of(empty)
        ),
    ]


def _states() -> list[Case]:
    nothing = Chain((), (key(),))
    first = Chain(ROWS, (key(), delta(Cell(RAW, _A0), Cell(RAW, _B0))))
    named = replace(PLAIN, rows=(replace(A, name="a" * 12), replace(B, name="b" * 15)))
    return [
        ONE,
        PAIR,
        accepted("three", "a key message and two delta messages", ("15.2", "15.3"), *all_of(PLAIN)),
        accepted(
            "two-keys",
            "a key message in the midst of delta messages",
            ("15.2",),
            *(_message(t) for t in range(5)),
        ),
        accepted("nothing", "a key message of no tensor", ("15.1",), key_of(nothing)),
        accepted(
            "from-nothing",
            "a delta message that builds on the state without tensors",
            ("15.2",),
            delta_of(first, new=2),
        ),
        accepted("no-padding", "rows that end at a multiple of 64 bytes", ("15.1",), key_of(named)),
    ]


def _message(t: int) -> Sent:
    chain = _sorted(GROUPS.chain)
    if chain.frames[t].coding == 0:
        return key_of(replace(chain, frames=chain.frames[t : t + 1]))
    return delta_of(chain, t)


def with_digests(sent: Sent, change: Callable[[bytes], bytes] = bytes) -> Sent:
    """Return a message that brings the digests of its tensors (clause 6.2.5)."""
    made = change(digests_of(sent.chain, len(sent.chain.frames) - 1))
    return replace(sent, streams=lambda streams: {**streams, "digests": made})


def _codings() -> list[Case]:
    """Each coding of differences, with an empty history in every message."""
    made = []
    rows = (Row("w", "F32", (6, 20)),)
    states = [random_bytes(480, 180)]
    for step in (2, -7):
        states.append(stepped("F32", states[-1], step))
    for variant in (STATIC, ADAPTIVE, MIXED, SPARSE, DIVIDED):
        pairs = [
            Chain(rows, (key(Cell(RAW, old)), delta(Cell(INTEGER, new))))
            for old, new in pairwise(states)
        ]
        sent = [delta_of(by_variant(pair, variant)) for pair in pairs]
        made.append(
            accepted(
                f"variant-{NAMES[variant]}",
                f"two messages in the variant {NAMES[variant]}, each with an empty history",
                ("15.3", "8.3.3"),
                key_of(pairs[0]),
                *sent,
            )
        )
    packed = Chain(
        ROWS,
        tuple(replace(frame, raw="zstd", integer="zstd") for frame in PLAIN.frames[:2]),
    )
    digests = [with_digests(sent) for sent in all_of(PLAIN)[:2]]
    origins = (3, 2, 1, 0, 0)
    wide = Chain(
        (A,),
        (
            key(Cell(RAW, _A0)),
            delta(
                Cell(INTEGER, b"".join(_A1[12 * k : 12 * k + 12] for k in origins), (5, 3)),
                maps=(SliceMap((0,), origins),),
            ),
        ),
    )
    return [
        *made,
        accepted("zstd", "messages in the coding zstd", ("15.3", "6.3.2"), *all_of(packed)),
        accepted("digests", "messages with digests of their tensors", ("15.3", "6.2.5"), *digests),
        accepted(
            "slices",
            "a delta message whose slices come from others",
            ("15.3", "6.2.6"),
            key_of(wide),
            delta_of(wide),
        ),
    ]


def cases() -> list[Case]:
    """Return the messages that are applied."""
    return [*_states(), *_new_tensors(), *_keys(), *_rows(), *_orders(), *_shapes(), *_codings()]
