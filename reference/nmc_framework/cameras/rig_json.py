"""A rig of cameras as one JSON file: canonical convention, every number exact (clause 5.1)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nmc_framework.cameras.camera import Camera, CameraError

CONVENTION = "camera-to-world, OpenCV axes, pixel origin at the image corner"


def write_rig(path: Path, cameras: Sequence[Camera]) -> None:
    """Write ``cameras`` to ``path``; Python's shortest decimal form keeps every bit."""
    document = {"convention": CONVENTION, "cameras": [camera.as_json() for camera in cameras]}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_rig(path: Path) -> list[Camera]:
    """Read what :func:`write_rig` wrote.

    Raises
    ------
    CameraError
        When the file declares another convention or a camera lacks a member.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get("convention") != CONVENTION:
        raise CameraError(
            f"{path.name}: expected the convention {CONVENTION!r}; convert the file first"
        )
    return [Camera.from_json(record) for record in document["cameras"]]
