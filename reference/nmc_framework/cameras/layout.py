"""What a rig's own geometry tells: the place it faces, and which way is up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nmc_framework.cameras.camera import Camera, CameraError, FloatArray

#: Below this share of the largest singular value, directions count as one.
_FLAT = 1e-3


@dataclass(frozen=True, eq=False)
class Layout:
    """A rig as a whole, in scene units.

    ``target`` (3,) is the point nearest to all optical axes, ``distance`` the cameras' mean
    distance to it, ``up`` (3,) the unit vector against which the cameras do not roll.
    """

    target: FloatArray
    distance: float
    up: FloatArray

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
    return Layout(target, distance, _up(cameras))


def _up(cameras: Sequence[Camera]) -> FloatArray:
    mean: FloatArray = -np.array([c.rotation[:, 1] for c in cameras]).mean(axis=0)
    _, sizes, directions = np.linalg.svd(np.array([c.rotation[:, 0] for c in cameras]))
    # Cameras that do not roll have their right axes in one plane; up is its normal.
    if len(sizes) > 2 and sizes[1] > 0.05 * sizes[0] and sizes[2] < 0.3 * sizes[1]:
        normal: FloatArray = directions[2]
        return normal if normal @ mean > 0 else -normal
    length = float(np.linalg.norm(mean))
    return mean / length if length > _FLAT else np.array([0.0, 0.0, 1.0])
