"""Vectors of clauses 6 and 10.2 that wrong programs asked for: widths, order, a segment's bound."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bases import PAIR
from cases import Case
from chain import DELTA, KEY, RAW, SKIP, Cell, Chain, Edits, Frame, Row, state_digest
from model.model_cases import SEED, random_bytes
from writers.package_writer import segment
from writers.stream_writer import stored_zstd

from segment.shape_cases import cases as shape_cases

if TYPE_CHECKING:
    from chain import Streams

_HEADER = "segment/header"
_LAST_BLOCK = 3 + 100
"""Bytes of the last block of the frame below: its head and its content."""


def _wrapped(data: bytes) -> bytes:
    """Return bytes whose first u64 has a bit above its lower half."""
    return data[:4] + b"\x01\x00\x00\x00" + data[8:]


def _backwards(data: bytes) -> bytes:
    """Return a segment with its streams, and their data, in descending order of their names."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    body = data[8 + size :]
    made, parts, at = {"__metadata__": header.pop("__metadata__")}, b"", 0
    for name in sorted(header, reverse=True):
        part = body[slice(*header[name]["data_offsets"])]
        parts, end = parts + part, at + len(part)
        made[name] = {"dtype": "U8", "shape": [len(part)], "data_offsets": [at, end]}
        at = end
    text = json.dumps(made, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return len(text).to_bytes(8, "little") + text + parts


_DATA = random_bytes(100, 5)
_LATE = (Row("a", "U8", (100,)), *(Row(f"b{i}", "U8", (1,), first_frame=1) for i in range(3)))
_CHAIN = Chain(
    _LATE,
    (
        Frame(KEY, (Cell(RAW, _DATA),), raw="zstd"),
        Frame(DELTA, (Cell(SKIP, _DATA), *(Cell(RAW, b"b") for _ in range(3)))),
    ),
    profile="main",
)
_ABSENT = Case(
    "06-segment/absent-and-raw",
    "of two rows one is absent",
    ("6.2.2",),
    Chain((_LATE[0], Row("b", "U8", (2,))), (Frame(KEY, (Cell(RAW, _DATA), None)),)),
    seed=SEED,
)

BOUND = 100 + 100 // 64 + 65_536 + 273
"""Of the first segment, which has a mode for one row of the four."""


def _of_length(length: int) -> Edits:
    """Return the edit that makes the first segment so long, by blocks without content."""

    def change(streams: Streams) -> Streams:
        frame = stored_zstd(_DATA)
        digest = state_digest(_CHAIN, 0)
        size = len(segment(None, digest, {**streams, "raw.zstd": bytes(length - 512)}))
        more = length - 512 + length - size - len(frame)
        runs = more % 3
        empty = b"\x02\x00\x00\x00" * runs + b"\x00\x00\x00" * ((more - 4 * runs) // 3)
        return {
            **streams,
            "raw.zstd": frame[:-_LAST_BLOCK] + empty + frame[-_LAST_BLOCK:],
        }

    return Edits(streams={0: change})


def largest_segment() -> Case:
    """Return a package whose first segment is as long as its bound."""
    return Case(
        "10-profiles/segment-length-largest",
        "a segment can be as long as its bound, which counts the rows of its frame",
        ("10.2", "6.3.2"),
        _CHAIN,
        _of_length(BOUND),
        seed=SEED,
        inflate=True,
    )


def cases() -> list[Case]:
    """Return the cases."""
    shaped = next(case for case in shape_cases() if case.id == "06-segment/shapes")
    frame = next(
        t for t, f in enumerate(shaped.chain.frames) if any(c and c.shape for c in f.cells)
    )
    largest = largest_segment()
    return [
        PAIR.reject(
            "06-segment/header-length-wraps",
            "a header whose length is right in 32 bits only is rejected",
            "6.1.2",
            _HEADER,
            Edits(segments={1: _wrapped}),
            stage="frame",
            frame=1,
        ),
        PAIR.reject(
            "06-segment/form-backwards",
            "streams in descending order of their names, data and all, are rejected",
            "6.1.3",
            "segment/not-canonical",
            Edits(segments={1: _backwards}),
            stage="frame",
            frame=1,
        ),
        shaped.reject(
            "06-segment/shapes-row-wraps",
            "a record whose row is right in 32 bits only is rejected",
            "6.2.3",
            "segment/shapes",
            Edits(streams={frame: lambda s: {**s, "shapes": _wrapped(s["shapes"])}}),
            stage="frame",
            frame=frame,
        ),
        shaped.reject(
            "06-segment/shapes-dimension-wraps",
            "a record whose dimension is right in 32 bits only is rejected",
            "6.2.3",
            ("segment/shapes", "segment/state-bytes"),
            Edits(
                streams={
                    frame: lambda s: {**s, "shapes": s["shapes"][:16] + _wrapped(s["shapes"][16:])}
                }
            ),
            stage="frame",
            frame=frame,
        ),
        PAIR.reject(
            "06-segment/mode-raw-and-more",
            "a mode whose low bits are those of raw is rejected",
            "6.2.2",
            "segment/mode",
            Edits(streams={1: lambda s: {**s, "modes": s["modes"].replace(b"\x02", b"\x06")}}),
            stage="frame",
            frame=1,
        ),
        _ABSENT.reject(
            "06-segment/mode-of-absent",
            "an unknown mode of a row that is absent is rejected",
            "6.2.2",
            "segment/mode",
            Edits(streams={0: lambda s: {**s, "modes": s["modes"].replace(b"\x00", b"\x06")}}),
            stage="frame",
            frame=0,
        ),
        _ABSENT,
        largest,
        largest.reject(
            "10-profiles/segment-length-one-more",
            "a segment one byte longer than its bound is rejected",
            "10.2",
            "profile/level-exceeded",
            _of_length(BOUND + 1),
        ),
    ]
