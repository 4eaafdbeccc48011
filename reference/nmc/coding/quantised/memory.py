"""What the coder of quantised tensors remembers inside a group (clause 12.4.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Collection

    from nmc.coding.quantised.basis import Bases
    from nmc.coding.quantised.grid import Integers


@dataclass(frozen=True)
class Predictor:
    """Adaptive probabilities of one substream (clause 12.4.2).

    Attributes
    ----------
    slots : uint32[SLOTS]
    weights : int64[SETS * INPUTS]
    """

    slots: NDArray[np.uint32]
    weights: NDArray[np.int64]

    def copy(self) -> Predictor:
        """Return a predictor that learns alone."""
        return Predictor(self.slots.copy(), self.weights.copy())


@dataclass
class Memory:
    """What is remembered; make a fresh one at each key frame.

    Attributes
    ----------
    symbols : dict of int to int32[R, C]
        For each row of the tensor table, the symbols that were coded last; never edited.
    bases : dict of int to Bases
        For each row, what the transform has learnt.
    predictors : dict of (bool, int) to Predictor
        By whether bins are updated, and substream.
    """

    symbols: dict[int, Integers] = field(default_factory=dict)
    bases: dict[int, Bases] = field(default_factory=dict)
    predictors: dict[tuple[bool, int], Predictor] = field(default_factory=dict)

    def keep(self, rows: Collection[int]) -> None:
        """Forget every row but these: those that stay quantised (clause 12.4.1)."""
        for known in (self.symbols, self.bases):
            for row in known.keys() - set(rows):
                del known[row]

    def copy(self) -> Memory:
        """Return a memory that moves on alone."""
        predictors = {key: predictor.copy() for key, predictor in self.predictors.items()}
        return Memory(dict(self.symbols), dict(self.bases), predictors)
