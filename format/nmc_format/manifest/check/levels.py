"""Checks of a manifest against its level (clause 10.2): counts first, then sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import nmc_spec
from nmc_format.encryption import plain_lengths
from nmc_format.issues import Finding, finding
from nmc_format.manifest import columns
from nmc_format.manifest.columns import frame_pointer
from nmc_format.manifest.frame_table import Coding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmc_format.manifest.record import Manifest

SEGMENT_SLACK = 65_536
"""Bytes a segment may have beyond 65/64 of its state, without its rows (clause 10.2)."""

SHAPE_RECORD_BYTES = 273
"""Bytes that each row may add: a mode, and a shape record of rank 32 (clause 10.2)."""


def size_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield what is more than the level allows; the rest of a check takes time and memory for it.

    Nothing here looks at more than the number of rows and of frames.
    """
    levels = {level.level: level for level in nmc_spec.levels()}
    level = levels.get(manifest.level)
    if level is None:
        known = ", ".join(map(str, levels))
        yield finding(
            "profile/level-unknown", pointer=columns.LEVEL, level=manifest.level, known=known
        )
        return
    if len(manifest) == 0:
        yield finding("manifest/value", pointer=columns.CODING, reason="there are no frames")
    rows, frames = len(manifest.table), len(manifest)
    if rows > level.max_tensors:
        what = "the number of tensor rows"
        yield _exceeded(columns.TENSORS, what, rows, level.max_tensors, level)
    if frames > level.max_frames:
        what = "the number of frames"
        yield _exceeded(columns.FRAMES, what, frames, level.max_frames, level)


def _exceeded(place: str, what: str, actual: int, limit: int, level: nmc_spec.Level) -> Finding:
    return finding(
        "profile/level-exceeded",
        pointer=place,
        what=what,
        actual=actual,
        limit=limit,
        level=level.level,
    )


def level_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield groups, states and segments that are larger than the level allows."""
    level = next(level for level in nmc_spec.levels() if level.level == manifest.level)
    coding, state = manifest.frames.coding, manifest.frames.state_bytes
    keys = np.append(np.flatnonzero(coding == Coding.KEY.number), len(coding))
    longest = int(np.diff(keys, prepend=0).max(initial=0))
    if longest > level.max_group_frames:
        what = "the longest group of frames"
        yield _exceeded(columns.CODING, what, longest, level.max_group_frames, level)
    largest = int(state.max(initial=0))
    if largest > level.max_state_bytes:
        what = "the size of a state"
        yield _exceeded(columns.STATE_BYTES, what, largest, level.max_state_bytes, level)
    length = manifest.frames.segment_length
    first = np.array([row.first_frame for row in manifest.tensors], np.int64)
    rows = np.searchsorted(first, np.arange(len(coding)), side="right").astype(np.uint64)
    allowed = state + state // 64 + SEGMENT_SLACK + SHAPE_RECORD_BYTES * rows
    allowed *= np.uint64(manifest.stops)
    if manifest.root.is_encrypted:
        length = plain_lengths(length)
    over = length > allowed
    if over.any():
        t = int(over.argmax())
        place, what = frame_pointer(t, columns.SEGMENT_LENGTH), "the size of the segment"
        yield _exceeded(place, what, int(length[t]), int(allowed[t]), level)
