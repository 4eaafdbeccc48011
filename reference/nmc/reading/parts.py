"""Some tensors of a frame alone (clause 7.3): what they are coded by is read, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nmc.coding import streams
from nmc.coding.arithmetic import History
from nmc.coding.decode import check_links
from nmc.coding.state import Tensor, taken
from nmc.reading import coded_parts
from nmc_format.dtypes import word_dtype
from nmc_format.issues import refuse
from nmc_format.package.members import segment_name
from nmc_format.plan import plan_frame
from nmc_format.segment import INTEGER, RAW, SKIP, parse
from nmc_format.segment_header import HEAD_BYTES, parse_header
from nmc_format.state_digest import DIGEST_BYTES, state_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from nmc.coding.state import State
    from nmc_format.dtypes import Words
    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package
    from nmc_format.plan import FramePlan, PlannedTensor
    from nmc_format.segment import Segment, Stream

_SMALL = ("modes", "shapes", "slices", "bounds", "digests")
"""Streams that are read of every frame; they have a few bytes for each tensor or slice."""

_BLOCK = 1 << 20
"""Bytes of a stream that are read at a time where they are not kept."""


class SegmentParts:
    """A segment of which some parts have been read.

    Parameters
    ----------
    package : Package
        Where it lies.
    index : int
        The frame.
    length : int
        Its bytes, as the manifest says; a checked manifest bounds them.
    later : callable
        Says by their names which streams are not read now.

    Attributes
    ----------
    segment : Segment
        Its structure; of the streams, only what was :meth:`read` is there.
    """

    def __init__(
        self,
        package: Package,
        index: int,
        length: int,
        later: Callable[[str], bool] = lambda name: name not in _SMALL,
    ) -> None:
        self._package = package
        self._index = index
        head = package.part(index, length, 0, min(length, HEAD_BYTES))  # it has that length, then
        self._data = np.empty(length, np.uint8)  # pages that nothing is read into take no memory
        self._data[: len(head)] = np.frombuffer(head, np.uint8)
        name = segment_name(index)
        for stream, (start, end) in parse_header(self._data.data, name).spans.items():
            if not later(stream):
                self._load(start, end - start)
        self.segment = parse(self._data.data, name)

    def _load(self, start: int, size: int) -> None:
        data = self._package.part(self._index, self._data.size, start, size)
        self._data[start : start + size] = np.frombuffer(data, np.uint8)

    @property
    def data(self) -> memoryview:
        """The bytes of the segment, of which only those that were read are right."""
        return self._data.data

    def blocks(self, stream: Stream) -> Iterator[bytes]:
        """Yield the bytes of a stream, which are not kept."""
        for start in range(0, len(stream.data), _BLOCK):
            size = min(_BLOCK, len(stream.data) - start)
            yield self._package.part(self._index, self._data.size, stream.offset + start, size)

    def read(self, stream: Stream, start: int = 0, size: int | None = None) -> None:
        """Read a part of a stream, or all of it."""
        self._load(stream.offset + start, len(stream.data) if size is None else size)


@dataclass(frozen=True)
class _Frame:
    parts: SegmentParts
    plan: FramePlan

    @property
    def segment(self) -> Segment:
        return self.parts.segment

    def mode_of(self, row: int) -> int:
        return int(self.segment.modes[row])

    @cached_property
    def coding_is_apart(self) -> bool:
        """Whether the lossless coder has each tensor of the frame apart."""
        stream = self.segment.integer
        return stream is not None and coded_parts.is_apart(self.parts, stream)

    @cached_property
    def stored_digests(self) -> dict[int, bytes]:
        """The digests that the segment has of the tensors it brings, by row (clause 6.2.5)."""
        if self.segment.digests is None:
            return {}
        data = bytes(self.segment.digests.data)
        return {
            planned.row: data[DIGEST_BYTES * k : DIGEST_BYTES * (k + 1)]
            for k, planned in enumerate(self.plan.coded)
        }


def some_tensors(
    package: Package,
    manifest: Manifest,
    t: int,
    rows: Collection[int],
    *,
    verify: bool,
    threads: int = 1,
) -> State | None:
    """Decode some tensors of frame t.

    Parameters
    ----------
    package, manifest
        The package and its checked manifest.
    t : int
        The frame.
    rows : collection of int
        Rows of the tensor table; those that are absent from the frame are left out.
    verify : bool
        Compare the state's digest, made of theirs and of stored ones; decode the others whose
        digests are not stored.
    threads : int
        Parts of a tensor that are decoded at the same time.

    Returns
    -------
    mapping of int to Tensor, or None
        By row. None where this way does not lead to them: their coding takes other tensors, too, or
        the digest is another one. Whoever decodes the whole state finds out why.

    Raises
    ------
    FormatError
        If a segment is malformed, or is not the one of the manifest.
    """
    frames = _heads(package, manifest, t)
    last = {row: _last_coded(frames, t, row) for row in (p.row for p in frames[t].plan.tensors)}
    stored = {row: frames[s].stored_digests.get(row) for row, s in last.items() if verify}
    chosen = set(rows)
    needed = [row for row in last if row in chosen or (verify and stored[row] is None)]
    ways = {row: _way(frames, last[row], row) for row in needed}
    if not all(_is_apart(frames[s], row) for row, way in ways.items() for s in way):
        return None
    made: dict[int, Tensor] = {}
    memory = History()
    for s in sorted({s for way in ways.values() for s in way}):
        own = {row for row in needed if s in ways[row]}
        _decode(manifest, frames[s], own, made, memory, threads)
    if verify:
        names = manifest.tensors
        found = {row: made[row].digest if row in made else stored[row] or b"" for row in last}
        if any(stored[row] not in (None, digest) for row, digest in found.items()):
            return None
        actual = state_digest((names[row].name, digest) for row, digest in found.items())
        if actual != manifest.frames.state_digest[t].tobytes():
            return None
    return {row: made[row] for row in needed if row in chosen}


def present_rows(package: Package, manifest: Manifest, t: int) -> list[int]:
    """Return the rows of the tensors that a frame has, ascending.

    Raises
    ------
    FormatError
        If its segment is malformed, or is not the one of the manifest.
    """
    segment = SegmentParts(package, t, int(manifest.frames.segment_length[t])).segment
    check_links(manifest, t, segment)
    known = sum(row.first_frame <= t for row in manifest.tensors)
    if len(segment.modes) != known:
        raise refuse(
            "segment/stream-length",
            file=segment.file,
            stream="modes",
            actual=len(segment.modes),
            expected=known,
        )
    return [int(row) for row in np.flatnonzero(segment.modes)]


def _heads(package: Package, manifest: Manifest, t: int) -> dict[int, _Frame]:
    """Return what all frames of the group up to t say of themselves."""
    frames: dict[int, _Frame] = {}
    layout: dict[int, tuple[int, ...]] = {}
    quantised: tuple[int, ...] = ()
    for s in range(manifest.frames.key_frame_before(t), t + 1):
        parts = SegmentParts(package, s, int(manifest.frames.segment_length[s]))
        check_links(manifest, s, parts.segment)
        plan = plan_frame(manifest, s, layout, parts.segment, quantised)
        layout, quantised = {p.row: p.shape for p in plan.tensors}, plan.quantised
        frames[s] = _Frame(parts, plan)
    return frames


def _last_coded(frames: Mapping[int, _Frame], t: int, row: int) -> int:
    """Return the last frame up to t whose segment brings a tensor."""
    while frames[t].mode_of(row) == SKIP:
        t -= 1
    return t


def _way(frames: Mapping[int, _Frame], t: int, row: int) -> list[int]:
    """Return the frames that a tensor is made from, the first one without a frame before."""
    way = [t]
    while frames[t].mode_of(row) == INTEGER:
        t = _last_coded(frames, t - 1, row)
        way.append(t)
    return way[::-1]


def _is_apart(frame: _Frame, row: int) -> bool:
    """Whether a tensor can be decoded without the others of its frame."""
    mode = frame.mode_of(row)
    stream = frame.segment.raw if mode == RAW else frame.segment.integer
    if mode not in (RAW, INTEGER) or stream is None:
        return mode in (RAW, INTEGER)
    if stream.coding == "nmc":
        return frame.coding_is_apart
    return stream.coding in ("none", "zstd")


def _decode(
    manifest: Manifest,
    frame: _Frame,
    rows: Collection[int],
    made: dict[int, Tensor],
    memory: History,
    threads: int,
) -> None:
    """Decode some tensors of one frame from those of the frame before, which are replaced."""
    memory.forget_ways(p.row for p in frame.plan.coded if p.mode != INTEGER or p.slices)
    for mode, stream in ((RAW, frame.segment.raw), (INTEGER, frame.segment.integer)):
        tensors = frame.plan.of_mode(mode)
        wanted = [p for p in tensors if p.row in rows]
        if not wanted:
            continue
        if stream is not None and stream.coding == "nmc":
            references = {p.row: _reference(p, made[p.row]) for p in wanted}
            words_after = coded_parts.decode(
                manifest.tensors, frame.segment, frame.parts, tensors, references, memory, threads
            )
            for p in wanted:
                dtype = manifest.tensors[p.row].dtype
                made[p.row] = Tensor(dtype, p.shape, words_after[p.row])
            continue
        for planned, words in zip(
            wanted, _words(manifest, frame, tensors, wanted, stream), strict=True
        ):
            dtype = manifest.tensors[planned.row].dtype
            if mode == INTEGER:
                old = _reference(planned, made[planned.row])
                words = np.add(old.words, words)  # noqa: PLW2901 - clause 8.2.1
            made[planned.row] = Tensor(dtype, planned.shape, words)


def _reference(planned: PlannedTensor, before: Tensor) -> Tensor:
    """Return what a tensor is a difference from."""
    return taken(before, planned.slices) if planned.slices else before


def _words(
    manifest: Manifest,
    frame: _Frame,
    tensors: Sequence[PlannedTensor],
    wanted: Sequence[PlannedTensor],
    stream: Stream | None,
) -> list[Words]:
    """Return the words of some of the tensors that a stream has."""
    table, rows = manifest.tensors, {p.row for p in wanted}
    if stream is None:
        return [np.empty(0, word_dtype(table[p.row].dtype)) for p in wanted]
    like = [(table[p.row].dtype, p.size) for p in tensors]
    if stream.coding == "zstd":
        some = [k for k, p in enumerate(tensors) if p.row in rows]
        made = streams.decompress_some(
            stream,
            like,
            frame.segment.file,
            some,
            differences=stream.name.startswith("integer"),
            blocks=frame.parts.blocks(stream),
        )
        return [made[k] for k in some]
    found, start = [], 0
    for p, (dtype, size) in zip(tensors, like, strict=True):
        if p.row in rows:
            frame.parts.read(stream, start, size)
            words = np.frombuffer(stream.data, word_dtype(dtype), size // dtype.word_bytes, start)
            found.append(np.require(words, requirements="A"))
        start += size
    return found
