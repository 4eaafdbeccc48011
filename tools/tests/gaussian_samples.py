"""Gaussians for tests, and a reader of .spz that is written by the published layout alone."""

import math
import struct

import numpy as np
import zstandard

KHR = "KHR_gaussian_splatting"


def gaussians(count=40, degree=3, seed=0):
    rng = np.random.default_rng(seed)
    rest = 3 * ((degree + 1) ** 2 - 1)
    state = {
        "xyz": rng.normal(size=(count, 3)) * 5,
        "normals": np.zeros((count, 3)),
        "f_dc": rng.normal(size=(count, 3)) * 0.8,
        "f_rest": rng.uniform(-0.9, 0.9, size=(count, rest)),
        "opacity": rng.normal(size=(count, 1)) * 3,
        "scale": rng.uniform(-9, 2, size=(count, 3)),
        "rotation": rng.normal(size=(count, 4)),
    }
    if not rest:
        del state["f_rest"]
    return {name: array.astype("f4") for name, array in state.items()}


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert (a[name].dtype, a[name].shape) == (b[name].dtype, b[name].shape), name
        assert a[name].tobytes() == b[name].tobytes(), name


def spz_by_hand(data):
    """Gaussians of a .spz file of version 4 as load-spz.cc unpacks them, in RUB."""
    magic, version, count, degree, bits, _, streams = struct.unpack("<4sIIBBBB", data[:16])
    assert (magic, version) == (b"NGSP", 4)
    table = struct.unpack("<I", data[16:20])[0]
    columns, at = [], table + 16 * streams
    for i in range(streams):
        packed, size = struct.unpack_from("<QQ", data, table + 16 * i)
        columns.append(zstandard.ZstdDecompressor().decompress(data[at : at + packed]))
        assert len(columns[-1]) == size
        at += packed
    assert at == len(data)
    positions, alphas, colors, scales, rotations = columns[:5]
    number = (degree + 1) ** 2 - 1
    made = []
    for i in range(count):
        fixed = [
            int.from_bytes(positions[9 * i + 3 * k : 9 * i + 3 * k + 3], "little", signed=True)
            for k in range(3)
        ]
        comp = struct.unpack_from("<I", rotations, 4 * i)[0]
        largest, q, squares = comp >> 30, [0.0] * 4, 0.0
        for k in (3, 2, 1, 0):
            if k != largest:
                q[k] = math.sqrt(0.5) * (comp & 511) / 511 * (-1 if comp >> 9 & 1 else 1)
                squares += q[k] ** 2
                comp >>= 10
        q[largest] = math.sqrt(max(0.0, 1 - squares))
        sh = [(columns[5][3 * number * i + k] - 128) / 128 for k in range(3 * number)]
        made.append(
            {
                "xyz": [v / 2**bits for v in fixed],
                "alpha": alphas[i] / 255,
                "f_dc": [(colors[3 * i + k] / 255 - 0.5) / 0.15 for k in range(3)],
                "scale": [scales[3 * i + k] / 16 - 10 for k in range(3)],
                "xyzw": q,
                "sh": [sh[3 * k : 3 * k + 3] for k in range(number)],
            }
        )
    return made
