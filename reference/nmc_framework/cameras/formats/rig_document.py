"""What a camera file says, in the canonical convention, and how to undo what was applied to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from natsort import natsorted

from nmc_framework.cameras.camera import Camera, CameraError, FloatArray

#: OpenGL's camera axes (x right, y up, z backward) written in OpenCV's: its own inverse.
OPENGL: FloatArray = np.diag([1.0, -1.0, -1.0, 1.0])

#: Coefficients of each distortion model, in the order that OpenCV documents. OpenCV's k4 to k6 are
#: those of a denominator; in Brown's polynomial, which nerfstudio, Metashape and RealityCapture
#: have, k4 belongs to the eighth power of the radius.
LENS_MODELS: dict[str, tuple[str, ...]] = {
    "pinhole": (),
    "opencv": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "brown": ("k1", "k2", "p1", "p2", "k3", "k4"),
    "opencv_fisheye": ("k1", "k2", "k3", "k4"),
}


class ConversionError(CameraError):
    """Something that one camera format can say and the other cannot; it is named, never dropped."""


@dataclass(frozen=True)
class Lens:
    """Distortion: the model's name and its coefficients, by OpenCV's names; absent ones are 0.

    The models are those of :data:`LENS_MODELS`; ``brown`` and ``opencv`` are one as long as neither
    needs a k4.
    """

    model: str = "pinhole"
    coefficients: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.model not in LENS_MODELS:
            raise ConversionError(
                f"unknown lens model {self.model!r}; known are {', '.join(LENS_MODELS)}"
            )
        unknown = set(self.coefficients) - set(LENS_MODELS[self.model])
        if unknown:
            raise ConversionError(f"the lens model {self.model} has no coefficient {min(unknown)}")

    def get(self, name: str) -> float:
        """Return a coefficient, 0 where the file gave none."""
        return float(self.coefficients.get(name, 0.0))

    @property
    def straight(self) -> bool:
        """Whether the lens does not distort: the perspective model with all coefficients 0.

        A fisheye lens with all coefficients 0 still is not a perspective one.
        """
        return self.model != "opencv_fisheye" and not any(self.coefficients.values())


@dataclass(frozen=True, eq=False)
class Similarity:
    """x' = scale · rotation · x + translation: what was applied to a file's own coordinates."""

    scale: float = 1.0
    rotation: FloatArray = field(default_factory=lambda: np.eye(3))
    translation: FloatArray = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        rotation = np.asarray(self.rotation, dtype=np.float64)
        off = np.abs(rotation.T @ rotation - np.eye(3)).max()
        finite = np.isfinite(self.scale) and np.isfinite(self.translation).all()
        if not (finite and self.scale > 0 and off <= 1e-6) or np.linalg.det(rotation) < 0:
            raise ConversionError(
                "a normalisation is a positive scale, a rotation without mirroring, and a shift"
            )

    @property
    def matrix(self) -> FloatArray:
        """As one (4, 4) matrix, the form a manifest takes."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.scale * self.rotation, self.translation
        return matrix

    @property
    def inverse(self) -> Similarity:
        """What undoes it."""
        back = self.rotation.T
        return Similarity(1 / self.scale, back, -back @ self.translation / self.scale)

    def after(self, first: Similarity) -> Similarity:
        """Return ``first`` followed by this one."""
        return Similarity(
            self.scale * first.scale,
            self.rotation @ first.rotation,
            self.scale * self.rotation @ first.translation + self.translation,
        )

    def apply(self, camera: Camera) -> Camera:
        """Move a camera; its intrinsics do not change."""
        pose = np.eye(4)
        pose[:3, :3] = self.rotation @ camera.rotation
        pose[:3, 3] = self.scale * self.rotation @ camera.centre + self.translation
        return camera.at(pose)

    @classmethod
    def from_matrix(cls, matrix: npt.ArrayLike) -> Similarity:
        """Read a (4, 4) or (3, 4) matrix; mirroring and shear are refused."""
        values = np.asarray(matrix, dtype=np.float64)
        determinant = np.linalg.det(values[:3, :3])
        if determinant <= 0:
            raise ConversionError("a normalisation that mirrors cannot be applied to cameras")
        scale = float(np.cbrt(determinant))
        return cls(scale, values[:3, :3] / scale, values[:3, 3].copy())


@dataclass(frozen=True, eq=False)
class RigDocument:
    """A camera file in the canonical convention.

    ``cameras`` and ``lenses`` go together by index; ``images`` are the names the file gives to the
    pictures. ``normalisation`` is what took the coordinates of the source to those of ``cameras``.
    ``depths`` are near and far by camera where the format has them, (N, 2). ``by_order`` tells that
    the file has no names: its cameras are those of the pictures, in the order of these.
    """

    cameras: tuple[Camera, ...]
    lenses: tuple[Lens, ...] = ()
    normalisation: Similarity = field(default_factory=Similarity)
    depths: FloatArray | None = None
    by_order: bool = False

    def __post_init__(self) -> None:
        if not self.lenses:
            object.__setattr__(self, "lenses", (Lens(),) * len(self.cameras))
        if len(self.lenses) != len(self.cameras):
            raise ConversionError(f"{len(self.lenses)} lenses for {len(self.cameras)} cameras")
        if self.depths is not None and self.depths.shape != (len(self.cameras), 2):
            raise ConversionError(
                f"near and far of {len(self.cameras)} cameras are {self.depths.shape}"
            )

    def named_after(self, pictures: Sequence[str]) -> RigDocument:
        """Return the cameras named after the pictures, in natural order, where the file names none.

        Raises
        ------
        ConversionError
            When there are more of one than of the other: which belongs to which nobody can tell.
        """
        if not self.by_order:
            return self
        if len(pictures) != len(self.cameras):
            raise ConversionError(
                f"the camera file has {len(self.cameras)} cameras without names, and there are "
                f"pictures of {len(pictures)}: which belongs to which nobody can tell"
            )
        cameras = tuple(
            camera.at(camera.camera_to_world, name)
            for camera, name in zip(self.cameras, natsorted(pictures), strict=True)
        )
        return replace(self, cameras=cameras, by_order=False)

    def depths_of(self, names: Sequence[str]) -> FloatArray | None:
        """Return near and far (N, 2) of the cameras named, where the file tells them."""
        if self.depths is None:
            return None
        places = {camera.name: k for k, camera in enumerate(self.cameras)}
        return self.depths[[places[name] for name in names]]

    def normalised(self, similarity: Similarity) -> RigDocument:
        """Apply a similarity to every camera and record it."""
        depths = None if self.depths is None else self.depths * similarity.scale
        return replace(
            self,
            cameras=tuple(similarity.apply(camera) for camera in self.cameras),
            normalisation=similarity.after(self.normalisation),
            depths=depths,
        )

    def centred(self) -> RigDocument:
        """Return the rig with the origin amid its cameras; the shift is recorded."""
        middle = np.median([camera.centre for camera in self.cameras], axis=0)
        return self.normalised(Similarity(translation=-middle))

    def in_source_units(self) -> RigDocument:
        """Undo the recorded normalisation."""
        return self.normalised(self.normalisation.inverse)


def brown(coefficients: Mapping[str, float]) -> Lens:
    """Return the lens of Brown's polynomial up to the eighth power, in its plainest form.

    Parameters
    ----------
    coefficients
        Of k1 to k4, p1 and p2 those that are known.
    """
    named = {name: float(coefficients.get(name, 0.0)) for name in LENS_MODELS["brown"]}
    if named["k4"]:
        return Lens("brown", named)
    del named["k4"]
    return Lens("opencv", named) if any(named.values()) else Lens()


def brown_coefficients(camera: Camera, lens: Lens, format_name: str) -> dict[str, float]:
    """Return k1 to k4, p1 and p2 of Brown's polynomial; refuse a lens that it cannot say."""
    rational = lens.model == "opencv" and any(map(lens.get, ("k4", "k5", "k6")))
    if lens.model == "opencv_fisheye" or rational:
        raise ConversionError(
            f"{format_name} cannot say the lens of {camera.name!r}: {lens.model} "
            f"{lens.coefficients}"
        )
    own = LENS_MODELS[lens.model]
    return {name: lens.get(name) if name in own else 0.0 for name in LENS_MODELS["brown"]}


def require_straight(document: RigDocument, format_name: str) -> None:
    """Refuse distortion that a format has no place for; the first such camera is named."""
    for camera, lens in zip(document.cameras, document.lenses, strict=True):
        if not lens.straight:
            raise ConversionError(
                f"{format_name} cannot say that camera {camera.name!r} has the lens {lens.model} "
                f"{lens.coefficients}; undistort the images and drop the lens first"
            )


def require_centred(document: RigDocument, format_name: str) -> None:
    """Refuse principal points off the centre where a format has no place for them."""
    for camera in document.cameras:
        if abs(camera.cx - camera.width / 2) > 1e-9 or abs(camera.cy - camera.height / 2) > 1e-9:
            raise ConversionError(
                f"{format_name} assumes the principal point at the centre; "
                f"camera {camera.name!r} has it at ({camera.cx:g}, {camera.cy:g})"
            )


def require_shared_intrinsics(cameras: Sequence[Camera], format_name: str) -> None:
    """Refuse cameras that differ in intrinsics where a format has room for one set only."""
    first = cameras[0]
    for camera in cameras[1:]:
        same = camera.intrinsics.tolist() == first.intrinsics.tolist()
        if not same or (camera.width, camera.height) != (first.width, first.height):
            raise ConversionError(
                f"{format_name} has one set of intrinsics for all cameras, "
                f"but {camera.name!r} and {first.name!r} differ"
            )
