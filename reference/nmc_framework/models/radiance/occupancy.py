"""An occupancy grid: which cells of the scene hold matter, so that empty space costs nothing.

The bitmap belongs to the state, because a renderer needs it to see what the trainer saw. The
density estimates behind it do not: each frame starts them afresh from the bitmap, so that a chain
that was interrupted goes on with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera
    from nmc_framework.models.radiance.space import Space

#: Least optical depth of one sample step at which a cell counts as occupied (Instant-NGP, app. C).
_THRESHOLD = 0.04
#: How fast an estimate is forgotten, per probe of a cell.
_DECAY = 0.5
#: Cells by which matter may move from one frame to the next.
_REACH = 2
#: Share of the closed cells that every update probes.
_CLOSED_SHARE = 0.03


class Occupancy(nn.Module):
    """A cubic bitmap ``cells`` (side, side, side), z slowest, over the unit cube.

    It covers ``space``; ``step`` is the distance of samples in its middle, scene units.
    """

    cells: Tensor
    seen: Tensor
    inside: Tensor
    whole: Tensor

    def __init__(self, side: int, step: float, space: Space) -> None:
        super().__init__()
        self.threshold = _THRESHOLD / step
        x, y, z = (torch.arange(side) < float(share) * side for share in space.extent)
        inside = z[:, None, None] & y[:, None] & x
        self.register_buffer("whole", inside, persistent=False)
        self.register_buffer("inside", inside.clone(), persistent=False)
        self.register_buffer("cells", inside.clone())
        self.register_buffer("seen", torch.zeros(side, side, side), persistent=False)

    def survey(self, cameras: Sequence[Camera], space: Space, near: float) -> None:
        """Rule out the cells that no camera sees; in the cuboid, those that only one does.

        What one camera alone sees can be matter anywhere along its rays: nothing tells where, and
        training puts it before the lens. Beyond the cuboid it is kept, as what is behind a scene
        has to be something. ``near`` is the distance from which on cameras see.
        """
        side = self.cells.shape[0]
        axis = (torch.arange(side, device=self.cells.device) + 0.5) / side
        z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
        unit = torch.stack([x, y, z], dim=-1).view(-1, 3)
        points = space.world(unit)
        reach = (space.world(unit + 0.5 / side) - space.world(unit - 0.5 / side)).norm(dim=1) / 2
        count = torch.zeros(len(unit), dtype=torch.int16, device=unit.device)
        for camera in cameras:
            count += _sees(camera, points, reach, near)
        least = torch.full_like(count, min(2, len(cameras)))
        if space.contracted:
            least[(unit - 0.5).abs().amax(dim=1) > 0.25] = 1
        seen = (count >= least).view(side, side, side) & self.whole
        was_warm = self.warm
        self.inside = seen
        self.cells = seen.clone() if was_warm else self.cells & seen

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

        A few closed ones are probed as well: where training made matter since, they open.

        ``density`` maps points (N, 3) of the unit cube to densities (N,), 1 / scene unit.
        """
        side = self.cells.shape[0]
        still_open = self.cells.view(-1).nonzero()[:, 0]
        closed = (self.inside & ~self.cells).view(-1).nonzero()[:, 0]
        chosen = torch.cat(
            [
                _some(still_open, max(1, int(share * len(still_open)))),
                _some(closed, int(_CLOSED_SHARE * len(closed))),
            ]
        )
        corner = torch.stack([chosen % side, chosen // side % side, chosen // side**2], dim=1)
        points = (corner + torch.rand(len(chosen), 3, device=self.cells.device)) / side
        self.seen *= _DECAY**share
        flat = self.seen.view(-1)
        flat.scatter_reduce_(0, chosen, density(points), "amax")
        self.cells = _dilate(self.seen > self.threshold, 1) & self.inside


def _dilate(cells: Tensor, reach: int) -> Tensor:
    width = 2 * reach + 1
    grown = nn.functional.max_pool3d(cells[None, None].float(), width, stride=1, padding=reach)
    return grown[0, 0] > 0


def _some(cells: Tensor, count: int) -> Tensor:
    """Draw ``count`` of the cells, with replacement."""
    if not count or not len(cells):
        return cells[:0]
    return cells[torch.randint(0, len(cells), (count,), device=cells.device)]


def _sees(camera: Camera, points: Tensor, reach: Tensor, near: float) -> Tensor:
    """Return which balls about points (N, 3) of radius ``reach`` (N,) are in a camera's picture."""
    rotation = torch.tensor(camera.rotation, dtype=torch.float32, device=points.device)
    centre = torch.tensor(camera.centre, dtype=torch.float32, device=points.device)
    local = (points - centre) @ rotation
    depth = local[:, 2].clamp_min(1e-6)
    u = camera.fx * local[:, 0] / depth + camera.cx
    v = camera.fy * local[:, 1] / depth + camera.cy
    slack = max(camera.fx, camera.fy) * reach / depth
    inside = (u > -slack) & (u < camera.width + slack) & (v > -slack) & (v < camera.height + slack)
    seen: Tensor = inside & (local[:, 2] > 0) & (local.norm(dim=1) + reach > near)
    return seen
