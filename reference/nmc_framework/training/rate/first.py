"""Frame 0, trained for rate: weights on a grid whose steps are learned with them.

The forward pass sees the rounded weights, and gradients pass through the rounding as if it were
not there (Bengio et al. 2013, the straight-through estimator). Steps learn from the same gradients
(Esser et al. 2020, LSQ, equation 3) and from the bits that coarser ones save, as in training with a
price on entropy (Oktay et al. 2020; for hash grids Girish et al. 2023, SHACIRA).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from nmc_framework.training.rate.level_cost import (
    ROW_CONTEXTS,
    LevelCost,
    level_cost,
    row_context,
)
from nmc_framework.training.rate.price import Rate, RateError
from nmc_framework.training.rate.steps import LARGEST_LEVEL, Steps, rounded

#: Share of the frame with free weights, and the share after it over which bytes get their price.
_FREE, _RAMP = 0.1, 0.1
#: The first step of a tensor, as a share of the root mean square of its weights then.
_FIRST_STEP = 0.25
#: That of a tensor that is zero, or has diverged.
_UNKNOWN_STEP = 1e-3
#: Step size of the logarithm of a step, and the decays of its Adam.
_STEP_RATE, _STEP_BETAS = 0.02, (0.95, 0.98)
#: Iterations between two counts of the levels.
_COUNT_EVERY = 8
#: Share of zeros that is expected of a tensor before its levels are counted.
_ZEROS = 0.5
#: Decay of the mean loss.
_MEMORY = 0.98


class SteppedAdam(torch.optim.Adam):
    """Adam of weights that are rounded to a grid, and of the steps of that grid.

    Parameters
    ----------
    groups
        Parameter groups with their learning rates, as of any optimiser.
    names
        The name of each parameter, by its ``id``.
    rate
        The price of bytes.
    betas, eps
        As of :class:`torch.optim.Adam`.
    steps
        The grids that the parameters lie on, where a chain is renewed in a key frame: they are
        learned on from there, and no weight is free at first.

    Between two steps parameters hold rounded weights, once rounding has begun.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        names: dict[int, str],
        rate: Rate,
        *,
        betas: tuple[float, float],
        eps: float,
        steps: Steps | None = None,
    ) -> None:
        super().__init__(groups, betas=betas, eps=eps)
        self._names = names
        self._rate = rate
        self._peaks = [group["lr"] for group in self.param_groups]
        self._steps = steps
        self._grids: dict[int, _LearnedGrid] = {}
        self._loss = math.nan
        self._progress = 0.0
        self._count = 0

    def heard(self, loss: float, progress: float) -> None:
        """Take notice of the loss of this iteration, and of the share 0..1 that is done."""
        known = math.isfinite(self._loss)
        self._loss = _MEMORY * self._loss + (1 - _MEMORY) * loss if known else loss
        self._progress = progress

    @property
    def bits(self) -> float:
        """The estimated size of the frame's weights, in bits; NaN while they are free."""
        return sum(grid.bits for grid in self._grids.values()) if self._grids else math.nan

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients, of the loss and of the bytes."""
        assert closure is None, "gradients are computed before the step"
        if not self._grids and (self._steps or self._progress >= _FREE):
            self._begin()
        if not self._grids:
            super().step()
            return
        ramp = 1.0 if self._steps else min((self._progress - _FREE) / _RAMP, 1.0)
        price = ramp * self._rate.of_bit(self._loss, self.bits, key=True)
        recount = self._count % _COUNT_EVERY == 0
        self._count += 1
        for group, peak in zip(self.param_groups, self._peaks, strict=True):
            share = group["lr"] / peak if peak else 0.0
            for parameter in group["params"]:
                if parameter.numel():
                    self._grids[id(parameter)].pay(parameter, price, share, recount=recount)
        super().step()
        self.round()

    @torch.no_grad()
    def round(self) -> None:
        """Put all parameters on their grids."""
        if not self._grids:
            self._begin()
        for parameter in self._parameters():
            self._grids[id(parameter)].round(parameter)

    @torch.no_grad()
    def take_over(self) -> None:
        """Take what the parameters hold for the free weights, where they are on grids by now."""
        if self._grids:
            self.round()

    @torch.no_grad()
    def finish(self) -> Steps:
        """Return the steps; the parameters are on their grids now, exactly."""
        if not self._grids:
            self.round()
        for parameter in self._parameters():
            self._grids[id(parameter)].finish(parameter)
        found = {self._names[i]: grid.step for i, grid in self._grids.items()}
        return Steps({**(self._steps.of if self._steps else {}), **found})

    def _begin(self) -> None:
        for parameter in self._parameters():
            name = self._names[id(parameter)]
            known = self._steps.of_tensor(name, parameter) if self._steps else None
            self._grids[id(parameter)] = grid = _LearnedGrid(parameter, known)
            grid.count()

    def _parameters(self) -> Iterable[Tensor]:
        return (p for group in self.param_groups for p in group["params"] if p.numel())


class _LearnedGrid:
    """The grid of one parameter: its weights before rounding, and the step that is learned."""

    def __init__(self, parameter: Tensor, step: float | None) -> None:
        if parameter.dtype not in (torch.float32, torch.float64):
            raise RateError(
                f"training for rate needs weights of 32 or 64 bits, not {parameter.dtype}"
            )
        self.free = parameter.detach().clone()
        self._began = None if step is None else (self.free.clone(), step)
        spread = float(self.free.double().square().mean().sqrt())
        wanted = step or _FIRST_STEP * spread
        self._log = math.log(wanted if 0 < wanted < math.inf else _UNKNOWN_STEP)
        self._mean = self._square = 0.0
        self._moves = 0
        self._shape = (max(1, parameter.shape[0]) if parameter.ndim else 1, -1)
        self._cost: LevelCost | None = None

    @property
    def step(self) -> float:
        return rounded(math.exp(self._log))

    @property
    def bits(self) -> float:
        return self._cost.bits if self._cost else 0.0

    def pay(self, parameter: Tensor, price: float, share: float, *, recount: bool) -> None:
        """Give the parameter its free weights again, and add the bytes' gradient to its own."""
        if recount or self._cost is None:
            self.count()
        assert self._cost is not None
        step = self.step
        position = (self.free / step).reshape(self._shape)
        slope = self._cost.slope(position) * position.sign()
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        gradient = parameter.grad.reshape(self._shape)
        off = torch.round(position) - position
        by_loss = float((gradient * off).sum()) * step
        by_bytes = -price * float((slope * position).sum())
        self._learn(by_loss + by_bytes, share)
        parameter.grad += (slope * (price / step)).view_as(parameter)
        parameter.copy_(self.free)

    def _learn(self, gradient: float, share: float) -> None:
        """Take a step of Adam of the logarithm of the step, along ``gradient``, if that is one."""
        if not math.isfinite(gradient):
            return
        first, second = _STEP_BETAS
        self._moves += 1
        self._mean = first * self._mean + (1 - first) * gradient
        self._square = second * self._square + (1 - second) * gradient**2
        mean = self._mean / (1 - first**self._moves)
        root = math.sqrt(self._square / (1 - second**self._moves))
        self._log -= share * _STEP_RATE * mean / (root + 1e-30)

    def round(self, parameter: Tensor) -> None:
        """Take over the parameter as free weights, and round it."""
        self.free.copy_(parameter)
        least = float(self.free.abs().max()) / LARGEST_LEVEL
        if 0 < least < math.inf:
            self._log = max(self._log, math.log(least))
        # Zero is added so that no level is minus zero.
        parameter.copy_(self._levels() * self.step + 0.0)

    def finish(self, parameter: Tensor) -> None:
        """Count the levels; weights that are what they were stay on the grid they were on.

        A writer does not code them again.
        """
        if self._began and torch.equal(self._began[0], parameter):
            self._log = math.log(self._began[1])
            self.free.copy_(parameter)
        self.count()

    def count(self) -> None:
        levels = self._levels().reshape(self._shape)
        self._cost = level_cost(levels, row_context(levels), ROW_CONTEXTS, _ZEROS)

    def _levels(self) -> Tensor:
        return torch.round(self.free / self.step).clamp(-LARGEST_LEVEL, LARGEST_LEVEL)
