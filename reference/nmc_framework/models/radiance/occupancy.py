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

from nmc_framework.models.radiance.space import stretch

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera
    from nmc_framework.models.radiance.space import Space
    from nmc_framework.models.views import Mask

#: Least optical depth of one sample step at which a cell counts as occupied (Instant-NGP, app. C).
_THRESHOLD = 0.04
#: How fast an estimate is forgotten, per probe of a cell.
_DECAY = 0.5
#: Cells by which matter may move from one frame to the next, where nobody saw what changed.
_REACH = 2
#: Points of an open cell that a new frame's estimates begin with.
_RECALLED = 2
#: Points of a newly opened cell that tell whether it holds matter.
_SETTLED = 8
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
        self.searching = False
        self._contracted = space.contracted
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
        unit = _middles(torch.ones_like(self.cells))
        points, reach = _balls(unit, self.cells.shape[0], space)
        count = torch.zeros(len(unit), dtype=torch.int16, device=unit.device)
        for camera in cameras:
            count += _sees(camera, points, reach, near)
        least = torch.full_like(count, min(2, len(cameras)))
        if space.contracted:
            least[(unit - 0.5).abs().amax(dim=1) > 0.25] = 1
        seen = (count >= least).view(self.cells.shape) & self.whole
        was_warm = self.warm
        self.inside = seen
        self.cells = seen.clone() if was_warm else self.cells & seen

    @property
    def warm(self) -> bool:
        """Whether nothing has been ruled out yet."""
        return bool(torch.equal(self.cells, self.inside))

    def begin_frame(
        self,
        density: Callable[[Tensor], Tensor],
        changes: Sequence[tuple[Camera, Mask]],
        space: Space,
    ) -> None:
        """Estimate the densities again, and open cells that matter may have moved to.

        ``density`` is as in :meth:`update`. ``changes`` are the cameras, each with the pixels that
        differ from the frame before: matter may have come to any cell that two of them see change,
        however far it moved. Where nothing is known of changes, it may be anywhere near. What is
        opened has until the first update to fill, for which the frame is ``searching``.
        """
        if self.warm:
            self.seen = self.cells * (2 * self.threshold)
            return
        self.seen = torch.zeros_like(self.seen)
        held = self.cells.view(-1).nonzero()[:, 0]
        for _ in range(_RECALLED):
            self._probe(held, density)
        if changes:
            reached = _changing(self.inside & ~self.cells, changes, space)
        else:
            reached = _dilate(self.cells, _REACH) & self.inside
        self.cells = self.cells | reached
        self.searching = True

    def update(self, density: Callable[[Tensor], Tensor], share: float) -> None:
        """Probe a random ``share`` of the open cells at a random point each, and redraw the bitmap.

        A few closed ones are probed as well: where training made matter since, they open.

        ``density`` maps points (N, 3) of the unit cube to densities (N,), 1 / scene unit.
        """
        still_open = self.cells.view(-1).nonzero()[:, 0]
        closed = (self.inside & ~self.cells).view(-1).nonzero()[:, 0]
        chosen = torch.cat(
            [
                _some(still_open, max(1, int(share * len(still_open)))),
                _some(closed, int(_CLOSED_SHARE * len(closed))),
            ]
        )
        self.seen *= _DECAY**share
        self._probe(chosen, density)
        self.cells = _dilate(self.seen > self.threshold, 1) & self.inside
        self.searching = False

    def settle(self, before: Tensor, density: Callable[[Tensor], Tensor]) -> None:
        """Go back to the bitmap ``before``, but for the cells that were opened and hold matter.

        A cell that is open for nothing costs time, and no picture: which cells random probes found
        empty in this frame is not worth its bits. ``density`` is as in :meth:`update`.
        """
        opened = (self.cells & ~before).view(-1).nonzero()[:, 0]
        self.seen = torch.zeros_like(self.seen)
        for _ in range(_SETTLED):
            self._probe(opened, density)
        self.cells = before | (self.cells & (self.seen > self.threshold))

    def _probe(self, chosen: Tensor, density: Callable[[Tensor], Tensor]) -> None:
        """Raise the estimates of cells (N,) to the density at a random point of each.

        In an unbounded scene it counts for as much as a step is longer there: what is far is seen
        through long steps, and would be ruled out at the density of mist.
        """
        side = self.cells.shape[0]
        corner = torch.stack([chosen % side, chosen // side % side, chosen // side**2], dim=1)
        points = (corner + torch.rand(len(chosen), 3, device=self.cells.device)) / side
        found = density(points)
        if self._contracted:
            found = found * stretch(points)
        self.seen.view(-1).scatter_reduce_(0, chosen, found, "amax")


def _dilate(cells: Tensor, reach: int) -> Tensor:
    width = 2 * reach + 1
    grown = nn.functional.max_pool3d(cells[None, None].float(), width, stride=1, padding=reach)
    return grown[0, 0] > 0


def _some(cells: Tensor, count: int) -> Tensor:
    """Draw ``count`` of the cells, with replacement."""
    if not count or not len(cells):
        return cells[:0]
    return cells[torch.randint(0, len(cells), (count,), device=cells.device)]


def _middles(cells: Tensor) -> Tensor:
    """Return the middles (N, 3) x, y, z, in the unit cube, of the cells that are set."""
    return (cells.nonzero().flip(1) + 0.5) / cells.shape[0]


def _balls(unit: Tensor, side: int, space: Space) -> tuple[Tensor, Tensor]:
    """Return the middles (N, 3) and radii (N,) of balls about cells, in scene units."""
    half = 0.5 / side
    reach = (space.world(unit + half) - space.world(unit - half)).norm(dim=1) / 2
    return space.world(unit), reach


def _projected(
    camera: Camera, points: Tensor, reach: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return picture coordinates (N,), x and y, radii there, and positions (N, 3) to the camera."""
    rotation = torch.tensor(camera.rotation, dtype=torch.float32, device=points.device)
    centre = torch.tensor(camera.centre, dtype=torch.float32, device=points.device)
    local = (points - centre) @ rotation
    depth = local[:, 2].clamp_min(1e-6)
    u = camera.fx * local[:, 0] / depth + camera.cx
    v = camera.fy * local[:, 1] / depth + camera.cy
    return u, v, max(camera.fx, camera.fy) * reach / depth, local


def _sees(camera: Camera, points: Tensor, reach: Tensor, near: float) -> Tensor:
    """Return which balls about points (N, 3) of radius ``reach`` (N,) are in a camera's picture."""
    u, v, slack, local = _projected(camera, points, reach)
    inside = (u > -slack) & (u < camera.width + slack) & (v > -slack) & (v < camera.height + slack)
    seen: Tensor = inside & (local[:, 2] > 0) & (local.norm(dim=1) + reach > near)
    return seen


def _changing(cells: Tensor, changes: Sequence[tuple[Camera, Mask]], space: Space) -> Tensor:
    """Return those of the cells that two cameras, or the only one, see change."""
    points, reach = _balls(_middles(cells), cells.shape[0], space)
    count = torch.zeros(len(points), dtype=torch.int16, device=points.device)
    for camera, mask in changes:
        if not mask.any():
            continue
        u, v, radius, local = _projected(camera, points, reach)
        # Changed pixels in a rectangle, from sums over all pixels above and to the left of one.
        sums = nn.functional.pad(
            torch.from_numpy(mask).to(points.device, torch.int32).cumsum(0).cumsum(1), (1, 0, 1, 0)
        )
        left, right = ((u + by).clamp(0, camera.width).long() for by in (-radius, radius + 1))
        top, bottom = ((v + by).clamp(0, camera.height).long() for by in (-radius, radius + 1))
        inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        count += (inside > 0) & (local[:, 2] > 0)
    moving = torch.zeros_like(cells)
    moving[cells] = count >= min(2, len(changes))
    return moving
