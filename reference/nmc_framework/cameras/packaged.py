"""Cameras as a package's manifest has them (clause 5.6)."""

from __future__ import annotations

import numpy as np

import nmc
from nmc_framework.cameras.camera import Camera
from nmc_framework.cameras.formats.rig_document import RigDocument


def manifest_cameras(rig: RigDocument) -> nmc.Cameras:
    """Return cameras without distortion in the form that a manifest takes."""
    return nmc.Cameras(
        names=[camera.name for camera in rig.cameras],
        size=np.array([[c.width, c.height] for c in rig.cameras]),
        intrinsics=np.array([[c.fx, c.fy, c.cx, c.cy] for c in rig.cameras]),
        camera_to_world=np.array([c.camera_to_world[:3] for c in rig.cameras]),
        normalisation=rig.normalisation.matrix,
    )


def cameras_in(sequence: nmc.ChainSequence) -> list[Camera]:
    """Return the cameras of an opened package; none where it has none."""
    found = sequence.cameras
    if found is None:
        return []
    cameras = []
    for k, name in enumerate(found.names):
        pose = np.eye(4)
        pose[:3] = found.camera_to_world[k]
        width, height = (int(side) for side in found.size[k])
        fx, fy, cx, cy = (float(value) for value in found.intrinsics[k])
        cameras.append(Camera(fx, fy, cx, cy, width, height, pose, name))
    return cameras
