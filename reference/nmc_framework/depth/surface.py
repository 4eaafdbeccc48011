"""The surface that a picture and its depth make: a mesh that is torn where depth jumps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from nmc_framework.depth.difference import Picture
from nmc_framework.depth.errors import DepthError
from nmc_framework.depth.pairs import DepthMap
from nmc_framework.whole_files import write_bytes

#: Horizontal field of view in degrees of a picture that says nothing of its lens: of a Kinect.
USUAL_FIELD: Final = 58.0
#: Neighbours whose depths differ by more than this share belong to two things.
TORN: Final = 0.06


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh in the camera's axes (x right, y down, z forward), in metres.

    ``points`` (N, 3) float32 of the pixels row by row, ``colours`` (N, 3) uint8, ``faces`` (F, 3)
    int32.
    """

    points: npt.NDArray[np.float32]
    colours: npt.NDArray[np.uint8]
    faces: npt.NDArray[np.int32]


def usual_focal(width: int, height: int) -> float:
    """Return the focal length in pixels of the usual lens: its field is that of the longer side."""
    return float(0.5 * max(width, height) / np.tan(np.radians(USUAL_FIELD / 2)))


def places(depth: DepthMap, focal: float) -> npt.NDArray[np.float32]:
    """Return the points (height, width, 3) float32 that pixels see, in the camera's axes."""
    height, width = depth.shape
    x = (np.arange(width) + 0.5 - width / 2) / focal
    y = (np.arange(height) + 0.5 - height / 2) / focal
    points = np.empty((height, width, 3), np.float32)
    points[..., 0], points[..., 1], points[..., 2] = x[None] * depth, y[:, None] * depth, depth
    return points


def surface(picture: Picture, depth: DepthMap, focal: float | None = None) -> Surface:
    """Return the mesh of a picture (height, width, 3) and its depth (height, width).

    Raises
    ------
    DepthError
        When they differ in size, or a depth is no positive number.
    """
    if picture.shape[:2] != depth.shape:
        raise DepthError(f"a picture {picture.shape} and a depth {depth.shape} of unequal size")
    if not (np.isfinite(depth) & (depth > 0)).all():
        raise DepthError("a surface needs a depth above 0 at every pixel")
    height, width = depth.shape
    points = places(depth, focal or usual_focal(width, height))
    index = np.arange(height * width, dtype=np.int32).reshape(height, width)
    corners = (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:])
    a, b, c, d = (corner.ravel() for corner in corners)
    faces = np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)])
    of_faces = depth.ravel()[faces]
    whole = of_faces.max(axis=1) <= of_faces.min(axis=1) * (1 + TORN)
    return Surface(points.reshape(-1, 3), picture.reshape(-1, 3), faces[whole])


def write_ply(path: Path, mesh: Surface) -> None:
    """Write a mesh as binary PLY, under another name until it is whole."""
    head = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(mesh.points)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\n"
        f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    vertices = np.empty(len(mesh.points), [("at", "<f4", 3), ("colour", "u1", 3)])
    # Viewers of PLY have y up and look along -z.
    vertices["at"] = mesh.points * np.array([1, -1, -1], np.float32)
    vertices["colour"] = mesh.colours
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    write_bytes(path, head.encode() + vertices.tobytes() + faces.tobytes())
