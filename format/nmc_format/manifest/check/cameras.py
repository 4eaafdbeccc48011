"""Checks of the cameras of a manifest (clauses 5.6.1 and 5.6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_format.issues import Finding, finding
from nmc_format.manifest import columns
from nmc_format.manifest.record import CAMERA_CONVENTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nmc_format.manifest.record import Manifest

COEFFICIENTS = {"none": 0, "opencv": 5}
"""Coefficients of each model of lens distortion (clause 5.6.2)."""

ROTATION_TOLERANCE = 1e-6
"""By how much an element of RᵀR may differ from the identity (clause 5.6.1)."""

SIMILARITY_TOLERANCE = 1e-4
"""By how much columns of the normalisation may differ in length and from right angles (5.6.1)."""

COLUMN_NORMS = (1e-100, 1e100)
"""Least and greatest norm of a column of the normalisation (clause 5.6.1)."""


def camera_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield what is wrong with the cameras of a manifest (clauses 5.6.1 and 5.6.2)."""
    cameras = manifest.cameras
    if cameras is None:
        return
    if cameras.convention != CAMERA_CONVENTION:
        reason = f"convention {cameras.convention!r}, expected {CAMERA_CONVENTION!r}"
        yield finding("manifest/cameras", pointer=columns.CONVENTION, reason=reason)
    if (cameras.size == 0).any():
        reason = "an image size is 0"
        yield finding("manifest/cameras", pointer=columns.CAMERA_SIZE, reason=reason)
    normalisation, reason = cameras.normalisation, ""
    if normalisation[3].tolist() != [0, 0, 0, 1]:
        reason = "the last row of a similarity is 0 0 0 1"
    elif not _is_similarity(normalisation[:3, :3]):
        reason = "it is not a similarity: columns of one length, at right angles"
    if reason:
        yield finding("manifest/cameras", pointer=columns.NORMALISATION, reason=reason)
    if (cameras.intrinsics[:, :2] <= 0).any():
        reason = "a focal length is not positive"
        yield finding("manifest/cameras", pointer=columns.INTRINSICS, reason=reason)
    yield from _rotation_findings(cameras.camera_to_world[:, :, :3])
    if cameras.distortion_model is not None and cameras.distortion is not None:
        yield from _distortion_findings(cameras.distortion_model, cameras.distortion)


def _is_similarity(matrix: np.ndarray[Any, Any]) -> bool:
    """Whether three columns are of one sensible length, at right angles (clause 5.6.1)."""
    scale = np.abs(matrix).max(axis=0)
    if not (scale > 0).all():
        return False
    norms = scale * np.linalg.norm(matrix / scale, axis=0)
    low, high = COLUMN_NORMS
    if not ((norms >= low) & (norms <= high)).all():
        return False
    if (np.abs(norms - norms[0]) > SIMILARITY_TOLERANCE * norms[0]).any():
        return False
    unit = matrix / norms
    return bool((np.abs(unit.T @ unit - np.eye(3)) <= SIMILARITY_TOLERANCE).all())


def _distortion_findings(
    models: Sequence[str], coefficients: np.ndarray[Any, Any]
) -> Iterator[Finding]:
    for i, name in enumerate(models):
        used = COEFFICIENTS.get(name)
        if used is None:
            reason = f"model {name!r} is unknown; there are {', '.join(COEFFICIENTS)}"
        elif used > coefficients.shape[1]:
            reason = f"model {name!r} has {used} coefficients, there are {coefficients.shape[1]}"
        elif coefficients[i, used:].any():
            reason = f"a coefficient that model {name!r} does not use is not 0"
        else:
            continue
        pointer = f"{columns.DISTORTION_MODEL}/{i}"
        yield finding("manifest/cameras", pointer=pointer, reason=reason)


def _rotation_findings(rotations: np.ndarray[Any, Any]) -> Iterator[Finding]:
    gram = np.matmul(rotations.transpose(0, 2, 1), rotations)
    wrong = np.abs(gram - np.eye(3)).max(axis=(1, 2), initial=0) > ROTATION_TOLERANCE
    if wrong.any():
        yield finding(
            "manifest/cameras",
            pointer=f"{columns.CAMERA_TO_WORLD}/{wrong.argmax()}",
            reason="its first three columns are not a rotation; scale belongs in the normalisation",
        )
