"""Which instants a package shows: one a frame, or those of each frame's group (decision 0087)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

import nmc
from nmc_framework.frame_rate import package_rate
from nmc_framework.models import families, family
from nmc_framework.models.dynamic import GroupModel


class Moment(NamedTuple):
    """One instant: its number in the footage, the frame that shows it, and when in its group.

    ``time`` counts instants of the group from 0; None where the frame is of one instant.
    """

    number: int
    frame: int
    time: float | None


def is_of_groups(sequence: nmc.ChainSequence) -> bool:
    """Whether a package says that its models are of groups, of a family that is known here."""
    name = str(sequence.family)
    return name in families() and issubclass(family(name), GroupModel)


def moments(sequence: nmc.ChainSequence, frames: Sequence[int] | None = None) -> list[Moment]:
    """Return the instants that frames of a package show, in order; of all unless some are named."""
    chosen = range(len(sequence)) if frames is None else frames
    if not is_of_groups(sequence):
        return [Moment(frame, frame, None) for frame in chosen]
    span = int(sequence.configuration["instants"])
    return [
        Moment(frame * span + instant, frame, float(instant))
        for frame in chosen
        for instant in range(_length(sequence, frame, span))
    ]


def instants_a_second(sequence: nmc.ChainSequence) -> Fraction:
    """Return how many instants are shown in a second, played evenly."""
    span = int(sequence.configuration["instants"]) if is_of_groups(sequence) else 1
    return package_rate(sequence, span)


def _length(sequence: nmc.ChainSequence, frame: int, span: int) -> int:
    """Return how many instants a frame shows; a state can say no more than it has."""
    return min(max(int(np.asarray(sequence.tensor(frame, "length"))), 0), span)
