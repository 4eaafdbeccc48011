"""A convex solid given by the planes that bound it: wedges, frusta, other bodies."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nmc_framework.scene.solids import NEAREST_HIT, Balls, Scalars, Vectors

#: A corner may lie so far outside of a plane, relative to the solid's size.
_SLACK = 1e-6


@dataclass(frozen=True)
class Convex:
    """All points p with n · p ≤ d for each of its planes (n, d); it is bounded, and has a corner.

    Parameters
    ----------
    planes
        Outward normals of any length, and distances in the same measure: (nx, ny, nz, d).
    """

    planes: tuple[tuple[float, float, float, float], ...]

    @property
    def corners(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """The corners (N, 3): where three planes meet that no other cuts off."""
        planes = np.array(self.planes, np.float64)
        planes /= np.linalg.norm(planes[:, :3], axis=1, keepdims=True)
        found = []
        for three in combinations(range(len(planes)), 3):
            normals, distances = planes[list(three), :3], planes[list(three), 3]
            if abs(np.linalg.det(normals)) > _SLACK:
                corner = np.linalg.solve(normals, distances)
                if (planes[:, :3] @ corner <= planes[:, 3] + _SLACK).all():
                    found.append(corner)
        return np.array(found).reshape(-1, 3)

    @property
    def reach(self) -> float:
        """The distance of the farthest corner."""
        return float(np.linalg.norm(self.corners, axis=1).max(initial=0.0)) * (1 + 1e-5)

    @property
    def balls(self) -> Balls:
        """The one of its reach."""
        return ((0.0, self.reach),)

    def hit(self, origin: Scalars | Vectors, directions: Vectors) -> Scalars:
        """Clip the ray against the half spaces (Cyrus and Beck 1978)."""
        near = np.full(directions.shape[1], -np.inf, np.float32)
        far = np.full(directions.shape[1], np.inf, np.float32)
        start = origin.reshape(3, -1)
        for x, y, z, d in self.planes:
            normal = np.array([x, y, z], np.float32)
            along, room = normal @ directions, np.float32(d) - normal @ start
            with np.errstate(divide="ignore", invalid="ignore"):
                t = room / along
            near = np.where(along < 0, np.fmax(near, t), near)
            far = np.where(along > 0, np.fmin(far, t), far)
            far = np.where((along == 0) & (room < 0), -np.float32(np.inf), far)
        t = np.where(near > NEAREST_HIT, near, far)
        return np.where((near <= far) & (t > NEAREST_HIT), t, np.float32(np.inf))

    def normal(self, points: Vectors) -> Vectors:
        """Take the plane that the point lies nearest to."""
        planes = np.array(self.planes, np.float32)
        lengths = np.linalg.norm(planes[:, :3], axis=1)
        inside = (planes[:, :3] @ points - planes[:, 3:]) / lengths[:, None]
        units = planes[:, :3] / lengths[:, None]
        return np.ascontiguousarray(units[np.argmax(inside, axis=0)].T)
