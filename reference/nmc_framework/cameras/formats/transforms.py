"""JSON with one camera-to-world matrix a frame, OpenGL axes: nerfstudio, Blender, instant-ngp.

nerfstudio's data parser and ``colmap_utils.py``, NeRF's ``load_blender.py``, and instant-ngp's
``nerf_loader.h`` say what the members mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmc_framework.cameras.camera import Camera, FloatArray
from nmc_framework.cameras.formats.format import Format, Found, plain, sized
from nmc_framework.cameras.formats.rig_document import (
    OPENGL,
    ConversionError,
    Lens,
    RigDocument,
    Similarity,
    brown,
    brown_coefficients,
    require_centred,
    require_shared_intrinsics,
    require_straight,
)

#: What nerfstudio applied to COLMAP's world before it began to say so in ``applied_transform``:
#: rows x, z, -y.
LEGACY_TRANSFORM: FloatArray = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])

#: nerfstudio's perspective models are one to its reader: it takes whatever coefficients there are,
#: those of Brown's polynomial (``cameras.py``, ``_compute_residual_and_jacobian``).
_PERSPECTIVE = frozenset({"PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"})
_BROWN = ("k1", "k2", "k3", "k4", "p1", "p2")
_FISHEYE = ("k1", "k2", "k3", "k4")

#: instant-ngp's other lenses, which no coefficients of OpenCV can say.
_NGP_LENSES = ("ftheta_p0", "latlong", "equirectangular")

#: instant-ngp's own coordinates: cycled axes, (x, y, z) taken from (y, z, x).
_NGP_CYCLE: FloatArray = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
NGP_SCALE = 0.33
NGP_OFFSET = (0.5, 0.5, 0.5)


def read_nerfstudio(path: Path) -> RigDocument:
    """Read a ``transforms.json``; what nerfstudio applied to COLMAP's world is the normalisation.

    A missing ``applied_transform`` means the legacy one, unless the file has no COLMAP origin,
    which cannot be told; the cameras are the file's either way.
    """
    document = _load(path)
    applied = _homogeneous(document.get("applied_transform", LEGACY_TRANSFORM[:3]))
    scale = float(document.get("applied_scale", 1.0))
    applied[:3] *= scale
    cameras, lenses = [], []
    for frame in _frames(document, path):
        values = {**document, **frame}
        cameras.append(_camera(values, _pose(frame, path), path))
        lenses.append(_lens(values, path))
    return RigDocument(tuple(cameras), tuple(lenses), Similarity.from_matrix(applied))


def write_nerfstudio(path: Path, document: RigDocument) -> None:
    """Write a ``transforms.json`` with intrinsics a frame, and the normalisation in its members."""
    frames = []
    for camera, lens in zip(document.cameras, document.lenses, strict=True):
        if lens.model == "opencv_fisheye":
            model, bent = "OPENCV_FISHEYE", {name: lens.get(name) for name in _FISHEYE}
        else:
            model = "PINHOLE" if lens.straight else "OPENCV"
            bent = {} if lens.straight else brown_coefficients(camera, lens, "nerfstudio")
        frames.append(
            {
                "file_path": camera.name,
                "fl_x": camera.fx,
                "fl_y": camera.fy,
                "cx": camera.cx,
                "cy": camera.cy,
                "w": camera.width,
                "h": camera.height,
                "camera_model": model,
                **bent,
                "transform_matrix": (camera.camera_to_world @ OPENGL).tolist(),
            }
        )
    n = document.normalisation
    applied = np.concatenate([n.rotation, n.translation[:, None] / n.scale], axis=1)
    members = {"applied_transform": applied.tolist(), "applied_scale": n.scale}
    _dump(path, {"camera_model": "OPENCV", **members, "frames": frames})


def read_blender(path: Path, size: tuple[int, int]) -> RigDocument:
    """Read NeRF's synthetic ``transforms_*.json``; ``size`` (width, height) is not in the file."""
    document = _load(path)
    if "camera_angle_x" not in document:
        raise ConversionError(f"{path.name}: camera_angle_x is missing")
    degrees = float(np.degrees(document["camera_angle_x"]))
    cameras = tuple(
        Camera.from_field_of_view(degrees, *size, _pose(frame, path), str(frame["file_path"]))
        for frame in _frames(document, path)
    )
    return RigDocument(cameras)


def write_blender(path: Path, document: RigDocument) -> None:
    """Write NeRF's synthetic form; it has room for one centred, square-pixelled camera only."""
    require_straight(document, "the Blender form")
    require_centred(document, "the Blender form")
    require_shared_intrinsics(document.cameras, "the Blender form")
    first = document.cameras[0]
    if first.fx != first.fy:
        raise ConversionError(f"the Blender form has square pixels; fx {first.fx}, fy {first.fy}")
    angle = 2 * float(np.arctan(0.5 * first.width / first.fx))
    frames = [
        {"file_path": c.name, "transform_matrix": (c.camera_to_world @ OPENGL).tolist()}
        for c in document.cameras
    ]
    _dump(path, {"camera_angle_x": angle, "frames": frames})


def read_instant_ngp(path: Path) -> RigDocument:
    """Read a file meant for instant-ngp; the cameras come out in its unit cube.

    ``scale`` and ``offset`` in the file, or its ``aabb``, override the program's own; both are
    recorded as the normalisation, with its cycling of the axes.
    """
    document = _load(path)
    cameras, lenses = [], []
    for frame in _frames(document, path):
        values = {**document, **frame}
        cameras.append(_camera(_ngp_focal(values), _pose(frame, path), path))
        lenses.append(_ngp_lens(values, path))
    scale = float(document.get("scale", NGP_SCALE))
    given = np.asarray(document.get("offset", NGP_OFFSET), dtype=np.float64)
    offset = np.broadcast_to(given, (3,))
    if "aabb" in document:
        lower, upper = np.asarray(document["aabb"], dtype=np.float64).reshape(2, 3)
        scale = 1 / max(1e-6, float(np.abs(upper - lower).max()))
        offset = 0.5 - scale * (lower + upper) / 2
    into_cube = Similarity(scale, _NGP_CYCLE, _NGP_CYCLE @ offset)
    return RigDocument(tuple(cameras), tuple(lenses)).normalised(into_cube)


def write_instant_ngp(path: Path, document: RigDocument) -> None:
    """Write for instant-ngp: one set of intrinsics, its scale and offset spelled out."""
    require_shared_intrinsics(document.cameras, "instant-ngp's form")
    if any(lens != document.lenses[0] for lens in document.lenses):
        raise ConversionError("instant-ngp's form has one lens for all cameras")
    source = document.in_source_units()
    first, lens = source.cameras[0], source.lenses[0]
    cycle = document.normalisation.rotation
    if not np.allclose(cycle, _NGP_CYCLE):
        source, scale, offset = document, NGP_SCALE, list(NGP_OFFSET)
    else:
        scale = document.normalisation.scale
        offset = (cycle.T @ document.normalisation.translation).tolist()
    frames = [
        {"file_path": c.name, "transform_matrix": (c.camera_to_world @ OPENGL).tolist()}
        for c in source.cameras
    ]
    members: dict[str, Any] = {"fl_x": first.fx, "fl_y": first.fy, "cx": first.cx, "cy": first.cy}
    members |= {"w": first.width, "h": first.height, "scale": scale, "offset": offset}
    members |= {name: lens.get(name) for name in ("k1", "k2", "p1", "p2")}
    if lens.model == "opencv_fisheye":
        members = {k: v for k, v in members.items() if k not in {"p1", "p2"}}
        members |= {"is_fisheye": True} | {name: lens.get(name) for name in _FISHEYE}
    extra = sorted(k for k, v in lens.coefficients.items() if v and k not in members)
    if extra:
        raise ConversionError(f"instant-ngp's lens has no {', '.join(extra)}")
    _dump(path, {**members, "frames": frames})


def _camera(values: Mapping[str, Any], pose: FloatArray, path: Path) -> Camera:
    try:
        width, height = int(values["w"]), int(values["h"])
        if "fl_x" in values:
            fx = float(values["fl_x"])
        else:
            fx = 0.5 * width / float(np.tan(0.5 * float(values["camera_angle_x"])))
    except KeyError as error:
        raise ConversionError(f"{path.name}: {error.args[0]} is missing") from error
    fy = float(values.get("fl_y", fx))
    cx, cy = float(values.get("cx", width / 2)), float(values.get("cy", height / 2))
    return Camera(fx, fy, cx, cy, width, height, pose, str(values.get("file_path", "")))


def _lens(values: Mapping[str, Any], path: Path) -> Lens:
    """Return the lens that nerfstudio makes of a frame."""
    model = str(values.get("camera_model", "OPENCV"))
    listed = values.get("distortion_params")
    if listed is not None:
        # As it lies in nerfstudio's tensor; one of four is a fisheye's.
        values = {**values, **dict(zip(_BROWN, listed, strict=False))}
    if model == "OPENCV_FISHEYE":
        return Lens("opencv_fisheye", {name: float(values.get(name, 0.0)) for name in _FISHEYE})
    if model not in _PERSPECTIVE:
        raise ConversionError(f"{path.name}: the camera model {model} cannot be converted")
    return brown({name: float(values.get(name, 0.0)) for name in _BROWN})


def _ngp_lens(values: Mapping[str, Any], path: Path) -> Lens:
    """Return the lens that instant-ngp makes of a frame (``nerf_loader.cu``, ``read_lens``).

    It has room for four coefficients: OpenCV's first four, or those of a fisheye.
    """
    other = next((name for name in _NGP_LENSES if values.get(name)), None)
    if other is not None:
        raise ConversionError(f"{path.name}: the lens {other} cannot be converted")
    names = _FISHEYE if values.get("is_fisheye") else ("k1", "k2", "p1", "p2")
    found = {name: float(values.get(name, 0.0)) for name in names}
    if values.get("is_fisheye"):
        # Without a coefficient other than 0 the program takes the lens for a perspective one.
        return Lens("opencv_fisheye", found) if any(found.values()) else Lens()
    return Lens("opencv", found) if any(found.values()) else Lens()


def _ngp_focal(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the members with focal lengths for the angles that the program takes before them."""
    found = dict(values)
    for axis, side in (("x", "w"), ("y", "h")):
        if f"{axis}_fov" in values and side in values:
            angle = np.radians(float(values[f"{axis}_fov"]))
        elif f"fl_{axis}" not in values and f"camera_angle_{axis}" in values and side in values:
            angle = float(values[f"camera_angle_{axis}"])
        else:
            continue
        found[f"fl_{axis}"] = 0.5 * float(values[side]) / float(np.tan(0.5 * angle))
    if "fl_y" in found and "fl_x" not in found:
        found["fl_x"] = found["fl_y"]
    return found


def _pose(frame: Mapping[str, Any], path: Path) -> FloatArray:
    if "transform_matrix" not in frame:
        raise ConversionError(f"{path.name}: a frame lacks transform_matrix")
    matrix = _homogeneous(frame["transform_matrix"])
    # Files hold rounded numbers; the nearest rotation is what was meant.
    left, singular, right = np.linalg.svd(matrix[:3, :3])
    if np.abs(singular - 1).max() > 1e-3:
        raise ConversionError(
            f"{path.name}: {frame.get('file_path')}: the matrix is not a rotation"
        )
    if np.abs(singular - 1).max() > 1e-9:
        matrix[:3, :3] = left @ right
    return np.asarray(matrix @ OPENGL, dtype=np.float64)


def _homogeneous(rows: Any) -> FloatArray:
    matrix = np.eye(4)
    values = np.asarray(rows, dtype=np.float64)
    if values.shape not in ((3, 4), (4, 4)):
        raise ConversionError(f"a transform is 3x4 or 4x4, not {values.shape}")
    matrix[: len(values)] = values
    return matrix


def _load(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise ConversionError(f"{path.name}: expected an object with frames")
    return document


def _frames(document: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    frames = document.get("frames")
    if not isinstance(frames, list) or not frames:
        raise ConversionError(f"{path.name}: it lists no frames")
    return frames


def _dump(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


#: Members of instant-ngp's files alone, and of nerfstudio's that it has too.
_NGP_MEMBERS = frozenset({"aabb_scale", "scale", "offset"})
_NERFSTUDIO_MEMBERS = frozenset({"applied_transform", "applied_scale", "orientation_override"})


def _of_instant_ngp(found: Found) -> bool:
    members = found.members.keys()
    return (
        "frames" in members and bool(_NGP_MEMBERS & members) and not _NERFSTUDIO_MEMBERS & members
    )


def _of_nerfstudio(found: Found) -> bool:
    if "frames" not in found.members or _of_instant_ngp(found):
        return False
    frames = found.members["frames"]
    first = frames[0] if isinstance(frames, list) and frames else {}
    stated = {*found.members, *(first if isinstance(first, dict) else ())}
    return bool({"w", "fl_x"} & stated)


def _of_blender(found: Found) -> bool:
    return "frames" in found.members and not (_of_instant_ngp(found) or _of_nerfstudio(found))


FORMATS = (
    Format(
        "nerfstudio",
        plain(read_nerfstudio),
        write_nerfstudio,
        _of_nerfstudio,
        files="transforms*.json",
    ),
    Format("blender", sized(read_blender), write_blender, _of_blender),
    Format("instant-ngp", plain(read_instant_ngp), write_instant_ngp, _of_instant_ngp),
)
