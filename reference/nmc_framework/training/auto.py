"""Picking what a frame freezes: the layers whose learning the loss would miss least (clause 5.3).

A few batches of the new frame give every layer's gradient at the old frame's weights, and with it
the decrease of the loss that the layer's first step promises. FreezeOut (Brock et al. 2017) freezes
by position and AutoFreeze (Liu et al. 2021) where gradients have settled; here the sum of
gradient times step is compared with the bytes that a layer adds to a delta frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from nmc_framework.training.layer_freezing import FreezingError, freeze

if TYPE_CHECKING:
    from nmc_framework.models import ChainModel
    from nmc_framework.training.examples import Examples


@dataclass(frozen=True)
class LayerWorth:
    """What one layer's learning promises: the loss's decrease in a step, and bytes that change."""

    decrease: float
    changed_bytes: int


@dataclass(frozen=True)
class AutoFreezing:
    """A policy that depends on the weights, the views and the seed alone.

    Parameters
    ----------
    give_up
        Share 0..1 of the promised decrease of the loss that may be lost by freezing.
    batches
        Batches that the promise is measured on.
    """

    give_up: float = 0.1
    batches: int = 4

    def __post_init__(self) -> None:
        if not 0 <= self.give_up < 1:
            raise FreezingError(f"a policy gives up a share of 0 to below 1, not {self.give_up}")
        if self.batches < 1:
            raise FreezingError(f"a policy needs at least one batch, not {self.batches}")

    def choose(
        self,
        model: ChainModel,
        examples: Examples,
        rays: int,
        learning_rate: float,
        damping: float,
        generator: torch.Generator,
    ) -> tuple[int, ...]:
        """Return the layers to freeze for a frame that is learned from ``examples``, ascending.

        Leaves the model's weights as they are, and every parameter free to learn.
        """
        freeze(model, model.layers(), ())
        model.train()
        for _ in range(self.batches):
            (model.loss(examples.draw(rays, generator)) / self.batches).backward()  # type: ignore[no-untyped-call]
        worth = _worth(model, learning_rate, damping)
        model.zero_grad(set_to_none=True)
        model.eval()
        return least_missed(worth, self.give_up)


def least_missed(worth: Sequence[LayerWorth], give_up: float) -> tuple[int, ...]:
    """Return the layers with the least decrease a byte that together lose at most ``give_up``.

    One layer at least is left to learn.
    """
    allowed = give_up * sum(layer.decrease for layer in worth)
    ascending = sorted(
        range(len(worth)), key=lambda i: (worth[i].decrease / max(worth[i].changed_bytes, 1), i)
    )
    frozen: list[int] = []
    lost = 0.0
    for index in ascending[:-1]:
        if lost + worth[index].decrease <= allowed:
            lost += worth[index].decrease
            frozen.append(index)
    return tuple(sorted(frozen))


def _worth(model: ChainModel, learning_rate: float, damping: float) -> list[LayerWorth]:
    """Return each layer's worth for a first step of :class:`DampedAdam` along the gradients."""
    rates = {
        id(parameter): float(group["lr"])
        for group in model.parameter_groups(learning_rate, later=True)
        for parameter in group["params"]
    }
    worths = []
    for layer in model.layers():
        decrease, size = 0.0, 0
        for parameter in layer.parameters():
            size += parameter.numel() * parameter.element_size()
            if parameter.grad is None:
                continue
            gradient = parameter.grad
            squares = gradient.square()
            root = squares.mean().sqrt()
            step = squares / (gradient.abs() + damping * root + 1e-15)
            decrease += rates[id(parameter)] * float(step.sum())
        worths.append(LayerWorth(decrease, size))
    return worths
