"""The JSON of MPEG's reference view synthesiser and immersive video test model.

Axes x forward, y left, z up; ``Rotation`` is yaw, pitch, roll in degrees; a positive pitch looks
down (RVS manual, ISO/IEC JTC1/SC29/WG11 N18068; the key really is spelled ``Principle_point``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmc_framework.cameras.camera import Camera
from nmc_framework.cameras.formats.format import Format, plain
from nmc_framework.cameras.formats.rig_document import (
    ConversionError,
    RigDocument,
    require_straight,
)
from nmc_framework.cameras.viewpoint import Viewpoint

_DEPTHS = (0.1, 1000.0)


def read(path: Path) -> RigDocument:
    """Read the perspective cameras of a file.

    Raises
    ------
    ConversionError
        When a camera is not perspective, or lacks a member; it is named.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    records = document.get("cameras") if isinstance(document, dict) else None
    if not isinstance(records, list) or not records:
        raise ConversionError(f"{path.name}: it lists no cameras")
    depths = [record.get("Depth_range", _DEPTHS) for record in records]
    cameras = tuple(_camera(record, path) for record in records)
    return RigDocument(cameras, depths=np.asarray(depths, dtype=np.float64))


def write(path: Path, document: RigDocument, *, content: str = "scene") -> None:
    """Write perspective cameras; distortion is refused by name."""
    require_straight(document, "the MIV form")
    depths = document.depths
    if depths is None:
        depths = np.tile(np.array(_DEPTHS), (len(document.cameras), 1))
    records = []
    for camera, bounds in zip(document.cameras, depths, strict=True):
        view = Viewpoint.from_camera_to_world(camera.camera_to_world)
        records.append(
            {
                "Name": camera.name,
                "Position": [view.x, view.y, view.z],
                "Rotation": [view.yaw, view.pitch, view.roll],
                "Depthmap": 0,
                "Background": 0,
                "Depth_range": [float(value) for value in bounds],
                "Resolution": [camera.width, camera.height],
                "Projection": "Perspective",
                "Focal": [camera.fx, camera.fy],
                "Principle_point": [camera.cx, camera.cy],
                "BitDepthColor": 8,
                "BitDepthDepth": 16,
                "ColorSpace": "YUV420",
                "DepthColorSpace": "YUV420",
            }
        )
    members = {"Version": "3.0", "Content_name": content, "cameras": records}
    path.write_text(json.dumps(members, indent=1) + "\n", encoding="utf-8")


def _camera(record: Mapping[str, Any], path: Path) -> Camera:
    name = str(record.get("Name", ""))
    projection = record.get("Projection", "Perspective")
    if projection != "Perspective":
        raise ConversionError(
            f"{path.name}: camera {name!r} is {projection}; only Perspective is a pinhole camera"
        )
    try:
        (fx, fy), (cx, cy) = record["Focal"], record["Principle_point"]
        width, height = record["Resolution"]
        pose = Viewpoint(*record["Position"], *record["Rotation"]).camera_to_world()
    except (KeyError, TypeError, ValueError) as error:
        raise ConversionError(f"{path.name}: camera {name!r} lacks or misstates {error}") from error
    return Camera(float(fx), float(fy), float(cx), float(cy), int(width), int(height), pose, name)


FORMATS = (Format("miv", plain(read), write, detect=lambda found: "cameras" in found.members),)
