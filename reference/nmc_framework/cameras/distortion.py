"""Lenses that bend lines: where they put a point, and images freed of it.

The models are OpenCV's (calib3d, "Detailed Description"; its fisheye module): rational radial and
tangential coefficients, and Kannala and Brandt's fisheye; and Brown's polynomial with a fourth
radial coefficient (nerfstudio's ``camera_utils.py``; Metashape manual, appendix "Camera models").
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras.camera import Camera, CameraError, FloatArray
from nmc_framework.cameras.formats.rig_document import Lens

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
    if lens.model == "brown":
        factor = 1 + s * (k1 + s * (k2 + s * (k3 + s * k4)))
    else:
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


def straightened(camera: Camera, lens: Lens) -> Camera:
    """Return the camera without the lens whose whole picture lies within the taken one.

    Where the lens leaves pixels of the ideal picture without a source, the view is narrowed to
    the largest window of the picture's own proportions in which every pixel has one, the most
    central of several: the rule of OpenCV's ``getOptimalNewCameraMatrix`` with ``alpha`` 0, but
    with one factor for both axes, so that pixels keep their shape. It is never widened: beyond
    the picture's corners a calibration holds no observations.

    Parameters
    ----------
    camera
        Of the picture as taken.
    lens
        Of that camera.

    Returns
    -------
    Camera
        At the same place and of the same size in pixels; the camera itself where no pixel of its
        ideal picture is without a source.

    Raises
    ------
    CameraError
        When no pixel has a source: the coefficients are none of this camera.
    """
    if lens.straight:
        return camera
    empty = ~_sourced(camera, lens)
    if not empty.any():
        return camera
    # Empty pixels in any rectangle from four lookups (Crow 1984).
    table = np.pad(empty.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))

    def too_wide(columns: int) -> bool:
        return _window(table, columns, camera) is None

    # Where a window fits, so does every smaller one: as many widths fit as the largest has pixels.
    columns = bisect_left(range(1, camera.width + 1), True, key=too_wide)
    found = _window(table, columns, camera) if columns else None
    if found is None:
        raise CameraError(
            f"camera {camera.name!r}: its lens takes every pixel from outside of the picture; "
            "the distortion coefficients do not belong to it"
        )
    left, top = found
    factor = camera.width / columns
    return replace(
        camera,
        fx=camera.fx * factor,
        fy=camera.fy * factor,
        cx=(camera.cx - left) * factor,
        cy=(camera.cy - top) * factor,
    )


def undistorted(
    image: Picture, camera: Camera, lens: Lens, straight: Camera | None = None
) -> Picture:
    """Return what a camera without the lens would have seen from the same place.

    Parameters
    ----------
    image
        (height, width, 3) uint8 as taken.
    camera
        The camera of the image.
    lens
        Taken out.
    straight
        The camera that the result is to belong to, such as :func:`straightened` returns: of the
        same pose, its intrinsics and size its own. ``camera`` itself if left out.

    Returns
    -------
    ndarray of uint8
        (height, width, 3) of ``straight``, bilinearly interpolated; black where there is no source.
    """
    wanted = camera if straight is None else straight
    source = _sources(wanted, camera, lens)
    sampled = _bilinear(image, source[:, 0] - 0.5, source[:, 1] - 0.5)
    return sampled.reshape(wanted.height, wanted.width, 3)


def _sources(straight: Camera, camera: Camera, lens: Lens) -> FloatArray:
    """Return where in the taken picture each pixel of ``straight`` comes from, (N, 2)."""
    columns, rows = np.meshgrid(np.arange(straight.width) + 0.5, np.arange(straight.height) + 0.5)
    ideal = np.stack(
        [
            (columns.ravel() - straight.cx) / straight.fx,
            (rows.ravel() - straight.cy) / straight.fy,
        ],
        axis=1,
    )
    found = distort(lens, ideal) * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    return np.asarray(found, dtype=np.float64)


def _sourced(camera: Camera, lens: Lens) -> npt.NDArray[np.bool_]:
    """Return which pixels of the ideal picture of the same intrinsics have a source, (H, W).

    One that a polynomial beyond its range mirrors back into the picture has none: the map turns
    round there, and its Jacobian determinant is not positive.
    """
    x, y = _sources(camera, camera, lens).T.reshape(2, camera.height, camera.width)
    inside = (x >= 0) & (y >= 0) & (x <= camera.width) & (y <= camera.height)
    if min(x.shape) < 2:
        return inside
    (x_down, x_right), (y_down, y_right) = np.gradient(x), np.gradient(y)
    found: npt.NDArray[np.bool_] = inside & (x_right * y_down - x_down * y_right > 0)
    return found


def _window(
    table: npt.NDArray[np.int64], columns: int, camera: Camera
) -> tuple[float, float] | None:
    """Return left and top of the most central window so wide without an empty pixel, if any.

    ``table`` is the summed-area table of the empty pixels; the window has the picture's
    proportions.
    """
    height = columns * camera.height / camera.width
    rows = math.ceil(height)
    inside = table[rows:, columns:] - table[:-rows, columns:] - table[rows:, :-columns]
    tops, lefts = np.nonzero(inside + table[:-rows, :-columns] == 0)
    if not len(tops):
        return None
    off = np.hypot(lefts + columns / 2 - camera.width / 2, tops + rows / 2 - camera.height / 2)
    best = int(np.argmin(off))
    return float(lefts[best]), float(tops[best] + (rows - height) / 2)


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
