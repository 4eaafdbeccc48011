"""Quantisation-aware training: weights on grids of a given number of bits.

Each tensor's range is cut into 2^bits - 1 levels that lie evenly about zero. The forward pass sees
the rounded weights, and gradients pass through the rounding as if it were not there (Bengio et al.
2013; so does FFNeRV, Lee et al. 2023, section 3.3). Steps follow the ranges in a frame from random
weights; later frames keep them, so that their moves are integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from nmc_framework.training.fine_tuning import DampedAdam
from nmc_framework.training.rate.price import RateError
from nmc_framework.training.rate.steps import Steps, rounded

#: The fewest and most bits.
BITS = (2, 14)
#: Share of a frame from random weights in which they are free.
_FREE = 0.4
#: The step of a tensor that is zero.
_UNKNOWN_STEP = 1e-3


class BitsAdam(DampedAdam):
    """Adam of weights that the model sees rounded.

    Parameters
    ----------
    groups, betas, damping
        As of :class:`~nmc_framework.training.fine_tuning.DampedAdam`.
    names
        The name of each parameter, by its ``id``.
    bits
        Of a weight.
    steps
        The grids that the weights lie on, in later frames.
    aware
        From which share 0..1 of the frame on weights are rounded; later frames: from the first.
    """

    #: What its frames take is not estimated.
    bits: float = math.nan

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        names: dict[int, str],
        bits: int,
        *,
        betas: tuple[float, float],
        damping: float,
        steps: Steps | None = None,
        aware: float = _FREE,
    ) -> None:
        super().__init__(groups, betas=betas, damping=damping)
        self._names, self._most, self._known = names, 2 ** (bits - 1) - 1, steps
        self._aware = 0.0 if steps else aware
        self._free: dict[int, Tensor] = {}
        self._steps: dict[int, float] = {}
        self._progress = 0.0

    def heard(self, loss: float, progress: float) -> None:
        """Take notice of the share 0..1 of the frame that is done."""
        del loss
        self._progress = progress

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients, from the weights before rounding."""
        for parameter in self._parameters():
            if id(parameter) in self._free:
                parameter.copy_(self._free[id(parameter)])
        super().step(closure)
        if self._progress >= self._aware:
            self._round()

    @torch.no_grad()
    def take_over(self) -> None:
        """Take what the parameters hold for the weights before rounding, if that has begun."""
        if self._free:
            self._round()

    @torch.no_grad()
    def finish(self) -> Steps:
        """Return the steps; the parameters are on their grids now, exactly."""
        if not self._free:
            self._round()
        found = {self._names[i]: step for i, step in self._steps.items()}
        return Steps({**(self._known.of if self._known else {}), **found})

    def _round(self) -> None:
        for parameter in self._parameters():
            free = self._free[id(parameter)] = parameter.detach().clone()
            step = self._step(parameter, free)
            self._steps[id(parameter)] = step
            levels = torch.round(free / step).clamp(-self._most, self._most)
            # Zero is added so that no level is minus zero.
            parameter.copy_(levels * step + 0.0)

    def _step(self, parameter: Tensor, free: Tensor) -> float:
        """Return the step of a parameter: known in a later frame, else that of its range."""
        name = self._names[id(parameter)]
        if self._known is not None:
            if name not in self._known.of:
                raise RateError(f"{name!r} has no step: was the frame before trained with bits?")
            return self._known.of[name]
        largest = float(free.abs().max())
        if not 0 < largest < math.inf:
            return _UNKNOWN_STEP
        return rounded(largest / self._most)

    def _parameters(self) -> Iterable[Tensor]:
        return (p for group in self.param_groups for p in group["params"] if p.numel())
