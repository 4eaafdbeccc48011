"""The plan of one frame: which tensor is coded how, of which shape (clauses 6.2 and 7.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import nmc_spec
from nmc_format.issues import refuse
from nmc_format.segment import ABSENT, INTEGER, MODE_NAMES, RAW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc_format.manifest.record import Manifest
    from nmc_format.segment import Segment, Stream

    Shapes = Mapping[int, tuple[int, ...]]
    """The shape of every tensor that is present in a state, by row of the tensor table."""


@dataclass(frozen=True)
class PlannedTensor:
    """One present tensor of a frame.

    Attributes
    ----------
    row : int
        Row of the tensor table.
    mode : int
        ``SKIP``, ``RAW`` or ``INTEGER``.
    shape : tuple of int
        Its shape.
    size : int
        Its bytes.
    """

    row: int
    mode: int
    shape: tuple[int, ...]
    size: int


@dataclass(frozen=True)
class FramePlan:
    """What decoding one frame takes.

    Attributes
    ----------
    index : int
        The frame.
    tensors : tuple of PlannedTensor
        The present tensors, in the order of the tensor table.
    """

    index: int
    tensors: tuple[PlannedTensor, ...]

    def of_mode(self, mode: int) -> tuple[PlannedTensor, ...]:
        """Return the tensors of one mode."""
        return tuple(t for t in self.tensors if t.mode == mode)


def plan_frame(manifest: Manifest, index: int, before: Shapes, segment: Segment) -> FramePlan:
    """Plan one frame; all bounds are checked here, before anything of that size is allocated.

    Parameters
    ----------
    manifest : Manifest
        A checked manifest.
    index : int
        The frame.
    before : mapping of int to tuple of int
        Shapes of the state of the frame before; ignored for a key frame.
    segment : Segment
        The parsed segment.

    Raises
    ------
    FormatError
        If the segment does not fit the manifest or the frame before.
    """
    key = manifest.frames.is_key(index)
    rows = [row for row in manifest.tensors if row.first_frame <= index]
    if len(segment.modes) != len(rows):
        raise refuse(
            "segment/stream-length",
            file=segment.file,
            stream="modes",
            actual=len(segment.modes),
            expected=len(rows),
        )
    unused = set(segment.shapes)
    tensors = []
    for i, mode in enumerate(segment.modes.tolist()):
        if mode == ABSENT:
            continue
        shape = _shape(manifest, i, mode, before if not key else {}, segment, key=key)
        unused.discard(i)
        tensors.append(PlannedTensor(i, mode, shape, _size(manifest, i, shape, segment)))
    if unused:
        raise refuse(
            "segment/shapes", file=segment.file, reason=f"row {min(unused)} needs no shape"
        )
    plan = FramePlan(index, tuple(tensors))
    _check_plan(manifest, plan, segment)
    return plan


def _shape(
    manifest: Manifest, row: int, mode: int, before: Shapes, segment: Segment, *, key: bool
) -> tuple[int, ...]:
    name = manifest.tensors[row].name
    if mode >= len(MODE_NAMES):
        raise refuse("segment/mode", file=segment.file, mode=mode, name=name)
    usual = manifest.tensors[row].shape
    if mode == RAW:
        if segment.shapes.get(row) == usual:
            raise refuse(
                "segment/shapes", file=segment.file, reason=f"row {row} has its usual shape"
            )
        return segment.shapes.get(row, usual)
    if key:
        raise refuse("segment/mode-key-frame", file=segment.file, name=name, mode=MODE_NAMES[mode])
    if row not in before:
        raise refuse("segment/mode-reference", file=segment.file, name=name, mode=MODE_NAMES[mode])
    if row in segment.shapes:
        raise refuse("segment/shapes", file=segment.file, reason=f"row {row} needs no shape")
    return before[row]


def _size(manifest: Manifest, row: int, shape: tuple[int, ...], segment: Segment) -> int:
    try:
        return manifest.tensors[row].byte_size(shape)
    except ValueError as error:
        raise refuse("segment/shapes", file=segment.file, reason=str(error)) from None


def _check_plan(manifest: Manifest, plan: FramePlan, segment: Segment) -> None:
    names = set()
    for tensor in plan.tensors:
        name = manifest.tensors[tensor.row].name
        if name in names:
            raise refuse("segment/name-twice", file=segment.file, name=name)
        names.add(name)
    total = sum(t.size for t in plan.tensors)
    expected = int(manifest.frames.state_bytes[plan.index])
    if total != expected:
        raise refuse("segment/state-bytes", file=segment.file, actual=total, expected=expected)
    codings = nmc_spec.profiles()[manifest.profile].codings
    for name, mode, stream in (("raw", RAW, segment.raw), ("integer", INTEGER, segment.integer)):
        size = sum(t.size for t in plan.of_mode(mode))
        _check_stream(name, size, stream, segment)
        if stream is not None and stream.coding not in codings:
            raise refuse(
                "profile/coding-refused",
                file=segment.file,
                offset=stream.offset,
                coding=stream.coding,
                profile=manifest.profile,
            )


def _check_stream(name: str, size: int, stream: Stream | None, segment: Segment) -> None:
    """Check that a stream is there exactly where a tensor has bytes in it (clause 6.2.1)."""
    if stream is None and size:
        raise refuse("segment/stream-missing", file=segment.file, stream=name)
    if stream is not None and not size:
        raise refuse(
            "segment/stream-surplus", file=segment.file, offset=stream.offset, stream=stream.name
        )
    if stream is not None and stream.coding == "none" and len(stream.data) != size:
        raise refuse(
            "segment/stream-length",
            file=segment.file,
            offset=stream.offset,
            stream=stream.name,
            actual=len(stream.data),
            expected=size,
        )
