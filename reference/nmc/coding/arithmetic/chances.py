"""Chances that a cell is live (clause 8.7.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import sparse_kernel as kernels
from nmc.coding.arithmetic.payload import Reader, join
from nmc.coding.arithmetic.tensors import CoderError

SAME, OWN = 0, 1
_RANGES = [128 * follows + 32 * past for follows in range(2) for past in range(3)]
_SAMPLES = 1 << 18
"""Cells of a tensor that are counted at least; chances need no more."""


def _steps() -> NDArray[np.int64]:
    """Return the chance that each byte stands for (clause 8.7.3)."""
    low = [0, *(((8 | (b - 1) & 7) << ((b - 1) >> 3)) >> 3 for b in range(1, 129))]
    return np.array(low + [kernels.ONE - low[256 - b] for b in range(129, 256)], np.int64)


STEPS = _steps()
_ASCENDING = np.argsort(STEPS, kind="stable")
_MIDDLES = (STEPS[_ASCENDING][1:] + STEPS[_ASCENDING][:-1]) / 2

_FLAT = 0.5
"""What is left of a small chance: chances of a stretch add up where those of independent changes
multiply. With 0.6 a payload is smallest; this takes 0.6 % more bytes and 6 % less time."""

View: TypeAlias = kernels.View
Cells: TypeAlias = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class ChanceSet:
    """Chances of a run of tensors.

    Attributes
    ----------
    first : int
        The exponent field where octave 0 begins.
    steps : uint8[256]
        The step of each place; 0 where nothing changes.
    """

    first: int
    steps: NDArray[np.uint8]

    @classmethod
    def empty(cls) -> ChanceSet:
        """Return chances of 0."""
        return cls(0, np.zeros(kernels.PLACES, np.uint8))

    def table(self) -> NDArray[np.uint32]:
        """Return chances by place, as the kernels want them: out of reach behind a block's end."""
        table = STEPS[self.steps].astype(np.uint32)
        table[kernels.END - 31 : kernels.END + 1] = kernels.BEYOND
        table[kernels.FOLLOWS + kernels.END - 31 :] = kernels.BEYOND
        return table

    def serialize(self) -> bytes:
        """Return the set as a payload has it."""
        parts = [bytes([OWN]), self.first.to_bytes(2, "little")]
        for at in _RANGES:
            steps = self.steps[at : at + kernels.OCTAVES]
            used = np.flatnonzero(steps)
            first, end = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
            parts.append(bytes([first, end - first]) + steps[first:end].tobytes())
        return join(parts)


def parse(reader: Reader, before: ChanceSet | None) -> ChanceSet:
    """Read a set, or take the one before.

    Raises
    ------
    CoderError
        If it is malformed.
    """
    which = reader.byte()
    if which == SAME and before is not None:
        return before
    if which != OWN:
        raise CoderError(f"a set of chances begins with {which}, and none is before it")
    lowest = int.from_bytes(reader.take(2), "little")
    steps = np.zeros(kernels.PLACES, np.uint8)
    for at in _RANGES:
        first, number = reader.byte(), reader.byte()
        if first + number > kernels.OCTAVES:
            raise CoderError(f"chances of octaves {first} to {first + number - 1}; 31 is the last")
        steps[at + first : at + first + number] = np.frombuffer(reader.take(number), np.uint8)
    return ChanceSet(lowest, steps)


def choose(changes: Sequence[tuple[View, Cells]], *, exact: bool) -> ChanceSet:
    """Choose the chances of tensors whose live cells are known.

    Where they are exact, all blocks are counted: every change then has a chance.
    """
    lowest = _lowest([view for view, _ in changes])
    seen, moved = np.zeros((2, kernels.PLACES), np.int64)
    block = kernels.new_block()
    for view, cells in changes:
        step = 1 if exact else max(1, view.reference.size // view.size // _SAMPLES)
        kernels.count_places(*view, lowest, cells, step, block, seen, moved)
    if not exact:  # what was not looked at can have changed at any octave of a past that occurs
        floor = np.repeat((seen > 0).reshape(-1, kernels.OCTAVES).any(1), kernels.OCTAVES)
    else:
        floor = moved > 0
    share = moved / np.maximum(seen, 1)
    wanted = kernels.ONE * share * (_FLAT + (1 - _FLAT) * share)
    nearest = _ASCENDING[_MIDDLES.searchsorted(wanted)]
    return ChanceSet(lowest, np.where(floor, np.maximum(nearest, 1), 0).astype(np.uint8))


def _lowest(views: Sequence[View]) -> int:
    """Return an octave so that nearly all words are in the 32 from there on."""
    highest = 0
    for view in views:
        some = view.reference[:: max(1, view.reference.size >> 12)].astype(np.uint64)
        bits, exponent_bits, mantissa_bits = (int(w) for w in view.widths[2:])
        if exponent_bits and some.size:
            fields = (some & np.uint64((1 << (bits - 1)) - 1)) >> np.uint64(mantissa_bits)
            highest = max(highest, int(np.sort(fields)[(some.size * 255) >> 8]) + 1)
    return max(highest - kernels.OCTAVES + 1, 0)
