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

DISTORTION_MODELS = ("none", "opencv")
"""Models of lens distortion (clause 5.6.2)."""

ROTATION_TOLERANCE = 1e-6
"""By how much an element of RᵀR may differ from the identity (clause 5.6.1)."""


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
    elif np.linalg.det(normalisation[:3, :3]) == 0:
        yield finding(
            "manifest/cameras",
            pointer="/cameras@normalisation",
            reason="it has no inverse, so nothing can be undone",
        )
    if (objects["/cameras/intrinsics"][:, :2] <= 0).any():
        yield finding(
            "manifest/cameras",
            pointer="/cameras/intrinsics",
            reason="a focal length is not positive",
        )
    yield from _rotation_findings(objects["/cameras/camera_to_world"][:, :, :3])
    for i, model in enumerate(objects.get("/cameras/distortion_model", np.array([])).tolist()):
        if model.decode("utf-8") not in DISTORTION_MODELS:
            yield finding(
                "manifest/cameras",
                pointer=f"/cameras/distortion_model/{i}",
                reason=f"model {model.decode('utf-8')!r} is unknown; "
                f"there are {', '.join(DISTORTION_MODELS)}",
            )


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
