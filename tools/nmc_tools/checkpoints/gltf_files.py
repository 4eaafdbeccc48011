"""Reads and writes Gaussians as glTF 2.0 with KHR_gaussian_splatting, in one .glb file.

Layout: https://github.com/KhronosGroup/glTF (extensions/2.0/Khronos/KHR_gaussian_splatting) and the
glTF 2.0 specification, chapter 4. Attributes are kept as they are stored.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from nmc_tools.checkpoints.budget import Budget
from nmc_tools.checkpoints.checkpoint import Checkpoint, Refusal, plain
from nmc_tools.checkpoints.gltf_gaussians import (
    EXTENSION,
    POSITION,
    ROTATION,
    UPSIDE,
    attributes_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nmc_format.dtypes import Array

_MAGIC = b"glTF"
_JSON, _BIN = 0x4E4F534A, 0x004E4942
_MAX_JSON_BYTES = 16 * 2**20
_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_FLOAT, _POINTS = 5126, 0


def read_gltf(file: BinaryIO) -> Checkpoint:
    """Read the Gaussians of a .glb file, or of a .gltf file that has its data in it.

    Returns
    -------
    Checkpoint
        One tensor for each attribute, (N,) or (N, width), in the type that it is stored in.
        ``extra`` has the extension's own properties, which accessors are normalised, and how the
        node is placed.

    Raises
    ------
    Refusal
        If it is damaged, has no such primitive, or more than one.
    """
    document, data = _chunks(file)
    buffers = _Buffers(document, data, Budget(file.seek(0, 2)))
    primitive, node = _primitive(document)
    attributes = primitive.get("attributes")
    if not isinstance(attributes, dict) or POSITION not in attributes:
        raise Refusal("its Gaussians have no attribute POSITION")
    state: dict[str, Array] = {}
    normalised = []
    for name, accessor in attributes.items():
        state[name], whole = _accessor(document, buffers, accessor, name)
        if whole:
            normalised.append(name)
    counts = {len(np.asarray(array)) for array in state.values()}
    if len(counts) != 1:
        raise Refusal("its attributes do not all have as many rows")
    properties = primitive["extensions"][EXTENSION]
    if isinstance(properties.get("extensions"), dict) and properties["extensions"]:
        names = ", ".join(plain(n) for n in properties["extensions"])
        raise Refusal(f"its Gaussians are coded by {names}", "convert it to .glb without")
    placed = {k: node[k] for k in ("rotation", "translation", "scale", "matrix") if k in node}
    facts = {"properties": properties, "normalised": normalised, "node": placed}
    return Checkpoint(state, frozenset(), "gltf", extra={"gltf": facts})


def _chunks(file: BinaryIO) -> tuple[dict[str, Any], bytes | None]:
    """Return the document and the binary chunk, if there is one."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(12)
    data: bytes | None = None
    if head.startswith(_MAGIC):
        if len(head) < 12 or size < 20:
            raise Refusal("ends within its header", "the file is truncated; copy it again")
        _, version, length = struct.unpack("<4sII", head)
        if version != 2 or length != size:
            raise Refusal(
                f"is glTF version {version} of {length} bytes; version 2 of {size} was expected",
                "the file is truncated, or of a version that is not read",
            )
        parts = dict(_glb_chunks(file, size))
        text = parts.get(_JSON, b"")
        data = parts.get(_BIN)
    else:
        text = head + file.read(_MAX_JSON_BYTES)
    if len(text) > _MAX_JSON_BYTES:
        raise Refusal(f"its JSON has more than {_MAX_JSON_BYTES} bytes")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"its JSON is malformed: {plain(error)}", "copy it again") from None
    if not isinstance(document, dict):
        raise Refusal("its JSON is not an object")
    return document, data


def _glb_chunks(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    at = 12
    while at < size:
        head = file.read(8)
        length, kind = struct.unpack("<II", head) if len(head) == 8 else (size, 0)
        if at + 8 + length > size:
            raise Refusal(f"its chunk at byte {at} is cut", "the file is truncated; copy it again")
        body = file.read(length)
        yield kind, body
        at += 8 + length


def _item(document: Mapping[str, Any], kind: str, index: object) -> dict[str, Any]:
    """Return one entry of a list of the document."""
    entries = document.get(kind)
    if not isinstance(entries, list) or type(index) is not int or not 0 <= index < len(entries):
        raise Refusal(f"refers to {kind}[{plain(index)}], which is not there")
    entry = entries[index]
    if not isinstance(entry, dict):
        raise Refusal(f"{kind}[{index}] is not an object")
    return entry


def _primitive(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the one primitive of Gaussians, and the node that places it."""
    found = []
    meshes = document.get("meshes")
    for i, mesh in enumerate(meshes if isinstance(meshes, list) else ()):
        primitives = mesh.get("primitives") if isinstance(mesh, dict) else None
        for primitive in primitives if isinstance(primitives, list) else ():
            extensions = primitive.get("extensions") if isinstance(primitive, dict) else None
            if isinstance(extensions, dict) and isinstance(extensions.get(EXTENSION), dict):
                found.append((i, primitive))
    if len(found) != 1:
        raise Refusal(
            f"has {len(found)} primitives of {EXTENSION}, expected one",
            "write each as a file of its own",
        )
    index, primitive = found[0]
    nodes = document.get("nodes")
    places = [
        node
        for node in (nodes if isinstance(nodes, list) else ())
        if isinstance(node, dict) and node.get("mesh") == index
    ]
    return primitive, places[0] if places else {}


def _accessor(
    document: Mapping[str, Any], buffers: _Buffers, index: object, name: str
) -> tuple[np.ndarray[Any, Any], bool]:
    """Return the numbers of an accessor as they are stored, and whether they are normalised."""
    accessor = _item(document, "accessors", index)
    kind, width = (
        _TYPES.get(accessor.get("componentType", 0)),
        _WIDTHS.get(accessor.get("type", "")),
    )
    count = accessor.get("count")
    if kind is None or width is None or type(count) is not int or count < 0:
        raise Refusal(f"accessor {plain(index)} of {plain(name)} has no known type or count")
    if "sparse" in accessor or "bufferView" not in accessor:
        raise Refusal(f"accessor {plain(index)} of {plain(name)} is sparse, or has no data")
    view = _item(document, "bufferViews", accessor["bufferView"])
    buffer = buffers[view.get("buffer")]
    dtype = np.dtype(kind)
    row = width * dtype.itemsize
    places = [view.get("byteOffset", 0), view.get("byteLength"), accessor.get("byteOffset", 0)]
    stride = view.get("byteStride", row)
    if any(type(place) is not int or place < 0 for place in [*places, stride]) or stride < row:
        raise Refusal(f"accessor {plain(index)} of {plain(name)} lies at no known place")
    start, length, offset = places
    end = offset + (count - 1) * stride + row if count else offset
    if end > length or start + length > len(buffer):
        raise Refusal(
            f"accessor {plain(index)} of {plain(name)} has {count} rows, which end at byte {end} "
            f"of {length}, in a buffer of {len(buffer)}",
            "the file is truncated; copy it again",
        )
    shape = (count,) if width == 1 else (count, width)
    strides = (stride,) if width == 1 else (stride, dtype.itemsize)
    if not count:
        return np.empty(shape, dtype), bool(accessor.get("normalized"))
    buffers.budget.spend(count * row)  # any number of attributes may name one accessor
    rows = np.ndarray(shape, dtype, buffer, start + offset, strides)
    return np.ascontiguousarray(rows), bool(accessor.get("normalized"))


@dataclass
class _Buffers:
    """The buffers of a document by their numbers, each decoded once."""

    document: Mapping[str, Any]
    data: bytes | None
    budget: Budget
    decoded: dict[int, bytes] = field(default_factory=dict)

    def __getitem__(self, index: object) -> bytes:
        buffer = _item(self.document, "buffers", index)
        number = cast("int", index)
        uri = buffer.get("uri")
        if uri is None and self.data is not None and number == 0:
            return self.data
        if number in self.decoded:
            return self.decoded[number]
        if not isinstance(uri, str) or not uri.startswith("data:"):
            raise Refusal(
                "has its data in another file, or nowhere",
                "convert it to .glb, which has all in one",
            )
        try:
            self.decoded[number] = base64.b64decode(uri.partition(",")[2], validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refusal(f"its data is not base64: {plain(error)}") from None
        return self.decoded[number]


def write_gltf(file: BinaryIO, state: Mapping[str, Array], extra: Mapping[str, Any]) -> None:
    """Write attributes as `read_gltf` returns them, or Gaussians of another kind.

    Raises
    ------
    Refusal
        If these are no Gaussians.
    """
    from nmc_tools.checkpoints.gaussian_kinds import gaussians_of

    facts = extra.get("gltf")
    attributes: dict[str, np.ndarray[Any, Any]]
    if ROTATION in state and isinstance(facts, dict):
        attributes = {name: np.asarray(array) for name, array in state.items()}
    else:
        attributes = attributes_of(gaussians_of(state, extra))
        properties = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
        facts = {"properties": properties, "normalised": [], "node": {"rotation": UPSIDE}}
    document, data = _document(attributes, facts)
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    length = 12 + 8 + len(text) + 8 + len(data)
    if length >= 2**32:
        raise Refusal(f"has {length} bytes; a .glb file has fewer than 2^32")
    file.write(struct.pack("<4sIIII", _MAGIC, 2, length, len(text), _JSON) + text)
    file.write(struct.pack("<II", len(data), _BIN) + data)


def _document(
    attributes: Mapping[str, np.ndarray[Any, Any]], facts: Mapping[str, Any]
) -> tuple[dict[str, Any], bytes]:
    accessors: list[dict[str, Any]] = []
    views: list[dict[str, int]] = []
    parts: list[bytes] = []
    at = 0
    components = {np.dtype(kind): number for number, kind in _TYPES.items()}
    types = {width: name for name, width in _WIDTHS.items()}
    for name, array in attributes.items():
        number, width = components.get(array.dtype), array.shape[1] if array.ndim == 2 else 1
        if number is None or width not in types or array.ndim not in (1, 2):
            raise Refusal(
                f"{plain(name)!r} is {array.dtype} {list(array.shape)}, which glTF has not"
            )
        plain_bytes = np.ascontiguousarray(array).tobytes()
        accessor = {
            "bufferView": len(views),
            "componentType": number,
            "count": len(array),
            "type": types[width],
        }
        if name in facts.get("normalised", ()):
            accessor["normalized"] = True
        if name == POSITION and len(array) and np.isfinite(array).all():
            accessor |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        accessors.append(accessor)
        views.append({"buffer": 0, "byteOffset": at, "byteLength": len(plain_bytes)})
        padding = bytes(-len(plain_bytes) % 4)
        parts += [plain_bytes, padding]
        at += len(plain_bytes) + len(padding)
    primitive = {
        "mode": _POINTS,
        "attributes": {name: i for i, name in enumerate(attributes)},
        "extensions": {EXTENSION: facts["properties"]},
    }
    document = {
        "asset": {"version": "2.0", "generator": "nmc"},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, **facts.get("node", {})}],
        "meshes": [{"primitives": [primitive]}],
        "buffers": [{"byteLength": at}],
        "bufferViews": views,
        "accessors": accessors,
    }
    return document, b"".join(parts)
