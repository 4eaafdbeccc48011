"""Analytic intersection of rays with the solids of the embedded scenes: what all share, and two.

The rays of one call start at one point (a camera or a lamp), given as (3,), or each at its own
(reflections), given as (3, N). Directions are (3, N) float32: three contiguous rows make numpy's
inner loops fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]  # (3, N)
Scalars = npt.NDArray[np.float32]  # (N,)

Balls = Sequence[tuple[float, float]]

#: Hits nearer than this to the origin are the origin's own surface.
NEAREST_HIT = 1e-4


@dataclass(frozen=True, eq=False)
class Pose:
    """A rigid motion from a solid's own axes to the world: rotation (3, 3), translation (3,)."""

    rotation: npt.NDArray[np.float32]
    translation: npt.NDArray[np.float32]

    @classmethod
    def at(
        cls, x: float, y: float, z: float, axis: npt.ArrayLike = (0, 0, 1), degrees: float = 0.0
    ) -> Pose:
        """Return a pose at a point, turned about ``axis`` by ``degrees`` (Rodrigues' formula)."""
        unit = np.asarray(axis, dtype=np.float64)
        unit = unit / np.linalg.norm(unit)
        angle = np.radians(degrees)
        cross = np.array([[0, -unit[2], unit[1]], [unit[2], 0, -unit[0]], [-unit[1], unit[0], 0]])
        rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        return cls(rotation.astype(np.float32), np.array([x, y, z], np.float32))

    @classmethod
    def between(cls, start: npt.ArrayLike, end: npt.ArrayLike) -> Pose:
        """Return the pose midway between two points whose z axis runs from one to the other."""
        a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
        z = (b - a) / np.linalg.norm(b - a)
        x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
        x /= np.linalg.norm(x)
        rotation = np.stack([x, np.cross(z, x), z], axis=1)
        return cls(rotation.astype(np.float32), ((a + b) / 2).astype(np.float32))

    def before(self, parent: Pose) -> Pose:
        """Return this pose, given in ``parent``'s axes, in the world's."""
        return Pose(
            parent.rotation @ self.rotation,
            parent.rotation @ self.translation + parent.translation,
        )


class Solid(Protocol):
    """A surface in its own axes."""

    @property
    def reach(self) -> float:
        """Radius of a ball about the solid's origin that holds all of it; inf where none does."""

    @property
    def balls(self) -> Balls:
        """Balls that together hold all of it: centres' z and radii."""

    def hit(self, origin: Scalars | Vectors, directions: Vectors) -> Scalars:
        """Return distances (N,) along rays from ``origin``, (3,) or (3, N); inf where they miss."""

    def normal(self, points: Vectors) -> Vectors:
        """Return unit normals (3, N) at surface points (3, N), towards where it is seen from."""


def dot(a: npt.NDArray[np.float32], b: Vectors) -> Scalars:
    """Return the scalar products (N,) of ``a``, (3,) or (3, N), with the columns of ``b``."""
    product: Scalars = a @ b if a.ndim == 1 else (a * b).sum(axis=0)
    return product


@dataclass(frozen=True)
class Sphere:
    """A ball of one radius."""

    radius: float

    @property
    def reach(self) -> float:
        """The radius."""
        return self.radius

    @property
    def balls(self) -> Balls:
        """The one of its reach."""
        return ((0.0, self.reach),)

    def hit(self, origin: Scalars | Vectors, directions: Vectors) -> Scalars:
        """Solve |o + t·d|² = r² for the smaller positive t."""
        half = dot(origin, directions)
        apart = np.dot(origin, origin) if origin.ndim == 1 else (origin * origin).sum(axis=0)
        discriminant = half * half - (apart - np.float32(self.radius**2))
        root = np.sqrt(np.maximum(discriminant, 0))
        near, far = -half - root, -half + root
        t = np.where(near > NEAREST_HIT, near, far)
        return np.where((discriminant >= 0) & (t > NEAREST_HIT), t, np.float32(np.inf))

    def normal(self, points: Vectors) -> Vectors:
        """Point away from the centre."""
        return points / np.float32(self.radius)


@dataclass(frozen=True)
class Box:
    """A cuboid given by its half edge lengths."""

    half: tuple[float, float, float]

    @property
    def reach(self) -> float:
        """Half the space diagonal."""
        return float(np.linalg.norm(self.half))

    @property
    def balls(self) -> Balls:
        """The one of its reach."""
        return ((0.0, self.reach),)

    def hit(self, origin: Scalars | Vectors, directions: Vectors) -> Scalars:
        """Clip the ray against three slabs (Kay and Kajiya 1986)."""
        half = np.array(self.half, np.float32)[:, None]
        start = origin.reshape(3, -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1 / directions
            a, b = (-half - start) * inverse, (half - start) * inverse
        near: Scalars = np.fmax.reduce(np.fmin(a, b), axis=0)
        far: Scalars = np.fmin.reduce(np.fmax(a, b), axis=0)
        t = np.where(near > NEAREST_HIT, near, far)
        return np.where((near <= far) & (t > NEAREST_HIT), t, np.float32(np.inf))

    def normal(self, points: Vectors) -> Vectors:
        """Take the axis on which the point lies farthest out, relative to the edge."""
        half = np.array(self.half, np.float32)[:, None]
        axis = np.argmax(np.abs(points) / half, axis=0)
        columns = np.arange(points.shape[1])
        normals = np.zeros_like(points)
        normals[axis, columns] = np.sign(points[axis, columns])
        return normals
