"""Trials of one frame: the steps of its tensors, and what they make of it (chapter 12).

An encoder's business: :mod:`nmc.writing.quantiser` chooses among trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nmc.coding.state import arrays_of
from nmc.writing.aim import of_caller
from nmc.writing.quantisation import POINTS_A_BIT, proportions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc.coding.cursor import Cursor
    from nmc.coding.encode import CodedFrame
    from nmc.coding.quantised.curvature import TensorCurvature
    from nmc.coding.quantised.quantise import Tools
    from nmc.coding.state import State, Tensor
    from nmc.writing.curvature import Curvature
    from nmc.writing.quantisation import Quantisation
    from nmc.writing.remembered import Remembered
    from nmc_format.manifest.tensor_table import TensorRow

    Steps = dict[int, list[tuple[int, float]]]
    """By row, rows and step of each part."""

_GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it are spread evenly between whole numbers, however many there are."""

FINEST = 2.0**-27
"""A step below this share of the largest element has more bins than there can be."""

_TIGHTENED = 12
"""How often a step is made finer until an error is small enough."""

_SMALLEST = 2.0**-1000
"""A step that needs more exponents than grids have; a tensor of zeros has no element to say so."""

_COARSEST = 2.0**1000
"""A step that no element needs; twice an error may be beyond the numbers."""

_BELOW = 1 - 2.0**-20
"""What is taken off an error that must not be passed, for the rounding of the arithmetic."""


@dataclass(frozen=True)
class Place:
    """Where in a package a frame is to go.

    Attributes
    ----------
    frame : int
        Its index.
    key : bool
        Whether it is to be a key frame.
    before : Cursor
        The frame before.
    rows : sequence of TensorRow
        The tensor table.
    remembered : Remembered or None
        Of the frame before.
    group : sequence of int
        Bytes of the frames since the last key frame, this one's not.
    every : int
        A key frame every so many frames; 0: none.
    encode : callable
        State to :class:`nmc.coding.encode.CodedFrame`.
    originals : State
        The state as the caller has it, also of what stays as it was in the frame before.
    """

    frame: int
    key: bool
    before: Cursor
    rows: Sequence[TensorRow]
    remembered: Remembered | None
    group: Sequence[int]
    every: int
    encode: Callable[[State], CodedFrame]
    originals: State


class Trial:
    """One frame that is being quantised."""

    def __init__(self, asked: Quantisation, given: dict[int, Tensor], place: Place) -> None:
        from nmc.coding.quantised.quantise import can_be_quantised, pays

        named = isinstance(asked.step, Mapping) or isinstance(asked.max_error, Mapping)
        self.asked = asked
        self.given = given
        self.place = place
        self.rows = place.rows
        before = place.before.state
        stays = {row for row, tensor in given.items() if tensor is before.get(row)}
        self.changed = [
            row
            for row, tensor in given.items()
            if row not in stays and can_be_quantised(tensor) and (named or pays(tensor))
        ]
        self._known: Curvature | None = None
        self._stays = [row for row in stays if given[row].quantised is not None]

    def magnitudes(self, known: Mapping[int, float]) -> dict[int, float]:
        """Return what the steps of tensors are multiples of; only quality asks for it."""
        if self.asked.relative is None:
            return {}
        rows = [
            row
            for row, tensor in self.given.items()
            if row in known or row in self.changed or tensor.quantised is not None
        ]
        if all(row in known for row in rows):
            return {row: known[row] for row in rows}
        tensors = {row: self.given[row] for row in rows}
        found = proportions({row: (_magnitude(t), t.words.size) for row, t in tensors.items()})
        return found | {row: known[row] for row in rows if row in known}

    def steps(
        self,
        magnitudes: Mapping[int, float],
        seen: Mapping[int, Sequence[tuple[int, float]]] | None = None,
    ) -> Steps:
        """Return the steps of all tensors that have any; those that were ``seen`` count."""
        from nmc.coding.quantised.grid import matrix_shape

        found: Steps = {}
        for row in [*self.changed, *self._stays]:
            name, count = self.rows[row].name, matrix_shape(self.given[row].shape)[0]
            parts = self.asked.steps_of(name, count)
            error = self.asked.error_of(name)
            if seen and row in seen:
                parts = seen[row]
            elif self.asked.relative is not None:
                parts = [(count, magnitudes[row] * 2 ** (-self.asked.relative / POINTS_A_BIT))]
            elif error is not None:
                parts = [(count, min(2 * error * _BELOW, _COARSEST))]
            if parts is not None and all(step > 0 for _, step in parts):
                found[row] = list(parts)
        return found

    def scaled(self, steps: Steps, factor: float) -> Steps:
        """Return steps that are multiplied by a factor.

        A delta frame has the steps of its key frame times powers of two: other ones are no shifts
        of a grid. Between two powers some parts have the one, and some the other.
        """
        if factor == 1.0 and not self.asked.has_target:
            return steps
        known = self.place.remembered
        if self.place.key or known is None:
            return {
                row: [(n, min(factor * s, _COARSEST)) for n, s in parts]
                for row, parts in steps.items()
            }
        bits, turn = math.log2(factor / known.key_factor), 0
        found: Steps = {}
        for row in sorted(steps):
            found[row] = []
            for count, step in steps[row]:
                shift = math.floor(bits + turn * _GOLDEN % 1)
                found[row].append((count, min(known.key_factor * step * 2.0**shift, _COARSEST)))
                turn += 1
        return found

    def made(self, steps: Steps, factor: float) -> dict[int, Tensor]:
        """Return the state for some steps, multiplied by a factor."""
        from nmc.coding.quantised.quantise import Tools

        steps = self.scaled(steps, factor)
        allowed = {row: parts for row, parts in steps.items() if self._has_bins(row, steps)}
        if self.asked.max_error is None:
            asked = self.asked
            tools = Tools(asked.dependent, asked.transform, asked.rate, self._curvatures(allowed))
            return self._quantised(self.given, allowed, tools)
        return self._within(allowed)

    def _curvatures(self, steps: Steps) -> dict[int, TensorCurvature]:
        """Return what is known of the tensors that have steps, by row."""
        if self.asked.curvature is None:
            return {}
        known = self._known = self._known or self._measured()
        return {row: known.of_tensor(self.rows[row].name, self.given[row].shape) for row in steps}

    def _measured(self) -> Curvature:
        """Return the curvature of this frame."""
        asked = self.asked.curvature
        assert asked is not None
        if not callable(asked):
            return asked
        state = arrays_of(self.place.originals, self.rows)
        return of_caller("curvature", self.place.frame, lambda: asked(state))

    def _has_bins(self, row: int, steps: Steps) -> bool:
        """Whether there can be as many bins as a step makes."""
        if row in self._stays:
            return True
        finest = max(FINEST * _largest(self.given[row]), _SMALLEST)
        return min(step for _, step in steps[row]) >= finest

    def _quantised(self, tensors: State, steps: Steps, tools: Tools) -> dict[int, Tensor]:
        from nmc.coding.quantised.quantise import quantised_state

        return quantised_state(tensors, self.place.before, steps, tools, key=self.place.key)

    def _within(self, steps: Steps) -> dict[int, Tensor]:
        """Return the state with every error below what is allowed, or none at all.

        Each element is rounded to the nearest by itself: that is the coarsest step for an error.
        """
        from nmc.coding.quantised.quantise import Tools

        tools = Tools(dependent=False, transform=False, rate=0.0)
        tensors = dict(self.given)
        for _ in range(_TIGHTENED):
            tensors = self._quantised(tensors, steps, tools)
            finer: Steps = {}
            for row in set(steps) & set(self.changed):
                error, bins = self.asked.error_of(self.rows[row].name), tensors[row].quantised
                if bins is None or error is None:
                    continue
                if bins.bound == 0:  # finer than the element type: lossless coding is shorter
                    tensors[row] = self.given[row]
                    steps = {r: parts for r, parts in steps.items() if r != row}
                    continue
                if bins.bound <= error:
                    continue
                factor = min(max(error / bins.bound, 0.5), 0.9)
                finer[row] = [(n, factor * s) for n, s in steps[row]]
                tensors[row] = self.given[row]
            if not finer:
                return tensors
            steps = {**steps, **finer}
        return tensors

    def notes(self, tensors: State, steps: Steps) -> dict[str, str]:
        """Say which tensors did not become what was asked for."""
        from nmc_format.plan import QUANTISABLE

        found = {}
        for row, tensor in tensors.items():
            name = self.rows[row].name
            if row in self.changed and tensor.quantised is not None:
                if not tensor.quantised.bins.any():
                    found[name] = "all its elements became 0: the step is larger than they are"
            elif row in self.changed:
                if self.asked.error_of(name) is not None:
                    found[name] = (
                        f"stays lossless: an error of {self.asked.error_of(name):g} is too small "
                        f"for its largest elements in {tensor.dtype.name}"
                    )
                elif row in steps and not self._has_bins(row, steps):
                    found[name] = "stays lossless: the step is too fine for its largest elements"
                elif row in steps:
                    found[name] = "stays lossless: at this step it is out of the range of bins"
            elif (
                tensor is not self.place.before.state.get(row)
                and tensor.dtype.name in QUANTISABLE
                and not np.isfinite(_real(tensor)).all()
            ):
                found[name] = "stays lossless: it has NaN or infinity"
        return {name: f"{text} (frame {self.place.frame})" for name, text in found.items()}


def _real(tensor: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    from nmc.coding.quantised.quantise import real

    values: np.ndarray[tuple[int, int], np.dtype[np.float64]] = real(tensor)
    return values


def _largest(tensor: Tensor) -> float:
    return float(np.abs(_real(tensor)).max(initial=0.0))


def _magnitude(tensor: Tensor) -> float:
    """Return the root mean square; no square overflows on the way."""
    largest = _largest(tensor)
    if largest == 0:
        return 0.0
    return largest * float(np.sqrt(np.mean((_real(tensor) / largest) ** 2)))
