"""Small moves of a later frame are given back: what stays as it was costs nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from grid_samples import grid
from torch import nn

from nmc_framework.scene import arc_rig, view_all
from nmc_framework.training import FrameViews, FreezingError, Schedule, train_chain
from nmc_framework.training.holding import hold_still

RIG = arc_rig(4, 1, (24, 24))
PLAN = Schedule(first=24, later=8, rays=256, seed=7)

pytestmark = pytest.mark.usefixtures("one_thread")


def frames(count):
    for index in range(count):
        yield FrameViews(index, index * 0.1, view_all(RIG.training, index * 0.1))


def test_small_moves_are_given_back():
    """Most weights stay as they were; the rest is what it would have been, to the bit."""
    first, held = train_chain(grid(), RIG.training, frames(2), replace(PLAN, hold=0.003))
    _, free = train_chain(grid(), RIG.training, frames(2), replace(PLAN, hold=0.0))
    for name, learns in held.freezing.requires_grad.items():
        old, kept, moved = first.state[name], held.state[name], free.state[name]
        assert learns
        still = kept == old
        assert np.array_equal(kept[~still], moved[~still]), name
        given = np.square((moved - old)[still], dtype=np.float64).sum()
        assert given <= 0.003 * np.square(moved - old, dtype=np.float64).sum(), name
    everywhere = [np.mean(held.state[name] == first.state[name]) for name in first.state]
    assert max(everywhere) > 0.3


@pytest.mark.parametrize(
    ("moves", "share", "kept"),
    [
        ([[0.0, 0.0]], 0.5, [[0.0, 0.0]]),
        ([[1.0, 1.0], [1.0, 1.0]], 0.9, [[1.0, 1.0], [1.0, 1.0]]),
        ([[0.1, 3.0], [-0.2, 4.0]], 0.01, [[0.0, 3.0], [0.0, 4.0]]),
        ([[0.1, 3.0], [-0.2, 4.0]], 0.0, [[0.1, 3.0], [-0.2, 4.0]]),
        ([5.0], 0.99, [5.0]),
        (7.0, 0.5, 7.0),
    ],
)
def test_what_is_given_back_is_a_share_of_the_squares(moves, share, kept):
    model = nn.Module()
    model.w = nn.Parameter(torch.tensor(moves))
    model.other = nn.Parameter(torch.ones(3))
    hold_still(model, {"w": torch.zeros_like(model.w)}, share)
    assert torch.equal(model.w, torch.tensor(kept))
    assert torch.equal(model.other, torch.ones(3))


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(FreezingError, match="share"):
        Schedule(hold=share)
