"""Checks of the values of a manifest (clauses 5.4 to 5.6, 9.1 to 9.3 and 10.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import nmc_spec
from nmc_format.camera_check import camera_findings
from nmc_format.dtypes import DTYPES
from nmc_format.issues import Finding, finding
from nmc_format.json_object import object_fault
from nmc_format.manifest import BUFFER, DELTA_FRAME, NO_LAYER, Manifest, first_index, row_bytes
from nmc_format.source_check import source_findings
from nmc_format.training_check import training_findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmc_format.hdf5 import RawObjects

MAX_RANK = 32
MAX_NAME_BYTES = 1024
RESERVED_NAME = "__metadata__"
"""The one name that no tensor of a safetensors file can have (clause 5.4.3)."""

MAX_CONFIGURATION = 2**24
"""Characters of a model configuration; as objects of a program they take twenty times as much."""

SEGMENT_SLACK = 65_536
"""Bytes a segment may have beyond 65/64 of its state, without its rows (clause 10.2)."""

SHAPE_RECORD_BYTES = 273
"""Bytes that each row may add: a mode, and a shape record of rank 32 (clause 10.2)."""


def size_findings(objects: RawObjects) -> Iterator[Finding]:
    """Yield what is more than the level allows; the rest of a check takes time and memory for it.

    The objects have the types of the layout (:func:`nmc_format.manifest.type_findings`).
    """
    levels = {level.level: level for level in nmc_spec.levels()}
    level = levels.get(int(objects["/@level"]))
    if level is None:
        known = ", ".join(map(str, levels))
        number = int(objects["/@level"])
        yield finding("profile/level-unknown", pointer="/@level", level=number, known=known)
        return
    if len(objects["/frames/coding"]) == 0:
        yield finding("manifest/value", pointer="/frames/coding", reason="there are no frames")
    for what, actual, limit, place in (
        (
            "the number of tensor rows",
            len(objects["/model/tensors/name"]),
            level.max_tensors,
            "/model/tensors",
        ),
        ("the number of frames", len(objects["/frames/coding"]), level.max_frames, "/frames"),
    ):
        if actual > limit:
            yield finding(
                "profile/level-exceeded",
                pointer=place,
                what=what,
                actual=actual,
                limit=limit,
                level=level.level,
            )


def value_findings(manifest: Manifest, objects: RawObjects) -> Iterator[Finding]:
    """Yield everything that is wrong with the values of a manifest whose types are right."""
    yield from _root_findings(manifest)
    yield from _tensor_findings(manifest, objects)
    yield from _frame_findings(manifest)
    yield from source_findings(manifest)
    yield from _level_findings(manifest)
    yield from training_findings(manifest)
    yield from camera_findings(objects)


def _root_findings(manifest: Manifest) -> Iterator[Finding]:
    texts = manifest.texts
    reason = configuration_fault(texts["/model@configuration"])
    if reason:
        yield finding("manifest/value", pointer="/model@configuration", reason=reason)
    for feature in manifest.must_understand:
        yield finding("manifest/must-understand", pointer="/@must_understand", feature=feature)
    if manifest.profile not in nmc_spec.profiles():
        yield finding(
            "profile/unknown",
            pointer="/@profile",
            profile=manifest.profile,
            known=", ".join(nmc_spec.profiles()),
        )
    if manifest.timescale == 0:
        yield finding("manifest/value", pointer="/frames@timescale", reason="the timescale is 0")


def configuration_fault(text: str) -> str:
    """Say why a text is no model configuration (clause 5.4.2); empty where it is one."""
    if len(text) > MAX_CONFIGURATION:
        return f"it has {len(text)} characters, more than {MAX_CONFIGURATION}"
    return object_fault(text)


def _tensor_findings(manifest: Manifest, objects: RawObjects) -> Iterator[Finding]:
    rows: dict[tuple[str, str], int] = {}
    dtypes = objects["/model/tensors/dtype"].tolist()
    shapes = objects["/model/tensors/shape"]
    if not 1 <= shapes.shape[1] <= MAX_RANK:
        yield finding(
            "manifest/tensor-shape",
            pointer="/model/tensors/shape",
            reason=f"it has {shapes.shape[1]} columns; 1 to {MAX_RANK} are allowed",
        )
        return
    frames = len(manifest)
    for i, row in enumerate(manifest.tensors):
        place = f"/model/tensors/{i}"
        yield from _name_findings(row.name, place)
        if dtypes[i].decode() not in DTYPES:
            yield finding(
                "manifest/tensor-dtype", pointer=f"{place}/dtype", dtype=dtypes[i].decode()
            )
        first = rows.setdefault((row.name, dtypes[i].decode()), i)
        if first != i:
            yield finding(
                "manifest/tensor-duplicate",
                pointer=place,
                first=first,
                second=i,
                name=row.name,
                dtype=dtypes[i].decode(),
            )
        if row.role not in {0, BUFFER}:
            yield finding("manifest/tensor-role", pointer=f"{place}/role", role=row.role)
        if row.layer < NO_LAYER:
            yield finding(
                "manifest/value", pointer=f"{place}/layer", reason=f"layer is {row.layer}"
            )
        before = manifest.tensors[i - 1].first_frame if i else 0
        if not before <= row.first_frame < frames:
            yield finding(
                "manifest/value",
                pointer=f"{place}/first_frame",
                reason=f"first_frame is {row.first_frame}; it shall not fall from row to row "
                f"and lie below the {frames} frames",
            )
        yield from _shape_findings(shapes[i].tolist(), manifest, i)


def _name_findings(name: str, place: str) -> Iterator[Finding]:
    size = len(name.encode("utf-8"))
    reason = ""
    if not 0 < size <= MAX_NAME_BYTES:
        reason = f"it has {size} bytes; 1 to {MAX_NAME_BYTES} are allowed"
    elif "\0" in name:
        reason = "it holds a NUL"
    elif name == RESERVED_NAME:
        reason = "safetensors keeps it for its metadata"
    if reason:
        yield finding(
            "manifest/tensor-name", pointer=f"{place}/name", name=repr(name), reason=reason
        )


def _shape_findings(dims: list[int], manifest: Manifest, index: int) -> Iterator[Finding]:
    row = manifest.tensors[index]
    rank = len(row.shape)
    reason = ""
    if dims[:rank] != list(row.shape) or any(d != -1 for d in dims[rank:]):
        reason = f"dimensions {dims}: sizes of at least 0 come first, then -1 as filler"
    else:
        try:
            row_bytes(row, row.shape)
        except ValueError as error:
            reason = str(error)
    if reason:
        yield finding(
            "manifest/tensor-shape", pointer=f"/model/tensors/{index}/shape", reason=reason
        )


def _frame_findings(manifest: Manifest) -> Iterator[Finding]:
    coding = manifest.columns["/frames/coding"]
    frame = first_index(coding > DELTA_FRAME)
    if frame is not None:
        yield finding(
            "manifest/frame-coding", pointer=f"/frames/{frame}/coding", coding=int(coding[frame])
        )
    if coding[0] == DELTA_FRAME:
        yield finding("manifest/first-frame-key", pointer="/frames/0/coding")
    time = manifest.columns["/frames/presentation_time"]
    t = first_index(time[1:] <= time[:-1])
    if t is not None:
        yield finding(
            "manifest/time-order",
            pointer=f"/frames/{t + 1}/presentation_time",
            time=int(time[t + 1]),
            before=int(time[t]),
        )


def _level_findings(manifest: Manifest) -> Iterator[Finding]:
    level = next(level for level in nmc_spec.levels() if level.level == manifest.level)
    coding = manifest.columns["/frames/coding"]
    keys = np.append(np.flatnonzero(coding == 0), len(coding))
    longest = int(np.diff(keys, prepend=0).max(initial=0))
    state = manifest.columns["/frames/state_bytes"]
    for what, actual, limit, place in (
        ("the longest group of frames", longest, level.max_group_frames, "/frames/coding"),
        (
            "the size of a state",
            int(state.max(initial=0)),
            level.max_state_bytes,
            "/frames/state_bytes",
        ),
    ):
        if actual > limit:
            yield finding(
                "profile/level-exceeded",
                pointer=place,
                what=what,
                actual=actual,
                limit=limit,
                level=level.level,
            )
    length = manifest.columns["/frames/segment_length"]
    first = np.array([row.first_frame for row in manifest.tensors], np.int64)
    rows = np.searchsorted(first, np.arange(len(coding)), side="right").astype(np.uint64)
    allowed = state + state // 64 + SEGMENT_SLACK + SHAPE_RECORD_BYTES * rows
    over = first_index(length > allowed)
    if over is not None:
        yield finding(
            "profile/level-exceeded",
            pointer=f"/frames/{over}/segment_length",
            what="the size of the segment",
            actual=int(length[over]),
            limit=int(allowed[over]),
            level=level.level,
        )
