"""Vectors of clause 10.3: what a later minor version may bring, to a reader of version 1.0.

Each is the package `later-objects`, or one of its kind, with one thing that version 1.0 does not
know. The minor version makes no reader more lenient: what it would refuse in a package of version
1.0, it refuses here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from arithmetic.arithmetic_cases import (
    CLAUSES,
    STORED,
    STREAM,
    arithmetic_case,
    coded,
    training_chain,
)
from bases import PAIR
from cases import DIRECTORY, Case
from chain import INTEGER, RAW, SKIP, Cell, Edits, Row
from columns import scalar_text
from package.camera_objects import CAMERAS, LENSES
from package.record_cases import WITH_CAMERAS
from quantised.coder_bins import ADAPTIVE
from quantised.payload_cases import BINS
from quantised.payload_cases import CODES as BINS_CODES
from quantised.quantised_chain import SAME, Layer, quantised_chain
from quantised.refinement_cases import finer
from quantised.refinement_pair import PAIR as TWO_ROWS
from quantised.refinement_pair import SMALL, pair
from segment.segment_cases import modes, streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from chain import Objects

CLAUSE = "10.3.2"
_LATER = {"/@format_version": scalar_text("1.9")}
_NEW_OBJECTS = {
    "/media/name": np.array([b"left", b"right"]),
    "/media@clock": np.array(90_000, "<u4"),
    "/frames/exposure": np.array([1.0, 0.5], "<f8"),
    "/model/tensors@count": np.array(2, "<u4"),
    "/@edition": scalar_text("2028"),
}


def _objects(**more: Any) -> Callable[[Objects], Objects]:
    return lambda made: {**made, **_LATER, **more}


def _later(base: Case, name: str, what: str) -> Case:
    """Return a package of a later minor version that version 1.0 reads."""
    return base.vary(
        f"10-profiles/later-{name}", f"{what} is read", CLAUSE, Edits(objects=_objects())
    )


OBJECTS = PAIR.vary(
    "10-profiles/later-objects",
    "a later minor version with objects and attributes of its own is read",
    (CLAUSE, "5.3.3"),
    Edits(objects=_objects(**_NEW_OBJECTS)),
    warnings=("manifest/object-unknown",),
)
MINOR = _later(PAIR, "minor", "a package of a later minor version")
FOLDER = replace(_later(PAIR, "folder", "a directory of a later minor version"), form=DIRECTORY)


def _refused(
    name: str,
    what: str,
    clause: str,
    codes: str | tuple[str, ...],
    edits: Edits,
    base: Case = MINOR,
    **more: Any,
) -> Case:
    """Return a package of a later minor version with one thing that version 1.0 refuses."""
    return base.reject(
        f"10-profiles/later-{name}",
        f"{what} is rejected, whatever the minor version",
        (CLAUSE, clause),
        codes,
        replace(edits, objects=edits.objects or _objects()),
        **more,
    )


def _opened() -> list[Case]:
    """Return what is refused before a segment is read."""

    def text(name: str, what: str, clause: str, code: str, path: str, value: str) -> Case:
        edits = Edits(objects=_objects(**{path: scalar_text(value)}))
        return _refused(name, what, clause, code, edits, or_unsupported=True)

    def column(name: str, what: str, clause: str, code: str, path: str, value: int) -> Case:
        def change(made: Objects) -> Objects:
            values = made[path].copy()
            values.reshape(-1)[-1] = value
            return {**made, **_LATER, path: values}

        return _refused(name, what, clause, code, Edits(objects=change), or_unsupported=True)

    rows = (*PAIR.chain.rows, Row("b", "F128", (4,)))
    new = bytes(range(4))
    frames = tuple(
        replace(frame, cells=(*frame.cells, Cell(SKIP if t else RAW, new)))
        for t, frame in enumerate(PAIR.chain.frames)
    )
    media = Edits(
        objects=_objects(), members=lambda made: {**made, "media/00000000.av1": b"pictures"}
    )
    feature, profile = "/@must_understand", "/@profile"
    return [
        text("feature", "a feature", "5.4.1", "manifest/must-understand", feature, "media"),
        text("profile", "a profile", "10.1", "profile/unknown", profile, "scalable"),
        column("level", "a level", "10.2", "profile/level-unknown", "/@level", 5),
        column("coding", "a type of frame", "5.4.4", "manifest/frame-coding", "/frames/coding", 2),
        column("role", "a role", "5.4.3", "manifest/tensor-role", "/model/tensors/role", 2),
        _refused(
            "dtype",
            "an element type",
            "5.4.3",
            "manifest/tensor-dtype",
            Edits(objects=_objects()),
            chain=replace(PAIR.chain, rows=rows, frames=frames),
            or_unsupported=True,
        ),
        _refused(
            "member",
            "a member of the file form",
            "5.1.3",
            ("package/member-name", "package/zip-structure"),
            media,
        ),
    ]


def _framed() -> list[Case]:
    """Return what is refused at a frame."""

    def frame(
        name: str,
        what: str,
        clause: str,
        code: str | tuple[str, ...],
        edits: Edits,
        base: Case = MINOR,
    ) -> Case:
        return _refused(name, what, clause, code, edits, base, stage="frame", frame=1)

    def version(data: bytes) -> bytes:
        return data.replace(b'"nmc":"1.0"', b'"nmc":"1.1"', 1)

    stream = "segment/stream-unknown"
    return [
        frame("mode", "a mode", "6.2.2", "segment/mode", modes(INTEGER, 6, RAW, INTEGER)),
        frame(
            "stream", "a stream", "6.2.1", stream, streams(lambda made: {**made, "media": b"\0"})
        ),
        frame(
            "stream-coding",
            "a coding of a stream",
            "6.2.1",
            stream,
            streams(lambda made: {**made, "raw.brotli": b"\0"}),
        ),
        frame(
            "segment",
            "a form of segments",
            "6.1.3",
            ("segment/not-canonical", "segment/metadata"),
            Edits(segments={1: version}),
        ),
    ]


def _payloads() -> list[Case]:
    """Return a payload that is read, and one of a variant that is not."""
    chain = training_chain((Row("a", "F32", (3, 8)),), 2, 29)
    small = arithmetic_case(
        "stored-small", "a small payload", CLAUSES[STORED], coded(chain, [STORED] * 2)
    )
    read = _later(small, "payload", "a payload in a package of a later minor version")
    newer = streams(lambda made: {**made, STREAM: b"\x06" + made[STREAM][1:]})
    codes = ("segment/coder", "decoding/state-digest-mismatch")
    variant = _refused(
        "variant", "a variant of the coder", "8.3.2", codes, newer, read, stage="frame", frame=1
    )
    return [read, variant]


def _lossy() -> list[Case]:
    """Return what is refused of quantised tensors, and a package of them that is read."""
    read = _later(SMALL, "refined", "a package with a refinement of a later minor version")
    bins = streams(lambda made: {**made, BINS: b"\x04" + made[BINS][1:]})
    modes = Layer((finer(804, 24), SAME), ADAPTIVE, streams={"modes": b"\x02\x03"})
    at = {"base": read, "stage": "frame", "frame": 1}
    return [
        read,
        _refused(
            "bins-variant", "a variant of the coder of bins", "12.3.1", BINS_CODES, bins, **at
        ),
        _refused(
            "refined-mode",
            "a mode of a refinement",
            "12.7.2",
            "segment/refinement",
            Edits(objects=_objects()),
            chain=quantised_chain(TWO_ROWS, pair(second=modes)),
            **at,
        ),
    ]


def _cameras() -> list[Case]:
    """Return cameras that are read, and a model of distortion that is refused."""
    objects = {**CAMERAS, **LENSES}
    read = WITH_CAMERAS.vary(
        "10-profiles/later-cameras",
        "cameras in a package of a later minor version are read",
        (CLAUSE, "5.6.2"),
        Edits(objects=_objects(**objects)),
    )
    models = {"/cameras/distortion_model": np.array([b"none", b"fisheye"])}
    edits = Edits(objects=_objects(**{**objects, **models}))
    what, code = "a model of distortion", "manifest/cameras"
    return [
        read,
        _refused("distortion", what, "5.6.2", code, edits, read, or_unsupported=True),
    ]


def cases() -> list[Case]:
    """Return all cases."""
    beside = FOLDER.vary(
        "10-profiles/later-media",
        "a directory with media of a later minor version beside the members is read",
        (CLAUSE, "5.1.3"),
        Edits(objects=_objects()),
        extra_files={"media/00000000.av1": b"pictures"},
        warnings=("package/member-unknown",),
    )
    return [
        *(MINOR, OBJECTS, FOLDER, beside),
        *(*_opened(), *_framed(), *_payloads(), *_lossy(), *_cameras()),
    ]
