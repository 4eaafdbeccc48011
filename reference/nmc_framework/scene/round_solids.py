"""More solids: ellipsoids, capsules, a shell seen from within, and the ground to the horizon.

They measure from the ray's point nearest to the centre, not from its origin: what is small and far
away (a wire, a tree at a hundred metres) would drown in float32 otherwise (Haines et al. 2019,
"Precision improvements for ray/sphere intersection").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmc_framework.scene.solids import NEAREST_HIT, Balls, Scalars, Vectors, dot

_MISS = np.float32(np.inf)
_NEAREST = np.float32(NEAREST_HIT)


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid given by its half axes."""

    radii: tuple[float, float, float]

    @property
    def reach(self) -> float:
        """The longest half axis."""
        return max(self.radii)

    @property
    def balls(self) -> Balls:
        """The one of its reach."""
        return ((0.0, self.reach),)

    def hit(self, origin: Scalars | Vectors, directions: Vectors) -> Scalars:
        """Solve for the nearer point from outside; rays from within miss."""
        near, _ = _roots(self.radii, origin, directions)
        return np.where(near > _NEAREST, near, _MISS)

    def normal(self, points: Vectors) -> Vectors:
        """Follow the gradient of the quadric."""
        return _gradient(self.radii, points)


@dataclass(frozen=True)
class Shell(Ellipsoid):
    """An ellipsoid's surface seen from within; it throws no shadow on what it holds."""

    def hit(self, origin: Scalars | Vectors, directions: Vectors) -> Scalars:
        """Solve for the farther point."""
        _, far = _roots(self.radii, origin, directions)
        return np.where(far > _NEAREST, far, _MISS)

    def normal(self, points: Vectors) -> Vectors:
        """Point inwards."""
        return -_gradient(self.radii, points)


@dataclass(frozen=True)
class Capsule:
    """A cylinder about the z axis with round ends: ``length`` between the centres of the ends."""

    length: float
    radius: float

    @property
    def reach(self) -> float:
        """From the middle to the tip of an end."""
        return self.length / 2 + self.radius

    @property
    def balls(self) -> Balls:
        """A row of them, as one would hold mostly air."""
        count = int(min(max(self.length / (4 * self.radius), 1), 8))
        part = self.length / count
        centres = ((k + 0.5) * part - self.length / 2 for k in range(count))
        return tuple((z, part / 2 + self.radius) for z in centres)

    def hit(self, origin: Scalars | Vectors, directions: Vectors) -> Scalars:
        """Solve for the wall, and for the ball at the end that the ray passes."""
        start = origin.reshape(3, -1)
        across = directions[0] ** 2 + directions[1] ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            nearest = -(start[0] * directions[0] + start[1] * directions[1]) / across
            x, y = start[0] + nearest * directions[0], start[1] + nearest * directions[1]
            inside = np.float32(self.radius**2) - x * x - y * y
            wall = nearest - np.sqrt(np.maximum(inside, 0) / across)
        half = np.float32(self.length / 2)
        height = start[2] + wall * directions[2]
        on_wall = (inside >= 0) & (np.abs(height) <= half) & (wall > _NEAREST)
        t = np.where(on_wall, wall, _MISS)
        # Along the axis there is no wall to pass, but an end.
        ends = np.flatnonzero(~on_wall & ((inside >= 0) | ~(across > 1e-12)))
        for sign in (-1, 1):
            centre = np.array([0, 0, sign * self.length / 2], np.float32)[:, None]
            towards = start[:, ends] if start.shape[1] > 1 else start
            ball = (self.radius,) * 3
            near, _ = _roots(ball, towards - centre, directions[:, ends])
            height = towards[2] + near * directions[2, ends]
            outer = (sign * height >= half * np.float32(0.9999)) & (near > _NEAREST)
            t[ends] = np.minimum(t[ends], np.where(outer, near, _MISS))
        return t

    def normal(self, points: Vectors) -> Vectors:
        """Point away from the axis, or from the centre of an end."""
        half = np.float32(self.length / 2)
        away = points.copy()
        away[2] -= np.clip(points[2], -half, half)
        return away / np.float32(self.radius)


@dataclass(frozen=True)
class Ground:
    """The plane z = 0, without end, seen from above."""

    @property
    def reach(self) -> float:
        """No ball holds it."""
        return float("inf")

    @property
    def balls(self) -> Balls:
        """The one of its reach."""
        return ((0.0, self.reach),)

    def hit(self, origin: Scalars | Vectors, directions: Vectors) -> Scalars:
        """Divide the height by the slope."""
        start = origin.reshape(3, -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = -start[2] / directions[2]
        return np.where((directions[2] < 0) & (t > _NEAREST), t, _MISS)

    def normal(self, points: Vectors) -> Vectors:
        """Point up."""
        normals = np.zeros_like(points)
        normals[2] = 1
        return normals


def _roots(
    radii: tuple[float, float, float], origin: Scalars | Vectors, directions: Vectors
) -> tuple[Scalars, Scalars]:
    """Return both distances at which rays meet an ellipsoid; inf and -inf where they miss."""
    scale = np.array(radii, np.float32)[:, None]
    start, towards = origin.reshape(3, -1) / scale, directions / scale
    square = (towards * towards).sum(axis=0)
    middle = -dot(start[:, 0] if start.shape[1] == 1 else start, towards) / square
    closest = start + middle * towards
    inside = 1 - (closest * closest).sum(axis=0)
    half = np.sqrt(np.maximum(inside, 0) / square)
    hit = inside >= 0
    return np.where(hit, middle - half, _MISS), np.where(hit, middle + half, -_MISS)


def _gradient(radii: tuple[float, float, float], points: Vectors) -> Vectors:
    scale = np.array(radii, np.float32)[:, None]
    gradient = points / (scale * scale)
    return np.asarray(gradient / np.sqrt((gradient * gradient).sum(axis=0)), np.float32)
