"""What structure from motion found: cameras, points, and how well they fit the images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras.camera import Camera, FloatArray
from nmc_framework.cameras.formats import RigDocument, Similarity
from nmc_framework.cameras.formats.colmap import sensor_of
from nmc_framework.cameras.formats.rig_document import Lens
from nmc_framework.sfm.verdict import Verdict

if TYPE_CHECKING:
    import pycolmap


@dataclass(frozen=True)
class CameraFit:
    """How one camera fits.

    ``keypoints`` were found in its pictures, ``observations`` of them are of a point, ``error`` is
    the mean reprojection error of these in pixels.
    """

    name: str
    keypoints: int
    observations: int
    error: float


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points in scene units.

    ``positions`` (N, 3) float64, ``colours`` (N, 3) uint8, ``errors`` (N,) float64 mean
    reprojection errors in pixels, ``tracks`` (N,) int64 numbers of observations.
    """

    positions: FloatArray
    colours: npt.NDArray[np.uint8]
    errors: FloatArray
    tracks: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def write_ply(self, path: Path) -> None:
        """Write the points as a binary PLY file with colours."""
        import pycolmap

        cloud = pycolmap.Reconstruction()
        for position, colour in zip(self.positions, self.colours, strict=True):
            cloud.add_point3D(position, pycolmap.Track(), colour)
        cloud.export_PLY(path)


@dataclass(frozen=True, eq=False)
class RigSolution:
    """A rig solved from images.

    ``rig`` has the registered cameras in the order in which they were given, with their lenses and
    the normalisation applied since; ``points`` are in its coordinates; ``errors`` say how each
    camera fits; ``missing`` names those that could not be registered; ``verdict`` says whether
    all this can be trusted, and why.
    """

    rig: RigDocument
    points: PointCloud
    errors: tuple[CameraFit, ...]
    missing: tuple[str, ...] = ()
    verdict: Verdict = field(default_factory=lambda: Verdict(()))

    @property
    def error(self) -> float:
        """The mean reprojection error over all observations, in pixels."""
        weights = [fit.observations for fit in self.errors]
        return float(np.average([fit.error for fit in self.errors], weights=weights))

    def moved(self, similarity: Similarity) -> RigSolution:
        """Apply a similarity to cameras and points, and record it in the rig's normalisation."""
        s = similarity
        positions = s.scale * self.points.positions @ s.rotation.T + s.translation
        points = replace(self.points, positions=positions)
        return replace(self, rig=self.rig.normalised(similarity), points=points)

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        rows = [
            {
                "name": fit.name,
                "keypoints": fit.keypoints,
                "observations": fit.observations,
                "error": _finite(fit.error),
            }
            for fit in self.errors
        ]
        return {
            "cameras": rows,
            "missing": list(self.missing),
            "points": len(self.points),
            "mean_track": float(self.points.tracks.mean()) if len(self.points) else 0.0,
            "error": _finite(self.error),
            **self.verdict.as_json(),
        }


def _finite(number: float) -> float | None:
    """Return a number, or nothing: what ends behind its camera is infinitely off."""
    return number if math.isfinite(number) else None


def solution(part: pycolmap.Reconstruction, names: Sequence[str]) -> RigSolution:
    """Take a reconstruction over into NMC's convention.

    Parameters
    ----------
    part
        From :func:`~nmc_framework.sfm.mapping.reconstruct`; images without a pose are missing.
    names
        Of all cameras, in their order.
    """
    images = {image.name: image for image in part.images.values()}
    placed = [name for name in names if name in images and images[name].has_pose]
    pairs = [_camera(part, images[name]) for name in placed]
    rig = RigDocument(tuple(camera for camera, _ in pairs), tuple(lens for _, lens in pairs))
    numbers = sorted(part.points3D)
    found = [part.points3D[number] for number in numbers]
    points = PointCloud(
        np.array([point.xyz for point in found], dtype=np.float64).reshape(-1, 3),
        np.array([point.color for point in found], dtype=np.uint8).reshape(-1, 3),
        np.array([point.error for point in found], dtype=np.float64),
        np.array([point.track.length() for point in found], dtype=np.int64),
    )
    fits = tuple(_fit(part, images[name]) for name in placed)
    return RigSolution(rig, points, fits, tuple(name for name in names if name not in placed))


def _camera(part: pycolmap.Reconstruction, image: pycolmap.Image) -> tuple[Camera, Lens]:
    model = part.cameras[image.camera_id]
    values = tuple(float(value) for value in model.params)
    s = sensor_of(model.model.name, model.width, model.height, values)
    pose = np.eye(4)
    world_to_camera = image.cam_from_world().matrix()
    pose[:3, :3] = world_to_camera[:, :3].T
    pose[:3, 3] = -pose[:3, :3] @ world_to_camera[:, 3]
    return Camera(s.fx, s.fy, s.cx, s.cy, s.width, s.height, pose, image.name), s.lens


def _fit(part: pycolmap.Reconstruction, image: pycolmap.Image) -> CameraFit:
    """Compare what a camera sees with where its points project; behind it counts as infinity."""
    errors = []
    for seen in image.get_observation_points2D():
        projected = image.project_point(part.points3D[seen.point3D_id].xyz)
        off = np.inf if projected is None else float(np.linalg.norm(projected - seen.xy))
        errors.append(off)
    mean = float(np.mean(errors)) if errors else float("nan")
    return CameraFit(image.name, image.num_points2D(), len(errors), mean)
