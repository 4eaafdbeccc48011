"""What rays see that meet nothing: a colour that is known, or nothing that anybody knows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

#: What a picture shows where nothing is and it is not known what is behind.
_UNKNOWN = 0.5


def backdrop(colour: Sequence[float] | None) -> Tensor:
    """Return the colour (3,) float32 that pictures show behind the scene; grey where unknown."""
    return torch.tensor(list(colour) if colour is not None else [_UNKNOWN] * 3)


def behind(rays: Tensor, colour: Tensor, *, drawn: bool) -> Tensor:
    """Return what is behind rays (N, 3) in training, (N, 3): ``colour``, or a random one a ray.

    Nothing can hide before a background that is never the same (Müller et al. 2022, Instant-NGP):
    what the pictures show has to be matter.
    """
    return torch.rand_like(rays) if drawn else colour.expand(len(rays), 3)
