"""Vectors of clauses 8.3.4, 8.4.3, 8.5 and 8.6: payloads that are malformed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Frame, Row
from segment.segment_cases import streams
from writers.package_writer import count

from arithmetic import coder_static
from arithmetic.arithmetic_cases import (
    ADAPTIVE,
    CLAUSES,
    MIXED,
    NAMES,
    STATIC,
    STORED,
    STREAM,
    arithmetic_case,
    coded,
    training_chain,
)
from arithmetic.coder_static import Faults
from arithmetic.coder_words import History, coded_tensor
from arithmetic.payload_fields import (
    StaticParts,
    edited,
    with_first_count_of,
    with_raw,
    with_words,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Case

CODER = "segment/coder"


def _damaged() -> list[Case]:
    """Return payloads with one fault in their structure (clause 8.3.4 and those it names)."""
    bases = {
        v: arithmetic_case(
            f"{name}-small",
            f"a small payload of the {name} variant",
            CLAUSES[v],
            coded(training_chain((Row("a", "F32", (3, 8)),), 2, 29), [v] * 2),
        )
        for v, name in enumerate(NAMES)
    }

    def bad(v: int, name: str, what: str, clause: str, change: Callable[[bytes], bytes]) -> Case:
        edits = streams(lambda made: {**made, STREAM: change(made[STREAM])})
        return bases[v].reject(
            f"08-arithmetic/{NAMES[v]}-{name}",
            f"{what} is rejected",
            clause,
            (CODER, "decoding/state-digest-mismatch"),
            edits,
            stage="frame",
            frame=1,
        )

    made = list(bases.values())
    made += [
        bad(STORED, "variant-6", "a variant of 6", "8.3.2", lambda d: b"\x06" + d[1:]),
        bad(STORED, "no-bytes", "a payload of no bytes", "8.3.2", lambda _: b""),
        bad(STORED, "variant-255", "a variant of 255", "8.3.2", lambda d: b"\xff" + d[1:]),
    ]
    for v, name in enumerate(NAMES):
        what = f"a payload of the {name} variant"
        made += [
            bad(v, "cut", f"{what} without its last byte", "8.3.4", lambda d: d[:-1]),
            bad(v, "byte-after", f"{what} with a byte too many", "8.3.4", lambda d: d + b"\0"),
            bad(
                v,
                "variant-only",
                f"{what} that ends after its first byte",
                "8.3.4",
                lambda d: d[:1],
            ),
        ]
    huge = b"\xff" * 8 + b"\x7f"
    for v in (STATIC, ADAPTIVE, MIXED):
        made += [
            bad(
                v,
                "count-huge",
                f"a count of 2^63 - 1 in a {NAMES[v]} payload",
                "8.3.4",
                lambda d: d[:1] + huge + d[2:],
            ),
            bad(
                v,
                "count-long",
                f"a count of ten bytes in a {NAMES[v]} payload",
                "8.3.2",
                lambda d: with_first_count_of(d, 10),
            ),
        ]
    for v in (ADAPTIVE, MIXED):
        made += [
            bad(
                v,
                "words-more",
                f"a {NAMES[v]} payload with a code word too many",
                "8.5.2",
                with_words(b"\0\0"),
            ),
            bad(
                v,
                "words-one",
                f"a {NAMES[v]} payload of one code word",
                "8.5.1",
                lambda d: d[:1] + count(1) + count(0) + b"\x12\x34",
            ),
            bad(
                v,
                "raw-more",
                f"a {NAMES[v]} payload with a byte of raw bits too many",
                "8.4.3",
                with_raw(b"\0"),
            ),
        ]
    made += [
        bad(
            STATIC,
            "words-more",
            "a static payload with a code word too many",
            "8.6.4",
            lambda d: edited(d, code=4),
        ),
        bad(
            STATIC,
            "words-fewer",
            "a static payload without its last code word",
            "8.6.4",
            lambda d: edited(d, code=-4),
        ),
        bad(
            STATIC,
            "raw-more",
            "a static payload with a byte of raw bits too many",
            "8.4.3",
            lambda d: edited(d, raw=1),
        ),
        bad(
            STATIC,
            "tables-end",
            "a static payload whose tables end behind the last context",
            "8.6.3",
            lambda _: _static(Faults(end=193)),
        ),
        bad(
            STATIC,
            "tables-byte-after",
            "a static payload with a byte of tables too many",
            "8.6.3",
            lambda d: edited(d, tables=1),
        ),
        bad(
            STATIC,
            "state",
            "a static payload whose lane does not end at 2^20",
            "8.6.4",
            lambda _: _static(Faults(state=(1 << 20) + 1)),
        ),
        bad(
            STATIC,
            "tables",
            "a static payload whose tables run out of bits",
            "8.6.3",
            _static_tables,
        ),
        bad(
            STATIC,
            "tables-unknown",
            "a static payload with a context whose table there is none of",
            "8.6.3",
            lambda _: _static(Faults(unknown=True)),
        ),
        bad(
            STATIC,
            "head-kind-4",
            "a static payload with a head of kind 4",
            "8.6.1",
            lambda _: _static(Faults(kind=4)),
        ),
        bad(
            STATIC,
            "head-cut",
            "a static payload that ends within the offsets of a head",
            "8.3.4",
            lambda _: _static(Faults(kind=3))[:7],
        ),
        bad(
            STATIC,
            "lane-low",
            "a static payload whose lane begins below 2^20",
            "8.6.4",
            lambda _: _static(Faults(early=True)),
        ),
    ]
    return made


def _loose() -> list[Case]:
    """Return payloads with long counts, which are read, and with bits left over, which are 0."""
    chain = training_chain((Row("a", "F32", (3, 8)),), 2, 29)
    made = []
    for v in (STATIC, ADAPTIVE, MIXED):
        base = arithmetic_case(f"{NAMES[v]}-small", "", CLAUSES[v], plain := coded(chain, [v] * 2))
        filled = coded(chain, [v] * 2, 1)
        one, other = (c.frames[1].payloads[STREAM] for c in (plain, filled))
        assert one[-1] != other[-1], "the raw bits fill their last byte"
        end = 0
        if v == STATIC:
            parts = StaticParts.of(one)
            end = len(one) - len(parts.lane + parts.code + parts.raw) - 1
            assert one[end] != other[end], "the tables fill their last byte"
        made += [
            _bits_set(base, v, "raw", end=len(one) - 1, other=other),
            *([_bits_set(base, v, "tables", end=end, other=other)] if v == STATIC else []),
            base.vary(
                f"08-arithmetic/{NAMES[v]}-count-padded",
                f"a count of a {NAMES[v]} payload can have more bytes than it needs",
                "8.3.2",
                streams(lambda made: {**made, STREAM: with_first_count_of(made[STREAM], 9)}),
            ),
        ]
    return [*made, *_offset_bits(), *_lane_high()]


def _offset_bits() -> list[Case]:
    """Return offsets of an odd number of columns and lines, and bits that are left over."""
    row = Row("a", "F32", (3, 9))
    before, after = (frame.cells[0] for frame in training_chain((row,), 2, 29).frames)
    assert before is not None
    assert after is not None
    tensors = [coded_tensor(0, row.dtype, row.shape, before.data, after.data)]
    one = bytes([STATIC]) + coder_static.encode(tensors, History(), Faults(kind=3))
    frames = (
        Frame(KEY, (Cell(RAW, before.data),)),
        Frame(DELTA, (Cell(INTEGER, after.data),), integer="nmc", payloads={STREAM: one}),
    )
    base = arithmetic_case(
        "static-offsets-odd",
        "offsets of odd numbers of columns and lines",
        ("8.6.1",),
        Chain((row,), frames, profile="main"),
    )
    # behind the variant and a count of one byte: kind, scale, five bytes of columns, two of lines
    assert one[1] < 128
    made = [base]
    for what, end in (("columns", 2 + 3 + 4), ("lines", 2 + 3 + 5 + 1)):
        assert one[end] < 16
        other = one[:end] + bytes([one[end] | 0x80]) + one[end + 1 :]
        edits = streams(lambda made, other=other: {**made, STREAM: other})
        made.append(
            base.reject(
                f"08-arithmetic/static-offsets-bits-set-{what}",
                f"bits left over behind the offsets of {what} that are not 0 are rejected",
                "8.6.1",
                CODER,
                edits,
                stage="frame",
                frame=1,
            )
        )
    return made


def _bits_set(base: Case, v: int, what: str, *, end: int, other: bytes) -> Case:
    """Return the case of a payload with one byte, the last of a field, as another one has it."""

    def change(data: bytes) -> bytes:
        return data[:end] + other[end : end + 1] + data[end + 1 :]

    return base.reject(
        f"08-arithmetic/{NAMES[v]}-{what}-bits-set",
        f"bits left over in the {what} of a {NAMES[v]} payload that are not 0 are rejected",
        "8.4.3" if what == "raw" else "8.6.3",
        CODER,
        streams(lambda made: {**made, STREAM: change(made[STREAM])}),
        stage="frame",
        frame=1,
    )


def _static(faults: Faults) -> bytes:
    """Return the small static payload with a fault of its encoder."""
    row = Row("a", "F32", (3, 8))
    before, after = (frame.cells[0] for frame in training_chain((row,), 2, 29).frames)
    assert before is not None
    assert after is not None
    tensors = [coded_tensor(0, row.dtype, row.shape, before.data, after.data)]
    return bytes([STATIC]) + coder_static.encode(tensors, History(), faults)


def _lane_high() -> list[Case]:
    """Return a payload whose lane begins as it is before it writes its last code word."""
    for n in range(20, 200):
        chain = training_chain((Row("a", "F32", (n,)),), 2, n)
        before, after = (frame.cells[0] for frame in chain.frames)
        assert before is not None
        assert after is not None
        tensors = [coded_tensor(0, "F32", (n,), before.data, after.data)]
        right, late = (
            bytes([STATIC]) + coder_static.encode(tensors, History(), Faults(kind=0, late=late))
            for late in (False, True)
        )
        if right != late and StaticParts.of(late).lane[-1] < 0xFF:
            break
    assert right != late
    second = replace(chain.frames[1], integer="nmc", payloads={STREAM: right})
    base = arithmetic_case(
        "static-lane-right",
        "a lane that has written a code word in its last run",
        ("8.6.4",),
        replace(chain, frames=(chain.frames[0], second), profile="main"),
    )
    return [
        base,
        base.reject(
            "08-arithmetic/static-lane-high",
            "a lane that begins at 2^52 or above is rejected",
            "8.6.4",
            CODER,
            streams(lambda made: {**made, STREAM: late}),
            stage="frame",
            frame=1,
        ),
    ]


def _static_tables(data: bytes) -> bytes:
    parts = StaticParts.of(data)
    return replace(parts, tables=bytes(len(parts.tables))).data()


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_damaged(), *_loose()]
