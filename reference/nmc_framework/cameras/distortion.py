"""Lenses that bend lines: where they put a point, and images freed of it.

The models are OpenCV's (calib3d, "Detailed Description"; its fisheye module): rational radial and
tangential coefficients, and Kannala and Brandt's fisheye.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras.camera import Camera, FloatArray
from nmc_framework.cameras.formats.document import Lens

Picture = npt.NDArray[np.uint8]


def distort(lens: Lens, points: npt.ArrayLike) -> FloatArray:
    """Return where a lens puts points (N, 2) of the ideal image plane at depth 1."""
    x, y = np.asarray(points, dtype=np.float64).T
    if lens.model == "opencv_fisheye":
        radius = np.hypot(x, y)
        angle = np.arctan(radius)
        square = angle * angle
        k1, k2, k3, k4 = (lens.get(f"k{i}") for i in range(1, 5))
        bent = angle * (1 + square * (k1 + square * (k2 + square * (k3 + square * k4))))
        factor = np.divide(bent, radius, out=np.ones_like(radius), where=radius > 1e-12)
        return np.stack([x * factor, y * factor], axis=1)
    k1, k2, k3, k4, k5, k6 = (lens.get(f"k{i}") for i in range(1, 7))
    p1, p2 = lens.get("p1"), lens.get("p2")
    s = x * x + y * y
    factor = (1 + s * (k1 + s * (k2 + s * k3))) / (1 + s * (k4 + s * (k5 + s * k6)))
    bent_x = x * factor + 2 * p1 * x * y + p2 * (s + 2 * x * x)
    bent_y = y * factor + p1 * (s + 2 * y * y) + 2 * p2 * x * y
    return np.stack([bent_x, bent_y], axis=1)


def project(camera: Camera, lens: Lens, points: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Project world points (N, 3) through a lens: image points (N, 2) and depths (N,)."""
    local = (np.asarray(points, dtype=np.float64) - camera.centre) @ camera.rotation
    with np.errstate(divide="ignore", invalid="ignore"):
        bent = distort(lens, local[:, :2] / local[:, 2:])
    scaled = bent * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    return np.asarray(scaled, dtype=np.float64), local[:, 2]


def undistorted(image: Picture, camera: Camera, lens: Lens) -> Picture:
    """Return what a camera without the lens, of the same intrinsics, would have seen.

    Parameters
    ----------
    image
        (height, width, 3) uint8 as taken.
    camera
        The camera of the image; the result belongs to it as well.
    lens
        Taken out; pixels it did not see are black.

    Returns
    -------
    ndarray of uint8
        Bilinearly interpolated.
    """
    columns, rows = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    ideal = np.stack(
        [(columns.ravel() - camera.cx) / camera.fx, (rows.ravel() - camera.cy) / camera.fy], axis=1
    )
    source = distort(lens, ideal) * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    sampled = _bilinear(image, source[:, 0] - 0.5, source[:, 1] - 0.5)
    return sampled.reshape(camera.height, camera.width, 3)


def _bilinear(image: Picture, x: FloatArray, y: FloatArray) -> Picture:
    height, width = image.shape[:2]
    inside = (x > -1) & (y > -1) & (x < width) & (y < height)
    x, y = np.where(inside, x, 0), np.where(inside, y, 0)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    columns = [np.clip(left + k, 0, width - 1) for k in (0, 1)]
    lines = [np.clip(top + k, 0, height - 1) for k in (0, 1)]
    upper = image[lines[0], columns[0]] * (1 - fx) + image[lines[0], columns[1]] * fx
    lower = image[lines[1], columns[0]] * (1 - fx) + image[lines[1], columns[1]] * fx
    mixed = np.rint(upper * (1 - fy) + lower * fy) * inside[:, None]
    return np.asarray(mixed, dtype=np.uint8)
