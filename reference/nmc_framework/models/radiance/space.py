"""Where a model's scene lies: a cuboid of the world, or all of it, as the unit cube of its grids.

A bounded scene fills a part of the cube that its cuboid's longest edge spans. An unbounded one has
its cuboid in the middle and everything else around it, contracted as Mip-NeRF 360 does (Barron et
al. 2022, equation 10) by the largest coordinate in place of the Euclidean norm, so that cubes stay
cubes: x if |x| <= 1, else (2 - 1/|x|) x/|x|.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nmc_framework.models.radiance.cuboid import enter_and_leave

#: How far an unbounded scene goes, in half edges of its inner cube: contracted, 1/256 below 2.
FARTHEST = 256.0


@dataclass(frozen=True, eq=False)
class Space:
    """A cuboid, ``lower`` and ``upper`` (3,) float32 in scene units, and what is around it.

    ``contracted`` tells an unbounded scene; the inner cube is then the smallest one about the
    cuboid's middle that holds it.
    """

    lower: Tensor
    upper: Tensor
    contracted: bool = False

    @property
    def edge(self) -> float:
        """The cuboid's longest edge, scene units."""
        return float((self.upper - self.lower).max())

    @property
    def extent(self) -> Tensor:
        """The share of the unit cube, from its lower corner, that the scene fills, (3,)."""
        if self.contracted:
            return torch.ones(3, device=self.lower.device)
        return (self.upper - self.lower) / self.edge

    @property
    def origin(self) -> Tensor:
        """The corner (3,) of the world's part that is mapped without being contracted."""
        if self.contracted:
            return (self.lower + self.upper) / 2 - self.edge / 2
        return self.lower

    def spans(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distances (N,), (N,) between which rays are inside the scene."""
        if not self.contracted:
            return enter_and_leave(origins, directions, self.lower, self.upper)
        middle, half = self.origin + self.edge / 2, self.edge / 2
        return enter_and_leave(
            origins, directions, middle - FARTHEST * half, middle + FARTHEST * half
        )

    def unit(self, points: Tensor) -> Tensor:
        """Map points (N, 3) of the world to the unit cube."""
        if not self.contracted:
            return (points - self.lower) / self.edge
        half = self.edge / 2
        local = (points - self.origin) / half - 1
        size = local.abs().amax(dim=-1, keepdim=True).clamp_min(1)
        return local * ((2 - 1 / size) / size) / 4 + 0.5

    def world(self, unit: Tensor) -> Tensor:
        """Map points (N, 3) of the unit cube to the world; undoes :meth:`unit`."""
        if not self.contracted:
            return self.lower + unit * self.edge
        local = (unit - 0.5) * 4
        size = local.abs().amax(dim=-1, keepdim=True)
        # (2 - 1/r) = s has the solution r = 1 / (2 - s).
        far = 1 / (2 - size.clamp(1, 2 - 1 / FARTHEST))
        scale = torch.where(size > 1, far / size.clamp_min(1e-9), torch.ones_like(size))
        return self.origin + (local * scale + 1) * (self.edge / 2)


def stretch(unit: Tensor) -> Tensor:
    """Return how many times as long as in the inner cube a step is, (N,), of an unbounded scene.

    ``unit`` (N, 3) are points of the unit cube. Steps grow with the square of the largest
    coordinate of the world, as the contraction shrinks them by that.
    """
    size = ((unit - 0.5) * 4).abs().amax(dim=-1).clamp(1, 2 - 1 / FARTHEST)
    return (2 - size) ** -2
