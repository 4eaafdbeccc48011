"""Calibrations of synchronised rigs: OpenCV YAML (EasyMocap), caliscope TOML, ARKit JSON.

OpenCV counts pixels from the *centre* of the top-left one, so half a pixel is added to the
principal point on reading and taken off on writing; its extrinsics are world-to-camera.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmc_framework.cameras.camera import Camera, CameraError, FloatArray
from nmc_framework.cameras.formats.format import Format, Found, Size, has_suffix, plain
from nmc_framework.cameras.formats.rig_document import (
    OPENGL,
    ConversionError,
    Lens,
    RigDocument,
    require_straight,
)
from nmc_framework.whole_files import write_text

_HALF_PIXEL = 0.5
#: The order in which OpenCV's functions take coefficients.
_ORDER = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")

_MATRIX = re.compile(
    r"^(\w+)\s*:\s*!!opencv-matrix\s+rows:\s*(\d+)\s+cols:\s*(\d+)\s+dt:\s*\w+\s+"
    r"data:\s*\[([^\]]*)\]",
    re.MULTILINE,
)
_NAMES = re.compile(r"^names\s*:\s*\n((?:\s*-\s*.*\n?)+)", re.MULTILINE)


def read_opencv(folder: Path, size: tuple[int, int]) -> RigDocument:
    """Read ``intri.yml`` and ``extri.yml``; ``size`` (width, height) where a camera states none."""
    inner, outer = (_opencv_matrices(folder / f"{part}.yml") for part in ("intri", "extri"))
    cameras, lenses = [], []
    for name in _opencv_names(folder / "intri.yml"):
        k = _member(inner, f"K_{name}", "intri.yml")
        dist = inner.get(f"dist_{name}", inner.get(f"D_{name}", np.zeros(5))).ravel()
        pose = np.eye(4)
        pose[:3, :3] = _world_to_camera(outer, name).T
        pose[:3, 3] = -pose[:3, :3] @ _member(outer, f"T_{name}", "extri.yml").ravel()
        own = [inner.get(f"{side}_{name}") for side in ("W", "H")]
        width, height = (
            int(o.ravel()[0]) if o is not None else s for o, s in zip(own, size, strict=True)
        )
        if k[0, 1]:
            raise ConversionError(f"intri.yml: K_{name} is skewed, which a pinhole camera is not")
        cx, cy = k[0, 2] + _HALF_PIXEL, k[1, 2] + _HALF_PIXEL
        cameras.append(Camera(k[0, 0], k[1, 1], cx, cy, width, height, pose, name))
        lenses.append(_opencv_lens(dist, name))
    return RigDocument(tuple(cameras), tuple(lenses))


def write_opencv(folder: Path, document: RigDocument) -> None:
    """Write ``intri.yml`` and ``extri.yml``; names become plain words, as YAML keys must be."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [re.sub(r"\W", "_", camera.name) for camera in document.cameras]
    if len(set(names)) != len(names):
        raise ConversionError("two cameras have one name, once it is made a plain word")
    head = "%YAML:1.0\n---\nnames:\n" + "".join(f'  - "{name}"\n' for name in names)
    inner, outer = [head], [head]
    for name, camera, lens in zip(names, document.cameras, document.lenses, strict=True):
        if lens.model == "opencv_fisheye":
            raise ConversionError(f"the fisheye lens of {camera.name!r} has no place in intri.yml")
        if lens.model == "brown" and lens.get("k4"):
            raise ConversionError(
                f"k4 of the lens of {camera.name!r}, of the eighth power, has no place in intri.yml"
            )
        k = camera.intrinsics
        k[:2, 2] -= _HALF_PIXEL
        rotation = camera.rotation.T
        count = 8 if any(map(lens.get, _ORDER[5:])) else 5
        inner += [_opencv_matrix(f"K_{name}", k)]
        inner += [_opencv_matrix(f"dist_{name}", np.array([[lens.get(c) for c in _ORDER[:count]]]))]
        inner += [_opencv_matrix(f"W_{name}", np.array([[float(camera.width)]]))]
        inner += [_opencv_matrix(f"H_{name}", np.array([[float(camera.height)]]))]
        outer += [_opencv_matrix(f"Rot_{name}", rotation)]
        outer += [_opencv_matrix(f"T_{name}", (-rotation @ camera.centre)[:, None])]
    write_text(folder / "intri.yml", "".join(inner))
    write_text(folder / "extri.yml", "".join(outer))


def read_caliscope(path: Path) -> RigDocument:
    """Read a ``camera_array.toml``: OpenCV matrices, world-to-camera; all have to be posed."""
    cameras, lenses = [], []
    for name, record in tomllib.loads(path.read_text(encoding="utf-8")).get("cameras", {}).items():
        if record.get("ignore"):
            continue
        try:
            k = np.array(record["matrix"], dtype=np.float64)
            rotation = np.array(record["rotation"], dtype=np.float64)
            shift = np.array(record["translation"], dtype=np.float64)
            width, height = record["size"]
            lens = _opencv_lens(np.array(record["distortions"], dtype=np.float64), f"cam_{name}")
        except KeyError as error:
            raise ConversionError(
                f"{path.name}: camera {name} has no {error.args[0]}; is it calibrated?"
            ) from error
        pose = np.eye(4)
        pose[:3, :3] = _nearest_rotation(rotation).T
        pose[:3, 3] = -pose[:3, :3] @ shift
        cx, cy = k[0, 2] + _HALF_PIXEL, k[1, 2] + _HALF_PIXEL
        cameras.append(Camera(k[0, 0], k[1, 1], cx, cy, width, height, pose, f"cam_{name}"))
        lenses.append(lens)
    if not cameras:
        raise ConversionError(f"{path.name}: it lists no cameras")
    return RigDocument(tuple(cameras), tuple(lenses))


def read_arkit(paths: Sequence[Path], *, border: int = 0) -> RigDocument:
    """Read ARKit (Polycam) JSON, one file a picture: OpenGL axes, y up.

    ``border`` pixels were cropped from every side of the pictures.
    """
    cameras = []
    for path in paths:
        record = json.loads(path.read_text(encoding="utf-8"))
        try:
            rows = [[float(record[f"t_{i}{j}"]) for j in range(4)] for i in range(3)]
            camera = Camera(
                float(record["fx"]),
                float(record["fy"]),
                float(record["cx"]) - border,
                float(record["cy"]) - border,
                int(record["width"]) - 2 * border,
                int(record["height"]) - 2 * border,
                np.array([*rows, [0, 0, 0, 1]]) @ OPENGL,
                path.stem,
            )
        except KeyError as error:
            raise ConversionError(f"{path.name}: {error.args[0]} is missing") from error
        cameras.append(camera)
    return RigDocument(tuple(cameras))


def write_arkit(folder: Path, document: RigDocument) -> list[Path]:
    """Write one JSON file a camera, named after it; return the files."""
    require_straight(document, "ARKit's form")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for camera in document.cameras:
        matrix = camera.camera_to_world @ OPENGL
        record = {f"t_{i}{j}": float(matrix[i, j]) for i in range(3) for j in range(4)}
        record |= {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy}
        record |= {"width": camera.width, "height": camera.height}
        path = folder / f"{Path(camera.name).stem}.json"
        write_text(path, json.dumps(record, indent=1) + "\n")
        paths.append(path)
    return paths


def _world_to_camera(outer: dict[str, FloatArray], name: str) -> FloatArray:
    """Return ``Rot_``, or what the rotation vector ``R_`` means, which EasyMocap reads alone."""
    if f"Rot_{name}" in outer or f"R_{name}" not in outer:
        return _member(outer, f"Rot_{name}", "extri.yml").reshape(3, 3)
    x, y, z = outer[f"R_{name}"].ravel()
    angle = float(np.linalg.norm((x, y, z)))
    if not angle:
        return np.eye(3)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) / angle
    turned: FloatArray = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned


def _opencv_lens(values: FloatArray, name: str) -> Lens:
    flat = values.ravel()
    if len(flat) > len(_ORDER) and flat[len(_ORDER) :].any():
        raise ConversionError(f"camera {name!r} has thin-prism or tilt coefficients")
    named = {key: float(v) for key, v in zip(_ORDER, flat, strict=False)}
    return Lens("opencv", named) if any(named.values()) else Lens()


def _opencv_matrices(path: Path) -> dict[str, FloatArray]:
    found = {}
    for name, rows, cols, data in _MATRIX.findall(path.read_text(encoding="utf-8")):
        values = np.array([float(v) for v in data.replace("\n", " ").split(",")])
        if values.size != int(rows) * int(cols):
            raise ConversionError(f"{path.name}: {name} is not {rows} x {cols}")
        found[name] = values.reshape(int(rows), int(cols))
    return found


def _opencv_names(path: Path) -> list[str]:
    match = _NAMES.search(path.read_text(encoding="utf-8"))
    if match is None:
        raise ConversionError(f"{path.name}: it lists no names of cameras")
    return [line.strip().lstrip("-").strip().strip('"') for line in match[1].strip().splitlines()]


def _opencv_matrix(name: str, values: FloatArray) -> str:
    data = ", ".join(repr(float(v)) for v in values.ravel())
    rows, cols = values.shape
    return (
        f"{name}: !!opencv-matrix\n   rows: {rows}\n   cols: {cols}\n   dt: d\n   data: [{data}]\n"
    )


def _member(found: dict[str, FloatArray], name: str, file: str) -> FloatArray:
    if name not in found:
        raise ConversionError(f"{file}: {name} is missing")
    return found[name]


def _nearest_rotation(matrix: FloatArray) -> FloatArray:
    left, _, right = np.linalg.svd(matrix)
    rotation: FloatArray = left @ right
    return rotation


def _opencv(path: Path, size: Size | None) -> RigDocument:
    return read_opencv(path, size or (0, 0))


def _arkit(path: Path, _: Size | None) -> RigDocument:
    return read_arkit(sorted(path.glob("*.json")) if path.is_dir() else [path])


def _of_arkit(found: Found) -> bool:
    inside = sorted(name for name in found.names if name.endswith(".json"))
    if inside:
        try:
            found = Found.at(found.path / inside[0])
        except CameraError:
            return False
    return "t_00" in found.members


FORMATS = (
    Format(
        "opencv",
        _opencv,
        write_opencv,
        detect=lambda found: "intri.yml" in found.names,
        several_files=True,
    ),
    Format("caliscope", plain(read_caliscope), detect=has_suffix(".toml"), files="*.toml"),
    Format("arkit", _arkit, write_arkit, _of_arkit, several_files=True),
)
