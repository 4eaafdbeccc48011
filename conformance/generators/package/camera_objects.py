"""Objects of cameras, and what is changed in them (clause 5.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from columns import scalar_text, text

if TYPE_CHECKING:
    from chain import Array

CONVENTION = "camera-to-world opencv corner"
CAMERAS: dict[str, Array] = {
    "/cameras/name": text("left", "오른쪽"),
    "/cameras/size": np.array([[64, 48], [1, 1]], "<u4"),
    "/cameras/intrinsics": np.array([[50, 51, 32, 24], [0.5, 0.5, 0.5, 0.5]], "<f8"),
    "/cameras/camera_to_world": np.array(
        [[[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 1, -3]], [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]],
        "<f8",
    ),
    "/cameras@convention": scalar_text(CONVENTION),
    "/cameras@normalisation": np.diag([0.5, 0.5, 0.5, 1.0]).astype("<f8"),
}
LENSES: dict[str, Array] = {
    "/cameras/distortion_model": text("none", "opencv"),
    "/cameras/distortion": np.array([[0] * 5, [0.1, -0.2, 0.001, 0.002, 0.3]], "<f8"),
}


def changed(path: str, index: tuple[int, ...], value: float) -> Array:
    """Return an object of the cameras with one value changed."""
    array = {**CAMERAS, **LENSES}[path].copy()
    array[index] = value
    return array


def scaled(scale: float) -> Array:
    """Return the normalisation of a rotation about z by 90 degrees and a scale."""
    turned = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], "<f8") * scale
    turned[3, 3] = 1
    return turned


def normed(row: int, column: int, more: float) -> Array:
    """Return the normalisation with more in one element."""
    made = CAMERAS["/cameras@normalisation"].copy()
    made[row, column] += more
    return made


def wide() -> Array:
    """Return the coefficients of the cameras, and three columns more."""
    return np.concatenate([LENSES["/cameras/distortion"], np.zeros((2, 3))], axis=1).astype("<f8")
