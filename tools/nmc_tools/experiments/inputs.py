"""What trained weights follow from, as JSON values: a family, all its options, its schedule."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nmc_framework.models import family

if TYPE_CHECKING:
    from nmc_framework.training import Schedule


def learned(name: str, configuration: dict[str, Any], schedule: Schedule) -> dict[str, Any]:
    """Return a family's name, options and rates and a schedule, those not given too.

    ``configuration`` may have only the options that differ from the family's own.
    """
    kind = family(name)
    rates = {what: getattr(kind, what) for what in ("learning_rates", "betas", "damping")}
    whole = kind.defaults() | configuration
    return {"family": name, "configuration": whole, "schedule": asdict(schedule)} | rates


def usual_iterations(share: float) -> str:
    """Return in words how many iterations a share of the usual ones is."""
    return "the usual iterations" if share == 1 else f"{share:g} of the usual iterations"
