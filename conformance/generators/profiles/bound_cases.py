"""Vectors of clause 10.2: every bound of every level that a package can reach, and one beyond."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from cases import Case
from chain import (
    DELTA,
    KEY,
    RAW,
    SKIP,
    Cell,
    Chain,
    Edits,
    Frame,
    Refinement,
    Row,
    objects_of,
    sealed,
    segment_name,
    state_digest,
    streams_of,
)
from columns import digest_rows
from model.model_cases import SEED
from segment.segment_cases import put
from writers import hdf5_writer, zip_writer
from writers.package_writer import segment
from writers.zstd_writer import Blocks, frame

if TYPE_CHECKING:
    from chain import Objects

EXCEEDED = "profile/level-exceeded"
ROWS = {1: 1024, 2: 4096, 3: 16_384, 4: 65_536}
STATES = {1: 1 << 26, 2: 1 << 30, 3: 1 << 34, 4: 1 << 40}

DECODER: dict[str, Any] = {"requires": ("max-level",), "max_level": 4}
"""Of a package that a checker would look at for too long: decoders alone are asked."""


def repeated(count: int, group: int, level: int) -> Case:
    """Return a package of many frames that are all the same, in groups of so many."""
    cell = b"\x07"
    first = Frame(KEY, (Cell(RAW, cell),))
    chain = Chain(
        (Row("a", "U8", (1,)),), (first, Frame(DELTA, (Cell(SKIP, cell),)), first), level=level
    )
    digest = state_digest(chain, 0)
    kinds = [
        segment(parent, digest, streams_of(chain, t)) for t, parent in ((0, None), (1, digest))
    ]
    coding = (np.arange(count) % group > 0).astype("u1")
    objects = objects_of(chain, [digest] * 3, [kinds[0]] * 3)
    columns: Objects = {
        "/frames/coding": coding,
        "/frames/presentation_time": np.arange(count, dtype="<i8"),
        "/frames/segment_length": np.array([len(k) for k in kinds], "<u8")[coding],
        "/frames/segment_sha256": digest_rows([hashlib.sha256(k).digest() for k in kinds])[coding],
        "/frames/state_bytes": np.full(count, 1, "<u8"),
        "/frames/state_digest": np.tile(np.frombuffer(digest, "u1"), (count, 1)),
    }
    members = {"manifest.h5": hdf5_writer.write(sealed({**objects, **columns}))}
    members |= {segment_name(t): kinds[kind] for t, kind in enumerate(coding.tolist())}
    return Case(
        "",
        "",
        ("10.2",),
        chain,
        raw_input=zip_writer.archive(members).pack(),
        seed=SEED,
        frames=(0, 1),
        **DECODER,
    )


def _counted() -> list[Case]:
    made = []
    for name, what, level, count, group in (
        ("frames-65536", "65,536 frames at level 1", 1, 65_536, 256),
        ("group-4096", "a group of 4,096 frames at level 2", 2, 4096, 4096),
    ):
        full = repeated(count, group, level)
        more = repeated(count + 1, group + (group == count), level)
        full = replace(full, id=f"10-profiles/bound-{name}", summary=what, inflate=True)
        made += [
            full,
            full.reject(
                f"10-profiles/bound-{name}-more",
                f"one more than {what} is rejected",
                "10.2",
                EXCEEDED,
                raw_input=more.raw_input,
            ),
        ]
    return made


def _rows(count: int, level: int) -> Chain:
    rows = tuple(Row(f"t{i:05d}", "U8", (1,)) for i in range(count))
    cells = tuple(None if i % 1000 else Cell(RAW, bytes([i % 251])) for i in range(count))
    return Chain(rows, (Frame(KEY, cells),), level=level)


def _tables() -> list[Case]:
    made = []
    for level in (2, 3, 4):
        count = ROWS[level]
        full = Case(
            f"10-profiles/bound-rows-{count}",
            f"{count} rows at level {level}, of which a frame has some",
            ("10.2",),
            _rows(count, level),
            inflate=True,
            seed=SEED,
            **DECODER,
        )
        made += [
            full,
            full.reject(
                f"10-profiles/bound-rows-{count}-more",
                f"{count + 1} rows at level {level} are rejected",
                "10.2",
                EXCEEDED,
                chain=_rows(count + 1, level),
            ),
        ]
    return made


def _claims() -> list[Case]:
    """Return sizes of states beyond each level, which the manifest claims of a frame."""
    frames = (Frame(KEY, (Cell(RAW, b"\x07"),)), Frame(KEY, (Cell(RAW, b"\x08"),)))
    made = []
    for level, bound in STATES.items():
        chain = Chain((Row("a", "U8", (1,)),), frames, level=level)
        base = Case(
            f"10-profiles/bound-claim-{level}",
            f"a package of level {level} with two key frames",
            ("10.2",),
            chain,
            seed=SEED,
        )
        made += [
            base,
            base.reject(
                f"10-profiles/bound-claim-{level}-at",
                f"a frame that only claims the largest state of level {level} is found",
                ("10.2", "6.2.3"),
                "segment/state-bytes",
                _claimed(bound),
                stage="frame",
                frame=1,
            ),
            base.reject(
                f"10-profiles/bound-claim-{level}-more",
                f"a frame that claims a byte more than a state of level {level} has is rejected",
                "10.2",
                EXCEEDED,
                _claimed(bound + 1),
            ),
        ]
    return made


def _claimed(size: int) -> Edits:
    def change(objects: Objects) -> Objects:
        return {**objects, "/frames/state_bytes": np.array([1, size], "<u8")}

    return Edits(objects=change)


def _segments(size: int, name: str, stops: int = 0) -> list[Case]:
    """Return segments as long as they may be: a zstd frame of many blocks without bytes.

    ``stops`` refinements, each of which leaves the tensor as it is, allow as much again.
    """
    content = bytes(range(size))
    cells = (Cell(RAW, content),)
    below = Refinement(cells, {"modes": b"\0"})
    chain = Chain(
        (Row("a", "U8", (size,)),),
        (Frame(KEY, cells, raw="zstd", refinements=(below,) * stops),),
        profile="lossy" if stops else "main",
    )
    bound = (stops + 1) * (size + size // 64 + 65_536 + 273)
    digest = state_digest(chain, 0)
    whose = f"state of {size} bytes" + (" with a refinement" if stops else "")
    most = 60_000 * (stops + 1)
    refined = {f"stop{k}.modes": b"\0" for k in range(1, stops + 1)}

    def made_of(streams: dict[str, bytes], coded: bytes) -> bytes:
        return segment(None, digest, {**streams, "raw.zstd": coded}, stops=[digest] * stops)

    def stream(length: int) -> bytes:
        """Return a frame with which the segment has so many bytes."""
        modes = {"modes": bytes([RAW]), **refined}
        for field, dictionary in ((4, 0), (4, 1), (4, 2), (8, 0), (8, 1)):
            made = frame(
                _blocks(content, 1), window=0, size_field=field, dictionary=bytes(dictionary)
            )
            room = length - len(made_of(modes, bytes(most)))
            blocks = (most + room - len(made)) // 3 + 1
            made = frame(
                _blocks(content, blocks), window=0, size_field=field, dictionary=bytes(dictionary)
            )
            if len(made_of(modes, made)) == length:
                return made
        raise ValueError(f"no frame makes a segment of {length} bytes")

    full = Case(
        f"10-profiles/{name}",
        f"a segment as long as its {whose} allows",
        ("10.2",),
        chain,
        put("raw.zstd", stream(bound), 0),
        inflate=True,
        seed=SEED,
    )
    return [
        full,
        full.reject(
            f"10-profiles/{name}-more",
            f"a segment of a byte more than its {whose} allows is rejected",
            "10.2",
            EXCEEDED,
            put("raw.zstd", stream(bound + 1), 0),
            # where the refinement begins follows from the length of what is before it
            place={"pointer": "/frames/0/segment_length"} if stops else None,
        ),
    ]


def _blocks(content: bytes, empty: int) -> Blocks:
    made = Blocks()
    for _ in range(empty):
        made.raw(b"")
    return made.raw(content)


def _wrapping() -> list[Case]:
    """Return 16,384 tensors of 2^50 bytes each, whose sum is 0 in 64 bits."""
    count = 1 << 14
    rows = (Row("a", "U8", (16,)), *(Row(f"t{i:05d}", "U64", (1 << 47,)) for i in range(count)))
    cells = (Cell(RAW, bytes(range(16))), *(None for _ in range(count)))
    base = Case(
        "10-profiles/bound-sum",
        "16,384 rows of 2^50 bytes each, of which none is there",
        ("6.2.3", "10.2"),
        Chain(rows, (Frame(KEY, cells),), level=4),
        inflate=True,
        seed=SEED,
        **DECODER,
    )
    return [
        base,
        base.reject(
            "10-profiles/bound-sum-wraps",
            "tensors of 2^64 bytes, and 16 more, in a state of 16 bytes are rejected",
            ("6.2.3", "7.1.2"),
            "segment/state-bytes",
            put("modes", bytes([RAW]) * (count + 1), 0),
            stage="frame",
            frame=0,
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of this clause."""
    segments = [
        *_segments(70, "bound-segment"),
        *_segments(64, "bound-segment-64"),
        *_segments(63, "bound-segment-63"),
        *_segments(70, "bound-segment-refined", stops=1),
    ]
    return [*_counted(), *_tables(), *_claims(), *segments, *_wrapping()]
