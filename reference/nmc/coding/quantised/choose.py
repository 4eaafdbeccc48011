"""Chooses the symbols of one part: near enough, and cheap (an encoder's business)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmc.coding.quantised.grid import Integers


@dataclass(frozen=True, eq=False)
class Choice:
    """What is to be chosen.

    Attributes
    ----------
    wanted : float64[R, C]
        The integers that the symbols should stand for, if they could be any number.
    past : int32[R, C]
        The symbols that were coded here last.
    dependent : bool
        Whether the trellis chooses the quantiser (clause 12.4.5).
    rate : float
        Weight of a bit, in squared steps.
    """

    wanted: NDArray[np.float64]
    past: Integers
    dependent: bool
    rate: float


def chosen(choice: Choice) -> Integers:
    """Return the symbols, int32[R, C]."""
    symbols: Integers = np.rint(choice.wanted).astype(np.int32)
    return symbols
