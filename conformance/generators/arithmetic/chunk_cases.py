"""Vectors of clauses 8.6 and 8.7 that misreadings asked for: chunks, lanes, chances kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Frame, Row
from segment.segment_cases import streams
from writers.package_writer import count

from arithmetic import coder_sparse
from arithmetic.arithmetic_cases import STATIC, STREAM, arithmetic_case, coded
from arithmetic.coder_sparse import stored
from arithmetic.coder_static import CONTEXTS, FIRST, NONE, put_tables
from arithmetic.payload_cases import CODER
from arithmetic.sparse_chain import moved_words, sparse_chain, weights
from arithmetic.variant_cases import chunks

if TYPE_CHECKING:
    from cases import Case

    from arithmetic.coder_sparse import Body
    from arithmetic.coder_words import CodedTensor, History


def _bits_of_a_chunk() -> list[Case]:
    """Return a tensor of two chunks, with a bit set behind the raw bits of the first one."""
    chain, variants = chunks({"U8": 65536 + 5}, 1), [None, 1]
    plain = coded(chain, variants)
    filled = coded(chain, variants, 1).frames[1].payloads[STREAM]
    data = plain.frames[1].payloads[STREAM]
    places = [i for i, (a, b) in enumerate(zip(data, filled, strict=True)) if a != b]
    at = places[1]  # behind that of the tables
    wrong = data[:at] + filled[at : at + 1] + data[at + 1 :]
    right = replace(
        arithmetic_case(
            "static-chunk-and-more", "a tensor of a chunk and five words", ("8.6.1",), plain
        ),
        inflate=True,
    )
    return [
        right,
        right.reject(
            "08-arithmetic/static-raw-bits-set-within",
            "bits left over in the raw bits of a chunk that is not the last are rejected",
            "8.4.3",
            CODER,
            streams(lambda made: {**made, STREAM: wrong}),
            stage="frame",
            frame=1,
        ),
    ]


def _lines_over_chunks() -> Case:
    """Return a tensor whose lines go on from one chunk to the next, with an offset for each."""
    lines, columns = 258, 257
    old = np.full((lines, columns), 100, "u1")
    new = old.copy()
    new[: lines // 2, ::3] += 1
    new[lines // 2 :, ::2] += 60
    frames = (
        Frame(KEY, (Cell(RAW, old.tobytes()),), raw="zstd"),
        Frame(DELTA, (Cell(INTEGER, new.tobytes()),)),
    )
    chain = Chain((Row("u", "U8", (lines, columns)),), frames)
    made = arithmetic_case(
        "static-lines-over-chunks",
        "the offsets of lines go on in the second chunk of a tensor",
        ("8.6.1", "8.6.2"),
        coded(chain, [None, 1]),
    )
    return replace(made, inflate=True)


def _lane_bounds() -> list[Case]:
    """Return four words that a lane from 2^20 on decodes, and one that begins with 2^52."""
    tables = put_tables([0] * CONTEXTS, [{18: 4, 19: 1020}], NONE)

    def chain(lane: int, code: bytes) -> Chain:
        sizes = count(len(code) // 4) + count(0)
        head = bytes(3) + sizes
        body = count(len(tables)) + head + tables + lane.to_bytes(7, "little") + code
        frames = (
            Frame(KEY, (Cell(RAW, bytes([7, 0, 200, 31])),)),
            Frame(
                DELTA,
                (Cell(INTEGER, bytes([8, 1, 201, 32])),),
                integer="nmc",
                payloads={STREAM: bytes([STATIC]) + body},
            ),
        )
        return Chain((Row("a", "U8", (4,)),), frames, profile="main")

    right = arithmetic_case(
        "static-lane-lowest", "a lane that begins with 2^20", ("8.6.4",), chain(FIRST, bytes(4))
    )
    wrong = right.reject(
        "08-arithmetic/static-lane-limit",
        "a lane that begins with 2^52 is rejected, though all that follows is right",
        "8.6.4",
        CODER,
        chain=chain(1 << 52, b""),
        stage="frame",
        frame=1,
    )
    return [right, wrong]


def _chances_kept() -> Case:
    """Return tensors of which the last two have the chances of the first one."""
    rows = [
        Row("a", "F32", (40,)),
        Row("still", "F32", (12,)),
        Row("whole", "U8", (6,)),
        Row("octets", "U8", (60,)),
        Row("e", "F32", (50,)),
    ]
    floats = {0: (40, (3, 9, 10)), 1: (12, ()), 4: (50, (0, 20, 21, 22, 49))}
    words = {k: weights(n, 80 + k) for k, (n, _) in floats.items()}
    octets = {2: np.arange(6, dtype="u1"), 3: np.arange(60, dtype="u1")}
    after = {2: octets[2] + 3, 3: octets[3].copy()}
    after[3][[5, 6, 40]] += 9
    states = [
        [(words | octets)[k].tobytes() for k in range(5)],
        [
            after[k].tobytes() if k in after else moved_words(words[k], floats[k][1], 85 + k)
            for k in range(5)
        ],
    ]

    def body(tensors: list[CodedTensor], history: History) -> Body:
        return coder_sparse.body(tensors, history, (1, 1, 0, 1, 1), first=110, shared=True)

    return arithmetic_case(
        "sparse-chances-kept",
        "chances hold over tensors without live cells, with all words, and of another word format",
        ("8.7.3",),
        sparse_chain(rows, states, [body]),
    )


def _stored_ways() -> Case:
    """Return a frame after one whose inner payload is of variant 0."""
    words = weights(60, 88)
    states = [[words.tobytes()]]
    for t, live in enumerate(((3, 9, 30, 31), (3, 10, 30, 44), (9, 10, 31))):
        states.append([moved_words(np.frombuffer(states[-1][0], "<f4"), live, 89 + t)])

    def plain(tensors: list[CodedTensor], history: History) -> Body:
        return coder_sparse.body(tensors, history, encode_inner=stored)

    return arithmetic_case(
        "sparse-inner-in-turn",
        "after an inner payload of variant 0 the ways of live words are not known",
        ("8.7.1", "8.7.3"),
        sparse_chain(
            [Row("a", "F32", (60,))], states, [plain, coder_sparse.body, coder_sparse.body]
        ),
    )


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [
        *_bits_of_a_chunk(),
        _lines_over_chunks(),
        *_lane_bounds(),
        _chances_kept(),
        _stored_ways(),
    ]
