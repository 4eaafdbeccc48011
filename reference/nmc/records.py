"""What a manifest says of colour, of cameras and of quality (clauses 5.5 to 5.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nmc_format.camera_check import CAMERA_CONVENTION
from nmc_format.manifest_file import text_array, text_scalar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc_format.hdf5 import RawObjects
    from nmc_format.manifest import Manifest

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"


@dataclass(frozen=True, eq=False)
class Cameras:
    """Cameras of a scene, in the one convention of clause 5.6.1.

    Camera-to-world, OpenCV axes (x right, y down, z forward), pixel origin at the image corner.

    Attributes
    ----------
    names : sequence of str
        One for each of the C cameras.
    size : numpy.ndarray of uint32, shape (C, 2)
        Width and height in pixels.
    intrinsics : numpy.ndarray of float64, shape (C, 4)
        fx, fy, cx, cy in pixels.
    camera_to_world : numpy.ndarray of float64, shape (C, 3, 4)
        Rotation and position, in scene units.
    normalisation : numpy.ndarray of float64, shape (4, 4)
        The similarity that took the units of the source to scene units; undo it with its inverse.
    distortion_model : sequence of str or None
        ``"none"`` or ``"opencv"`` for each camera (clause 5.6.2); None where none has distortion.
    distortion : numpy.ndarray of float64, shape (C, K), or None
        Its coefficients.
    """

    names: Sequence[str]
    size: np.ndarray[Any, Any]
    intrinsics: Floats
    camera_to_world: Floats
    normalisation: Floats
    distortion_model: Sequence[str] | None = None
    distortion: Floats | None = None

    def objects(self) -> RawObjects:
        """Return the objects of the manifest."""
        distortion: RawObjects = {}
        if self.distortion_model is not None:
            distortion = {
                "/cameras/distortion_model": text_array(list(self.distortion_model)),
                "/cameras/distortion": np.asarray(self.distortion, "<f8"),
            }
        return {
            **distortion,
            "/cameras/name": text_array(list(self.names)),
            "/cameras/size": np.asarray(self.size, "<u4"),
            "/cameras/intrinsics": np.asarray(self.intrinsics, "<f8"),
            "/cameras/camera_to_world": np.asarray(self.camera_to_world, "<f8"),
            "/cameras@convention": text_scalar(CAMERA_CONVENTION),
            "/cameras@normalisation": np.asarray(self.normalisation, "<f8"),
        }


@dataclass(frozen=True, eq=False)
class Quality:
    """Measured quality of the rendered views (clause 5.7).

    Attributes
    ----------
    views : sequence of str
        Names of the V views.
    metrics : mapping of str to numpy.ndarray of float64, shape (N, V)
        ``"psnr"`` in dB, ``"ssim"``, ``"lpips"``; NaN where nothing was measured.
    """

    views: Sequence[str]
    metrics: Mapping[str, Floats]

    def objects(self) -> RawObjects:
        """Return the objects of the manifest."""
        columns = {f"/quality/{n}": np.asarray(v, "<f8") for n, v in self.metrics.items()}
        return {"/quality/view": text_array(list(self.views)), **columns}


@dataclass(frozen=True, eq=False)
class Colour:
    """Exposure and white balance of the training views (clause 5.5).

    Attributes
    ----------
    views : sequence of str
        Names of the P training views.
    affine : numpy.ndarray of float64, shape (N, P, 3, 4)
        From rendered colour to that of the picture: ``picture = A @ rgb + b``, in linear display
        values; the identity where nothing was recorded.
    """

    views: Sequence[str]
    affine: Floats

    def frame(self, index: int) -> dict[str, Floats]:
        """Return the maps of one frame, view → array of shape (3, 4)."""
        return dict(zip(self.views, self.affine[index], strict=True))


def colour_of(manifest: Manifest) -> Colour | None:
    """Return the colour record of a manifest, or None."""
    columns = manifest.columns
    if "/training/colour" not in columns:
        return None
    views = [view.decode("utf-8") for view in columns["/training/colour_view"].tolist()]
    return Colour(views, columns["/training/colour"])


def cameras_of(manifest: Manifest) -> Cameras | None:
    """Return the cameras of a manifest, or None."""
    columns = manifest.columns
    if "/cameras/name" not in columns:
        return None
    models = columns.get("/cameras/distortion_model")
    return Cameras(
        names=[name.decode("utf-8") for name in columns["/cameras/name"].tolist()],
        size=columns["/cameras/size"],
        intrinsics=columns["/cameras/intrinsics"],
        camera_to_world=columns["/cameras/camera_to_world"],
        normalisation=columns["/cameras@normalisation"],
        distortion_model=None if models is None else [m.decode("utf-8") for m in models.tolist()],
        distortion=columns.get("/cameras/distortion"),
    )


def quality_of(manifest: Manifest) -> Quality | None:
    """Return the quality record of a manifest, or None."""
    columns = manifest.columns
    if "/quality/view" not in columns:
        return None
    names = [path for path in columns if path.startswith("/quality/") and path != "/quality/view"]
    return Quality(
        views=[view.decode("utf-8") for view in columns["/quality/view"].tolist()],
        metrics={path.rsplit("/", 1)[1]: columns[path] for path in names},
    )
