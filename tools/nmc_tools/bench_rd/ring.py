"""A ring of held-out cameras, and the points along their rays at which a field is sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from nmc_framework.cameras import Camera, look_at
from nmc_framework.models.radiance.cuboid import enter_and_leave
from nmc_framework.models.radiance.volume import composite

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Ring:
    """Cameras at equal heights that look at one point of a scene from its open side.

    Attributes
    ----------
    target : tuple of float
        What every camera faces, scene units.
    distance : float
        From the target to each camera, scene units.
    azimuths : tuple of float
        Degrees from +x towards +y.
    elevation : float
        Degrees above the level plane; z is up.
    field_of_view : float
        Degrees across the picture.
    """

    target: tuple[float, float, float]
    distance: float
    azimuths: tuple[float, ...]
    elevation: float
    field_of_view: float

    def cameras(self, pixels: int) -> tuple[Camera, ...]:
        """Return the cameras with pictures of ``pixels`` squared."""
        return tuple(self._camera(azimuth, pixels) for azimuth in self.azimuths)

    def _camera(self, azimuth: float, pixels: int) -> Camera:
        a, e = np.radians([azimuth, self.elevation])
        towards = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        eye = np.array(self.target) + self.distance * towards
        pose = look_at(eye, self.target)
        return Camera.from_field_of_view(self.field_of_view, pixels, pixels, pose)


@dataclass(frozen=True)
class Samples:
    """Points at which rays sample a field, in the middle of equal intervals within a cuboid.

    Attributes
    ----------
    points, directions : Tensor
        (P, 3) float32, scene units, and unit vectors: those points that are looked at.
    kept : Tensor
        (N, S) bool: which of the S points of each of N rays these are.
    distance, delta : Tensor
        (N, S) and (N, 1): along the ray, and the length of an interval.
    """

    points: Tensor
    directions: Tensor
    kept: Tensor
    distance: Tensor
    delta: Tensor

    def composite(self, density: Tensor, colour: Tensor) -> Tensor:
        """Return the colours (N, 3) of the rays, on black, of densities (P,) and colours (P, 3)."""
        full = torch.zeros(self.kept.shape)
        full[self.kept] = density
        seen = torch.zeros(*self.kept.shape, 3)
        seen[self.kept] = colour
        return composite(full, seen, self.distance, self.delta, torch.zeros(3)).colour


@dataclass(frozen=True)
class Occupancy:
    """Which cells of a cubic lattice over a cuboid are looked at: ``cells`` (R, R, R) bool."""

    cells: Tensor
    lower: Tensor
    upper: Tensor

    def holds(self, points: Tensor) -> Tensor:
        """Say of points (P, 3) whether they lie in a cell that is looked at."""
        side = self.cells.shape[0]
        place = (points - self.lower) / (self.upper - self.lower) * side
        index = place.long().clamp(0, side - 1)
        found: Tensor = self.cells[index[:, 0], index[:, 1], index[:, 2]]
        return found


def sample(
    cameras: tuple[Camera, ...],
    bounds: tuple[tuple[float, float, float], tuple[float, float, float]],
    count: int,
    *,
    every: int = 1,
    first: int = 0,
    occupancy: Occupancy | None = None,
) -> Samples:
    """Return the points at which the rays of some cameras sample a field.

    Parameters
    ----------
    cameras
        Their pixels are taken in order, camera by camera, row by row.
    bounds
        Lower and upper corner of the cuboid in which rays are sampled.
    count
        Samples on each ray.
    every
        One of so many pixels is taken; 1 for whole pictures.
    first
        The first of them.
    occupancy
        Points elsewhere are empty.
    """
    rays = [camera.rays() for camera in cameras]
    origins, directions = (
        torch.cat([torch.tensor(array, dtype=torch.float32) for array in arrays])[first::every]
        for arrays in ([r.origins for r in rays], [r.directions for r in rays])
    )
    lower, upper = (torch.tensor(corner) for corner in bounds)
    near, far = enter_and_leave(origins, directions, lower, upper)
    delta = ((far - near) / count)[:, None]
    distance = near[:, None] + delta * (torch.arange(count) + 0.5)
    points = (origins[:, None] + distance[..., None] * directions[:, None]).reshape(-1, 3)
    kept = (delta > 0).expand(-1, count).reshape(-1)
    if occupancy is not None:
        kept = kept & occupancy.holds(points)
    all_directions = directions[:, None].expand(-1, count, -1).reshape(-1, 3)
    return Samples(points[kept], all_directions[kept], kept.view(-1, count), distance, delta)
