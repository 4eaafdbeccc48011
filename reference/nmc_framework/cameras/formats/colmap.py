"""COLMAP's text and binary models: ``cameras`` and ``images`` (world-to-camera, OpenCV axes).

Layouts as in COLMAP's documentation, "Output Format", and its ``read_write_model.py``. Camera
models that OpenCV's coefficients can say are mapped; the others are refused by name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmc_framework.cameras.camera import Camera, FloatArray
from nmc_framework.cameras.formats.colmap_rigs import binary_poses, text_poses
from nmc_framework.cameras.formats.colmap_values import (
    cursor,
    lines,
    quaternion_from_rotation,
    rotation_from_quaternion,
)
from nmc_framework.cameras.formats.format import Format, plain
from nmc_framework.cameras.formats.rig_document import ConversionError, Lens, RigDocument
from nmc_framework.whole_files import write_bytes
from nmc_framework.whole_files import write_text as write_file

__all__ = [
    "MODEL_NAMES",
    "Sensor",
    "model_of",
    "quaternion_from_rotation",
    "read_binary",
    "read_text",
    "rotation_from_quaternion",
    "sensor_of",
    "write_binary",
    "write_text",
]

Values = tuple[float, ...]

#: Number, name and parameters of COLMAP's camera models (``colmap/sensor/models.h``).
_MODELS: tuple[tuple[int, str, tuple[str, ...]], ...] = (
    (0, "SIMPLE_PINHOLE", ("f", "cx", "cy")),
    (1, "PINHOLE", ("fx", "fy", "cx", "cy")),
    (2, "SIMPLE_RADIAL", ("f", "cx", "cy", "k1")),
    (3, "RADIAL", ("f", "cx", "cy", "k1", "k2")),
    (4, "OPENCV", ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2")),
    (5, "OPENCV_FISHEYE", ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4")),
    (6, "FULL_OPENCV", ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")),
    (8, "SIMPLE_RADIAL_FISHEYE", ("f", "cx", "cy", "k1")),
    (9, "RADIAL_FISHEYE", ("f", "cx", "cy", "k1", "k2")),
)
_BY_NAME = {name: (number, members) for number, name, members in _MODELS}
_BY_NUMBER = {number: name for number, name, _ in _MODELS}
MODEL_NAMES = tuple(_BY_NAME)


@dataclass(frozen=True)
class Sensor:
    """Intrinsics and lens of one COLMAP camera, sizes and lengths in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    lens: Lens


def read_text(folder: Path) -> RigDocument:
    """Read ``cameras.txt`` and ``images.txt``; images keep the file's order.

    Where there are ``rigs.txt`` and ``frames.txt``, poses are theirs.
    """
    posed = text_poses(folder)
    sensors = {}
    for line in lines(folder / "cameras.txt"):
        number, model, width, height, *values = line.split()
        sensors[int(number)] = sensor_of(
            model, int(width), int(height), tuple(float(v) for v in values)
        )
    cameras, lenses = [], []
    # Every other line lists an image's points; it may be empty, so blank lines count.
    for line in lines(folder / "images.txt", keep_blank=True)[::2]:
        image, *numbers, sensor_number, name = line.split(maxsplit=9)
        sensor = _known(sensors, int(sensor_number), name)
        pose = tuple(float(number) for number in numbers)
        placed = _camera(sensor, pose[:4], pose[4:7], name.strip())
        cameras.append(_in_frame(placed, posed, int(image)))
        lenses.append(sensor.lens)
    return RigDocument(tuple(cameras), tuple(lenses))


def write_text(folder: Path, document: RigDocument) -> None:
    """Write one sensor and one image a camera; numbers keep every bit."""
    folder.mkdir(parents=True, exist_ok=True)
    sensors = ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"]
    images = ["# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME", "# POINTS2D[]"]
    for index, (camera, lens) in enumerate(_pairs(document), start=1):
        model, values = model_of(camera, lens)
        numbers = " ".join(repr(float(v)) for v in values)
        sensors.append(f"{index} {model} {camera.width} {camera.height} {numbers}")
        quaternion, translation = _world_to_camera(camera)
        pose = " ".join(repr(float(v)) for v in (*quaternion, *translation))
        images += [f"{index} {pose} {index} {_file_name(camera, index)}", ""]
    write_file(folder / "cameras.txt", "\n".join(sensors) + "\n")
    write_file(folder / "images.txt", "\n".join(images) + "\n")
    write_file(folder / "points3D.txt", "# no points\n")


def read_binary(folder: Path) -> RigDocument:
    """Read ``cameras.bin`` and ``images.bin``.

    Where there are ``rigs.bin`` and ``frames.bin``, poses are theirs.

    Raises
    ------
    ConversionError
        When a file ends early, or uses a camera model that is not known here.
    """
    posed = binary_poses(folder)
    take = cursor(folder / "cameras.bin")
    sensors = {}
    for _ in range(take("<Q")[0]):
        number, model_number, width, height = take("<iiQQ")
        model = _BY_NUMBER.get(int(model_number))
        if model is None:
            raise ConversionError(f"cameras.bin: camera model number {model_number} is not known")
        values = take(f"<{len(_BY_NAME[model][1])}d")
        sensors[int(number)] = sensor_of(model, int(width), int(height), values)
    take = cursor(folder / "images.bin")
    cameras: list[Camera] = []
    lenses: list[Lens] = []
    for _ in range(take("<Q")[0]):
        record = take("<i7di")
        letters = bytearray()
        while (letter := take("<c")[0]) != b"\0":
            letters += letter
        name = letters.decode("utf-8", errors="replace")
        take(f"<{24 * take('<Q')[0]}x")
        sensor = _known(sensors, record[8], name)
        placed = _camera(sensor, record[1:5], record[5:8], name)
        cameras.append(_in_frame(placed, posed, int(record[0])))
        lenses.append(sensor.lens)
    return RigDocument(tuple(cameras), tuple(lenses))


def write_binary(folder: Path, document: RigDocument) -> None:
    """Write ``cameras.bin``, ``images.bin`` and an empty ``points3D.bin``."""
    folder.mkdir(parents=True, exist_ok=True)
    count = struct.pack("<Q", len(document.cameras))
    sensors, images = [count], [count]
    for index, (camera, lens) in enumerate(_pairs(document), start=1):
        model, values = model_of(camera, lens)
        head = struct.pack("<iiQQ", index, _BY_NAME[model][0], camera.width, camera.height)
        sensors += [head, struct.pack(f"<{len(values)}d", *values)]
        quaternion, translation = _world_to_camera(camera)
        images.append(struct.pack("<i7di", index, *quaternion, *translation, index))
        images += [_file_name(camera, index).encode(), b"\0", struct.pack("<Q", 0)]
    write_bytes(folder / "cameras.bin", b"".join(sensors))
    write_bytes(folder / "images.bin", b"".join(images))
    write_bytes(folder / "points3D.bin", struct.pack("<Q", 0))


def sensor_of(model: str, width: int, height: int, values: Values) -> Sensor:
    """Return the intrinsics that the parameters ``values`` of a COLMAP camera model mean.

    Raises
    ------
    ConversionError
        When the model cannot be converted, or has another number of parameters.
    """
    if model not in _BY_NAME:
        raise ConversionError(
            f"the COLMAP camera model {model} cannot be converted; known are {', '.join(_BY_NAME)}"
        )
    members = _BY_NAME[model][1]
    if len(values) != len(members):
        raise ConversionError(
            f"{model} has {len(members)} parameters, the file gives {len(values)}"
        )
    named = dict(zip(members, values, strict=True))
    focal = named.pop("f", None)
    fx, fy = (named.pop("fx"), named.pop("fy")) if focal is None else (focal, focal)
    cx, cy = named.pop("cx"), named.pop("cy")
    kind = "opencv_fisheye" if "FISHEYE" in model else "opencv" if named else "pinhole"
    return Sensor(width, height, fx, fy, cx, cy, Lens(kind, named))


def model_of(camera: Camera, lens: Lens) -> tuple[str, Values]:
    """Return the COLMAP camera model that says a lens, and its parameters.

    Raises
    ------
    ConversionError
        When none does: Brown's fourth radial coefficient has no place in any.
    """
    if lens.model == "brown" and lens.get("k4"):
        raise ConversionError(
            f"COLMAP has no place for k4 of the lens of {camera.name!r}, the coefficient of the "
            "eighth power: its own k4 is another"
        )
    if lens.model == "opencv_fisheye":
        model = "OPENCV_FISHEYE"
    elif lens.straight:
        model = "PINHOLE"
    else:
        model = "FULL_OPENCV" if any(map(lens.get, ("k3", "k4", "k5", "k6"))) else "OPENCV"
    centre = (camera.fx, camera.fy, camera.cx, camera.cy)
    return model, centre + tuple(lens.get(member) for member in _BY_NAME[model][1][4:])


def _camera(
    sensor: Sensor, quaternion: Sequence[float], shift: Sequence[float], name: str
) -> Camera:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from_quaternion(quaternion).T
    matrix[:3, 3] = -matrix[:3, :3] @ np.asarray(shift)
    s = sensor
    return Camera(s.fx, s.fy, s.cx, s.cy, s.width, s.height, matrix, name)


def _in_frame(camera: Camera, posed: dict[int, FloatArray] | None, image: int) -> Camera:
    """Return the camera where its frame puts it; as it is where there are no frames."""
    if posed is None:
        return camera
    if image not in posed:
        raise ConversionError(f"image {camera.name!r} belongs to no frame")
    return camera.at(np.linalg.inv(posed[image]))


def _world_to_camera(camera: Camera) -> tuple[FloatArray, FloatArray]:
    rotation = camera.rotation.T
    return quaternion_from_rotation(rotation), -rotation @ camera.centre


def _known(sensors: dict[int, Sensor], number: int, image: str) -> Sensor:
    if number not in sensors:
        raise ConversionError(f"image {image!r} names camera {number}, which is not listed")
    return sensors[number]


def _pairs(document: RigDocument) -> Iterator[tuple[Camera, Lens]]:
    return zip(document.cameras, document.lenses, strict=True)


def _file_name(camera: Camera, index: int) -> str:
    return camera.name or f"image_{index:04d}"


FORMATS = (
    Format(
        "colmap",
        plain(read_text),
        write_text,
        detect=lambda found: "cameras.txt" in found.names,
        files="*",
        several_files=True,
    ),
    Format(
        "colmap-bin",
        plain(read_binary),
        write_binary,
        detect=lambda found: "cameras.bin" in found.names,
        several_files=True,
    ),
)
