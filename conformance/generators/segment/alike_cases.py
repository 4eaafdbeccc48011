"""Vectors of chapters 6, 7 and 10 for errors in one case among several that look alike.

Each one is failed by a program of ``selftest/programs/typescript_later.toml`` that no other vector
fails.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from arithmetic.arithmetic_cases import STORED, coded, training_chain
from bases import PAIR
from cases import Case
from chain import KEY, RAW, Cell, Chain, Edits, Frame, Row
from model.model_cases import SEED
from writers.stream_writer import stored_zstd

from segment.segment_cases import (
    LENGTH,
    MISSING,
    SURPLUS,
    digest_of_all,
    drop,
    put,
    segment_case,
    streams,
)
from segment.segment_cases import cases as segment_cases

if TYPE_CHECKING:
    from chain import Streams


def _ended_in_zero() -> Case:
    """Return PAIR with a key frame whose last raw byte is 0."""
    key = PAIR.chain.frames[0]
    cells = [cell for cell in key.cells if cell is not None]
    last = replace(cells[-1], data=cells[-1].data[:-1] + b"\0")
    chain = replace(PAIR.chain, frames=(replace(key, cells=(*cells[:-1], last)),))
    return PAIR.vary(
        "06-segment/raw-zero-last", "a raw stream can end in a zero byte", "6.2.4", chain=chain
    )


def _names_apart() -> list[Case]:
    """Return the cases of two rows of one name with a row of another name between them."""
    rows = (Row("a", "U8", (2,)), Row("b", "U8", (2,)), Row("a", "I8", (2,)))
    data = [Cell(RAW, bytes((i, i + 5))) for i in range(3)]
    base = Case(
        "06-segment/names-apart",
        "of two rows of one name one is absent, and a row of another name is between them",
        ("6.2.2",),
        Chain(rows, (Frame(KEY, (data[0], data[1], None)),)),
        seed=SEED,
    )
    all_three = Chain(rows, (Frame(KEY, tuple(data)),))
    twice = segment_case(
        "name-twice-apart",
        "a state with a name twice, a row of another name between them,",
        "6.2.2",
        "segment/name-twice",
        Edits(digests=lambda _: [digest_of_all(all_three)]),
        base,
        0,
        chain=all_three,
    )
    return [base, twice]


def _other_digest(digests: list[bytes]) -> list[bytes]:
    return [digests[0], bytes([digests[1][0] ^ 1]) + digests[1][1:]]


def _twice(made: Streams) -> Streams:
    return {**made, "integer.zstd": stored_zstd(made["integer"])}


def cases() -> list[Case]:
    """Return the cases."""
    still = next(c for c in segment_cases() if c.id == "06-segment/all-skipped")
    zero = _ended_in_zero()
    coder = Case(
        "10-profiles/main-nmc-integer",
        "a Main package with a stream of the arithmetic coder",
        ("10.1",),
        coded(training_chain((Row("a", "F32", (3, 8)),), 2, 29), [STORED] * 2),
        seed=SEED,
    )
    return [
        zero,
        segment_case(
            "raw-short",
            "a raw stream with a byte too few",
            "6.2.4",
            LENGTH,
            streams(lambda made: {**made, "raw": made["raw"][:-1]}, 0),
            zero,
            0,
        ),
        segment_case(
            "modes-missing-key",
            "a key frame without modes",
            "6.2.1",
            MISSING,
            drop("modes", 0),
            frame=0,
        ),
        *_names_apart(),
        segment_case(
            "integer-surplus",
            "a stream of differences that no tensor uses",
            "6.2.1",
            SURPLUS,
            put("integer", b"\0"),
            still,
        ),
        segment_case(
            "integer-twice",
            "a stream of differences in two codings",
            "6.2.1",
            (SURPLUS, "profile/coding-refused"),
            streams(_twice),
        ),
        still.reject(
            "07-decoding/digest-unchanged",
            "a frame that changes nothing and has another digest is rejected",
            "7.2.3",
            "decoding/state-digest-mismatch",
            Edits(digests=_other_digest),
            stage="frame",
            frame=1,
        ),
        coder,
        coder.reject(
            "10-profiles/baseline-nmc-integer",
            "a stream of the arithmetic coder in a Baseline package is rejected",
            "10.1",
            "profile/coding-refused",
            stage="frame",
            frame=1,
            chain=replace(coder.chain, profile="baseline"),
        ),
    ]
