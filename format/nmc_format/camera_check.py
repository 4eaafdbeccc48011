"""Checks of the cameras of a manifest (clauses 5.6.1 and 5.6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_format.issues import Finding, finding
from nmc_format.manifest import first_index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmc_format.hdf5 import RawObjects

CAMERA_CONVENTION = "camera-to-world opencv corner"
"""Camera-to-world, OpenCV axes, pixel origin at the corner: the only one of version 1 (5.6.1)."""

COEFFICIENTS = {"none": 0, "opencv": 5}
"""Coefficients of each model of lens distortion (clause 5.6.2)."""

ROTATION_TOLERANCE = 1e-6
"""By how much an element of RᵀR may differ from the identity (clause 5.6.1)."""

SIMILARITY_TOLERANCE = 1e-4
"""By how much columns of the normalisation may differ in length and from right angles (5.6.1)."""

COLUMN_NORMS = (1e-100, 1e100)
"""Least and greatest norm of a column of the normalisation (clause 5.6.1)."""


def camera_findings(objects: RawObjects) -> Iterator[Finding]:
    """Yield what is wrong with the cameras of a manifest (clauses 5.6.1 and 5.6.2)."""
    convention = objects.get("/cameras@convention")
    if convention is None:
        return
    text = convention.item().decode("utf-8")
    if text != CAMERA_CONVENTION:
        yield finding(
            "manifest/cameras",
            pointer="/cameras@convention",
            reason=f"convention {text!r}, expected {CAMERA_CONVENTION!r}",
        )
    if (objects["/cameras/size"] == 0).any():
        yield finding("manifest/cameras", pointer="/cameras/size", reason="an image size is 0")
    normalisation = objects["/cameras@normalisation"]
    if normalisation[3].tolist() != [0, 0, 0, 1]:
        yield finding(
            "manifest/cameras",
            pointer="/cameras@normalisation",
            reason="the last row of a similarity is 0 0 0 1",
        )
    elif not _is_similarity(normalisation[:3, :3]):
        yield finding(
            "manifest/cameras",
            pointer="/cameras@normalisation",
            reason="it is no similarity: columns of one length, at right angles",
        )
    if (objects["/cameras/intrinsics"][:, :2] <= 0).any():
        yield finding(
            "manifest/cameras",
            pointer="/cameras/intrinsics",
            reason="a focal length is not positive",
        )
    yield from _rotation_findings(objects["/cameras/camera_to_world"][:, :, :3])
    if "/cameras/distortion_model" in objects:
        yield from _distortion_findings(objects)


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


def _distortion_findings(objects: RawObjects) -> Iterator[Finding]:
    coefficients = objects["/cameras/distortion"]
    for i, model in enumerate(objects["/cameras/distortion_model"].tolist()):
        name = model.decode("utf-8")
        used = COEFFICIENTS.get(name)
        if used is None:
            reason = f"model {name!r} is unknown; there are {', '.join(COEFFICIENTS)}"
        elif used > coefficients.shape[1]:
            reason = f"model {name!r} has {used} coefficients, there are {coefficients.shape[1]}"
        elif coefficients[i, used:].any():
            reason = f"a coefficient that model {name!r} does not use is not 0"
        else:
            continue
        pointer = f"/cameras/distortion_model/{i}"
        yield finding("manifest/cameras", pointer=pointer, reason=reason)


def _rotation_findings(rotations: np.ndarray[Any, Any]) -> Iterator[Finding]:
    gram = np.matmul(rotations.transpose(0, 2, 1), rotations)
    wrong = np.abs(gram - np.eye(3)).max(axis=(1, 2), initial=0) > ROTATION_TOLERANCE
    camera = first_index(wrong)
    if camera is not None:
        yield finding(
            "manifest/cameras",
            pointer=f"/cameras/camera_to_world/{camera}",
            reason="its first three columns are no rotation; scale belongs into the normalisation",
        )
