"""Giving back the changes of a frame that its pictures would not miss (clause 5.3).

An optimiser moves nearly every weight a little, and each of these weights costs its bytes in a
delta frame. Most of the change is in a few of them: of a hash grid's tables, the smaller two thirds
of the moves hold a thousandth of the squared change. They are undone, so that these weights are as
in the frame before. The next frame is learned from there: nothing adds up.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Array = npt.NDArray[np.floating]


@torch.no_grad()
def hold_still(model: nn.Module, before: Mapping[str, Tensor], share: float) -> None:
    """Put back the weights that moved least since the frame before.

    Parameters
    ----------
    model
        After a frame's training.
    before
        Its parameters before that, by name; those that are not there are left as they are.
    share
        0 to below 1: of each tensor, the moves that are put back make at most this share of its
        squared change. All moves of the same size are put back, or none is.
    """
    for name, parameter in model.named_parameters():
        if name in before and parameter.is_floating_point():
            old = before[name]
            moves = (parameter - old).abs().double().cpu().numpy()
            small = torch.from_numpy(np.asarray(_smallest(moves, share))).to(parameter.device)
            parameter.copy_(torch.where(small, old, parameter))


def _smallest(moves: Array, share: float) -> npt.NDArray[np.bool_]:
    """Mark the smallest moves whose squares make at most a share of the sum of all squares."""
    ascending = np.sort(moves, axis=None)
    energy = np.cumsum(np.square(ascending))  # one after the other: the same on every machine
    if not energy.size or not energy[-1]:
        return np.zeros(moves.shape, np.bool_)
    first_kept = int(np.searchsorted(energy, share * energy[-1], side="right"))
    if first_kept == energy.size:
        return np.zeros(moves.shape, np.bool_)
    return np.asarray(moves < ascending[first_kept])
