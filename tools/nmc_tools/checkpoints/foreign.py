"""Recognises files that are no readable checkpoint, and says what they are and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nmc_tools.checkpoints.checkpoint import Refusal

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES = 512
TAIL_BYTES = 8

_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")
"""Last bytes of a TensorFlow table (tensorflow/core/lib/io/format.h, kTableMagicNumber)."""

_TENSORFLOW = (
    "load it with TensorFlow (tf.train.load_checkpoint lists and reads the variables) "
    "and save them with numpy.savez"
)
_SPLAT = "convert it to .ply, for instance with SuperSplat or @playcanvas/splat-transform"
_KINDS = {
    "onnx": (
        "an ONNX model",
        "save the weights of the model it was exported from, or its initializers, as .safetensors",
    ),
    "savedmodel": (
        "a TensorFlow SavedModel graph",
        "its weights are in the variables/ folder beside it; " + _TENSORFLOW,
    ),
    "tensorflow": ("a part of a TensorFlow checkpoint", _TENSORFLOW),
    "tensorflow-1": ("a TensorFlow 1 checkpoint", _TENSORFLOW),
    "tflite": ("a TensorFlow Lite model", "save the weights of the model it was converted from"),
    "splat": ("a .splat file, which holds Gaussians rounded to 8 bits", _SPLAT),
    "ksplat": ("a .ksplat file, which holds quantised Gaussians", _SPLAT),
    "spz": ("a .spz file, which holds quantised Gaussians", _SPLAT),
    "gguf": ("a GGUF model", "save the weights of the model it was converted from"),
    "flax": ("a Flax msgpack file", "load it with flax.serialization and save it as .safetensors"),
    "npy": ("a single numpy array", "put named arrays into one .npz with numpy.savez"),
    "pickle": (
        "a plain Python pickle, which is a program and is not run",
        "load it where you trust it and save its tensors as .safetensors or .npz",
    ),
    "gzip": ("compressed by gzip", "decompress it first"),
    "tar": (
        "a tar archive, as PyTorch wrote before version 0.1.10",
        "load it with an old PyTorch and save it again, or unpack it if it is a plain archive",
    ),
    "lfs": ("a Git LFS pointer, not the file itself", "fetch the file with git lfs pull"),
    "html": ("a web page, perhaps the error of a download", "download the file again"),
    "index": (
        "the index of a checkpoint in several files",
        "merge the files it names into one .safetensors first",
    ),
}
_SUFFIXES = {
    ".onnx": "onnx",
    ".pb": "savedmodel",
    ".pbtxt": "savedmodel",
    ".index": "tensorflow",
    ".meta": "tensorflow",
    ".tflite": "tflite",
    ".splat": "splat",
    ".ksplat": "ksplat",
    ".spz": "spz",
    ".gguf": "gguf",
    ".msgpack": "flax",
    ".npy": "npy",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".json": "index",
}
_PREFIXES = (
    (b"GGUF", "gguf"),
    (b"NGSP", "spz"),
    (b"\x93NUMPY", "npy"),
    (b"version https://git-lfs", "lfs"),
)


def foreign_kind(path: Path, head: bytes, tail: bytes) -> str | None:
    """Return which of the known foreign files this is, or None.

    Parameters
    ----------
    path : Path
        The file.
    head, tail : bytes
        Its first HEAD_BYTES and last TAIL_BYTES bytes.
    """
    for prefix, kind in _PREFIXES:
        if head.startswith(prefix):
            return kind
    suffix = path.suffix.lower()
    if head.startswith(b"\x1f\x8b"):
        return "spz" if suffix == ".spz" else "gzip"
    if head[4:8] == b"TFL3":
        return "tflite"
    if head[257:262] == b"ustar":
        return "tar"
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return "html"
    if tail == _TABLE_MAGIC:
        return "tensorflow" if suffix == ".index" else "tensorflow-1"
    if re.search(r"\.data-\d{5}-of-\d{5}$", path.name):
        return "tensorflow"
    if path.name == "checkpoint" and head.startswith((b"model_checkpoint_path", b"all_model")):
        return "tensorflow"
    return _SUFFIXES.get(suffix)


def refuse_foreign(kind: str) -> Refusal:
    """Return the refusal of a foreign file, to be raised by the caller."""
    what, hint = _KINDS[kind]
    return Refusal(f"is {what}, not a checkpoint that can be read", hint)
