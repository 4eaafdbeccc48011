"""COLMAP's text and binary models: ``cameras`` and ``images`` (world-to-camera, OpenCV axes).

Layouts as in COLMAP's documentation, "Output Format", and its ``read_write_model.py``. Camera
models that OpenCV's coefficients can say are mapped; the others are refused by name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmc_framework.cameras.camera import Camera, FloatArray
from nmc_framework.cameras.formats.document import ConversionError, Lens, RigDocument

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


@dataclass(frozen=True)
class _Sensor:
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    lens: Lens


def read_text(folder: Path) -> RigDocument:
    """Read ``cameras.txt`` and ``images.txt``; images keep the file's order."""
    sensors = {}
    for line in _lines(folder / "cameras.txt"):
        number, model, width, height, *values = line.split()
        sensors[int(number)] = _sensor(
            model, int(width), int(height), tuple(float(v) for v in values)
        )
    cameras, lenses = [], []
    # Every other line lists an image's points; it may be empty, so blank lines count.
    for line in _lines(folder / "images.txt", keep_blank=True)[::2]:
        _, *numbers, sensor_number, name = line.split(maxsplit=9)
        sensor = _known(sensors, int(sensor_number), name)
        pose = tuple(float(number) for number in numbers)
        cameras.append(_camera(sensor, pose[:4], pose[4:7], name.strip()))
        lenses.append(sensor.lens)
    return RigDocument(tuple(cameras), tuple(lenses))


def write_text(folder: Path, document: RigDocument) -> None:
    """Write one sensor and one image a camera; numbers keep every bit."""
    folder.mkdir(parents=True, exist_ok=True)
    sensors = ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"]
    images = ["# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME", "# POINTS2D[]"]
    for index, (camera, lens) in enumerate(_pairs(document), start=1):
        model, values = _parameters(camera, lens)
        numbers = " ".join(repr(float(v)) for v in values)
        sensors.append(f"{index} {model} {camera.width} {camera.height} {numbers}")
        quaternion, translation = _world_to_camera(camera)
        pose = " ".join(repr(float(v)) for v in (*quaternion, *translation))
        images += [f"{index} {pose} {index} {_file_name(camera, index)}", ""]
    (folder / "cameras.txt").write_text("\n".join(sensors) + "\n", encoding="utf-8")
    (folder / "images.txt").write_text("\n".join(images) + "\n", encoding="utf-8")
    (folder / "points3D.txt").write_text("# no points\n", encoding="utf-8")


def read_binary(folder: Path) -> RigDocument:
    """Read ``cameras.bin`` and ``images.bin``.

    Raises
    ------
    ConversionError
        When a file ends early, or uses a camera model that is not known here.
    """
    take = _cursor(folder / "cameras.bin")
    sensors = {}
    for _ in range(take("<Q")[0]):
        number, model_number, width, height = take("<iiQQ")
        model = _BY_NUMBER.get(int(model_number))
        if model is None:
            raise ConversionError(f"cameras.bin: camera model number {model_number} is not known")
        values = take(f"<{len(_BY_NAME[model][1])}d")
        sensors[int(number)] = _sensor(model, int(width), int(height), values)
    take = _cursor(folder / "images.bin")
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
        cameras.append(_camera(sensor, record[1:5], record[5:8], name))
        lenses.append(sensor.lens)
    return RigDocument(tuple(cameras), tuple(lenses))


def write_binary(folder: Path, document: RigDocument) -> None:
    """Write ``cameras.bin``, ``images.bin`` and an empty ``points3D.bin``."""
    folder.mkdir(parents=True, exist_ok=True)
    count = struct.pack("<Q", len(document.cameras))
    sensors, images = [count], [count]
    for index, (camera, lens) in enumerate(_pairs(document), start=1):
        model, values = _parameters(camera, lens)
        head = struct.pack("<iiQQ", index, _BY_NAME[model][0], camera.width, camera.height)
        sensors += [head, struct.pack(f"<{len(values)}d", *values)]
        quaternion, translation = _world_to_camera(camera)
        images.append(struct.pack("<i7di", index, *quaternion, *translation, index))
        images += [_file_name(camera, index).encode(), b"\0", struct.pack("<Q", 0)]
    (folder / "cameras.bin").write_bytes(b"".join(sensors))
    (folder / "images.bin").write_bytes(b"".join(images))
    (folder / "points3D.bin").write_bytes(struct.pack("<Q", 0))


def rotation_from_quaternion(quaternion: Sequence[float]) -> FloatArray:
    """Return the rotation of a Hamilton quaternion (w, x, y, z) of any length, (3, 3)."""
    values = np.asarray(quaternion, dtype=np.float64)
    norm = np.linalg.norm(values)
    if not np.isfinite(norm) or norm == 0:
        raise ConversionError(f"the quaternion {tuple(quaternion)} is no rotation")
    w, x, y, z = values / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_rotation(rotation: FloatArray) -> FloatArray:
    """Return the Hamilton quaternion (w, x, y, z), w ≥ 0, of a rotation (Shepperd 1978)."""
    r = rotation
    trace = float(np.trace(r))
    choice = int(np.argmax([trace, r[0, 0], r[1, 1], r[2, 2]]))
    if choice == 0:
        q = np.array([1 + trace, r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    else:
        i = choice - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        q = np.empty(4)
        q[0] = r[k, j] - r[j, k]
        q[1 + i] = 1 + r[i, i] - r[j, j] - r[k, k]
        q[1 + j], q[1 + k] = r[j, i] + r[i, j], r[k, i] + r[i, k]
    unit: FloatArray = q / np.linalg.norm(q) * (1.0 if q[0] >= 0 else -1.0)
    return unit


def _sensor(model: str, width: int, height: int, values: Values) -> _Sensor:
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
    return _Sensor(width, height, fx, fy, cx, cy, Lens(kind, named))


def _parameters(camera: Camera, lens: Lens) -> tuple[str, Values]:
    if lens.model == "opencv_fisheye":
        model = "OPENCV_FISHEYE"
    elif lens.straight:
        model = "PINHOLE"
    else:
        model = "FULL_OPENCV" if any(map(lens.get, ("k3", "k4", "k5", "k6"))) else "OPENCV"
    centre = (camera.fx, camera.fy, camera.cx, camera.cy)
    return model, centre + tuple(lens.get(member) for member in _BY_NAME[model][1][4:])


def _camera(
    sensor: _Sensor, quaternion: Sequence[float], shift: Sequence[float], name: str
) -> Camera:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from_quaternion(quaternion).T
    matrix[:3, 3] = -matrix[:3, :3] @ np.asarray(shift)
    s = sensor
    return Camera(s.fx, s.fy, s.cx, s.cy, s.width, s.height, matrix, name)


def _world_to_camera(camera: Camera) -> tuple[FloatArray, FloatArray]:
    rotation = camera.rotation.T
    return quaternion_from_rotation(rotation), -rotation @ camera.centre


def _known(sensors: dict[int, _Sensor], number: int, image: str) -> _Sensor:
    if number not in sensors:
        raise ConversionError(f"image {image!r} names camera {number}, which is not listed")
    return sensors[number]


def _pairs(document: RigDocument) -> Iterator[tuple[Camera, Lens]]:
    return zip(document.cameras, document.lenses, strict=True)


def _file_name(camera: Camera, index: int) -> str:
    return camera.name or f"image_{index:04d}"


def _lines(path: Path, *, keep_blank: bool = False) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#") and (keep_blank or line.strip())]


def _cursor(path: Path) -> Callable[[str], tuple[Any, ...]]:
    data = path.read_bytes()
    position = 0

    def take(layout: str) -> tuple[Any, ...]:
        nonlocal position
        size = struct.calcsize(layout)
        if position + size > len(data):
            raise ConversionError(
                f"{path.name} ends at byte {len(data)}, in the middle of a record"
            )
        values = struct.unpack_from(layout, data, position)
        position += size
        return values

    return take
