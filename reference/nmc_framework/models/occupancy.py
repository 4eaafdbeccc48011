"""An occupancy grid: which cells of the scene hold matter, so that empty space costs nothing.

The bitmap belongs to the state, because a renderer needs it to see what the trainer saw. The
density estimates behind it do not: each frame starts them afresh from the bitmap, so that a chain
that was interrupted goes on with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nmc_framework.models import hash_kernels

#: Least optical depth of one sample step at which a cell counts as occupied (Instant-NGP, app. C).
_THRESHOLD = 0.04
#: How fast an estimate is forgotten, per probe of a cell.
_DECAY = 0.5
#: Cells by which matter may move from one frame to the next.
_REACH = 2


class Occupancy(nn.Module):
    """A cubic bitmap ``cells`` (side, side, side), z slowest, over the unit cube.

    ``extent`` (3,) is the part of the cube, from its lower corner, that the scene fills.
    """

    cells: Tensor
    seen: Tensor
    inside: Tensor

    def __init__(self, side: int, step: float, extent: Tensor) -> None:
        super().__init__()
        self.threshold = _THRESHOLD / step
        x, y, z = (torch.arange(side) < float(share) * side for share in extent)
        inside = z[:, None, None] & y[:, None] & x
        self.register_buffer("inside", inside, persistent=False)
        self.register_buffer("cells", inside.clone())
        self.register_buffer("seen", torch.zeros(side, side, side), persistent=False)

    @property
    def warm(self) -> bool:
        """Whether nothing has been ruled out yet."""
        return bool(torch.equal(self.cells, self.inside))

    def admit_motion(self) -> None:
        """Open the neighbourhood of matter, where it may have moved to since the last frame."""
        if not self.warm:
            self.cells = _dilate(self.cells, _REACH) & self.inside
        self.seen = self.cells * (2 * self.threshold)

    def update(self, density: Callable[[Tensor], Tensor], share: float) -> None:
        """Probe a random ``share`` of the open cells at a random point each, and redraw the bitmap.

        ``density`` maps points (N, 3) of the unit cube to densities (N,), 1 / scene unit.
        """
        side = self.cells.shape[0]
        device = self.cells.device
        still_open = self.cells.view(-1).nonzero()[:, 0]
        count = max(1, int(share * len(still_open)))
        chosen = still_open[torch.randint(0, len(still_open), (count,), device=device)]
        corner = torch.stack([chosen % side, chosen // side % side, chosen // side**2], dim=1)
        points = (corner + torch.rand(count, 3, device=device)) / side
        self.seen *= _DECAY**share
        flat = self.seen.view(-1)
        flat.scatter_reduce_(0, chosen, density(points), "amax")
        self.cells = _dilate(self.seen > self.threshold, 1) & self.inside


def march(
    origins: Tensor,
    directions: Tensor,
    span: tuple[Tensor, Tensor],
    offset: Tensor,
    step: float,
    room: int,
    occupancy: Occupancy,
    cube: tuple[Tensor, float],
) -> tuple[Tensor, Tensor]:
    """Place samples ``step`` apart on each ray, in occupied cells only.

    Parameters
    ----------
    origins, directions
        (N, 3) float32.
    span
        Where each ray enters and leaves the scene, (N,) each.
    offset
        (N,) 0..1, the share of a step by which the first sample is moved.
    step
        Scene units.
    room
        Most samples a ray can have.
    cube
        Lower corner (3,) and edge length of the cube that the grid covers.

    Returns
    -------
    distance : Tensor
        (N, S), S the most samples that any ray has; what follows a ray's last one is undefined.
    valid : Tensor
        (N, S) bool.
    """
    near, far = span
    lower, edge = cube
    if origins.device.type == "cpu":
        out = torch.empty(len(origins), room)
        count = torch.empty(len(origins), dtype=torch.int64)
        arrays = [t.contiguous().numpy() for t in (origins, directions, near, far, offset)]
        grid, low = occupancy.cells.numpy(), lower.numpy()
        chunk = max(1, -(-len(origins) // (2 * torch.get_num_threads())))
        hash_kernels.spread(
            hash_kernels.march,
            (
                (
                    *(v[a : a + chunk] for v in arrays),
                    step,
                    grid,
                    low,
                    1 / edge,
                    out.numpy()[a : a + chunk],
                    count.numpy()[a : a + chunk],
                )
                for a in range(0, len(origins), chunk)
            ),
        )
        most = max(1, int(count.max()))
        return out[:, :most], torch.arange(most) < count[:, None]
    return _march_in_torch(origins, directions, (near, far), offset, step, room, occupancy, cube)


def _march_in_torch(
    origins: Tensor,
    directions: Tensor,
    span: tuple[Tensor, Tensor],
    offset: Tensor,
    step: float,
    room: int,
    occupancy: Occupancy,
    cube: tuple[Tensor, float],
) -> tuple[Tensor, Tensor]:
    lower, edge = cube
    side = occupancy.cells.shape[0]
    steps = torch.arange(room, device=origins.device) + offset[:, None]
    distance = span[0][:, None] + steps * step
    points = origins[:, None] + distance[..., None] * directions[:, None]
    cell = ((points - lower) / edge * side).long().clamp(0, side - 1)
    occupied = occupancy.cells[cell[..., 2], cell[..., 1], cell[..., 0]]
    occupied &= distance < span[1][:, None]
    # A stable sort moves the kept samples to the front without changing their order.
    order = torch.argsort(~occupied, dim=1, stable=True)
    most = max(1, int(occupied.sum(dim=1).max()))
    return distance.gather(1, order)[:, :most], occupied.gather(1, order)[:, :most]


def _dilate(cells: Tensor, reach: int) -> Tensor:
    width = 2 * reach + 1
    grown = nn.functional.max_pool3d(cells[None, None].float(), width, stride=1, padding=reach)
    return grown[0, 0] > 0
