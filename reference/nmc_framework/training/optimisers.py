"""Which optimiser a frame learns by, from where it stands in the chain and what bytes cost."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import torch

from nmc_framework.models import ChainModel
from nmc_framework.training.fine_tuning import DampedAdam
from nmc_framework.training.rate import BitsAdam, RateError, SparseAdam, SteppedAdam, Steps
from nmc_framework.training.schedule import Schedule

#: Adam's in frame 0: those of Instant-NGP (Müller et al. 2022, section 4).
_FIRST_BETAS: Final = (0.9, 0.99)
_FIRST_EPS: Final = 1e-15


def optimiser(
    model: ChainModel, schedule: Schedule, frame: int, steps: Steps | None = None
) -> torch.optim.Optimizer:
    """Return the optimiser of a frame: built after freezing, as a frozen parameter needs none.

    ``steps`` are the grids that the weights lie on, where the frame before was trained for rate.

    Raises
    ------
    RateError
        If a later frame is to be trained for rate and its weights lie on no grid.
    """
    later = bool(frame) and not _renews(schedule, frame)
    groups = model.parameter_groups(peak_rate(model, schedule, frame), later=later)
    if schedule.bits is not None:
        if frame and steps is None:
            raise RateError(f"frame {frame} is trained with bits, but the frame before it was not")
        return BitsAdam(
            groups,
            {id(parameter): name for name, parameter in model.named_parameters()},
            schedule.bits,
            betas=betas(model, schedule) if frame else _FIRST_BETAS,
            damping=damping(model, schedule) if frame else 0.0,
            steps=steps,
        )
    if schedule.rate is None:
        if frame:
            return DampedAdam(
                groups, betas=betas(model, schedule), damping=damping(model, schedule)
            )
        return torch.optim.Adam(groups, betas=_FIRST_BETAS, eps=_FIRST_EPS)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    if frame and steps is None:
        raise RateError(f"frame {frame} is trained for rate, but the frame before it was not")
    if steps is None or not later:
        return SteppedAdam(
            groups, names, schedule.rate, betas=_FIRST_BETAS, eps=_FIRST_EPS, steps=steps
        )
    return SparseAdam(
        groups,
        names,
        schedule.rate,
        steps,
        betas=betas(model, schedule),
        damping=damping(model, schedule),
    )


def peak_rate(model: ChainModel, schedule: Schedule, frame: int) -> float:
    """Return the peak learning rate of a frame: the schedule's, else the family's own.

    Key frames of a chain that is trained for rate learn as fast as frame 0.
    """
    later = bool(frame) and not _renews(schedule, frame)
    asked = schedule.later_learning_rate if later else schedule.learning_rate
    return model.learning_rates[later] if asked is None else asked


def betas(model: ChainModel, schedule: Schedule) -> tuple[float, float]:
    """Return the decay rates of later frames' optimiser: the schedule's, else the family's own."""
    return model.betas if schedule.betas is None else schedule.betas


def damping(model: ChainModel, schedule: Schedule) -> float:
    """Return what later frames damp moves by: the schedule's, else the family's own."""
    return model.damping if schedule.damping is None else schedule.damping


def _renews(schedule: Schedule, frame: int) -> bool:
    return schedule.rate is not None and schedule.rate.is_key(frame)


def precise(model: ChainModel, schedule: Schedule) -> AbstractContextManager[Any]:
    """Return the context in which the loss is worked out, in the precision of the schedule."""
    if schedule.precision == "single":
        return nullcontext()
    # bfloat16 has the exponents of float32: gradients need no scaling.
    return torch.autocast(next(model.parameters()).device.type, dtype=torch.bfloat16)
