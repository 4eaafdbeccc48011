"""Weights of 7 or 8 bits that a picture was shown to: AdaRound, then QAT, then an entropy coder.

As in the exploration experiments of MPEG INVR: the range of each tensor is cut into 2^bits levels,
AdaRound decides which way each weight is rounded, quantisation-aware training moves the levels
once more, and the levels are coded by our own entropy coder (chapter 12), without further loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from nmc_framework.training.rate.steps import Steps, rounded
from nmc_tools.bench_rd.learned_rounding import (
    FREE,
    RATE,
    WEIGHT,
    Method,
    moving_levels,
    undecided,
    up_or_down,
)

if TYPE_CHECKING:
    from nmc_framework.models.pictures import ClipModel
    from nmc_framework.training import ClipPixels

State = dict[str, np.ndarray[Any, Any]]


class _Loss(nn.Module):
    """The model as a module whose output is its loss."""

    def __init__(self, model: ClipModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Any) -> torch.Tensor:
        """Return the loss of a batch."""
        return self.model.loss(batch)


def range_steps(state: State, bits: int) -> Steps:
    """Return a step for each tensor of floating point that is not one value throughout.

    ``bits`` is at least 2; the largest magnitude has the largest level.
    """
    steps = {}
    for name, array in state.items():
        if array.dtype.kind == "f" and array.size > 1 and np.ptp(array) > 0:
            steps[name] = rounded(float(np.abs(array).max()) / (2 ** (bits - 1) - 1))
    return Steps(steps)


def learned_state(
    model: ClipModel, examples: ClipPixels, state: State, steps: Steps, iterations: int
) -> State:
    """Return a state that lies on the steps exactly, after AdaRound and QAT."""
    for method in ("AdaRound", "QAT"):
        state = _rounded(model, examples, state, steps, method, iterations)
    return state


def _rounded(
    model: ClipModel,
    examples: ClipPixels,
    state: State,
    steps: Steps,
    method: Method,
    iterations: int,
) -> State:
    model.load(state)
    own = dict(model.named_parameters())
    exact = {name: own[name].detach().clone() / step for name, step in steps.of.items()}
    start, levels = (up_or_down if method == "AdaRound" else moving_levels)(exact)
    learned = {name: nn.Parameter(tensor) for name, tensor in start.items()}
    optimiser = torch.optim.Adam(learned.values(), lr=RATE[method])
    whole = _Loss(model)
    random = torch.Generator().manual_seed(0)
    for i in range(iterations):
        batch = examples.draw(model.batch, random)
        weights = {f"model.{n}": a * steps.of[n] for n, a in levels(learned).items()}
        loss = torch.func.functional_call(whole, weights, (batch,))
        if method == "AdaRound" and i >= FREE * iterations:
            loss = loss + WEIGHT * undecided(learned, i / iterations)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = dict(state)
    with torch.no_grad():
        for name, array in levels(learned).items():
            found[name] = (array.round() * steps.of[name]).numpy().astype(state[name].dtype)
    return found
