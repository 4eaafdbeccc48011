"""Later frames, trained for rate: few weights move, by whole steps of the grid they lie on.

Each iteration sees the rounded weights (straight-through, as in frame 0). After a step along the
gradient of the loss every weight is drawn back to where it was by what its move costs: the proximal
operator of the bytes (Parikh and Boyd 2014, section 4.2), soft thresholding with the threshold of
its own step size. So a weight leaves its level only if the loss it saves pays for the bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from nmc_framework.training.fine_tuning import DampedAdam
from nmc_framework.training.rate.level_cost import (
    ROW_CONTEXTS,
    LevelCost,
    level_cost,
    row_context,
)
from nmc_framework.training.rate.price import Rate
from nmc_framework.training.rate.steps import LARGEST_LEVEL, Steps

#: Iterations between two counts of the moves.
_COUNT_EVERY = 5
#: Share of weights that are expected to stay, before moves are counted.
_ZEROS = 0.99
#: The same of levels, as frame 0 expects them.
_ZEROS_OF_LEVELS = 0.5
#: The least peak learning rate, in steps of the grid: below it, the tens of iterations of a frame
#: end before a weight has come half way to its next level.
_TRAVEL = 0.1
#: Decay of the mean loss.
_MEMORY = 0.9


class SparseAdam(DampedAdam):
    """Damped Adam of weights that lie on a grid, each of whose moves has its price.

    Parameters
    ----------
    groups
        Parameter groups with their learning rates, as of any optimiser; each parameter is on its
        grid.
    names
        The name of each parameter, by its ``id``.
    rate
        The price of bytes.
    steps
        The grids, by name.
    betas, damping
        As of :class:`~nmc_framework.training.fine_tuning.DampedAdam`.

    Between two steps parameters hold rounded weights.

    Raises
    ------
    RateError
        If a parameter has no step, or is not on its grid.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        names: dict[int, str],
        rate: Rate,
        steps: Steps,
        *,
        betas: tuple[float, float],
        damping: float,
    ) -> None:
        super().__init__(groups, betas=betas, damping=damping)
        self._rate = rate
        self._steps = steps
        self._moves = {
            id(p): _Moves(p, names[id(p)], steps)
            for group in self.param_groups
            for p in group["params"]
            if p.numel()
        }
        self._faster = {
            id(p): max(group["lr"], _TRAVEL * self._moves[id(p)].step) / group["lr"]
            for group in self.param_groups
            for p in group["params"]
            if p.numel() and group["lr"]
        }
        self._levels = sum(moves.bits_of_levels() for moves in self._moves.values())
        self._loss = math.nan

    def heard(self, loss: float, progress: float) -> None:  # noqa: ARG002 - as of frame 0
        """Take notice of the loss of this iteration."""
        known = math.isfinite(self._loss)
        self._loss = _MEMORY * self._loss + (1 - _MEMORY) * loss if known else loss

    @property
    def bits(self) -> float:
        """The estimated size of the moves so far, in bits."""
        return sum(moves.bits for moves in self._moves.values())

    @torch.no_grad()
    def take_over(self) -> None:
        """Take what the parameters hold for the weights before rounding."""
        for parameter in (p for group in self.param_groups for p in group["params"] if p.numel()):
            self._moves[id(parameter)].free = parameter.detach().clone()

    def finish(self) -> Steps:
        """Return the steps; they are those that the frame began with."""
        for moves in self._moves.values():
            moves.count()
        return self._steps

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        if parameter.numel():
            moves = self._moves[id(parameter)]
            parameter.copy_(moves.free)
            faster = self._faster.get(id(parameter), 1.0)
            speed = self._advance(parameter, gradient, {**group, "lr": faster * group["lr"]})
            moves.settle(parameter, speed * self._rate.of_bit(self._loss, self._levels, key=False))


class _Moves:
    """What one parameter moved by since the frame before, in steps, and what that costs."""

    def __init__(self, parameter: Tensor, name: str, steps: Steps) -> None:
        self.step = steps.of_tensor(name, parameter.detach())
        self._shape = (max(1, parameter.shape[0]) if parameter.ndim else 1, -1)
        self.free = parameter.detach().clone()
        self._base = torch.round(self.free / self.step)
        self._cost: LevelCost | None = None
        self._age = 0

    @property
    def bits(self) -> float:
        return self._cost.bits if self._cost else 0.0

    def bits_of_levels(self) -> float:
        """Return the estimated bits of where the parameter was, coded by itself."""
        levels = self._base.reshape(self._shape)
        return level_cost(levels, row_context(levels), ROW_CONTEXTS, _ZEROS_OF_LEVELS).bits

    def settle(self, parameter: Tensor, threshold: Tensor) -> None:
        """Draw the parameter back by its price, and round it.

        ``threshold`` is what one bit a unit of the parameter draws it by, in the same units.
        """
        if self._cost is None or self._age % _COUNT_EVERY == 0:
            self.count()
        assert self._cost is not None
        self._age += 1
        moved = parameter / self.step - self._base
        slope = self._cost.slope(moved.reshape(self._shape)).view_as(moved)
        kept = (moved.abs() - threshold * slope / self.step**2).clamp_min(0)
        moved = moved.sign() * kept
        self.free = (self._base + moved) * self.step
        parameter.copy_((self._base + self._whole(moved)) * self.step + 0.0)

    def count(self) -> None:
        moved = self._whole(self.free / self.step - self._base).reshape(self._shape)
        self._cost = level_cost(moved, row_context(moved), ROW_CONTEXTS, _ZEROS)

    def _whole(self, moved: Tensor) -> Tensor:
        bounded = torch.round(moved) + self._base
        return bounded.clamp(-LARGEST_LEVEL, LARGEST_LEVEL) - self._base
