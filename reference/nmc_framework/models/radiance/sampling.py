"""Where samples lie on rays: a step apart, in occupied cells only, packed ray after ray."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nmc_framework.models.radiance import ray_kernels
from nmc_framework.models.radiance.occupancy import Occupancy
from nmc_framework.models.radiance.space import Space
from nmc_framework.models.radiance.threads import spread

#: Rays that a thread takes at a time.
_CHUNK = 512


@dataclass(frozen=True, eq=False)
class Samples:
    """M samples on N rays, front to back, ray after ray.

    ``starts`` (N + 1,) int64: ray n has the samples from ``starts[n]`` to before ``starts[n + 1]``.
    ``ray`` (M,) int64 is the ray of each; ``distance`` and ``length`` (M,) float32, in scene units,
    are where it lies on it and how much of it it stands for; ``unit`` (M, 3) is its point in the
    unit cube.
    """

    starts: Tensor
    ray: Tensor
    distance: Tensor
    length: Tensor
    unit: Tensor

    def __len__(self) -> int:
        return len(self.ray)

    def at(self, index: Tensor, starts: Tensor) -> Samples:
        """Return the samples of an ``index`` (K,), packed ray after ray as ``starts`` (N + 1,)."""
        return Samples(
            starts, self.ray[index], self.distance[index], self.length[index], self.unit[index]
        )

    def where(self, kept: Tensor) -> Samples:
        """Return the samples that are ``kept`` (M,) bool."""
        before = torch.nn.functional.pad(torch.cumsum(kept, 0), (1, 0))
        return Samples(
            before[self.starts],
            self.ray[kept],
            self.distance[kept],
            self.length[kept],
            self.unit[kept],
        )


def place(
    origins: Tensor,
    directions: Tensor,
    span: tuple[Tensor, Tensor],
    offset: Tensor,
    step: float,
    room: int,
    occupancy: Occupancy,
    space: Space,
) -> Samples:
    """Place samples ``step`` apart on each ray, in occupied cells only.

    Parameters
    ----------
    origins, directions
        (N, 3) float32.
    span
        Where each ray enters and leaves the scene, (N,) each.
    offset
        (N,) 0..1, where in its step each sample lies.
    step
        Scene units. Outside the inner cube of an unbounded scene steps grow with the square of the
        largest coordinate, as the contraction shrinks them by that.
    room
        Most samples a ray can have.
    """
    if origins.device.type != "cpu":
        return _place_in_torch(origins, directions, span, offset, step, room, occupancy, space)
    arrays = [t.contiguous().numpy() for t in (origins, directions, *span, offset)]
    grid, corner = occupancy.cells.numpy(), space.origin.numpy()
    fixed = (step, grid, corner, space.edge, space.contracted, room)
    found = spread(
        ray_kernels.place,
        ((*(v[a : a + _CHUNK] for v in arrays), *fixed) for a in range(0, len(origins), _CHUNK)),
    )
    count, distance, length, unit = (
        torch.cat([torch.from_numpy(part[i]) for part in found]) for i in range(4)
    )
    return _packed(count, distance, length, unit)


def _packed(count: Tensor, distance: Tensor, length: Tensor, unit: Tensor) -> Samples:
    starts = torch.nn.functional.pad(torch.cumsum(count, 0), (1, 0))
    ray = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    return Samples(starts, ray, distance, length, unit)


def _place_in_torch(
    origins: Tensor,
    directions: Tensor,
    span: tuple[Tensor, Tensor],
    offset: Tensor,
    step: float,
    room: int,
    occupancy: Occupancy,
    space: Space,
) -> Samples:
    near, far = span
    reach = torch.full_like(near, step)
    begin = near.clone()
    columns = []
    # As many steps as a ray through all of the scene takes.
    for _ in range(most_steps(space, step)):
        at = begin + offset * reach
        point = origins + at[:, None] * directions
        columns.append((at, reach, at < far))
        begin = begin + reach
        if space.contracted:
            half = space.edge / 2
            size = ((point - space.origin) / half - 1).abs().amax(dim=1).clamp_min(1)
            reach = step * size * size
    distance, length, inside = (torch.stack(part, dim=1) for part in zip(*columns, strict=True))
    points = origins[:, None] + distance[..., None] * directions[:, None]
    unit = space.unit(points.reshape(-1, 3)).view(points.shape)
    side = occupancy.cells.shape[0]
    cell = (unit * side).long().clamp(0, side - 1)
    kept = inside & occupancy.cells[cell[..., 2], cell[..., 1], cell[..., 0]]
    kept &= torch.cumsum(kept, dim=1) <= room
    return _packed(kept.sum(dim=1), distance[kept], length[kept], unit[kept])


def most_steps(space: Space, step: float) -> int:
    """Return how many steps at most a ray has in the scene."""
    through = float(torch.linalg.vector_norm(space.upper - space.lower))
    if space.contracted:
        # Through the inner cube and, contracted, out to where the scene ends on either side; a
        # ray that turns about a corner takes its steps at a larger coordinate than it need.
        through = 3 * 3**0.5 * space.edge
    return int(through / step) + 2
