"""The user's viewpoint (x, y, z, yaw, pitch, roll) and the camera it stands for (clause 5.1).

Angles follow MPEG immersive video (MIV, and RVS before it): axes x forward, y left, z up;
R = Rz(yaw) · Ry(pitch) · Rx(roll). A positive pitch therefore looks *down*.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras.camera import FloatArray

#: Columns: OpenCV's right, down and forward axes written in MIV's forward-left-up axes.
MIV_FROM_OPENCV: FloatArray = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


@dataclass(frozen=True)
class Viewpoint:
    """Position in scene units and orientation in degrees, in MIV's convention."""

    x: float
    y: float
    z: float
    yaw: float
    pitch: float
    roll: float

    def camera_to_world(self) -> FloatArray:
        """Return the canonical camera-to-world matrix, (4, 4)."""
        matrix = np.eye(4)
        matrix[:3, :3] = rotation_from_angles(self.yaw, self.pitch, self.roll) @ MIV_FROM_OPENCV
        matrix[:3, 3] = self.x, self.y, self.z
        return matrix

    @classmethod
    def from_camera_to_world(cls, matrix: npt.ArrayLike) -> Viewpoint:
        """Return the viewpoint of a canonical camera-to-world matrix, (4, 4)."""
        pose = np.asarray(matrix, dtype=np.float64)
        angles = angles_from_rotation(pose[:3, :3] @ MIV_FROM_OPENCV.T)
        return cls(*(float(value) for value in (*pose[:3, 3], *angles)))


def rotation_from_angles(yaw: float, pitch: float, roll: float) -> FloatArray:
    """Return Rz(yaw) · Ry(pitch) · Rx(roll) for angles in degrees, (3, 3)."""
    a, b, c = np.radians([yaw, pitch, roll])
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    about_z = np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_x = np.array([[1, 0, 0], [0, cc, -sc], [0, sc, cc]])
    product: FloatArray = about_z @ about_y @ about_x
    return product


def angles_from_rotation(rotation: FloatArray) -> tuple[float, float, float]:
    """Return yaw, pitch and roll in degrees of a rotation in MIV axes.

    Straight up or down, yaw and roll turn about one axis; roll is then 0 and yaw holds the sum.
    """
    level = float(np.hypot(rotation[0, 0], rotation[1, 0]))
    pitch = np.arctan2(-rotation[2, 0], level)
    if level < 1e-12:
        yaw, roll = np.arctan2(-rotation[0, 1], rotation[1, 1]), 0.0
    else:
        yaw = np.arctan2(rotation[1, 0], rotation[0, 0])
        roll = np.arctan2(rotation[2, 1], rotation[2, 2])
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))
