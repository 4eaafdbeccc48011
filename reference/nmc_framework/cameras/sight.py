"""What the cameras of a rig have in their pictures, and where their views meet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras.camera import Camera, FloatArray

#: Steps along a ray, and rays a side of a picture, with which the overlap of views is looked for.
_STEPS, _RAYS = 48, 5
#: Steps from near to far, where a camera file tells these.
_DEPTH_STEPS = 12


def seen_by_two(cameras: Sequence[Camera], points: FloatArray) -> FloatArray:
    """Return the points that at least two cameras have in their pictures; others are astray."""
    return points[counts(cameras, points) >= min(2, len(cameras))]


def counts(cameras: Sequence[Camera], points: FloatArray) -> npt.NDArray[np.int64]:
    """Return in how many pictures each point lies, (N,)."""
    found = np.zeros(len(points), dtype=np.int64)
    for camera in cameras:
        found += inside(camera, points)
    return found


def inside(camera: Camera, points: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which points (N, 3) lie in the picture of a camera, (N,)."""
    image, depth = camera.project(points)
    with np.errstate(invalid="ignore"):
        within = (image >= 0).all(axis=1) & (image[:, 0] <= camera.width)
        return np.asarray(within & (image[:, 1] <= camera.height) & (depth > 0), dtype=np.bool_)


def overlap(camera: Camera, cameras: Sequence[Camera], distance: float, nearest: float) -> float:
    """Return from which distance on some ray of a camera is in the view of a quarter of the rig.

    It is looked for from the share ``nearest`` of ``distance`` on; where there is none, it is
    ``distance``.
    """
    others = [other for other in cameras if other is not camera]
    wanted = max(1, math.ceil(len(others) / 4))
    if not others:
        return 0.0
    rays = camera.rays_at(_spread(camera))
    steps = distance * np.geomspace(nearest, 1.0, _STEPS)
    places = rays.origins[:, None] + rays.directions[:, None] * steps[:, None]
    hits = counts(others, places.reshape(-1, 3)).reshape(len(rays), _STEPS)
    hit = (hits >= wanted).any(axis=0)
    return float(steps[int(np.argmax(hit))]) if hit.any() else distance


def between(cameras: Sequence[Camera], depths: FloatArray) -> FloatArray:
    """Return points (N, 3) all over the part of each camera's view that lies from near to far.

    ``depths`` (cameras, 2) are near and far along the optical axes, in scene units; a camera of
    which they are none that can be (0 < near < far, finite) has no points.
    """
    found = [np.empty((0, 3))]
    for camera, (near, far) in zip(cameras, depths, strict=True):
        if not 0 < near < far < math.inf:
            continue
        rays = camera.rays_at(_spread(camera))
        along = 1 / (rays.directions @ camera.rotation[:, 2])
        steps = np.geomspace(near, far, _DEPTH_STEPS)
        reach = (along[:, None] * steps)[..., None]
        found.append((rays.origins[:, None] + rays.directions[:, None] * reach).reshape(-1, 3))
    return np.concatenate(found)


def _spread(camera: Camera) -> FloatArray:
    """Return places (N, 2) all over a picture, in pixels."""
    columns = (np.arange(_RAYS) + 0.5) / _RAYS * camera.width
    rows = (np.arange(_RAYS) + 0.5) / _RAYS * camera.height
    x, y = np.meshgrid(columns, rows)
    return np.stack([x.ravel(), y.ravel()], axis=1)
