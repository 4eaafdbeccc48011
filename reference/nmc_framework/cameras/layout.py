"""What a rig's own geometry tells: the place it faces, which way is up, the cuboid to model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nmc_framework.cameras.camera import Camera, CameraError, FloatArray

#: Half the side of the modelled cube as a share of the mean distance to what the cameras face: at
#: least, so that no ray of a picture of usual width misses it, and at most.
_NEAR_REACH, _FAR_REACH = 0.6, 2.5
#: Share of the widest picture that the cube's far face takes between these two.
_FAR_FACE = 0.75
#: Below this share of the largest singular value, directions count as one.
_FLAT = 1e-3


@dataclass(frozen=True, eq=False)
class Layout:
    """A rig as a whole, in scene units.

    ``target`` (3,) is the point nearest to all optical axes, ``distance`` the cameras' mean
    distance to it, ``up`` (3,) the unit vector against which the cameras do not roll, ``spread``
    the largest tangent of half a field of view, along the wider side of a picture.
    """

    target: FloatArray
    distance: float
    up: FloatArray
    spread: float

    @property
    def reach(self) -> float:
        """Half the side of the cube to model, as a share of ``distance``.

        How far a scene goes on behind its target no camera tells. A narrow field of view is filled
        by a subject, a wide one by the room around it: the cube is the one about the target whose
        far face takes three quarters of the widest picture's width, so that half its side, w, is
        w = 0.75 * (1 + w) * ``spread``; but between 0.6 and 2.5.
        """
        share = _FAR_FACE * self.spread
        wanted = share / (1 - share) if share < 1 else _FAR_REACH
        return min(max(wanted, _NEAR_REACH), _FAR_REACH)

    def bounds(self) -> list[list[float]]:
        """Return the lower and upper corner of a cube about the target, for a model."""
        half = self.reach * self.distance
        return [[float(v) for v in self.target + sign * half] for sign in (-1, 1)]

    def angles(self, camera: Camera) -> tuple[float, float]:
        """Return azimuth and elevation in degrees of a camera about the target, ``up`` being z."""
        towards = self.levelled() @ (camera.centre - self.target)
        azimuth = np.degrees(np.arctan2(towards[1], towards[0]))
        return float(azimuth), float(np.degrees(np.arctan2(towards[2], np.hypot(*towards[:2]))))

    def levelled(self) -> FloatArray:
        """Return the rotation (3, 3) that takes ``up`` to z; the identity where it is z."""
        z = self.up
        if np.allclose(z, [0, 0, 1], atol=1e-6):
            return np.eye(3)
        x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [0.0, 0.0, 1.0], z)
        x /= np.linalg.norm(x)
        return np.stack([x, np.cross(z, x), z])


def layout(cameras: Sequence[Camera]) -> Layout:
    """Return the layout of a rig.

    Raises
    ------
    CameraError
        When the optical axes are parallel, or cross behind the cameras: there is no target then.
    """
    axes = np.array([c.rotation[:, 2] for c in cameras])
    centres = np.array([c.centre for c in cameras])
    projectors = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    total = projectors.sum(axis=0)
    if np.linalg.svd(total, compute_uv=False)[-1] < _FLAT * len(cameras):
        raise CameraError("the cameras look in parallel directions: there is no common target")
    target = np.linalg.solve(total, np.einsum("nij,nj->i", projectors, centres))
    if ((target - centres) * axes).sum(axis=1).mean() <= 0:
        raise CameraError("the cameras look away from each other: there is no common target")
    distance = float(np.linalg.norm(centres - target, axis=1).mean())
    spread = max(max(c.width / c.fx, c.height / c.fy) for c in cameras) / 2
    return Layout(target, distance, _up(cameras), float(spread))


def _up(cameras: Sequence[Camera]) -> FloatArray:
    mean: FloatArray = -np.array([c.rotation[:, 1] for c in cameras]).mean(axis=0)
    _, sizes, directions = np.linalg.svd(np.array([c.rotation[:, 0] for c in cameras]))
    # Cameras that do not roll have their right axes in one plane; up is its normal.
    if len(sizes) > 2 and sizes[1] > 0.05 * sizes[0] and sizes[2] < 0.3 * sizes[1]:
        normal: FloatArray = directions[2]
        return normal if normal @ mean > 0 else -normal
    length = float(np.linalg.norm(mean))
    return mean / length if length > _FLAT else np.array([0.0, 0.0, 1.0])
