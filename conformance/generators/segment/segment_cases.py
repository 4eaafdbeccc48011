"""Vectors of clause 6.2: streams, modes and shapes."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bases import PAIR
from cases import Case
from chain import (
    ABSENT,
    DELTA,
    INTEGER,
    KEY,
    RAW,
    SKIP,
    Cell,
    Chain,
    Edits,
    Frame,
    Row,
    shape_record,
)
from model.model_cases import SEED, random_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from chain import Streams

MISSING, SURPLUS = "segment/stream-missing", "segment/stream-surplus"
LENGTH, SHAPES = "segment/stream-length", "segment/shapes"


def streams(change: Callable[[Streams], Streams], t: int = 1) -> Edits:
    """Return the edit that changes the streams of a frame."""
    return Edits(streams={t: change})


def put(name: str, data: bytes, t: int = 1) -> Edits:
    """Return the edit that puts a stream in place."""
    return streams(lambda made: {**made, name: data}, t)


def drop(name: str, t: int = 1) -> Edits:
    """Return the edit that takes a stream away."""
    return streams(lambda made: {key: data for key, data in made.items() if key != name}, t)


def modes(*values: int, t: int = 1, **changes: bytes) -> Edits:
    """Return the edit that sets the modes of a frame."""
    return streams(lambda made: {**made, "modes": bytes(values), **changes}, t)


def segment_case(
    name: str,
    what: str,
    clauses: str | tuple[str, ...],
    codes: str | tuple[str, ...],
    edits: Edits,
    base: Case = PAIR,
    frame: int = 1,
    **more: Any,
) -> Case:
    """Return the case of a package with one fault in the segment of a frame."""
    return base.reject(
        f"06-segment/{name}",
        f"{what} is rejected",
        clauses,
        codes,
        edits,
        stage="frame",
        frame=frame,
        **more,
    )


def _streams() -> list[Case]:
    table = "6.2.1"
    longer = streams(lambda made: {**made, "integer": made["integer"] + b"\0"})
    shorter = streams(lambda made: {**made, "integer": made["integer"][:-1]})
    raw_longer = streams(lambda made: {**made, "raw": made["raw"] + b"\0"}, 0)
    twice = streams(lambda made: {**made, "raw.zstd": made["raw"]})
    nothing = replace(
        PAIR.chain,
        frames=(
            PAIR.chain.frames[0],
            Frame(
                DELTA,
                tuple(Cell(SKIP, c.data) for c in PAIR.chain.frames[0].cells if c is not None),
            ),
        ),
    )
    still = Case(
        "06-segment/all-skipped",
        "a delta frame that skips every tensor has one stream",
        ("6.2.1", "6.2.2"),
        nothing,
        seed=SEED,
    )
    return [
        still,
        segment_case(
            "stream-unknown",
            "a stream of another name",
            table,
            "segment/stream-unknown",
            put("extra", b"\0"),
        ),
        segment_case(
            "stream-coding-unknown",
            "a stream of an unknown coding",
            table,
            "segment/stream-unknown",
            streams(lambda s: {**s, "raw.gzip": s["raw"]}),
        ),
        segment_case(
            "stream-modes-coded",
            "modes in a coding",
            table,
            ("segment/stream-unknown", MISSING),
            streams(lambda s: {"modes.zstd" if n == "modes" else n: d for n, d in s.items()}),
        ),
        segment_case("modes-missing", "a segment without modes", table, MISSING, drop("modes")),
        segment_case(
            "raw-missing", "a segment whose raw stream is missing", table, MISSING, drop("raw")
        ),
        segment_case(
            "integer-missing",
            "a segment whose differences are missing",
            table,
            MISSING,
            drop("integer"),
        ),
        segment_case(
            "raw-surplus",
            "a raw stream that no tensor uses",
            table,
            SURPLUS,
            put("raw", b"\0"),
            still,
        ),
        segment_case(
            "raw-empty", "a raw stream without bytes", table, SURPLUS, put("raw", b""), still
        ),
        segment_case(
            "raw-twice",
            "a raw stream in two codings",
            table,
            (SURPLUS, "profile/coding-refused"),
            twice,
        ),
        segment_case(
            "raw-long", "a raw stream with a byte too many", "6.2.4", LENGTH, raw_longer, frame=0
        ),
        segment_case("integer-long", "differences with a byte too many", "6.2.4", LENGTH, longer),
        segment_case("integer-short", "differences with a byte too few", "6.2.4", LENGTH, shorter),
        segment_case(
            "modes-short",
            "modes with a row too few",
            ("6.2.2", "7.1.2"),
            LENGTH,
            modes(INTEGER, SKIP, RAW),
        ),
        segment_case(
            "modes-long",
            "modes with a row too many",
            ("6.2.2", "7.1.2"),
            LENGTH,
            modes(INTEGER, SKIP, RAW, INTEGER, ABSENT),
        ),
    ]


def _without(chain: Chain, t: int, row: int) -> Chain:
    """Return a chain without a tensor in a frame and after it."""
    frames = tuple(
        replace(f, cells=tuple(None if i == row else c for i, c in enumerate(f.cells)))
        if s >= t
        else f
        for s, f in enumerate(chain.frames)
    )
    return replace(chain, frames=frames)


def _modes() -> list[Case]:
    """Return faults of modes; the other streams fit the modes that are there."""
    clause = ("6.2.2", "7.1.2")
    key = _without(PAIR.chain, 0, 1)
    absent = Case(
        "06-segment/absent-row",
        "a row can be absent from the key frame on",
        ("6.2.2",),
        key,
        seed=SEED,
    )
    two = Chain(
        (Row("a", "F32", (2,)), Row("a", "F16", (2,))),
        (Frame(KEY, (Cell(RAW, random_bytes(8)), None)),),
    )
    types = Case(
        "06-segment/two-types", "of two rows of one name one is present", ("6.2.2",), two, seed=SEED
    )
    first = bytes(c.mode for c in PAIR.chain.frames[0].cells if c is not None)
    reference = "segment/mode-reference"
    keyed = "segment/mode-key-frame"
    size = 12
    return [
        absent,
        types,
        segment_case(
            "mode-unknown", "a mode of 4", clause, "segment/mode", modes(INTEGER, 4, RAW, INTEGER)
        ),
        segment_case(
            "mode-255", "a mode of 255", clause, "segment/mode", modes(INTEGER, 255, RAW, INTEGER)
        ),
        segment_case(
            "mode-skip-in-key",
            "a skipped tensor in a key frame",
            clause,
            keyed,
            streams(
                lambda s: {
                    "modes": bytes((RAW, SKIP)) + first[2:],
                    "raw": s["raw"][:24] + s["raw"][36:],
                },
                0,
            ),
            frame=0,
        ),
        segment_case(
            "mode-integer-in-key",
            "a difference in a key frame",
            clause,
            keyed,
            streams(
                lambda s: {
                    "modes": bytes((RAW, INTEGER)) + first[2:],
                    "integer": s["raw"][24:36],
                    "raw": s["raw"][:24] + s["raw"][36:],
                },
                0,
            ),
            frame=0,
        ),
        segment_case(
            "mode-skip-absent",
            "a skipped tensor that was absent before",
            clause,
            reference,
            modes(INTEGER, SKIP, RAW, INTEGER),
            absent,
        ),
        segment_case(
            "mode-integer-absent",
            "a difference to a tensor that was absent before",
            clause,
            reference,
            streams(
                lambda s: {
                    **s,
                    "modes": bytes((INTEGER, INTEGER, RAW, INTEGER)),
                    "integer": s["integer"][:24] + bytes(size) + s["integer"][24:],
                }
            ),
            absent,
        ),
        segment_case(
            "name-twice",
            "a state with a name twice",
            clause,
            "segment/name-twice",
            streams(lambda s: {"modes": bytes((RAW, RAW)), "raw": s["raw"] + bytes(4)}, 0),
            types,
            frame=0,
        ),
        segment_case(
            "state-bytes",
            "a state of other bytes than the manifest says",
            ("6.2.3", "7.1.2"),
            "segment/state-bytes",
            modes(INTEGER, ABSENT, RAW, INTEGER),
        ),
    ]


_SHAPED = Case(
    "06-segment/shapes",
    "two tensors have other shapes than the table",
    ("6.2.3",),
    Chain(
        (Row("a", "U8", (6,)), Row("b", "U8", (4,)), Row("c", "F4", (8,))),
        (
            Frame(
                KEY,
                (
                    Cell(RAW, random_bytes(6), (2, 3)),
                    Cell(RAW, random_bytes(4)),
                    Cell(RAW, random_bytes(4), (4, 2)),
                ),
            ),
        ),
    ),
    seed=SEED,
)


def _shapes() -> list[Case]:
    clause = ("6.2.3", "7.1.2")
    a, b, c = shape_record(0, (2, 3)), shape_record(1, (2, 2)), shape_record(2, (4, 2))

    def bad(name: str, what: str, data: bytes, codes: str | tuple[str, ...] = SHAPES) -> Case:
        return segment_case(
            f"shapes-{name}",
            f"in the stream of shapes, {what}",
            clause,
            codes,
            put("shapes", data, 0),
            _SHAPED,
            0,
        )

    later = Case(
        "06-segment/absent-later",
        "a row can be absent from frame 1 on",
        ("6.2.2",),
        _without(PAIR.chain, 1, 1),
        seed=SEED,
    )
    return [
        _SHAPED,
        later,
        bad("empty", "a stream of shapes without records", b"", (SURPLUS, SHAPES)),
        bad("cut", "a record that ends too early", a + c[:-8]),
        bad("odd-length", "a length that is no multiple of 8", a + c + b"\0"),
        bad("head-only", "a record without its rank", a + c[:8]),
        bad("rank-33", "a rank of 33", a + shape_record(2, (8, *(1,) * 31, 1))),
        bad("rank-huge", "a rank beyond the stream", a + struct.pack("<QQ", 2, 1 << 61)),
        bad("descending", "rows that do not ascend", c + a),
        bad("row-twice", "a row that has two records", a + a + c),
        bad("row-beyond", "a row beyond the table", a + c + shape_record(3, (1,))),
        bad(
            "repeats", "a record that repeats the shape of the table", a + shape_record(1, (4,)) + c
        ),
        bad("product", "a shape of 2^48 elements", shape_record(0, (1 << 24, 1 << 24)) + c),
        bad(
            "product-wraps",
            "a shape whose product wraps around in 64 bits",
            shape_record(0, (1 << 32, 1 << 32, 6)) + c,
        ),
        bad("bits", "a packed shape that does not fill its bytes", a + shape_record(2, (7,))),
        bad(
            "other-size",
            "a shape with other bytes than the state has",
            a + b + shape_record(2, (10,)),
            ("segment/state-bytes", LENGTH),
        ),
        segment_case(
            "shapes-not-raw",
            "a shape for a tensor that is skipped",
            clause,
            SHAPES,
            put("shapes", shape_record(1, (1, 3))),
            PAIR,
        ),
        segment_case(
            "shapes-integer",
            "a shape for a difference",
            clause,
            SHAPES,
            put("shapes", shape_record(0, (3, 2))),
        ),
        segment_case(
            "shapes-absent",
            "a shape for an absent tensor",
            clause,
            SHAPES,
            put("shapes", shape_record(1, (1, 3))),
            later,
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_streams(), *_modes(), *_shapes()]
