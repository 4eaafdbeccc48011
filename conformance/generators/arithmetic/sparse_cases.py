"""Vectors of clause 8.7: cells, chances and pieces of the sparse variant, and faults of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from cases import Case
from chain import DELTA, Chain, Frame, Row
from writers.package_writer import count

from arithmetic import coder_adaptive, coder_sparse
from arithmetic.arithmetic_cases import STREAM, arithmetic_case
from arithmetic.coder_sparse import Body, Cells, Look, stored
from arithmetic.coder_words import CodedTensor, History
from arithmetic.sparse_chain import moved_words, one_tensor, sparse_chain, weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CODER = "segment/coder"
CLAUSES = ("8.7.1", "8.7.2", "8.7.3", "8.7.4")


def _good(name: str, what: str, clauses: tuple[str, ...], chain: Chain) -> Case:
    return arithmetic_case(f"sparse-{name}", what, clauses, chain)


def _sizes() -> list[Case]:
    """Return cases of cells of many sizes, of tensors without words or live cells."""
    words = [weights(n, 50 + n) for n in (40, 40, 41, 1, 12)]
    rows = [
        Row("a", "F32", (40,)),
        Row("b", "F32", (8, 5)),
        Row("c", "F32", (41,)),
        Row("none", "F32", (0, 3)),
        Row("one", "F32", ()),
        Row("same", "F32", (12,)),
    ]
    live = ((3, 9, 10), (5, 6, 9, 39), (0, 40), (0,), ())
    states = [[w.tobytes() for w in words]]
    for t in range(2):
        after = [
            moved_words(np.frombuffer(d, "<f4"), i, 60 + t)
            for d, i in zip(states[-1], live, strict=True)
        ]
        states.append(after)
    states = [[*s[:3], b"", *s[3:]] for s in states]

    def sizes(*given: int) -> Callable[[list[CodedTensor], History], Body]:
        return lambda tensors, history: coder_sparse.body(tensors, history, given)

    return [
        _good(
            "cells",
            "cells of one word, of a row, of three words, of all; none is live, or there are none",
            CLAUSES,
            sparse_chain(rows, states, [sizes(1, 5, 3, 1, 1, 2), sizes(40, 1, 7, 1, 1, 12)]),
        ),
        _good(
            "all-words",
            "tensors whose cells are not looked at have all words in the inner payload",
            ("8.7.2", "8.7.1"),
            sparse_chain(rows, states, [sizes(0), sizes(0, 1)]),
        ),
    ]


def _same_words() -> Case:
    """Return a case of a live cell in which nothing changed."""
    words = weights(24, 41)
    rows = [Row("a", "F32", (24,))]

    def body(tensors: list[CodedTensor], history: History) -> Body:
        made = coder_sparse.body(tensors, history, (4,), live_of=lambda cells: [True] * len(cells))
        assert made.cells[0].live == [6]
        return made

    states = [[words.tobytes()]]
    states += [[moved_words(words, (3, 9), 43)], [moved_words(words, (3, 10), 44)]]
    return _good(
        "live-and-equal",
        "a cell can be live though all its words stay, and is not of the past then",
        ("8.7.1", "8.4.2", "8.7.3"),
        sparse_chain(rows, states, [body, coder_sparse.body]),
    )


def _chances() -> list[Case]:
    words = [weights(200, 70), weights(200, 71)]
    rows = [Row("a", "F32", (200,)), Row("b", "F32", (200,))]
    rng = np.random.default_rng(72)
    states = [[w.tobytes() for w in words]]
    for t in range(3):
        live = [sorted(rng.choice(200, 60, replace=False)) for _ in rows]
        states.append(
            [
                moved_words(np.frombuffer(d, "<f4"), i, 73 + t)
                for d, i in zip(states[-1], live, strict=True)
            ]
        )

    def shared(tensors: list[CodedTensor], history: History) -> Body:
        return coder_sparse.body(tensors, history, first=110, shared=True)

    def ends(first: int) -> Callable[[list[CodedTensor], History], Body]:
        return lambda tensors, history: coder_sparse.body(tensors, history, first=first)

    def steps(only: Sequence[int]) -> Callable[[list[CodedTensor], History], Body]:
        def chances_of(seen: Look) -> coder_sparse.Chances:
            made: coder_sparse.Chances = {}
            for k, (follows, past, octave) in enumerate(sorted(set(seen.places()))):
                made.setdefault((follows, past), {})[octave] = only[k % len(only)]
            return made

        return lambda tensors, history: coder_sparse.body(tensors, history, chances_of=chances_of)

    return [
        _good(
            "chances-shared",
            "chances of a tensor can hold for the next one too",
            ("8.7.3",),
            sparse_chain(rows, states, [shared] * 3),
        ),
        _good(
            "octaves",
            "exponents below the first octave and above the last one are in these",
            ("8.7.3",),
            sparse_chain(rows, states, [ends(121), ends(95), ends(65535)]),
        ),
        _good(
            "chances-bytes",
            "chances of every size, from 1 to 65535",
            ("8.7.3", "8.7.4"),
            sparse_chain(
                rows,
                states,
                [steps([1, 5, 8, 9, 60]), steps([128, 129, 255, 120]), steps([200, 240, 112, 17])],
            ),
        ),
    ]


def _pieces() -> list[Case]:
    """Return cases of tensors of more cells than a piece has."""
    piece = coder_sparse.PIECE
    cases = []
    for name, what, size, frames in (
        (
            "pieces",
            "a tensor of three pieces; in one of them no cell is live, and each begins anew",
            1,
            ((0, 7, piece - 1, piece + 3), (1, 2 * piece, 2 * piece + 3)),
        ),
        (
            "pieces-cells",
            "a piece is so many cells, not words",
            2,
            ((piece - 1, 2 * piece + 1), (piece + 1, piece + 2)),
        ),
    ):
        words = np.zeros(2 * piece + 5, "u1")
        rows = [Row("a", "U8", (words.size,))]
        states = [[words.tobytes()]]
        for t, live in enumerate(frames):
            words = words.copy()
            words[list(live)] += 1 + t
            states.append([words.tobytes()])

        def body(tensors: list[CodedTensor], history: History, size: int = size) -> Body:
            return coder_sparse.body(tensors, history, (size,))

        cases.append(_good(name, what, ("8.7.2", "8.7.4"), sparse_chain(rows, states, [body] * 2)))
    return cases


def _inner() -> list[Case]:
    chain, make = one_tensor(encode_inner=stored)
    base = _good("inner-stored", "an inner payload of variant 0", ("8.7.1",), chain)
    made = [base]
    for variant, name in ((2, "adaptive"), (3, "mixed")):

        def coded(inner: list[CodedTensor], inside: History, variant: int = variant) -> bytes:
            return bytes([variant]) + coder_adaptive.encode(inner, inside, variant)

        wrong, _ = one_tensor(encode_inner=coded)
        made.append(
            _reject(base, f"inner-{name}", f"an inner payload of variant {variant}", "8.7.1", wrong)
        )
    fifth, _ = one_tensor()
    odd = _good("inner-static", "an inner payload of variant 1", ("8.7.1",), fifth)
    five = one_tensor()[1](lambda body: Body(body.cells, b"\5" + body.inner[1:]))
    made += [
        odd,
        _reject(odd, "inner-as-variant-5", "an inner payload of variant 5", "8.7.1", five),
    ]
    nested = make(lambda body: Body(body.cells, b"\4" + body.inner))
    made.append(_reject(base, "inner-sparse", "a sparse payload in a sparse one", "8.7.1", nested))
    return made


def _reject(base: Case, name: str, what: str, clause: str, chain: Chain) -> Case:
    return base.reject(
        f"08-arithmetic/sparse-{name}",
        f"{what} is rejected",
        clause,
        (CODER, "decoding/state-digest-mismatch"),
        chain=chain,
        stage="frame",
        frame=1,
    )


def _faults() -> list[Case]:
    chain, make = one_tensor()
    base = _good("some", "some live cells of one word", CLAUSES, chain)

    def bad(name: str, what: str, clause: str, change: Callable[[Cells], None]) -> Case:
        def faulty(body: Body) -> None:
            change(body.cells[0])

        return _reject(base, name, what, clause, make(faulty))

    def size_of(value: int) -> Callable[[Cells], None]:
        return lambda cells: setattr(cells, "size", value)

    def live_of(value: int) -> Callable[[Cells], None]:
        return lambda cells: setattr(cells, "live", [value])

    def chances(change: Callable[[bytes], bytes]) -> Callable[[Cells], None]:
        return lambda cells: setattr(cells, "chances", change(cells.chances))

    def piece(**fields: object) -> Callable[[Cells], None]:
        def change(cells: Cells) -> None:
            for key, value in fields.items():
                old = getattr(cells.pieces[0], key)
                setattr(cells.pieces[0], key, value(old) if callable(value) else value)

        return change

    whole, _ = one_tensor(range(24), 24, sizes=(24,))
    all_in_one = _good("one-cell", "a cell of all words of a tensor", ("8.7.2",), whole)
    larger, _ = one_tensor(range(24), 24, sizes=(24,), claimed=25)
    made = [
        base,
        all_in_one,
        _reject(
            all_in_one, "size-more", "a cell of more words than its tensor has", "8.7.2", larger
        ),
        bad("size-huge", "a cell of 2^63 - 1 words", "8.7.2", size_of(2**63 - 1)),
        bad("live-more", "one live cell more than there are cells", "8.7.2", live_of(121)),
        bad("live-huge", "2^63 - 1 live cells", "8.7.2", live_of(2**63 - 1)),
        bad(
            "chances-none",
            "the chances of a tensor before that is not there",
            "8.7.3",
            chances(lambda _: b"\0"),
        ),
        bad("chances-two", "a field of chances that begins with 2", "8.7.3",
            chances(lambda d: b"\2" + d[1:])),
        bad("code-more", "a byte of code too many", "8.7.4", piece(code=lambda d: d + b"\0")),
        bad("code-fewer", "a code without its last byte, which is 0,", "8.7.4",
            piece(code=lambda d: d[:-1])),
        bad("code-huge", "a code of 2^63 - 1 bytes", "8.7.4", piece(size=2**63 - 1)),
    ]  # fmt: skip
    wrong, _ = one_tensor(last=coder_sparse.FIRST_LANE + 1)
    made.append(_reject(base, "lane-end", "a lane that does not end at 2^23", "8.7.4", wrong))
    made += _lanes(-8, "low", "below 2^23") + _lanes(1, "high", "at 2^31 or above")
    return [*made, *_octaves_beyond(), *_ends_early()]


def _lanes(shift: int, name: str, where: str) -> list[Case]:
    """Return cases of a lane that begins out of range, though all that follows is right."""
    for step in range(128, 0, -1):

        def same(seen: Look, step: int = step) -> coder_sparse.Chances:
            made: coder_sparse.Chances = {}
            for follows, past, octave in seen.places():
                made.setdefault((follows, past), {})[octave] = step
            return made

        wrong, _ = one_tensor(shift=shift, chances_of=same)
        data = wrong.frames[1].payloads[STREAM]
        lane = _lane_of(data)
        if lane < 1 << 23 or lane >= 1 << 31:
            right = _good(
                f"lane-{name}-right",
                f"a lane in its range, beside one {where}",
                ("8.7.4",),
                one_tensor(chances_of=same)[0],
            )
            return [
                right,
                _reject(right, f"lane-{name}", f"a lane that begins {where}", "8.7.4", wrong),
            ]
    raise AssertionError("no chance makes such a lane")


def _lane_of(data: bytes) -> int:
    """Return the lane of a payload of one tensor with one piece."""
    at = 3 + 1 + 2  # variant, cell size, live cells; field and first octave of chances
    for _ in range(6):
        at += 2 + data[at + 1]
    return int.from_bytes(data[at + 1 : at + 5], "little")


def _octaves_beyond() -> list[Case]:
    """Return cases of chances of octaves 1 to 31, and to 32."""
    ranges = {1: range(1, 32)}

    def with_ranges(given: Mapping[int, range]) -> Chain:
        return one_tensor(first=100, ranges=given)[0]

    base = _good("chances-all", "chances of octaves 1 to 31", ("8.7.3",), with_ranges(ranges))
    wrong = with_ranges({1: range(1, 33)})
    return [base, _reject(base, "chances-octave", "a chance of octave 32", "8.7.3", wrong)]


def _ends_early() -> list[Case]:
    """Return the case of a piece that ends before all its live cells are found."""
    chain, make = one_tensor((0,), 2, sizes=(1,), first=0, chances_of=lambda _: {(0, 1): {31: 90}})
    base = _good("first-alone", "of two cells the first one is live", ("8.7.4",), chain)

    def two(body: Body) -> None:
        body.cells[0].live = [2]

    wrong = _reject(base, "live-end", "a piece that ends before its live cells", "8.7.4", make(two))
    return [base, wrong]


def _padded() -> list[Case]:
    chain, _ = one_tensor()
    base = _good("some", "", CLAUSES, chain)

    def long(change: Callable[[bytes], bytes]) -> Chain:
        data = chain.frames[1].payloads[STREAM]
        assert data[1:2] == count(1)
        first, second = chain.frames
        payloads = {STREAM: change(data)}
        frames = (first, Frame(DELTA, second.cells, integer="nmc", payloads=payloads))
        return Chain(chain.rows, frames, profile="main")

    nine = long(lambda d: d[:1] + b"\x81" + b"\x80" * 7 + b"\0" + d[2:])
    ten = long(lambda d: d[:1] + b"\x81" + b"\x80" * 8 + b"\0" + d[2:])
    return [
        _good(
            "count-padded",
            "a count of a sparse payload can have more bytes than it needs",
            ("8.3.2",),
            nine,
        ),
        _reject(base, "count-long", "a count of ten bytes in a sparse payload", "8.3.2", ten),
    ]


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [
        *_sizes(),
        _same_words(),
        *_chances(),
        *_pieces(),
        *_inner(),
        *_faults(),
        *_padded(),
    ]
