"""Files of other programs for tests, written byte by byte: snapshots, ONNX, TensorFlow, glTF."""

from __future__ import annotations

import json
import math
import pickle
import struct
import sys
import types
from collections import OrderedDict
from unittest import mock

import ml_dtypes
import numpy as np
from checkpoint_samples import field, varint
from gaussian_samples import KHR


def pack(value):
    """One msgpack value, from the text of the format."""
    match value:
        case None | False | True:
            return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
        case int() if 0 <= value < 128:
            return bytes([value])
        case int() if value < 0:
            return b"\xd3" + struct.pack(">q", value)
        case int():
            return b"\xcf" + struct.pack(">Q", value)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case str():
            return b"\xdb" + struct.pack(">I", len(value.encode())) + value.encode()
        case bytes():
            return b"\xc6" + struct.pack(">I", len(value)) + value
        case list():
            return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))
    entries = b"".join(pack(k) + pack(v) for k, v in value.items())
    return b"\xdf" + struct.pack(">I", len(value)) + entries


def snapshot(**more):
    params = np.arange(10, dtype="<f2")
    return {
        "encoding": {"otype": "HashGrid", "n_levels": 16, "per_level_scale": float("inf")},
        "snapshot": {
            "n_params": 10,
            "params_type": "__half",
            "params_binary": params.tobytes(),
            "density_grid_size": 2,
            "density_grid_binary": np.arange(16, dtype="<f2").tobytes(),
            "optimizer": {"first_moments_binary": bytes(40)},
            "training_step": 1000,
            "loss": 0.25,
            "nerf": {"aabb_scale": 2, "extra_dims_binary": b"abc"},
        }
        | more,
    }


def onnx_tensor(name, array, *, raw=True):
    numbers = {"float32": 1, "int64": 7, "float16": 10, "bfloat16": 16}
    head = b"".join(varint(1 << 3) + varint(side) for side in array.shape)
    head += field(2, numbers[array.dtype.name]) + field(8, name.encode())
    if raw:
        return head + field(9, array.tobytes())
    return head + field(7, b"".join(varint(int(v) % 2**64) for v in array.reshape(-1)))


def masked_crc(data):
    """CRC-32C bit by bit, masked as TensorFlow does it."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    register ^= 0xFFFFFFFF
    return (((register >> 15 | register << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def table(entries):
    """One block of entries, keys cut where they share a beginning."""
    body, before = b"", b""
    for key, value in sorted(entries.items()):
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        body += varint(shared) + varint(len(key) - shared) + varint(len(value))
        body, before = body + key[shared:] + value, key
    body += struct.pack("<II", 0, 1)
    handle = varint(0) + varint(len(body))
    body += b"\0" + masked_crc(body + b"\0")
    index = varint(0) + varint(1) + varint(len(handle)) + b"z" + handle + struct.pack("<II", 0, 1)
    where = varint(len(body)) + varint(len(index))
    footer = (varint(0) + varint(0) + where).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    return body + index + b"\0" + masked_crc(index + b"\0") + footer


def shape(sides):
    return b"".join(field(2, field(1, side) if side else b"") for side in sides)


TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "bool": 10, "float16": 19}


def bundle(prefix, tensors, *, shards=1):
    """A checkpoint of version 2: an index, and data files."""
    files = [b""] * shards
    entries = {b"": field(1, shards)}
    for i, (name, array) in enumerate(tensors.items()):
        shard = i % shards
        data = array.tobytes()
        number = 14 if array.dtype == ml_dtypes.bfloat16 else TYPES[array.dtype.name]
        entry = field(1, number) + field(2, shape(array.shape)) + field(3, shard)
        entry += field(4, len(files[shard])) + field(5, len(data))
        entries[name.encode()] = entry + varint(6 << 3 | 5) + masked_crc(data)
        files[shard] += data
    entries[b"_CHECKPOINTABLE_OBJECT_GRAPH"] = field(1, 7) + field(5, 3)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    for i, data in enumerate(files):
        prefix.with_name(f"{prefix.name}.data-{i:05d}-of-{shards:05d}").write_bytes(data)
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(entries))
    return prefix


def version_1(arrays):
    """A checkpoint of version 1: one file."""
    metas, entries = b"", {}
    for name, array in arrays.items():
        number, values = TYPES[array.dtype.name], b""
        if array.dtype == "<f4":
            values = field(5, array.tobytes())
        else:
            values = field(10, b"".join(varint(int(v) % 2**64) for v in array))
        meta = field(1, name.encode()) + field(2, shape(array.shape)) + field(3, number)
        metas += field(1, meta)
        whole = field(1, name.encode()) + field(2, field(1, b"")) + field(3, values)
        entries[b"\0" + name.encode()] = field(2, whole)
    entries[b""] = field(1, metas)
    return table(entries)


class Persistent:
    """Pickles as an object of stylegan2-ada-pytorch's torch_utils/persistence.py does."""

    def __init__(self, module):
        self.state = {
            "training": False,
            "_parameters": OrderedDict(module._parameters),
            "_buffers": OrderedDict(module._buffers),
            "_modules": OrderedDict((k, Persistent(v)) for k, v in module._modules.items()),
        }

    def __reduce__(self):
        persistence = sys.modules["torch_utils.persistence"]
        source = "import os\nos.system('false')\n"
        meta = {"type": "class", "version": 6, "module_src": source, "class_name": "Generator"}
        return persistence._reconstruct_persistent_obj, (meta | {"state": self.state},)


def persistent_pickle(networks):
    """The pickle of named networks, as that program writes it."""
    persistence = types.ModuleType("torch_utils.persistence")

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("the pickle was run")

    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj
    modules = {"torch_utils": types.ModuleType("torch_utils"), persistence.__name__: persistence}
    content = {
        name: Persistent(network) if hasattr(network, "_modules") else network
        for name, network in networks.items()
    }
    with mock.patch.dict(sys.modules, modules):
        return pickle.dumps(content)


def glb(document, binary):
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    body += struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def strangers(node=None):
    """A file of somebody else: interleaved positions, normalised integers, no own attributes."""
    rows = np.zeros(3, [("p", "<f4", 3), ("s", "<f4", 3)])
    rows["p"] = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    rows["s"] = math.e
    binary = rows.tobytes()
    quaternions = np.array([[0, 0, 0, 127]] * 3, "i1").tobytes()
    shares = np.array([0, 255, 128], "u1").tobytes() + b"\0"
    colours = np.arange(9, dtype="<f4").tobytes()
    offsets = [0, len(binary), len(binary) + 12, len(binary) + 16]
    binary += quaternions + shares + colours
    document = {
        "asset": {"version": "2.0"},
        "meshes": [
            {
                "primitives": [
                    {
                        "mode": 0,
                        "attributes": {
                            "POSITION": 0,
                            f"{KHR}:SCALE": 1,
                            f"{KHR}:ROTATION": 2,
                            f"{KHR}:OPACITY": 3,
                            f"{KHR}:SH_DEGREE_0_COEF_0": 4,
                        },
                        "extensions": {KHR: {"kernel": "ellipse", "colorSpace": "lin_rec709"}},
                    }
                ]
            }
        ],
        "nodes": [{"mesh": 0, **(node or {})}],
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 72, "byteStride": 24},
            {"buffer": 0, "byteOffset": offsets[1], "byteLength": 12},
            {"buffer": 0, "byteOffset": offsets[2], "byteLength": 3},
            {"buffer": 0, "byteOffset": offsets[3], "byteLength": 36},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 0, "byteOffset": 12, "componentType": 5126, "count": 3, "type": "VEC3"},
            {
                "bufferView": 1,
                "componentType": 5120,
                "normalized": True,
                "count": 3,
                "type": "VEC4",
            },
            {
                "bufferView": 2,
                "componentType": 5121,
                "normalized": True,
                "count": 3,
                "type": "SCALAR",
            },
            {"bufferView": 3, "componentType": 5126, "count": 3, "type": "VEC3"},
        ],
    }
    return document, binary
