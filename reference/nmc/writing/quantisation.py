"""What of a state is quantised, and how finely (chapter 12)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nmc.coding.cursor import Cursor
    from nmc.coding.state import State, Tensor
    from nmc_format.manifest.tensor_table import TensorRow

Step = float | Sequence[tuple[int, float]]
"""One step for a tensor, or rows and step for each of its parts."""


@dataclass(frozen=True)
class Quantisation:
    """How tensors are quantised.

    Parameters
    ----------
    step : float, or mapping of str to float or sequence of (int, float)
        Distance between neighbouring reconstruction points: for all tensors, or by name. A tensor
        may be cut along its first dimension into parts, given as rows and step. A tensor without a
        step keeps every bit; without names, so do those that are small or one value throughout.
    dependent : bool
        Use dependent quantisation (clause 12.4.5).
    transform : bool
        Use learnt bases for matrices (clause 12.5).
    rate : float
        Weight of a bit in the choice of symbols, in squared steps; 0 rounds to the nearest.

    Raises
    ------
    ValueError
        If a step is zero, negative, infinite or NaN.
    """

    step: float | Mapping[str, Step]
    dependent: bool = False
    transform: bool = True
    rate: float = 0.1

    def __post_init__(self) -> None:
        steps = self.step.items() if isinstance(self.step, Mapping) else [("step", self.step)]
        for name, step in steps:
            for value in [step] if isinstance(step, float | int) else [s for _, s in step]:
                if not (math.isfinite(value) and value > 0):
                    raise ValueError(f"the step of {name!r} is {value!r}; it is a number above 0")
        if not (math.isfinite(self.rate) and self.rate >= 0):
            raise ValueError(f"rate is {self.rate!r}; it is a number of at least 0")

    def steps_of(self, name: str, rows: int) -> Sequence[tuple[int, float]] | None:
        """Return rows and step of each part of a tensor; None where it keeps every bit.

        Raises
        ------
        ValueError
            If the parts do not add up to the rows of the tensor.
        """
        step = self.step.get(name) if isinstance(self.step, Mapping) else self.step
        if step is None:
            return None
        if isinstance(step, float | int):
            return [(rows, float(step))]
        if sum(n for n, _ in step) != rows or any(n < 1 for n, _ in step):
            raise ValueError(f"the parts of {name!r} have {sum(n for n, _ in step)} rows of {rows}")
        return [(n, float(s)) for n, s in step]


@dataclass(frozen=True)
class Quantiser:
    """Quantises the states of one writer, or leaves them as they are."""

    quantisation: Quantisation | None

    @staticmethod
    def of(quantisation: Quantisation | None, profile: str) -> Quantiser:
        """Return the quantiser of a writer.

        Raises
        ------
        ValueError
            If the profile does not allow it.
        """
        if quantisation is not None and profile != "lossy":
            raise ValueError(f"the profile is {profile!r}; quantised tensors take 'lossy'")
        return Quantiser(quantisation)

    def quantised(
        self, tensors: dict[int, Tensor], before: Cursor, rows: Sequence[TensorRow], *, key: bool
    ) -> dict[int, Tensor]:
        """Return the state that a decoder will have."""
        asked = self.quantisation
        if asked is None:
            return tensors
        from nmc.coding.quantised.grid import matrix_shape
        from nmc.coding.quantised.quantise import Tools, pays, quantised_state

        named = isinstance(asked.step, Mapping)
        found = {
            row: asked.steps_of(rows[row].name, matrix_shape(tensor.shape)[0])
            for row, tensor in tensors.items()
            if named or pays(tensor)
        }
        steps = {row: parts for row, parts in found.items() if parts is not None}
        tools = Tools(asked.dependent, asked.transform, asked.rate)
        return quantised_state(tensors, before, steps, tools, key=key)


def grids_of(state: State, rows: Sequence[TensorRow]) -> dict[str, tuple[tuple[int, float], ...]]:
    """Return rows and scale of each part of the tensors that lie on a grid, by name."""
    return {
        rows[row].name: tuple((part.rows, part.scale) for part in tensor.quantised.grid)
        for row, tensor in state.items()
        if tensor.quantised is not None
    }
