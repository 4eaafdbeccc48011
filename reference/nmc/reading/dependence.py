"""What of each frame some tensors of the last one hang on (clauses 7.3 and 8.3.3).

It is followed backwards, from the frame that is asked for to the key frame, with the heads of
payloads alone: a portion of the lossless coder takes the old words of all that it codes, and what
was learnt in the portion of its number of the frame before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nmc.coding.decode import check_links
from nmc.reading import coded_parts
from nmc.reading.segment_parts import SegmentParts
from nmc_format.plan import plan_frame
from nmc_format.segment import INTEGER, RAW, SKIP
from nmc_format.state_digest import DIGEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from nmc.coding.arithmetic.selection import Selection, Slots, Spans
    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package
    from nmc_format.plan import FramePlan
    from nmc_format.segment import Segment


@dataclass(frozen=True)
class Frame:
    """What a frame says of itself.

    Attributes
    ----------
    parts : SegmentParts
        Its segment, as far as it was read.
    plan : FramePlan
        Which tensor is coded how.
    """

    parts: SegmentParts
    plan: FramePlan

    @property
    def segment(self) -> Segment:
        """The structure of its segment."""
        return self.parts.segment

    def mode_of(self, row: int) -> int:
        """Return the mode of a row."""
        return int(self.segment.modes[row])

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


@dataclass(frozen=True)
class Needed:
    """What is decoded of a frame.

    Attributes
    ----------
    rows : frozenset of int
        The tensors.
    after : frozenset of int
        Those whose words are needed after it, skipped ones too.
    coded : Selection or None
        What is decoded of stream integer, where that is of the lossless coder.
    """

    rows: frozenset[int]
    after: frozenset[int]
    coded: Selection | None


def heads(package: Package, manifest: Manifest, t: int) -> dict[int, Frame]:
    """Return what all frames of the group up to t say of themselves.

    Raises
    ------
    FormatError
        If a segment is malformed, or is not the one of the manifest.
    """
    frames: dict[int, Frame] = {}
    layout: dict[int, tuple[int, ...]] = {}
    quantised: tuple[int, ...] = ()
    for s in range(manifest.frames.key_frame_before(t), t + 1):
        parts = SegmentParts(package, s, int(manifest.frames.segment_length[s]))
        check_links(manifest, s, parts.segment)
        plan = plan_frame(manifest, s, layout, parts.segment, quantised)
        layout, quantised = {p.row: p.shape for p in plan.tensors}, plan.quantised
        frames[s] = Frame(parts, plan)
    return frames


def last_coded(frames: Mapping[int, Frame], t: int, row: int) -> int:
    """Return the last frame up to t whose segment brings a tensor."""
    while frames[t].mode_of(row) == SKIP:
        t -= 1
    return t


def needed_of(
    manifest: Manifest, frames: Mapping[int, Frame], t: int, rows: Iterable[int]
) -> dict[int, Needed] | None:
    """Return what has to be decoded of each frame of a group, ascending, for some tensors of t.

    Returns
    -------
    dict of int to Needed, or None
        By frame; None where they hang on quantised tensors, which are decoded together.

    Raises
    ------
    FormatError
        If the heads of a payload are malformed.
    """
    sizes = _word_counts(manifest, frames[t])
    want: dict[int, Spans] = {row: ((0, sizes[row]),) for row in rows}
    learnt: frozenset[Slots] = frozenset()
    found: dict[int, Needed] = {}
    for s in sorted(frames, reverse=True):
        frame = frames[s]
        if any(frame.mode_of(row) not in (SKIP, RAW, INTEGER) for row in want):
            return None
        coded = _select(manifest, frame, want, learnt)
        own = _integer_rows(frame, coded, want)
        raw = {row for row in want if frame.mode_of(row) == RAW}
        if raw or own:
            found[s] = Needed(frozenset(raw | own.keys()), frozenset(want), coded)
        learnt |= coded.slots if coded is not None else frozenset()
        want = {row: spans for row, spans in want.items() if frame.mode_of(row) == SKIP}
        if own:
            before = _word_counts(manifest, frames[s - 1])
            moved = {p.row for p in frame.plan.tensors if p.slices}
            want |= {
                row: ((0, before[row]),) if row in moved else spans for row, spans in own.items()
            }
    return dict(sorted(found.items()))


def _word_counts(manifest: Manifest, frame: Frame) -> dict[int, int]:
    """Return how many words each tensor of a frame has, by row."""
    table = manifest.tensors
    return {p.row: p.size // table[p.row].dtype.word_bytes for p in frame.plan.tensors}


def _select(
    manifest: Manifest, frame: Frame, want: Mapping[int, Spans], learnt: Collection[Slots]
) -> Selection | None:
    """Return what is decoded of stream integer; None where it is not of the lossless coder."""
    stream = frame.segment.integer
    wanted = {row: spans for row, spans in want.items() if frame.mode_of(row) == INTEGER}
    if stream is None or stream.coding != "nmc" or not (wanted or learnt):
        return None
    tensors = frame.plan.of_mode(INTEGER)
    return coded_parts.select(manifest.tensors, frame.segment, frame.parts, tensors, wanted, learnt)


def _integer_rows(
    frame: Frame, coded: Selection | None, want: Mapping[int, Spans]
) -> dict[int, Spans]:
    """Return the words of the tensors of mode integer that are decoded, by row."""
    if coded is None:
        return {row: spans for row, spans in want.items() if frame.mode_of(row) == INTEGER}
    tensors = frame.plan.of_mode(INTEGER)
    return {tensors[i].row: spans for i, spans in coded.words.items()}
