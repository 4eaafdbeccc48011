"""The plan of one refinement: which rows it refines (clause 12.7.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmc_format.issues import FormatError, refuse
from nmc_format.segment import REFINE, REFINED_MODE_NAMES, SKIP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc_format.segment import Segment


@dataclass(frozen=True)
class RefinedPlan:
    """What decoding one refinement takes.

    Attributes
    ----------
    skipped, refined : tuple of int
        Rows of these modes, ascending; every other one is as at the stop below.
    """

    skipped: tuple[int, ...]
    refined: tuple[int, ...]


def plan_refinement(
    below: Mapping[int, tuple[int, ...]],
    segment: Segment,
    stop: int,
    before: Mapping[int, tuple[int, ...]] | None,
) -> RefinedPlan:
    """Plan one refinement; everything is checked before anything of its size is allocated.

    Parameters
    ----------
    below : mapping of int to tuple of int
        Shapes of the rows that are quantised in the state of the stop below.
    segment : Segment
        The parsed segment.
    stop : int
        Which refinement, from 1.
    before : mapping of int to tuple of int, or None
        Shapes of the rows that are quantised in the state of this stop of the frame before; None
        for a key frame.

    Raises
    ------
    FormatError
        If the refinement does not fit its base, or the frame before.
    """
    found = segment.refinements[stop - 1]

    def bad(reason: str) -> FormatError:
        return refuse("segment/refinement", file=segment.file, refinement=stop, reason=reason)

    if len(found.modes) != len(segment.modes):
        raise refuse(
            "segment/stream-length",
            file=segment.file,
            stream=f"stop{stop}.modes",
            actual=len(found.modes),
            expected=len(segment.modes),
        )
    skipped, refined = [], []
    for row, mode in enumerate(found.modes.tolist()):
        if mode >= len(REFINED_MODE_NAMES):
            raise bad(f"row {row} has mode {mode}")
        if mode not in (SKIP, REFINE):
            continue
        name = REFINED_MODE_NAMES[mode]
        if row not in below:
            raise bad(f"row {row} has mode {name}, but is not quantised at the stop below")
        if mode == SKIP:
            if before is None:
                raise bad(f"row {row} of a key frame has mode {name}")
            if before.get(row) != below.get(row):
                raise bad(f"row {row} has mode {name}, but no such tensor in the frame before")
            skipped.append(row)
        if mode == REFINE:
            refined.append(row)
    _check_streams(segment, stop, refined, len(below))
    return RefinedPlan(tuple(skipped), tuple(refined))


def _check_streams(segment: Segment, stop: int, refined: list[int], quantised: int) -> None:
    found = segment.refinements[stop - 1]
    name = f"stop{stop}.bins.nmc"
    if refined and found.bins is None:
        raise refuse("segment/stream-missing", file=segment.file, stream=name)
    if found.bins is not None and not refined:
        raise refuse(
            "segment/stream-surplus", file=segment.file, offset=found.bins.offset, stream=name
        )
    bounds = 0 if found.bounds is None else len(found.bounds)
    if bounds != quantised:
        raise refuse(
            "segment/bounds",
            file=segment.file,
            reason=f"{bounds} declared errors for {quantised} quantised tensors",
        )
