"""Camera files of multi-view data sets: CMU Panoptic, Dynamic 3D Gaussians, VoxelPose, NCore.

Panoptic (``panutils.py`` of its toolbox), Shelf and Campus as VoxelPose has them: OpenCV matrices,
pixels counted from the centre of the first one. Dynamic 3D Gaussians (``train.py``, ``helpers.py``)
and NCore, whose files gsplat's tests have: from its corner.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from natsort import natsorted

from nmc_framework.cameras.camera import Camera, FloatArray
from nmc_framework.cameras.formats.format import Format, Found, plain, sized
from nmc_framework.cameras.formats.rig_document import (
    ConversionError,
    Lens,
    RigDocument,
    require_straight,
)

_HALF_PIXEL = 0.5
#: Coefficients as Panoptic lists them.
_PANOPTIC = ("k1", "k2", "p1", "p2", "k3")
#: Files hold rounded rotations; up to so far from one the nearest is meant.
_ROUNDED = 0.05
#: A camera of Dynamic 3D Gaussians that moves by less than this share of the scene stands still.
_STILL = 1e-6
_PICTURES = frozenset({".jpg", ".jpeg", ".png"})
_NCORE = {"opencv-pinhole": "opencv", "opencv-fisheye": "opencv_fisheye"}


def read_panoptic(path: Path) -> RigDocument:
    """Read a ``calibration_*.json``: centimetres, y down, world-to-camera.

    Cameras keep their names (``00_12``, ``50_03``); those of all types are read: vga, hd, kinect.
    """
    cameras, lenses = [], []
    for record in _records(path):
        name = str(record["name"])
        k = np.asarray(record["K"], dtype=np.float64)
        width, height = (int(side) for side in record["resolution"])
        pose = _pose(record["R"], np.asarray(record["t"], dtype=np.float64).ravel(), name, path)
        cx, cy = k[0, 2] + _HALF_PIXEL, k[1, 2] + _HALF_PIXEL
        cameras.append(Camera(k[0, 0], k[1, 1], cx, cy, width, height, pose, name))
        bent = np.asarray(record.get("distCoef", ()), dtype=np.float64).ravel()
        if len(bent) > len(_PANOPTIC):
            raise ConversionError(f"{path.name}: camera {name!r} has more than five coefficients")
        lenses.append(_lens(dict(zip(_PANOPTIC, bent.tolist(), strict=False))))
    return RigDocument(tuple(cameras), tuple(lenses))


def write_panoptic(path: Path, document: RigDocument) -> None:
    """Write all cameras as of type hd; other lenses than Brown's up to k3 are refused by name."""
    records = []
    for camera, lens in zip(document.cameras, document.lenses, strict=True):
        other = [k for k, v in lens.coefficients.items() if v and k not in _PANOPTIC]
        if lens.model == "opencv_fisheye" or other:
            raise ConversionError(
                f"Panoptic's form cannot say the lens of {camera.name!r}: {lens.model} "
                f"{lens.coefficients}"
            )
        k = camera.intrinsics
        k[:2, 2] -= _HALF_PIXEL
        rotation = camera.rotation.T
        records.append(
            {
                "name": camera.name,
                "type": "hd",
                "resolution": [camera.width, camera.height],
                "K": k.tolist(),
                "distCoef": [
                    lens.get(name) if lens.model != "pinhole" else 0.0 for name in _PANOPTIC
                ],
                "R": rotation.tolist(),
                "t": (-rotation @ camera.centre)[:, None].tolist(),
            }
        )
    _dump(path, {"calibDataSource": "nmc", "cameras": records})


def read_dynamic_gaussians(path: Path) -> RigDocument:
    """Read a ``train_meta.json``: ``w``, ``h``, and by frame and camera ``k``, ``w2c``, ``fn``.

    A camera is named after the folder of its pictures, else after its number in ``cam_id``.

    Raises
    ------
    ConversionError
        When a camera moves, or its intrinsics change, from one frame to another.
    """
    document = _load(path)
    width, height = int(document["w"]), int(document["h"])
    found: dict[str, Camera] = {}
    numbers = document.get("cam_id") or [range(len(names)) for names in document["fn"]]
    frames = zip(document["fn"], document["k"], document["w2c"], numbers, strict=True)
    for frame, (files, ks, poses, ids) in enumerate(frames):
        for file, k, pose, number in zip(files, ks, poses, ids, strict=True):
            parent = Path(str(file)).parent.name
            camera = _gaussian_camera(k, pose, (width, height), parent or str(number), path)
            known = found.setdefault(camera.name, camera)
            if known is not camera and not _same(known, camera):
                raise ConversionError(
                    f"{path.name}: camera {camera.name!r} moves or changes in frame {frame}: "
                    "only rigs that stand still are known here"
                )
    if not found:
        raise ConversionError(f"{path.name}: it lists no frames")
    return RigDocument(tuple(camera for _, camera in natsorted(found.items())))


def write_dynamic_gaussians(path: Path, document: RigDocument) -> None:
    """Write cameras of one size for all frames whose pictures lie in ``ims/<camera>`` beside it.

    One frame, of pictures yet to be written, where there are none.
    """
    require_straight(document, "the form of Dynamic 3D Gaussians")
    first = document.cameras[0]
    for camera in document.cameras:
        if (camera.width, camera.height) != (first.width, first.height):
            raise ConversionError(
                "Dynamic 3D Gaussians has one size for all cameras, but "
                f"{camera.name!r} and {first.name!r} differ"
            )
    names = [Path(camera.name).stem for camera in document.cameras]
    files = _pictures(path.parent / "ims", names)
    count = len(files[0])
    ks = [camera.intrinsics.tolist() for camera in document.cameras]
    poses = [np.linalg.inv(camera.camera_to_world).tolist() for camera in document.cameras]
    ids = [int(n) if n.isdigit() else k for k, n in enumerate(names)]
    whole: dict[str, Any] = {"w": first.width, "h": first.height}
    whole |= {"k": [ks] * count, "w2c": [poses] * count, "cam_id": [ids] * count}
    whole["fn"] = [[files[k][frame] for k in range(len(names))] for frame in range(count)]
    path.write_text(json.dumps(whole) + "\n", encoding="utf-8")


def read_voxelpose(path: Path, size: tuple[int, int]) -> RigDocument:
    """Read a ``calibration_shelf.json``: by number R, T, fx, fy, cx, cy, k and p; millimetres.

    Its T is the place of the camera, not OpenCV's translation: x = R (X - T) (VoxelPose,
    ``cameras.py``). ``size`` (width, height) in pixels is not in the file.
    """
    cameras, lenses = [], []
    for name, record in _load(path).items():
        place = np.asarray(record["T"], dtype=np.float64).ravel()
        rotation = np.asarray(record["R"], dtype=np.float64)
        pose = _pose(rotation, -rotation @ place, name, path)
        pose[:3, 3] = place
        fx, fy, cx, cy = (float(record[key]) for key in ("fx", "fy", "cx", "cy"))
        camera = Camera(fx, fy, cx + _HALF_PIXEL, cy + _HALF_PIXEL, *size, pose, str(name))
        cameras.append(camera)
        radial = np.asarray(record.get("k", ()), dtype=np.float64).ravel().tolist()
        tangential = np.asarray(record.get("p", ()), dtype=np.float64).ravel().tolist()
        named = dict(zip(("k1", "k2", "k3"), radial, strict=False))
        lenses.append(_lens(named | dict(zip(("p1", "p2"), tangential, strict=False))))
    return RigDocument(tuple(cameras), tuple(lenses))


def read_ncore(path: Path) -> RigDocument:
    """Read NCore's sensors as gsplat has them: ``T_sensor_rig`` is camera-to-rig, OpenCV axes.

    Raises
    ------
    ConversionError
        When a lens is an f-theta polynomial, has thin-prism coefficients or a windscreen before it:
        OpenCV's coefficients cannot say these.
    """
    cameras, lenses = [], []
    for name, record in _load(path).items():
        kind = str(record["camera_model_type"])
        if kind not in _NCORE:
            raise ConversionError(
                f"{path.name}: camera {name!r} is {kind}, which no lens model here can say; "
                f"known are {', '.join(_NCORE)}"
            )
        if record.get("external_distortion"):
            raise ConversionError(f"{path.name}: camera {name!r} looks through a windscreen")
        inner = record["intrinsics"]
        if any(inner.get("thin_prism_coeffs") or ()):
            raise ConversionError(f"{path.name}: camera {name!r} has thin-prism coefficients")
        matrix = np.asarray(record["T_sensor_rig"], dtype=np.float64)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = _rotation(matrix[:3, :3], name, path), matrix[:3, 3]
        (fx, fy), (cx, cy) = inner["focal_length"], inner["principal_point"]
        width, height = (int(side) for side in record["resolution"])
        cameras.append(Camera(fx, fy, cx, cy, width, height, pose, name.partition("@")[0]))
        if kind == "opencv-fisheye":
            bent = dict(zip(("k1", "k2", "k3", "k4"), inner["forward_poly"], strict=True))
            lenses.append(Lens("opencv_fisheye", bent))
            continue
        radial = dict(
            zip(("k1", "k2", "k3", "k4", "k5", "k6"), inner["radial_coeffs"], strict=True)
        )
        tangential = dict(zip(("p1", "p2"), inner["tangential_coeffs"], strict=True))
        lenses.append(_lens(radial | tangential))
    return RigDocument(tuple(cameras), tuple(lenses))


def _gaussian_camera(k: Any, pose: Any, size: tuple[int, int], name: str, path: Path) -> Camera:
    inner, outer = np.asarray(k, dtype=np.float64), np.asarray(pose, dtype=np.float64)
    matrix = _pose(outer[:3, :3], outer[:3, 3], name, path)
    return Camera(inner[0, 0], inner[1, 1], inner[0, 2], inner[1, 2], *size, matrix, name)


def _same(a: Camera, b: Camera) -> bool:
    scale = max(1.0, float(np.abs(a.camera_to_world).max()))
    still = np.abs(a.camera_to_world - b.camera_to_world).max() <= _STILL * scale
    return bool(still and np.allclose(a.intrinsics, b.intrinsics, rtol=_STILL))


def _pictures(folder: Path, names: Sequence[str]) -> list[list[str]]:
    found = []
    for name in names:
        own = folder / name
        listed = (
            natsorted(p for p in own.iterdir() if p.suffix.lower() in _PICTURES)
            if (own.is_dir())
            else []
        )
        found.append([f"{name}/{path.name}" for path in listed] or [f"{name}/000000.jpg"])
    if len({len(each) for each in found}) != 1:
        counts = ", ".join(f"{n} {len(each)}" for n, each in zip(names, found, strict=True))
        raise ConversionError(
            f"the cameras in {folder.name} have different numbers of pictures: {counts}"
        )
    return found


def _pose(rotation: Any, shift: FloatArray, name: str, path: Path) -> FloatArray:
    """Return camera-to-world of a world-to-camera rotation and translation."""
    turned = _rotation(np.asarray(rotation, dtype=np.float64), name, path)
    pose = np.eye(4)
    pose[:3, :3] = turned.T
    pose[:3, 3] = -turned.T @ shift
    return pose


def _rotation(matrix: FloatArray, name: str, path: Path) -> FloatArray:
    left, singular, right = np.linalg.svd(matrix)
    if np.abs(singular - 1).max() > _ROUNDED or np.linalg.det(matrix) < 0:
        raise ConversionError(f"{path.name}: the rotation of camera {name!r} is none")
    if np.abs(singular - 1).max() < 1e-9:
        return matrix
    nearest: FloatArray = left @ right
    return nearest


def _lens(coefficients: Mapping[str, float]) -> Lens:
    return Lens("opencv", dict(coefficients)) if any(coefficients.values()) else Lens()


def _records(path: Path) -> list[dict[str, Any]]:
    records = _load(path).get("cameras")
    if not isinstance(records, list) or not records:
        raise ConversionError(f"{path.name}: it lists no cameras")
    return records


def _load(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or not document:
        raise ConversionError(f"{path.name}: expected an object with cameras")
    return document


def _dump(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _of_panoptic(found: Found) -> bool:
    listed = found.members.get("cameras")
    first = listed[0] if isinstance(listed, list) and listed else None
    return isinstance(first, dict) and "K" in first


FORMATS = (
    Format("panoptic", plain(read_panoptic), write_panoptic, _of_panoptic),
    Format(
        "dynamic-gaussians",
        plain(read_dynamic_gaussians),
        write_dynamic_gaussians,
        detect=lambda found: {"w2c", "k", "fn"} <= found.members.keys(),
        files="*_meta.json",
    ),
    Format(
        "voxelpose",
        sized(read_voxelpose),
        detect=lambda found: {"R", "T", "fx"} <= found.first.keys(),
    ),
    Format("ncore", plain(read_ncore), detect=lambda found: "camera_model_type" in found.first),
)
