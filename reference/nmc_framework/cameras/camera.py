"""Pinhole cameras in NMC's one canonical convention, and the rays they cast (clause 5.1).

Canonical means: camera-to-world extrinsics, OpenCV axes (x right, y down, z forward), column
vectors, and a pixel origin at the image *corner*, so that the centre of the top-left pixel is
(0.5, 0.5). Every other convention is converted at the border and never reaches this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_ORTHONORMAL_TOLERANCE = 1e-6


class CameraError(ValueError):
    """A camera that cannot be: wrong shape, no rotation, or no size."""


@dataclass(frozen=True)
class Rays:
    """A bundle of rays: ``origins`` and unit ``directions``, each (N, 3) float64, scene units."""

    origins: FloatArray
    directions: FloatArray

    def __post_init__(self) -> None:
        if self.origins.shape != self.directions.shape or self.origins.shape[-1:] != (3,):
            raise CameraError(
                f"rays need origins and directions of one shape (N, 3); "
                f"got {self.origins.shape} and {self.directions.shape}"
            )

    def __len__(self) -> int:
        return len(self.origins)


@dataclass(frozen=True, eq=False)
class Camera:
    """One pinhole camera.

    Parameters
    ----------
    fx, fy
        Focal lengths in pixels.
    cx, cy
        Principal point in pixels, from the outer corner of the top-left pixel.
    width, height
        Image size in pixels.
    camera_to_world
        (4, 4) float64; the columns are the camera's right, down and forward axes and its centre.
    name
        What reports call this camera.

    Raises
    ------
    CameraError
        When a size or focal length is not positive, a number not finite, or the extrinsics are no
        rigid motion.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    camera_to_world: FloatArray
    name: str = ""

    def __post_init__(self) -> None:
        matrix = np.array(self.camera_to_world, dtype=np.float64)
        label = f"camera {self.name!r}"
        if self.width < 1 or self.height < 1:
            raise CameraError(f"{label}: the image size {self.width}x{self.height} is empty")
        if not np.isfinite([self.fx, self.fy, self.cx, self.cy]).all():
            raise CameraError(
                f"{label}: a focal length or the principal point is not a finite number"
            )
        if not (self.fx > 0 and self.fy > 0):
            raise CameraError(f"{label}: focal lengths must be positive, got {self.fx}, {self.fy}")
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise CameraError(f"{label}: camera_to_world must be a finite 4x4 matrix")
        rotation = matrix[:3, :3]
        if (
            np.abs(rotation.T @ rotation - np.eye(3)).max() > _ORTHONORMAL_TOLERANCE
            or np.linalg.det(rotation) < 0
        ):
            raise CameraError(
                f"{label}: the upper left 3x3 of camera_to_world is not a rotation; "
                "take scale and mirroring out first and record them as a normalisation"
            )
        matrix.setflags(write=False)
        object.__setattr__(self, "camera_to_world", matrix)

    @classmethod
    def from_field_of_view(
        cls,
        degrees: float,
        width: int,
        height: int,
        camera_to_world: npt.ArrayLike,
        name: str = "",
    ) -> Camera:
        """Build a camera with a horizontal field of view and a centred principal point."""
        focal = 0.5 * width / np.tan(0.5 * np.radians(degrees))
        matrix = np.asarray(camera_to_world, dtype=np.float64)
        return cls(focal, focal, width / 2, height / 2, width, height, matrix, name)

    @property
    def centre(self) -> FloatArray:
        """The centre of projection in the world, (3,)."""
        return self.camera_to_world[:3, 3]

    @property
    def rotation(self) -> FloatArray:
        """The camera-to-world rotation, (3, 3)."""
        return self.camera_to_world[:3, :3]

    @property
    def intrinsics(self) -> FloatArray:
        """The 3x3 matrix K of the pinhole model, pixel origin at the image corner."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    def resized(self, width: int, height: int) -> Camera:
        """Return the camera of the same view with another pixel count.

        A corner origin makes this a plain scaling: no half pixel has to be carried along.
        """
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=self.cx * sx,
            cy=self.cy * sy,
            width=width,
            height=height,
        )

    def at(self, camera_to_world: npt.ArrayLike, name: str = "") -> Camera:
        """Return a camera of the same intrinsics at another place."""
        matrix = np.asarray(camera_to_world, dtype=np.float64)
        return replace(self, camera_to_world=matrix, name=name or self.name)

    def rays(self, supersampling: int = 1) -> Rays:
        """Cast the rays of every pixel, row by row.

        Parameters
        ----------
        supersampling
            k casts k x k rays a pixel, on a regular grid inside it.

        Returns
        -------
        Rays
            (height·k · width·k) rays; directions have unit length.
        """
        step = 1.0 / supersampling
        columns = (np.arange(self.width * supersampling) + 0.5) * step
        rows = (np.arange(self.height * supersampling) + 0.5) * step
        x, y = np.meshgrid(columns, rows)
        return self.rays_at(np.stack([x.ravel(), y.ravel()], axis=1))

    def rays_at(self, pixels: npt.ArrayLike) -> Rays:
        """Cast rays through image points given as (N, 2) columns and rows from the corner."""
        points = np.asarray(pixels, dtype=np.float64)
        local = np.stack(
            [
                (points[:, 0] - self.cx) / self.fx,
                (points[:, 1] - self.cy) / self.fy,
                np.ones(len(points)),
            ],
            axis=1,
        )
        directions = local @ self.rotation.T
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        origins = np.broadcast_to(self.centre, directions.shape)
        return Rays(origins, directions)

    def project(self, points: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Project world points (N, 3) to image points (N, 2) and depths (N,) along the axis."""
        local = (np.asarray(points, dtype=np.float64) - self.centre) @ self.rotation
        depth = local[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            image = np.stack(
                [
                    self.fx * local[:, 0] / depth + self.cx,
                    self.fy * local[:, 1] / depth + self.cy,
                ],
                axis=1,
            )
        return image, depth

    def as_json(self) -> dict[str, Any]:
        """Return the camera as plain JSON values, exact to the last bit of each number."""
        return {
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "fx": self.fx,
            "fy": self.fy,
            "cx": self.cx,
            "cy": self.cy,
            "camera_to_world": self.camera_to_world.tolist(),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Camera:
        """Read what :meth:`as_json` wrote; a missing member is named."""
        try:
            return cls(
                fx=float(record["fx"]),
                fy=float(record["fy"]),
                cx=float(record["cx"]),
                cy=float(record["cy"]),
                width=int(record["width"]),
                height=int(record["height"]),
                camera_to_world=np.array(record["camera_to_world"], dtype=np.float64),
                name=str(record.get("name", "")),
            )
        except KeyError as error:
            raise CameraError(f"a camera record lacks {error.args[0]!r}") from error


def look_at(
    eye: npt.ArrayLike, target: npt.ArrayLike, up: npt.ArrayLike = (0.0, 0.0, 1.0)
) -> FloatArray:
    """Return the camera-to-world matrix (4, 4) of a camera at ``eye`` that faces ``target``.

    Raises
    ------
    CameraError
        When eye and target coincide, or the line of sight is parallel to ``up``.
    """
    centre = np.asarray(eye, dtype=np.float64)
    forward = np.asarray(target, dtype=np.float64) - centre
    right = np.cross(forward, np.asarray(up, dtype=np.float64))
    if not np.linalg.norm(right) > 0:
        raise CameraError("look_at: eye, target and the up direction lie on one line")
    forward /= np.linalg.norm(forward)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = right, np.cross(forward, right)
    matrix[:3, 2], matrix[:3, 3] = forward, centre
    return matrix
