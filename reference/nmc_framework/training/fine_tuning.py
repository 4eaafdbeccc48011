"""The optimiser of later frames: few iterations, from weights that are right almost everywhere.

Adam (Kingma and Ba 2015, algorithm 1) divides each gradient by its own size, so that its first
steps move every weight that sees any gradient by the full learning rate: from random weights that
is its strength, from a finished frame's it destroys what stands still. Here the divisor has a floor
relative to the tensor's gradients: weights with far smaller gradients than their neighbours stay.
Nothing is carried over from the frame before: a chain taken up again needs its weights only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

#: Divides by zero where a tensor has had no gradient at all.
_TINY = 1e-15


class DampedAdam(torch.optim.Optimizer):
    """Adam whose epsilon is ``damping`` times the root mean square gradient of the tensor.

    Parameters
    ----------
    params
        As of any torch optimiser; a group's ``lr`` is its step size.
    betas
        Decay of the means of the gradient and of its square.
    damping
        0 makes it Adam.
    """

    def __init__(
        self, params: Iterable[Any], *, betas: tuple[float, float], damping: float, lr: float = 1e-3
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "damping": damping})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients."""
        assert closure is None, "gradients are computed before the step"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        self._advance(parameter, gradient, group)

    def _advance(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Move a parameter; return the step size of each weight, what a unit of gradient moves."""
        state = self.state[parameter]
        if not state:
            state |= {
                "step": 0,
                "mean": torch.zeros_like(parameter),
                "square": torch.zeros_like(parameter),
            }
        state["step"] += 1
        first, second = group["betas"]
        mean, square = state["mean"], state["square"]
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        expected = square / (1 - second ** state["step"])
        divisor = expected.mean().sqrt().mul_(group["damping"]).add_(_TINY) + expected.sqrt_()
        rate = group["lr"] / (1 - first ** state["step"])
        parameter.addcdiv_(mean, divisor, value=-rate)
        speed: Tensor = group["lr"] / divisor
        return speed
