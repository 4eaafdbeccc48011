"""The stops of one frame (clause 12.7): what refinements make of the state of the base."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nmc.coding.quantised.grid import Quantised
from nmc.coding.quantised.memory import Memory
from nmc.coding.quantised.reconstruct import tensors_of, with_bounds
from nmc.coding.state import State, Tensor
from nmc_format.refined_plan import plan_refinement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc_format.manifest.record import Manifest
    from nmc_format.segment import Segment


@dataclass(frozen=True, eq=False)
class AtStop:
    """One stop above the base, of one frame.

    Attributes
    ----------
    state : State
        Its state.
    memory : Memory
        What its coder remembers after the frame.
    """

    state: State
    memory: Memory = field(default_factory=Memory)


def decode_refinements(
    manifest: Manifest,
    segment: Segment,
    base: State,
    before: Sequence[AtStop] | None,
    stop: int,
    threads: int = 1,
) -> tuple[AtStop, ...]:
    """Decode the stops of one frame, up to one of them.

    Parameters
    ----------
    manifest : Manifest
        The checked manifest.
    segment : Segment
        The parsed segment.
    base : State
        The state of the base.
    before : sequence of AtStop or None
        The stops of the frame before; None for a key frame. Their memories are changed.
    stop : int
        The last one that is wanted; 0 is the base.
    threads : int
        Parts of a refinement that are decoded at the same time; the states are the same.

    Raises
    ------
    FormatError
        If a refinement does not fit its base, or is malformed.
    """
    made: list[AtStop] = []
    below = base
    for k in range(1, stop + 1):
        known = None if before is None else before[k - 1]
        found = _decode(manifest, segment, k, below, known, threads)
        made.append(found)
        below = found.state
    return tuple(made)


def bins_of(state: State) -> dict[int, Quantised]:
    """Return grid and bins of the rows that are quantised in a state."""
    return {row: t.quantised for row, t in state.items() if t.quantised is not None}


def past_of(before: AtStop | None, row: int, tensor: Tensor) -> Quantised | None:
    """Return a row at this stop of the frame before, if it is quantised and of the same shape."""
    past = None if before is None else before.state.get(row)
    return past.quantised if past is not None and past.shape == tensor.shape else None


def _shapes(state: State) -> dict[int, tuple[int, ...]]:
    return {row: state[row].shape for row in bins_of(state)}


def _decode(
    manifest: Manifest,
    segment: Segment,
    k: int,
    below: State,
    before: AtStop | None,
    threads: int,
) -> AtStop:
    plan = plan_refinement(
        _shapes(below), segment, k, None if before is None else _shapes(before.state)
    )
    memory = Memory() if before is None else before.memory
    memory.keep({*plan.skipped, *plan.refined})
    state = dict(below)
    if before is not None:
        state |= {row: before.state[row] for row in plan.skipped}
    state |= _refined(manifest, segment, k, plan.refined, below, before, memory, threads)
    return AtStop(
        with_bounds(state, sorted(_shapes(below)), segment.refinements[k - 1].bounds), memory
    )


def _refined(
    manifest: Manifest,
    segment: Segment,
    k: int,
    rows: Sequence[int],
    below: State,
    before: AtStop | None,
    memory: Memory,
    threads: int,
) -> Mapping[int, Tensor]:
    stream = segment.refinements[k - 1].bins
    if stream is None:
        return {}
    from nmc.coding.quantised import refine

    bases = bins_of(below)
    tensors = [refine.Below(row, bases[row], past_of(before, row, below[row])) for row in rows]
    return tensors_of(
        lambda: refine.decode(stream.data, tensors, memory, threads),
        {row: below[row].shape for row in rows},
        manifest.tensors,
        stream,
        segment.file,
    )
