"""Vectors of clauses 6.3.2 and 10.2: large states of zeros, which a stream holds in few bytes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from blake3 import blake3
from cases import Case
from chain import (
    KEY,
    MANIFEST,
    RAW,
    Cell,
    Chain,
    Frame,
    Row,
    objects_of,
    sealed,
    segment_name,
    state_digest,
    streams_of,
)
from model.model_cases import SEED
from writers import hdf5_writer, zip_writer
from writers.package_writer import segment, state_preimage, tensor_head
from writers.zstd_writer import RLE

from profiles.bound_cases import DECODER, EXCEEDED

BLOCK = 1 << 17


@cache
def _digest(size: int) -> bytes:
    """Return the digest of the state of one U8 tensor of zeros, called a."""
    made = blake3()
    for start in range(0, size, 1 << 20):
        made.update(bytes(min(1 << 20, size - start)))
    tensor = hashlib.sha256(tensor_head("U8", (size,)) + made.digest()).digest()
    return hashlib.sha256(state_preimage({"a": tensor})).digest()


def _stream(size: int, *, single: bool) -> bytes:
    """Return a frame of zeros in blocks of runs, of a single segment or with a window of 2^27."""
    head = (0xFD2FB528).to_bytes(4, "little") + bytes([3 << 6 | single << 5])
    head += (b"" if single else bytes([17 << 3])) + size.to_bytes(8, "little")
    body = b""
    for start in range(0, size, BLOCK):
        count = min(BLOCK, size - start)
        last = start + count == size
        body += (count << 3 | RLE << 1 | last).to_bytes(3, "little") + b"\0"
    return head + body


def _package(size: int, level: int, *, single: bool = False) -> Case:
    """Return a small frame and a large one, of one tensor whose shape changes."""
    row = Row("a", "U8", (4,))
    small = Frame(KEY, (Cell(RAW, b"\1\2\3\4"),))
    chain = Chain((row,), (small,), level=level, profile="main")
    digests = [state_digest(chain, 0), _digest(size)]
    shapes = np.array([0, 1, size], "<u8").tobytes()
    streams = {"modes": bytes([RAW]), "shapes": shapes, "raw.zstd": _stream(size, single=single)}
    segments = [
        segment(None, digests[0], streams_of(chain, 0)),
        segment(None, digests[1], streams),
    ]
    both = replace(chain, frames=(small, small))
    objects = objects_of(both, digests, segments)
    objects["/frames/state_bytes"] = np.array([4, size], "<u8")
    members = {MANIFEST: hdf5_writer.write(sealed(objects))}
    members |= {segment_name(t): data for t, data in enumerate(segments)}
    return Case(
        "",
        "",
        ("10.2", "6.3.2"),
        chain,
        raw_input=zip_writer.archive(members).pack(),
        inflate=True,
        frames=(0,),
        seed=SEED,
        **DECODER,
    )


def _named(case: Case, name: str, what: str, **changes: Any) -> Case:
    return replace(case, id=f"10-profiles/bound-{name}", summary=what, **changes)


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    one, two = 1 << 26, 1 << 30
    window = 1 << 27
    state_1 = _named(_package(one, 1), "state-1", "a state of 2^26 bytes at level 1")
    state_2 = _named(_package(two, 2), "state-2", "a state of 2^30 bytes at level 2")
    windowed = _named(
        _package(window + 8, 2),
        "window",
        "content of 2^27 and 8 bytes with a window of 2^27",
        clauses=("6.3.2",),
    )
    segment_of = _package(window + 8, 2, single=True)
    return [
        state_1,
        state_1.reject(
            "10-profiles/bound-state-1-more",
            "a state of 2^26 bytes and one at level 1 is rejected",
            "10.2",
            EXCEEDED,
            raw_input=_package(one + 1, 1).raw_input,
        ),
        state_2,
        state_2.reject(
            "10-profiles/bound-state-2-more",
            "a state of 2^30 bytes and one at level 2 is rejected",
            "10.2",
            EXCEEDED,
            raw_input=_package(two + 1, 2).raw_input,
        ),
        windowed,
        windowed.reject(
            "10-profiles/bound-window-single",
            "content of 2^27 and 8 bytes in a frame of a single segment is rejected",
            "6.3.2",
            "segment/zstd",
            raw_input=segment_of.raw_input,
            chain=replace(windowed.chain, frames=windowed.chain.frames * 2),
            stage="frame",
            frame=1,
            frames=(0, 1),
        ),
    ]
