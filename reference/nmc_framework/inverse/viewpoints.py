"""Where objects are seen from: a viewpoint is three numbers, and a bin is what a person says of it.

A viewpoint (azimuth, elevation, distance) lies on a sphere about the object's middle, from which
the camera looks at it: azimuth 0 sees its front, 90 its left side; angles in degrees. One
annotation of a viewpoint, the bin of 360 / bins degrees that its azimuth falls into, is shared by
all objects (Zhang et al. 2021, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmc_framework.cameras import Camera, look_at

#: Horizontal field of view in degrees; known, as in the paper.
FIELD_OF_VIEW = 30.0
#: Elevation in degrees and distance that a bin stands for, before they are refined.
ELEVATION, DISTANCE = 16.0, 4.2

Poses = npt.NDArray[np.float64]  # (V, 3): azimuth, elevation, distance


@dataclass(frozen=True)
class Bins:
    """Bins of azimuth; bin k is about k · 360 / count degrees."""

    count: int = 12

    def of(self, azimuth: float) -> int:
        """Return the bin that an azimuth falls into."""
        return round(azimuth / 360 * self.count) % self.count

    def pose(self, number: int) -> tuple[float, float, float]:
        """Return the viewpoint that a bin stands for."""
        return (360.0 * number / self.count, ELEVATION, DISTANCE)


def drawn_poses(count: int, seed: int) -> Poses:
    """Draw viewpoints (count, 3) all around: one in each equal part, at heights a person has."""
    random = np.random.default_rng([seed, 977])
    part = 360.0 / count
    azimuth = (np.arange(count) + random.uniform(-0.4, 0.4, count)) * part
    elevation = random.uniform(6, 28, count)
    distance = DISTANCE * random.uniform(0.95, 1.06, count)
    return np.stack([azimuth % 360, elevation, distance], axis=1)


def camera(pose: npt.ArrayLike, size: int, name: str = "") -> Camera:
    """Return the camera of a viewpoint, for square pictures of ``size`` pixels."""
    azimuth, elevation, distance = np.asarray(pose, np.float64)
    a, e = np.radians([azimuth, elevation])
    towards = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    seen = look_at(distance * towards, (0, 0, 0))
    return Camera.from_field_of_view(FIELD_OF_VIEW, size, size, seen, name)


def project(points: Tensor, poses: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Project points as :func:`camera` sees them, with gradients for points and viewpoints.

    Parameters
    ----------
    points
        (N, V, 3), in the object's axes.
    poses
        (N, 3): azimuth and elevation in degrees, distance.
    size
        Pixels of the sides of a picture.

    Returns
    -------
    tuple of Tensor
        Places in the picture (N, V, 2) in pixels from the corner of the first one, and depths
        (N, V) along the axis.
    """
    azimuth, elevation = torch.deg2rad(poses[:, 0]), torch.deg2rad(poses[:, 1])
    ca, sa, ce, se = azimuth.cos(), azimuth.sin(), elevation.cos(), elevation.sin()
    zero = torch.zeros_like(ca)
    right = torch.stack([-sa, ca, zero], dim=1)
    down = torch.stack([se * ca, se * sa, -ce], dim=1)
    back = torch.stack([ce * ca, ce * sa, se], dim=1)
    seen = points @ torch.stack([right, down, -back], dim=2)
    depth = seen[..., 2] + poses[:, 2:]
    focal = 0.5 * size / float(np.tan(0.5 * np.radians(FIELD_OF_VIEW)))
    # A vertex behind the camera is none that a picture shows; far in front, nothing changes.
    depth = depth.clamp_min(0.1)
    return seen[..., :2] * (focal / depth[..., None]) + 0.5 * size, depth


def apart(found: npt.ArrayLike, true: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the angles in degrees (V,) between the directions that viewpoints look from."""

    def towards(poses: npt.ArrayLike) -> npt.NDArray[np.float64]:
        a, e = np.radians(np.asarray(poses, np.float64)[:, :2]).T
        return np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=1)

    cosine = (towards(found) * towards(true)).sum(axis=1)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
