"""Steps of the grids that a trained state lies on: every weight is an integer times its step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import nmc
from nmc_framework.models import State
from nmc_framework.training.rate.price import RateError

#: Bits of a step's mantissa, and the largest level: their product has 24 bits, as many as the
#: mantissa of a binary32 number, so that level times step is exact.
MANTISSA_BITS, LARGEST_LEVEL = 10, (1 << 14) - 1
#: Smallest and largest steps, far from where binary32 numbers end.
_SMALLEST, _LARGEST = 2.0**-80, 2.0**80


@dataclass(frozen=True)
class Steps:
    """The step of each tensor that lies on a grid, by name; empty ones and buffers lie on none.

    A step is a positive number with a mantissa of 10 bits. Levels are integers of 14 bits, so that
    their product with it is exact in binary32.
    """

    of: Mapping[str, float]

    def quantisation(self) -> nmc.Quantisation:
        """Return what a writer codes such a state by, without further loss."""
        return nmc.Quantisation(dict(self.of), dependent=False, transform=False, rate=0.0)

    def of_tensor(self, name: str, values: Tensor) -> float:
        """Return the step of a tensor, whose values are looked at.

        Raises
        ------
        RateError
            If it has none, or the values are not exactly integers of 14 bits times it.
        """
        if name not in self.of:
            raise RateError(f"{name!r} has no step: was the frame before trained for rate?")
        step = self.of[name]
        levels = torch.round(values / step)
        on_grid = torch.equal(levels * step, values) and bool((levels.abs() <= LARGEST_LEVEL).all())
        if not on_grid:
            raise RateError(
                f"{name!r} is not on its grid of step {step:g}: "
                "was the frame before trained for rate?"
            )
        return step

    def levels(self, state: State) -> dict[str, npt.NDArray[np.int32]]:
        """Return the levels of the tensors that have a step, in their shapes.

        Raises
        ------
        RateError
            If a tensor is not there, or not exactly its levels times its step.
        """
        found = {}
        for name, step in self.of.items():
            if name not in state:
                raise RateError(f"{name!r} has a step, but the state has no such tensor")
            values = np.asarray(state[name])
            levels = np.rint(values.astype(np.float64) / step)
            inside = np.abs(levels) <= LARGEST_LEVEL  # what is not a number is not
            if not (inside.all() and np.array_equal((levels * step).astype(values.dtype), values)):
                raise RateError(
                    f"{name!r} is not on its grid of step {step:g}: was the chain trained for rate?"
                )
            found[name] = levels.astype(np.int32)
        return found


def rounded(step: float) -> float:
    """Return the nearest step with a mantissa of 10 bits."""
    within = min(max(step, _SMALLEST), _LARGEST)
    mantissa, exponent = math.frexp(within)
    return math.ldexp(round(math.ldexp(mantissa, MANTISSA_BITS)), exponent - MANTISSA_BITS)
