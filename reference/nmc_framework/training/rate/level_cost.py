"""An estimate of the coded size of levels, and its slope: what a weight pays to move.

A coder with adaptive contexts spends about -log2 of how often a level comes in its context. The
histogram of the levels themselves is that estimate (it is what a static table would hold); between
two levels it is read as a straight line, whose slope is the gradient that training feels. It needs
no network of its own, and no parameters that would have to be trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Levels from here on are counted as one: their tail costs what the last of them did.
_COUNTED = 24
#: No step from one level to the next costs more bits than this.
_STEEPEST = 16.0


@dataclass(frozen=True, eq=False)
class LevelCost:
    """Bits of the levels of one tensor, seen as a matrix (R, C).

    ``bits`` is their sum; ``context`` (R, C) int64 the context of each; ``slopes`` (contexts,
    counted) float32 the bits from level k of a context to level k + 1, never negative.
    """

    bits: float
    context: Tensor
    slopes: Tensor

    def slope(self, position: Tensor) -> Tensor:
        """Return the bits for each step away from zero, at ``position`` (R, C), in steps."""
        level = _size(position)
        return self.slopes.view(-1)[self.context * _COUNTED + level]


def level_cost(levels: Tensor, context: Tensor, contexts: int, zeros: float) -> LevelCost:
    """Return the cost of levels (R, C), whole numbers, in their contexts (R, C).

    ``zeros`` is the share 0..1 of zeros that is expected before anything is counted.
    """
    size = _size(levels)
    cell = context * _COUNTED + size
    count = torch.bincount(cell.flatten(), minlength=contexts * _COUNTED)
    expected = 0.5 ** torch.arange(_COUNTED, dtype=torch.float64, device=levels.device)
    expected[0] = 0.0
    expected *= (1 - zeros) / expected.sum()
    expected[0] = zeros
    seen = count.view(contexts, _COUNTED).double() + 20 * expected
    bits = -(seen / seen.sum(1, keepdim=True)).log2()
    bits[:, 1:] += 1  # the sign
    total = float(bits.view(-1)[cell].sum())
    rising = torch.cummax(bits, dim=1).values
    slopes = rising.diff(dim=1).clamp(max=_STEEPEST)
    return LevelCost(total, context, torch.cat([slopes, slopes[:, -1:]], dim=1).float())


def _size(position: Tensor) -> Tensor:
    # What is not a number has diverged, which is told in its own place.
    return position.abs().nan_to_num(0.0).clamp(max=_COUNTED - 1).long()


def row_context(levels: Tensor) -> Tensor:
    """Return a context 0..7 of each level (R, C): the others of its row, and the row above.

    Rows of a table that serve no purpose are zero as a whole; so are their neighbours.
    """
    size = levels.abs().nan_to_num(0.0).clamp(max=8)
    row = size.sum(1, keepdim=True)
    others = (row - size) * (3 / max(1, levels.shape[1] - 1))
    above = torch.nn.functional.pad(row[:-1], (0, 0, 1, 0))
    near = (others > 0).long() + (others > 2) + (others > 5)
    return near * 2 + (above > 0).long()


#: How many contexts :func:`row_context` tells apart.
ROW_CONTEXTS = 8
