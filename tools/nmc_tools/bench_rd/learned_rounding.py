"""Rounding that is learned from renderings: AdaRound, and quantisation-aware fine-tuning.

The comparison of the MPEG exploration of implicit neural representations quantises weights to 7 and
8 bits, lets AdaRound choose between rounding up and down, and fine-tunes with quantised weights
(QAT). Here the teacher is the original model, seen along rays of the training cameras; levels are
then coded as those of any other uniform quantiser.

AdaRound: Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020:
levels are floor(w / step) + h(v), the rectified sigmoid h (equation 23) is driven to 0 or 1 by a
regulariser (equation 24) with falling exponent. QAT: levels are numbers that move, rounded in the
forward pass and taken as they are in the backward one (Bengio et al. 2013, arXiv 1308.3432).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from nmc_framework.models.views import Rays
from nmc_tools.bench_rd.baselines import Grid, levels_of, of_range, uniform
from nmc_tools.bench_rd.coded import Codec, State

if TYPE_CHECKING:
    from pathlib import Path

    from nmc_framework.cameras import Camera
    from nmc_framework.models.views import RayModel
    from nmc_tools.bench_rd.coded import Coded

Array = np.ndarray[Any, Any]
Method: TypeAlias = Literal["AdaRound", "QAT"]
#: From what is learned to levels, tensors of floating point.
Levels = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]

NAME = "7 and 8 bits, learned rounding + zstd -19"
_ITERATIONS, _RAYS = 150, 1024
#: Rates of Adam, in levels.
RATE = {"AdaRound": 1.0, "QAT": 0.03}
#: The share of the iterations in which rounding need not decide yet.
FREE = 0.5
#: Limits of the rectified sigmoid, weight and exponents of the regulariser.
_ZETA, _GAMMA, WEIGHT, _EXPONENTS = 1.1, -0.1, 1e-9, (20.0, 2.0)


@dataclass(frozen=True, eq=False)
class Teacher:
    """A model to render with, and the cameras from which a student learns."""

    model: RayModel
    cameras: Sequence[Camera]


class _Seen(nn.Module):
    """The model as a module whose output is what rays see."""

    def __init__(self, model: RayModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, rays: Rays) -> Tensor:
        """Return the colours (N, 3) that N rays see."""
        return self.model.seen(rays)


def codec(teacher: Teacher, iterations: int = _ITERATIONS) -> Codec:
    """Return both methods at 8 and 7 bits of each tensor's range."""
    methods: tuple[Method, ...] = ("AdaRound", "QAT")
    settings = {f"{bits} bits, {m}": (bits, m) for m in methods for bits in (8, 7)}
    return Codec(NAME, settings, partial(_code, teacher, iterations))


def _code(
    teacher: Teacher,
    iterations: int,
    states: Sequence[State],
    setting: tuple[int, Method],
    folder: Path,
) -> Coded:
    bits, method = setting
    rounding = partial(learned_levels, teacher, method, iterations)
    return uniform(states, partial(of_range, bits), folder, rounding=rounding)


def learned_levels(
    teacher: Teacher, method: Method, iterations: int, state: State, grid: Grid
) -> dict[str, Array]:
    """Return the levels of a state: int64 of the tensors of the grid, the others as they are."""
    seen = _Seen(teacher.model)
    teacher.model.load(state)
    teacher.model.eval()
    own = dict(teacher.model.named_parameters())
    steps = {n: float(s) for n, s in grid.items() if n in own and isinstance(s, float)}
    exact = {name: own[name].detach().clone() / step for name, step in steps.items()}
    rays = [Rays.of(camera) for camera in teacher.cameras]
    origins, directions = (
        torch.cat([getattr(r, of) for r in rays]) for of in ("origins", "directions")
    )
    start, levels = (up_or_down if method == "AdaRound" else moving_levels)(exact)
    learned = {name: nn.Parameter(tensor) for name, tensor in start.items()}
    optimiser = torch.optim.Adam(learned.values(), lr=RATE[method])
    random = torch.Generator().manual_seed(0)
    for i in range(iterations):
        chosen = torch.randint(len(origins), (_RAYS,), generator=random)
        batch = Rays(origins[chosen], directions[chosen])
        with torch.no_grad():
            truth = teacher.model.seen(batch)
        weights = {f"model.{n}": a * steps[n] for n, a in levels(learned).items()}
        loss = nn.functional.mse_loss(torch.func.functional_call(seen, weights, (batch,)), truth)
        if method == "AdaRound" and i >= FREE * iterations:
            loss = loss + WEIGHT * undecided(learned, i / iterations)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    found = levels_of(state, grid)
    with torch.no_grad():
        for name, array in levels(learned).items():
            found[name] = array.round().numpy().astype(np.int64)
    return found


def up_or_down(exact: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Levels]:
    """Return what AdaRound learns, by name, and how levels follow from it."""
    floors = {name: tensor.floor() for name, tensor in exact.items()}
    start = {}
    for name, tensor in exact.items():
        share = (tensor - floors[name] - _GAMMA) / (_ZETA - _GAMMA)
        start[name] = torch.logit(share)

    def levels(learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: floors[name] + _rectified(v) for name, v in learned.items()}

    return start, levels


def _rectified(v: Tensor) -> Tensor:
    return (torch.sigmoid(v) * (_ZETA - _GAMMA) + _GAMMA).clamp(0, 1)


def undecided(learned: Mapping[str, Tensor], progress: float) -> Tensor:
    """Return AdaRound's regulariser (equation 24) at a share 0..1 of the iterations."""
    begin, end = _EXPONENTS
    exponent = begin + (end - begin) * progress
    parts = [(1 - (2 * _rectified(v) - 1).abs() ** exponent).sum() for v in learned.values()]
    return torch.stack(parts).sum()


def moving_levels(exact: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Levels]:
    """Return what QAT learns, by name, and how levels follow from it."""

    def levels(learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: v + (v.round() - v).detach() for name, v in learned.items()}

    return dict(exact), levels
