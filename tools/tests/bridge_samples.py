"""Delta checkpoints of other systems, made by their layouts."""

import json
import zlib

import ml_dtypes
import numpy as np
import zstandard
from safetensors import deserialize
from safetensors.numpy import save_file

import nmc

INDEX = "model.safetensors.index.json"
BF16 = ml_dtypes.bfloat16
TYPES = {"BF16": BF16, "F32": "f4", "F64": "f8", "C64": "c8", "U8": "u1"}
TYPES |= {"I32": "i4", "U16": "u2", "U32": "u4"}


def load_file(path):
    """All tensors of a file, bfloat16 too."""
    return {
        name: np.frombuffer(entry["data"], TYPES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in deserialize(path.read_bytes())
    }


def chain(frames=4, share=0.03):
    rng = np.random.default_rng(0)
    state = {
        "embed.weight": rng.normal(size=(64, 32)).astype(BF16),
        "layer.0.weight": rng.normal(size=(32, 32)).astype(BF16),
        "layer.0.scale": rng.normal(size=32).astype("f4"),
        "frozen": rng.normal(size=(8, 8)).astype(BF16),
        "scalar": np.array(0.5, "f4"),
    }
    states = []
    for _ in range(frames):
        states.append(state)
        state = dict(state)
        for name in ("embed.weight", "layer.0.weight", "layer.0.scale"):
            words = state[name].reshape(-1).view(f"u{state[name].itemsize}").copy()
            some = rng.random(words.size) < share
            some[-1] = True
            words[some] += rng.integers(1, 3, int(some.sum())).astype(words.dtype)
            state[name] = words.view(state[name].dtype).reshape(state[name].shape)
    return states


def same(a, b):
    return a.keys() == b.keys() and all(
        a[n].dtype == b[n].dtype and a[n].shape == b[n].shape and a[n].tobytes() == b[n].tobytes()
        for n in a
    )


def flat(array):
    return np.ascontiguousarray(array).reshape(-1).view("u1")


def version(folder, number, new, old, encoding="xor", *, base=None, name=None):
    """One version as miles publishes it (UpdateWeightFromDiskDelta), with adler32."""
    folder = folder / f"weight_v{number:06d}"
    folder.mkdir(parents=True)
    delta, sums = {}, {}
    for key in new:
        a, b = flat(new[key]), flat(old[key])
        if (a == b).all():
            continue
        diff = a ^ b
        if encoding == "overwrite":
            at = np.flatnonzero(a != b).astype("<u4")
            diff = np.concatenate([np.array([at.size], "<u4").view("u1"), at.view("u1"), a[at]])
        packed = zstandard.ZstdCompressor(level=1).compress(diff.tobytes())
        delta[key] = np.frombuffer(packed, "u1")
        sums[key] = f"{zlib.adler32(a.tobytes()):08x}"
    file = "model-00000-of-00001.safetensors"
    save_file(delta, folder / file, metadata=sums)
    metadata = {
        "version": name or f"{number:06d}",
        "base_version": base or f"{number - 1:06d}",
        "delta_encoding": encoding,
        "compression_format": "zstd",
        "checksum_format": "adler32",
    }
    index = {"metadata": metadata, "weight_map": dict.fromkeys(delta, file)}
    (folder / INDEX).write_text(json.dumps(index))
    return folder


def held(path):
    with nmc.open(path) as sequence:
        return [dict(sequence[t]) for t in range(len(sequence))]


def patch_of_trl(path, new, old, number, encoding="gap_delta"):
    """A patch as encode_patch of TRL makes it."""
    tensors = {}
    for name in new:
        a, b = (x[name].reshape(-1) for x in (new, old))
        idx = np.flatnonzero(a.view(f"u{a.itemsize}") != b.view(f"u{b.itemsize}"))
        if not idx.size:
            continue
        tensors[f"{name}.val"] = a[idx]
        gaps = np.diff(idx, prepend=-1) - 1
        tensors[f"{name}.idx"] = (
            idx.astype("i4")
            if encoding == "raw"
            else gaps.astype("u2" if gaps.max() <= 0xFFFF else "u4")
        )
    metadata = {
        "format": "sparse_weight_patch",
        "version": "1",
        "sparse": "True",
        "model_version": str(number),
        "encoding": encoding,
    }
    save_file(tensors, path, metadata=metadata)
