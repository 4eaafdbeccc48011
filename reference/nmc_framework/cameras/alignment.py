"""Two rigs of the same cameras brought together by a similarity, and what is left between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras.camera import Camera, CameraError
from nmc_framework.cameras.formats.rig_document import RigDocument, Similarity

#: Below this share of the largest one a singular value counts as none: points on one line.
_FLAT = 1e-9
_FEWEST = 3


@dataclass(frozen=True)
class CameraOffset:
    """How far one camera is from the truth: ``centre`` in its scene units, ``rotation`` in degrees.

    ``focal`` is the ratio of the focal lengths, estimated over true.
    """

    name: str
    centre: float
    rotation: float
    focal: float


@dataclass(frozen=True, eq=False)
class Alignment:
    """An estimated rig moved onto the true one.

    ``similarity`` takes the estimated coordinates to the true ones; ``extent`` is the length in
    scene units to which centre errors are related.
    """

    similarity: Similarity
    offsets: tuple[CameraOffset, ...]
    extent: float

    @property
    def mean_centre(self) -> float:
        """The mean error of the centres as a share of the extent."""
        return float(np.mean([offset.centre for offset in self.offsets])) / self.extent

    @property
    def worst_centre(self) -> float:
        """The largest error of a centre as a share of the extent."""
        return max(offset.centre for offset in self.offsets) / self.extent

    @property
    def mean_rotation(self) -> float:
        """The mean error of the orientations in degrees."""
        return float(np.mean([offset.rotation for offset in self.offsets]))

    @property
    def worst_rotation(self) -> float:
        """The largest error of an orientation in degrees."""
        return max(offset.rotation for offset in self.offsets)

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "extent": self.extent,
            "mean_centre": self.mean_centre,
            "worst_centre": self.worst_centre,
            "mean_rotation_degrees": self.mean_rotation,
            "worst_rotation_degrees": self.worst_rotation,
            "similarity": self.similarity.matrix.tolist(),
        }


def umeyama(source: npt.ArrayLike, target: npt.ArrayLike) -> Similarity:
    """Return the similarity that takes points to others with the least squared error.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    IEEE PAMI 13 (4), 1991, equations (38) to (42).

    Parameters
    ----------
    source, target
        (N, 3) points that go together by index; three at least, not on one line.

    Raises
    ------
    CameraError
        When there are too few points, or they lie on one line: a turn about it would be free.
    """
    x, y = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 2 or x.shape[1] != 3:
        raise CameraError(f"points to align are (N, 3) on both sides, not {x.shape} and {y.shape}")
    if len(x) < _FEWEST:
        raise CameraError(f"an alignment needs three cameras at least, not {len(x)}")
    centre_x, centre_y = x.mean(axis=0), y.mean(axis=0)
    variance = ((x - centre_x) ** 2).sum() / len(x)
    covariance = (y - centre_y).T @ (x - centre_x) / len(x)
    u, d, vt = np.linalg.svd(covariance)
    if not d[1] > _FLAT * d[0] or not variance > 0:
        raise CameraError("the cameras to align stand on one line: a turn about it is left free")
    sign = np.ones(3)
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        sign[2] = -1
    rotation = (u * sign) @ vt
    scale = float((d * sign).sum() / variance)
    return Similarity(scale, rotation, centre_y - scale * rotation @ centre_x)


def align(estimated: RigDocument, truth: RigDocument, extent: float | None = None) -> Alignment:
    """Align a rig to the true one by the centres of the cameras that both have.

    Parameters
    ----------
    estimated, truth
        Cameras go together by name; folders and suffixes of names do not count.
    extent
        The length, in the true rig's units, to which centre errors are related: that of the scene.
        The largest distance between two of the true cameras unless given.

    Raises
    ------
    CameraError
        When fewer than three cameras are in both, or they stand on one line.
    """
    known = {Path(camera.name).stem: camera for camera in truth.cameras}
    known |= {camera.name: camera for camera in truth.cameras}
    pairs = [
        (camera, known[name])
        for camera in estimated.cameras
        if (name := camera.name if camera.name in known else Path(camera.name).stem) in known
    ]
    if len(pairs) < _FEWEST:
        theirs = ", ".join(camera.name for camera in truth.cameras)
        raise CameraError(
            f"{len(pairs)} of the cameras are in the known rig, three are needed; it has {theirs}"
        )
    similarity = umeyama([a.centre for a, _ in pairs], [b.centre for _, b in pairs])
    offsets = tuple(_offset(similarity.apply(a), b) for a, b in pairs)
    return Alignment(similarity, offsets, extent or _diameter([b for _, b in pairs]))


def _offset(moved: Camera, true: Camera) -> CameraOffset:
    turn = moved.rotation.T @ true.rotation
    # As an arc tangent: the arc cosine has no digits left near 0.
    axis = [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]
    angle = np.arctan2(np.linalg.norm(axis), np.trace(turn) - 1)
    return CameraOffset(
        moved.name,
        float(np.linalg.norm(moved.centre - true.centre)),
        float(np.degrees(angle)),
        (moved.fx / moved.width) / (true.fx / true.width),
    )


def _diameter(cameras: Sequence[Camera]) -> float:
    centres = np.array([camera.centre for camera in cameras])
    return float(np.linalg.norm(centres[:, None] - centres, axis=2).max())
