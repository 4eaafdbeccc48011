"""COLMAP's rigs and frames (since its version 3.12): where the pose of an image comes from.

A rig says how its sensors stand to each other, a frame where the rig is at one instant and which
images were taken then: ``T_camera←world = T_sensor←rig · T_rig←world``. Layouts as in COLMAP's
documentation, "Output Format", and ``colmap/scene/reconstruction_io_text.cc`` and ``_binary.cc``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nmc_framework.cameras.camera import FloatArray
from nmc_framework.cameras.formats.colmap_values import cursor, lines, rotation_from_quaternion
from nmc_framework.cameras.formats.rig_document import ConversionError

#: The sensor that is a camera; rigs may also hold others, which take no images.
_CAMERA_NAME, _CAMERA_NUMBER = "CAMERA", 0

Sensor = tuple[object, int]
#: sensor-from-rig (4, 4) by sensor, None where the rig is not calibrated; by rig.
_Rigs = dict[int, dict[Sensor, FloatArray | None]]


def text_poses(folder: Path) -> dict[int, FloatArray] | None:
    """Return world-to-camera (4, 4) by image number; None where there are no rigs and frames."""
    if not _present(folder, "txt"):
        return None
    rigs: _Rigs = {}
    for line in lines(folder / "rigs.txt"):
        words = iter(line.split())
        number, count = int(next(words)), int(next(words))
        sensors: dict[Sensor, FloatArray | None] = {}
        for k in range(count):
            sensor = (next(words), int(next(words)))
            known = k == 0 or int(next(words)) == 1
            sensors[sensor] = _pose(words) if k and known else np.eye(4) if known else None
        rigs[number] = sensors
    poses: dict[int, FloatArray] = {}
    for line in lines(folder / "frames.txt"):
        words = iter(line.split())
        number, rig = int(next(words)), int(next(words))
        pose = _pose(words)
        for _ in range(int(next(words))):
            sensor, image = (next(words), int(next(words))), int(next(words))
            if sensor[0] == _CAMERA_NAME:
                poses[image] = _sensor_from_rig(rigs, rig, sensor, number) @ pose
    return poses


def binary_poses(folder: Path) -> dict[int, FloatArray] | None:
    """Return world-to-camera (4, 4) by image number; None where there are no rigs and frames.

    Raises
    ------
    ConversionError
        When a file ends early, or a frame names a rig or sensor that is not there or not placed.
    """
    if not _present(folder, "bin"):
        return None
    take = cursor(folder / "rigs.bin")
    rigs: _Rigs = {}
    for _ in range(take("<Q")[0]):
        number, count = take("<II")
        sensors: dict[Sensor, FloatArray | None] = {}
        for k in range(count):
            sensor = tuple(take("<iI"))
            known = k == 0 or take("<B")[0] == 1
            sensors[sensor] = _packed(take) if k and known else np.eye(4) if known else None
        rigs[number] = sensors
    take = cursor(folder / "frames.bin")
    poses: dict[int, FloatArray] = {}
    for _ in range(take("<Q")[0]):
        number, rig = take("<II")
        pose = _packed(take)
        for _ in range(take("<I")[0]):
            kind, sensor_number, image = take("<iIQ")
            if kind == _CAMERA_NUMBER:
                sensor = (kind, sensor_number)
                poses[image] = _sensor_from_rig(rigs, rig, sensor, number) @ pose
    return poses


def _present(folder: Path, suffix: str) -> bool:
    found = [(folder / f"{name}.{suffix}").is_file() for name in ("rigs", "frames")]
    for (name, other), (here, there) in zip(
        pairwise(("rigs", "frames", "rigs")), pairwise((*found, found[0])), strict=True
    ):
        if here and not there:
            raise ConversionError(f"there is {name}.{suffix}, but no {other}.{suffix} beside it")
    return all(found)


def _sensor_from_rig(rigs: _Rigs, rig: int, sensor: Sensor, frame: int) -> FloatArray:
    if rig not in rigs or sensor not in rigs[rig]:
        raise ConversionError(f"frame {frame} names camera {sensor[1]} of rig {rig}: not listed")
    pose = rigs[rig][sensor]
    if pose is None:
        raise ConversionError(f"rig {rig} does not say where its camera {sensor[1]} is")
    return pose


def _pose(words: Iterator[str]) -> FloatArray:
    return _matrix([float(next(words)) for _ in range(7)])


def _packed(take: Callable[[str], tuple[Any, ...]]) -> FloatArray:
    return _matrix(list(take("<7d")))


def _matrix(values: list[float]) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from_quaternion(values[:4])
    matrix[:3, 3] = values[4:]
    return matrix
