"""The plan of one frame: which tensor is coded how, of which shape (clauses 6.2 and 7.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import nmc_spec
from nmc_format.issues import refuse
from nmc_format.segment import ABSENT, INTEGER, MODE_NAMES, QUANTISED, RAW, SKIP, UPDATE
from nmc_format.state_digest import DIGEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from nmc_format.manifest.record import Manifest
    from nmc_format.segment import Segment, Stream
    from nmc_format.slices import SliceMap

    Shapes = Mapping[int, tuple[int, ...]]
    """The shape of every tensor that is present in a state, by row of the tensor table."""


QUANTISABLE: Final = ("F64", "F32", "F16", "BF16")
"""Element types that can be quantised (clause 12.1.1)."""


@dataclass(frozen=True)
class PlannedTensor:
    """One present tensor of a frame.

    Attributes
    ----------
    row : int
        Row of the tensor table.
    mode : int
        ``SKIP``, ``RAW``, ``INTEGER``, ``QUANTISED`` or ``UPDATE``.
    shape : tuple of int
        Its shape.
    size : int
        Its bytes.
    slices : SliceMap or None
        Where its slices come from, if it has another reference than the tensor of frame t-1.
    """

    row: int
    mode: int
    shape: tuple[int, ...]
    size: int
    slices: SliceMap | None = None


@dataclass(frozen=True)
class FramePlan:
    """What decoding one frame takes.

    Attributes
    ----------
    index : int
        The frame.
    tensors : tuple of PlannedTensor
        The present tensors, in the order of the tensor table.
    quantised : tuple of int
        Rows that are quantised in the state of this frame, ascending (clause 12.1.3).
    """

    index: int
    tensors: tuple[PlannedTensor, ...]
    quantised: tuple[int, ...] = ()

    def of_mode(self, *modes: int) -> tuple[PlannedTensor, ...]:
        """Return the tensors of these modes."""
        return tuple(t for t in self.tensors if t.mode in modes)

    @property
    def coded(self) -> tuple[PlannedTensor, ...]:
        """The tensors that the segment brings: all but those that are skipped."""
        return tuple(t for t in self.tensors if t.mode != SKIP)


def plan_frame(
    manifest: Manifest,
    index: int,
    before: Shapes,
    segment: Segment,
    grids: Collection[int] = (),
) -> FramePlan:
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
    grids : collection of int
        Rows that are quantised in the state of the frame before; ignored for a key frame.

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
    maps = _maps(manifest, segment, len(rows), before, key=key)
    unused = set(segment.shapes)
    tensors = []
    for i, mode in enumerate(segment.modes.tolist()):
        if mode == ABSENT:
            continue
        shape = _shape(manifest, i, mode, before if not key else {}, segment, key=key)
        if i in maps:
            shape = (maps[i].count, *shape[1:])
        unused.discard(i)
        planned = PlannedTensor(i, mode, shape, _size(manifest, i, shape, segment), maps.get(i))
        _check_quantised(manifest, planned, segment, () if key else grids)
        tensors.append(planned)
    if unused:
        raise refuse(
            "segment/shapes", file=segment.file, reason=f"row {min(unused)} needs no shape"
        )
    plan = FramePlan(index, tuple(tensors), _quantised(tensors, () if key else grids))
    _check_plan(manifest, plan, segment)
    return plan


def _maps(
    manifest: Manifest,
    segment: Segment,
    rows: int,
    before: Shapes,
    *,
    key: bool,
) -> dict[int, SliceMap]:
    """Return the map of each row that has one, its origins checked (clause 6.2.6)."""

    def reason(row: int, slices: SliceMap) -> str | None:
        if key:
            return "a key frame has no frame before it"
        if row >= rows or segment.modes[row] != INTEGER:
            return f"row {row} is not of mode integer"
        if row not in before or not before[row]:
            return f"row {row} has no slices in the frame before"
        dtype = manifest.tensors[row].dtype
        if dtype.bits < 8 or 0 in before[row][1:]:
            return f"the slices of row {row} are not of whole bytes, at least one"
        if slices.highest > before[row][0]:
            return f"a slice of row {row} comes from slice {slices.highest - 1}"
        return None

    found = {}
    for slices in segment.slices:
        for row in slices.rows:
            if wrong := reason(row, slices):
                raise refuse("segment/slices", file=segment.file, reason=wrong)
            found[row] = slices
    return found


def _quantised(tensors: list[PlannedTensor], grids: Collection[int]) -> tuple[int, ...]:
    return tuple(
        t.row
        for t in tensors
        if t.mode in (QUANTISED, UPDATE) or (t.mode == SKIP and t.row in grids)
    )


def _check_quantised(
    manifest: Manifest, tensor: PlannedTensor, segment: Segment, grids: Collection[int]
) -> None:
    """Check that a tensor can have its mode, if that is of chapter 12 (clause 12.1.3)."""
    if MODE_NAMES[tensor.mode] not in nmc_spec.profiles()[manifest.profile].modes:
        raise refuse(
            "profile/mode-refused",
            file=segment.file,
            mode=MODE_NAMES[tensor.mode],
            profile=manifest.profile,
        )
    if tensor.mode not in (QUANTISED, UPDATE):
        return
    row = manifest.tensors[tensor.row]
    reason = None
    if row.dtype.name not in QUANTISABLE:
        reason = f"the element type {row.dtype.name} has no grid"
    elif not tensor.size:
        reason = "it has no elements"
    elif tensor.mode == UPDATE and tensor.row not in grids:
        reason = "it is not quantised in the frame before"
    if reason is not None:
        raise refuse(
            "segment/mode-quantised",
            file=segment.file,
            name=row.name,
            mode=MODE_NAMES[tensor.mode],
            reason=reason,
        )


def _shape(
    manifest: Manifest, row: int, mode: int, before: Shapes, segment: Segment, *, key: bool
) -> tuple[int, ...]:
    name = manifest.tensors[row].name
    if mode >= len(MODE_NAMES):
        raise refuse("segment/mode", file=segment.file, mode=mode, name=name)
    usual = manifest.tensors[row].shape
    if mode in (RAW, QUANTISED):
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
    for name, modes, stream in (
        ("raw", (RAW,), segment.raw),
        ("integer", (INTEGER,), segment.integer),
        ("bins", (QUANTISED, UPDATE), segment.bins),
    ):
        size = sum(t.size for t in plan.of_mode(*modes))
        _check_stream(name, size, stream, segment)
        if stream is not None and stream.coding not in codings:
            raise refuse(
                "profile/coding-refused",
                file=segment.file,
                offset=stream.offset,
                coding=stream.coding,
                profile=manifest.profile,
            )
    if segment.digests is not None:
        size = DIGEST_BYTES * len(plan.coded)
        _check_stream("digests", size, segment.digests, segment)
    bounds = 0 if segment.bounds is None else len(segment.bounds)
    if bounds != len(plan.quantised):
        raise refuse(
            "segment/bounds",
            file=segment.file,
            reason=f"{bounds} declared errors for {len(plan.quantised)} quantised tensors",
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
