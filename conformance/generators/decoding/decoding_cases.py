"""Vectors of clause 7: links between frames, verification, and seeking."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from bases import GROUPS, ONE, PAIR
from cases import Case
from chain import (
    DELTA,
    INTEGER,
    KEY,
    RAW,
    SKIP,
    Cell,
    Chain,
    Edits,
    Frame,
    Objects,
    Row,
    segment_name,
    state_digest,
)
from columns import scalar_text, text
from model.model_cases import SEED, random_bytes, stepped
from segment.segment_cases import streams

if TYPE_CHECKING:
    from collections.abc import Callable

MISMATCH = "decoding/state-digest-mismatch"
PARENT = "decoding/parent-digest-mismatch"
STATE = "decoding/segment-state-mismatch"


def _flipped(data: bytes, at: int = 0, bit: int = 0) -> bytes:
    made = bytearray(data)
    made[at] ^= 1 << bit
    return bytes(made)


def _stream(name: str, change: Callable[[bytes], bytes], t: int) -> Edits:
    return streams(lambda made: {**made, name: change(made[name])}, t)


def _links() -> list[Case]:
    zero, one, two = (state_digest(GROUPS.chain, t) for t in range(3))
    wrong = _flipped(one, 31, 7)

    def bad(
        name: str,
        what: str,
        code: str | tuple[str, ...],
        t: int,
        parent: bytes | None,
        state: bytes,
    ) -> Case:
        return GROUPS.reject(
            f"07-decoding/{name}",
            f"{what} is rejected",
            "7.2.1",
            code,
            Edits(links={t: (parent, state)}),
            stage="frame",
            frame=t,
        )

    three = state_digest(GROUPS.chain, 3)
    return [
        bad("parent-digest-mismatch", "a delta on the wrong parent", PARENT, 2, zero, two),
        bad("parent-digest-bit", "a parent digest with another bit", PARENT, 2, wrong, two),
        bad(
            "parent-missing",
            "a delta frame without a parent",
            (PARENT, "segment/metadata"),
            2,
            None,
            two,
        ),
        bad(
            "parent-in-key-frame",
            "a key frame with a parent",
            (PARENT, "segment/metadata"),
            3,
            two,
            three,
        ),
        bad(
            "segment-state-mismatch",
            "a segment of another state than the manifest says",
            STATE,
            1,
            zero,
            _flipped(one, 0, 0),
        ),
        bad(
            "segment-state-before",
            "a segment that names the state before as its own",
            STATE,
            1,
            zero,
            zero,
        ),
    ]


def _states() -> list[Case]:
    bit = "decoding/state-digest-mismatch"

    def bad(name: str, what: str, t: int, edits: Edits) -> Case:
        return GROUPS.reject(
            f"07-decoding/{name}",
            f"{what} is rejected",
            "7.2.3",
            bit,
            edits,
            stage="frame",
            frame=t,
        )

    def manifest_digest(digests: list[bytes]) -> list[bytes]:
        return [_flipped(d, 5, 3) if t == 2 else d for t, d in enumerate(digests)]

    same = (
        "integer",
        lambda data: _flipped(data, len(data) - 1, 7),
    )
    return [
        bad(
            "raw-bit",
            "a state with another bit in a raw tensor",
            0,
            _stream("raw", lambda data: _flipped(data, 5, 2), 0),
        ),
        bad(
            "integer-bit",
            "a state with another bit in a difference",
            1,
            _stream(same[0], same[1], 1),
        ),
        bad(
            "integer-low-bit",
            "a state with another lowest bit in a difference",
            2,
            _stream("integer", _flipped, 2),
        ),
        bad(
            "integer-zero",
            "a state whose differences are all 0",
            1,
            _stream("integer", lambda data: bytes(len(data)), 1),
        ),
        bad(
            "integer-negated",
            "a state whose differences have the other sign",
            4,
            _stream("integer", _negated, 4),
        ),
        bad(
            "key-frame-bit",
            "a second group whose key frame has another bit",
            3,
            _stream("raw", lambda data: _flipped(data, 40, 0), 3),
        ),
        bad(
            "mode-changed", "a state with a tensor skipped that changed", 4, streams(_skip_front, 4)
        ),
        bad(
            "digest-both",
            "a state digest that segments and manifest have wrong alike",
            2,
            Edits(digests=manifest_digest),
        ),
        GROUPS.reject(
            "07-decoding/tensors-exchanged",
            "a state with the bytes of two tensors of one size exchanged is rejected",
            "7.2.3",
            bit,
            _stream("raw", _rotated, 0),
            stage="frame",
            frame=0,
        ),
        ONE.reject(
            "07-decoding/shape-exchanged",
            "a state of the right bytes in another shape is rejected",
            ("7.2.3", "4.5.1"),
            bit,
            Edits(objects=_other_shape),
            stage="frame",
            frame=0,
        ),
        ONE.reject(
            "07-decoding/type-exchanged",
            "a state of the right bytes and another type is rejected",
            ("7.2.3", "4.5.1"),
            bit,
            Edits(objects=_other_type),
            stage="frame",
            frame=0,
        ),
        ONE.reject(
            "07-decoding/name-exchanged",
            "a state of the right bytes under another name is rejected",
            ("7.2.3", "4.5.2"),
            bit,
            Edits(objects=_other_name),
            stage="frame",
            frame=0,
        ),
    ]


def _negated(data: bytes) -> bytes:
    weights, steps = data[:24], data[24:]
    return b"".join(
        (-int.from_bytes(part[i : i + w], "little") % (1 << 8 * w)).to_bytes(w, "little")
        for part, w in ((weights, 4), (steps, 8))
        for i in range(0, len(part), w)
    )


def _skip_front(made: dict[str, bytes]) -> dict[str, bytes]:
    return {"modes": bytes((SKIP, SKIP, SKIP, INTEGER)), "integer": made["integer"][24:]}


def _rotated(data: bytes) -> bytes:
    """Exchange rear.weight and step: both have 8 bytes."""
    return data[:36] + data[44:52] + data[36:44]


def _other_shape(objects: Objects) -> Objects:
    return {**objects, "/model/tensors/shape": np.array([[4, 1]], "<i8")}


def _other_type(objects: Objects) -> Objects:
    return {**objects, "/model/tensors/dtype": text("I32")}


def _other_name(objects: Objects) -> Objects:
    return {**objects, "/model/tensors/name": text("weighs")}


def _places() -> list[Case]:
    first, second, fourth = segment_name(1), segment_name(2), segment_name(4)

    def placed(
        name: str, what: str, t: int, change: dict[str, str], codes: tuple[str, ...]
    ) -> Case:
        def members(made: dict[str, bytes]) -> dict[str, bytes]:
            return {**made, **{to: made[source] for to, source in change.items()}}

        return _EVEN.reject(
            f"07-decoding/{name}",
            f"{what} are rejected",
            ("7.2.1", "6.1.1"),
            codes,
            Edits(members=members),
            stage="frame",
            frame=t,
        )

    swap = ("segment/misplaced", STATE, PARENT, "segment/sha256", MISMATCH)
    return [
        _EVEN,
        placed(
            "swapped", "two segments that were swapped", 1, {first: second, second: first}, swap
        ),
        placed("repeated", "two segments that are the same", 2, {second: first}, swap),
        placed(
            "left-out",
            "segments behind one that was left out",
            1,
            {first: second, second: segment_name(3)},
            swap,
        ),
        placed("other-group", "segments of another group", 1, {first: fourth}, swap),
    ]


def _even() -> Chain:
    """Return six frames whose segments of one kind have one length."""
    data = [random_bytes(16, 50)]
    for t in range(1, 6):
        data.append(stepped("F32", data[-1], t))
    kinds = (KEY, DELTA, DELTA, KEY, DELTA, DELTA)
    frames = tuple(
        Frame(kind, (Cell(RAW if kind == KEY else INTEGER, d),))
        for kind, d in zip(kinds, data, strict=True)
    )
    return Chain((Row("weight", "F32", (4,)),), frames)


_EVEN = Case(
    "07-decoding/equal-lengths",
    "segments of one length, in two groups",
    ("7.2.2", "7.3"),
    _even(),
    seed=SEED,
)


def _seeking() -> list[Case]:
    def asked(name: str, what: str, *frames: int) -> Case:
        return GROUPS.vary(f"07-decoding/seek-{name}", what, "7.3", frames=frames)

    behind = GROUPS.reject(
        "07-decoding/seek-behind-damage",
        "a frame whose group has a damaged frame before it is rejected",
        ("7.2.3", "7.3"),
        MISMATCH,
        _stream("integer", _flipped, 1),
        stage="frame",
        frame=1,
        frames=(2,),
    )
    return [
        asked("last", "the last frame alone", 4),
        asked("delta", "a delta frame in the middle of its group", 2),
        asked("backwards", "frames from the last to the first", 4, 3, 2, 1, 0),
        asked("mixed", "frames in no order", 1, 4, 0, 2),
        asked("key", "a key frame in the middle", 3),
        behind,
    ]


def _shapes_of_chains() -> list[Case]:
    def chain(kinds: str, seed: int, mode: int = INTEGER) -> Chain:
        data = random_bytes(12, seed)
        frames = []
        for t, kind in enumerate(kinds):
            if t and mode != SKIP:
                data = stepped("F32", data, (t * 77) % 1000 + 1)
            frames.append(
                Frame(KEY if kind == "K" else DELTA, (Cell(RAW if kind == "K" else mode, data),))
            )
        return Chain((Row("weight", "F32", (3,)),), tuple(frames))

    def made(name: str, what: str, value: Chain) -> Case:
        return Case(f"07-decoding/{name}", what, ("4.1", "7.2.2", "7.3"), value, seed=SEED)

    wide = "F8_E4M3", "I16", "U64"
    drift = Chain(
        tuple(Row(d, d, (2, 2)) for d in wide),
        tuple(
            Frame(
                KEY if t == 0 else DELTA,
                tuple(
                    Cell(
                        RAW if t == 0 else INTEGER, stepped(d, random_bytes(4 * w, 60 + w), t * 199)
                    )
                    for d, w in zip(wide, (1, 2, 8), strict=True)
                ),
            )
            for t in range(8)
        ),
    )
    back = random_bytes(8, 71)
    returns = Chain(
        (Row("weight", "F32", (2,)),),
        (
            Frame(KEY, (Cell(RAW, back),)),
            Frame(DELTA, (Cell(INTEGER, stepped("F32", back, 1 << 31)),)),
            Frame(DELTA, (Cell(INTEGER, back),)),
        ),
    )
    return [
        made("all-key", "every frame is a key frame", chain("KKKK", 40)),
        made("long-group", "a group of 40 frames", chain("K" + "D" * 39, 41)),
        made("odd-key-frames", "key frames at odd places, two in a row", chain("KDKKDDDKDK", 42)),
        made("standing-still", "frames that all equal the first one", chain("KDDDD", 43, SKIP)),
        made("accumulated", "differences that wrap around again and again", drift),
        made("there-and-back", "a state that comes back has the digest it had", returns),
        replace(
            PAIR,
            id="07-decoding/creator",
            base=PAIR.id,
            clauses=("5.4.1",),
            summary="creator and sequence have no influence on decoding",
            edits=Edits(objects=_creator),
        ),
    ]


def _creator(objects: Objects) -> Objects:
    return {**objects, "/@creator": scalar_text("누구"), "/@sequence_id": scalar_text("")}


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_links(), *_states(), *_places(), *_seeking(), *_shapes_of_chains()]
