"""Vectors of clauses 6.2.1 and 6.2.2: streams and modes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bases import GROUPS, PAIR
from cases import Case
from chain import (
    ABSENT,
    DELTA,
    INTEGER,
    KEY,
    NO_EDITS,
    RAW,
    SKIP,
    Cell,
    Chain,
    Edits,
    Frame,
    Row,
)
from model.model_cases import SEED, random_bytes
from writers.package_writer import framed, le32, tensor_preimage

if TYPE_CHECKING:
    from collections.abc import Callable

    from chain import Objects, Streams

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


def digest_of_all(chain: Chain) -> bytes:
    """Return the state digest of a key frame with an entry for each row, of one name or not."""
    entries = []
    for row, cell in sorted(
        zip(chain.rows, chain.frames[0].cells, strict=True), key=lambda pair: pair[0].name
    ):
        assert cell is not None
        preimage = tensor_preimage(row.dtype, row.shape, cell.data)
        entries.append(framed(row.name.encode()) + hashlib.sha256(preimage).digest())
    assert entries == sorted(entries)  # so that readers who sort by name alone agree
    return hashlib.sha256(b"nmc state 1\0" + le32(len(entries)) + b"".join(entries)).digest()


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
            "modes in a coding, too,",
            table,
            "segment/stream-unknown",
            streams(lambda s: {**s, "modes.zstd": s["modes"]}),
        ),
        segment_case(
            "modes-missing", "a segment without modes", table, MISSING, drop("modes"), still
        ),
        segment_case(
            "raw-missing",
            "a segment whose raw stream is missing",
            table,
            MISSING,
            drop("raw"),
            chain=zeros(RAW),
        ),
        segment_case(
            "integer-missing",
            "a segment whose differences are missing",
            table,
            MISSING,
            drop("integer"),
            chain=zeros(INTEGER),
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
            streams(lambda made: {**made, "modes": made["modes"][:-1]}),
            chain=without(PAIR.chain, 1, 3),
        ),
        segment_case(
            "modes-long",
            "modes with a row too many",
            ("6.2.2", "7.1.2"),
            LENGTH,
            modes(INTEGER, SKIP, RAW, INTEGER, ABSENT),
        ),
    ]


def zeros(mode: int) -> Chain:
    """Return a pair whose second frame is the same to one who takes a missing stream for zeros."""
    first, second = PAIR.chain.frames
    cells = []
    for before, cell in zip(first.cells, second.cells, strict=True):
        assert before is not None
        assert cell is not None
        same = bytes(len(cell.data)) if mode == RAW else before.data
        cells.append(replace(cell, data=same) if cell.mode == mode else cell)
    return replace(PAIR.chain, frames=(first, replace(second, cells=tuple(cells))))


def without(chain: Chain, t: int, row: int) -> Chain:
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
    key = without(PAIR.chain, 0, 1)
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
    reference = "segment/mode-reference"
    keyed = "segment/mode-key-frame"

    def kept(mode: int) -> Chain:
        """Return two groups with this mode in the second key frame, as if it were a delta frame."""
        frames = list(GROUPS.chain.frames)
        before, cells = frames[2].cells[1], list(frames[3].cells)
        assert before is not None
        cells[1] = Cell(mode, before.data)
        frames[3] = replace(frames[3], cells=tuple(cells))
        return replace(GROUPS.chain, frames=tuple(frames))

    def appearing() -> Chain:
        """Return the pair with a row that has a difference, to nothing, in its second frame."""
        cell = absent.chain.frames[0]
        second = PAIR.chain.frames[1]
        cells = list(second.cells)
        cells[1] = Cell(INTEGER, random_bytes(12))
        return replace(PAIR.chain, frames=(cell, replace(second, cells=tuple(cells))))

    both = replace(two, frames=(Frame(KEY, (two.frames[0].cells[0], Cell(RAW, bytes(range(4))))),))
    return [
        absent,
        types,
        segment_case(
            "mode-unknown", "a mode of 6", clause, "segment/mode", modes(INTEGER, 6, RAW, INTEGER)
        ),
        segment_case(
            "mode-255", "a mode of 255", clause, "segment/mode", modes(INTEGER, 255, RAW, INTEGER)
        ),
        segment_case(
            "mode-skip-in-key",
            "a skipped tensor in a key frame",
            clause,
            keyed,
            NO_EDITS,
            GROUPS,
            3,
            chain=kept(SKIP),
        ),
        segment_case(
            "mode-integer-in-key",
            "a difference in a key frame",
            clause,
            keyed,
            NO_EDITS,
            GROUPS,
            3,
            chain=kept(INTEGER),
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
            NO_EDITS,
            absent,
            chain=appearing(),
        ),
        segment_case(
            "name-twice",
            "a state with a name twice",
            clause,
            "segment/name-twice",
            NO_EDITS,
            types,
            frame=0,
            chain=both,
        ),
        segment_case(
            "name-twice-counted",
            "a state with a name twice, whose digest has both tensors,",
            clause,
            "segment/name-twice",
            Edits(digests=lambda _: [digest_of_all(both)]),
            types,
            frame=0,
            chain=both,
        ),
        segment_case(
            "state-bytes",
            "a state of other bytes than the manifest says",
            ("6.2.3", "7.1.2"),
            "segment/state-bytes",
            Edits(objects=_more_bytes),
            frame=1,
        ),
    ]


def _more_bytes(objects: Objects) -> Objects:
    """Have the manifest say a byte more of the last state than it has."""
    column = objects["/frames/state_bytes"].copy()
    column[-1] += 1
    return {**objects, "/frames/state_bytes": column}


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_streams(), *_modes()]
