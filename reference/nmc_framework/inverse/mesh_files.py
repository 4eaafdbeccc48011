"""Textured meshes as files: Wavefront OBJ with its material and picture, and glTF 2.0 in one .glb.

The object's axes are x to the front, y to the left, z up. OBJ keeps them; glTF has y up and z to
the front (glTF 2.0, section 3.4), so that x, y, z there are our y, z, x.
"""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nmc_framework.inverse.multiview import ObjectsError
from nmc_framework.whole_files import write_bytes, write_picture, write_text

_FLOAT, _UINT = 5126, 5125
_ARRAY, _INDICES = 34962, 34963
_LINEAR, _CLAMP = 9729, 33071


@dataclass(frozen=True, eq=False)
class Mesh:
    """A textured mesh.

    Parameters
    ----------
    vertices, normals
        (V, 3) float32, unit normals.
    faces
        (F, 3) int64, anticlockwise seen from outside.
    places
        (V, 2) float32: places in the texture in 0..1, u to the right, v downwards.
    texture
        (T, T, 3) uint8.
    light
        (9,) coefficients of spherical harmonics that the texture is multiplied by where it is
        shown; glTF keeps them among its extras.
    """

    vertices: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int64]
    places: npt.NDArray[np.float32]
    texture: npt.NDArray[np.uint8]
    light: tuple[float, ...] = ()


def write_mesh(path: Path, mesh: Mesh) -> list[Path]:
    """Write a mesh as ``.obj``, with ``.mtl`` and ``.png`` beside it, or as ``.glb``; the files.

    Raises
    ------
    ObjectsError
        When the name ends in something else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".obj":
        return _write_obj(path, mesh)
    if path.suffix.lower() != ".glb":
        raise ObjectsError(f"{path.name}: a mesh is written as .obj or .glb")
    write_bytes(path, _glb(mesh))
    return [path]


def _write_obj(path: Path, mesh: Mesh) -> list[Path]:
    material, picture = path.with_suffix(".mtl"), path.with_suffix(".png")
    write_picture(picture, mesh.texture)
    write_text(
        material,
        f"newmtl surface\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {picture.name}\n",
    )
    lines = [f"mtllib {material.name}", "usemtl surface"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"vt {u:.6f} {1 - v:.6f}" for u, v in mesh.places.tolist()]
    lines += [f"vn {x:.5f} {y:.5f} {z:.5f}" for x, y, z in mesh.normals.tolist()]
    corners = (mesh.faces + 1).tolist()
    lines += ["f " + " ".join(f"{k}/{k}/{k}" for k in face) for face in corners]
    write_text(path, "\n".join(lines) + "\n")
    return [path, material, picture]


def _glb(mesh: Mesh) -> bytes:
    """Return the bytes of a .glb file: document, geometry and picture in one."""
    picture = io.BytesIO()
    Image.fromarray(mesh.texture).save(picture, "PNG")
    turned = mesh.vertices[:, [1, 2, 0]]
    parts = [
        np.ascontiguousarray(turned, "<f4").tobytes(),
        np.ascontiguousarray(mesh.normals[:, [1, 2, 0]], "<f4").tobytes(),
        np.ascontiguousarray(mesh.places, "<f4").tobytes(),
        np.ascontiguousarray(mesh.faces, "<u4").tobytes(),
        picture.getvalue(),
    ]
    views: list[dict[str, Any]] = []
    data = b""
    for number, part in enumerate(parts):
        view = {"buffer": 0, "byteOffset": len(data), "byteLength": len(part)}
        if number < 4:
            view["target"] = _INDICES if number == 3 else _ARRAY
        views.append(view)
        data += part + bytes(-len(part) % 4)

    def accessor(view: int, count: int, kind: str, component: int = _FLOAT) -> dict[str, Any]:
        return {"bufferView": view, "componentType": component, "count": count, "type": kind}

    count = len(mesh.vertices)
    limits = {"min": turned.min(axis=0).tolist(), "max": turned.max(axis=0).tolist()}
    document = {
        "asset": {"version": "2.0", "generator": "nmc"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "object"}],
        "meshes": [
            {
                "primitives": [
                    {
                        "attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2},
                        "indices": 3,
                        "material": 0,
                    }
                ],
                "extras": {"light": list(mesh.light)},
            }
        ],
        "materials": [
            {
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.8,
                }
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [
            {"magFilter": _LINEAR, "minFilter": _LINEAR, "wrapS": _CLAMP, "wrapT": _CLAMP}
        ],
        "images": [{"bufferView": 4, "mimeType": "image/png"}],
        "accessors": [
            accessor(0, count, "VEC3") | limits,
            accessor(1, count, "VEC3"),
            accessor(2, count, "VEC2"),
            accessor(3, 3 * len(mesh.faces), "SCALAR", _UINT),
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": len(data)}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sIIII", b"glTF", 2, 28 + len(text) + len(data), len(text), 0x4E4F534A)
    return head + text + struct.pack("<II", len(data), 0x004E4942) + data
