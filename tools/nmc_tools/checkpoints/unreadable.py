"""Recognises files that are no readable checkpoint, and says what they are and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nmc_tools.checkpoints.checkpoint import Refusal

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES = 512
TAIL_BYTES = 8

_INDEX = "name the .index file of the checkpoint, which says where its parts are"
_SPLAT = "convert it to .ply, for instance with SuperSplat or @playcanvas/splat-transform"
_KINDS = {
    "package": (
        "an NMC package, or a part of one",
        "take its states out with 'nmc unpack', or frames of it with 'nmc extract'",
    ),
    "tensorflow": ("a part of a TensorFlow checkpoint", _INDEX),
    "tflite": ("a TensorFlow Lite model", "save the weights of the model it was converted from"),
    "ksplat": ("a .ksplat file, which holds quantised Gaussians", _SPLAT),
    "gguf": ("a GGUF model", "save the weights of the model it was converted from"),
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
    "exported": (
        "a program of torch.export, whose graph is not read",
        "save the state_dict of the module that was exported",
    ),
    "distributed": (
        "a checkpoint of torch.distributed, a part for each process",
        "join it: python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER model.pt",
    ),
    "orbax": (
        "a checkpoint of Orbax (JAX), which is a database",
        "restore it where it was made, and save its arrays with numpy.savez or safetensors",
    ),
    "lfs": ("a Git LFS pointer, not the file itself", "fetch the file with git lfs pull"),
    "html": ("a web page, perhaps the error of a download", "download the file again"),
    "index": (
        "the index of a checkpoint in several files",
        "name it to nmc pack, which joins the files that it names",
    ),
}
_SUFFIXES = {
    ".pbtxt": "tensorflow",
    ".meta": "tensorflow",
    ".tflite": "tflite",
    ".ksplat": "ksplat",
    ".gguf": "gguf",
    ".npy": "npy",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".json": "index",
    ".distcp": "distributed",
}
_PREFIXES = (
    (b"GGUF", "gguf"),
    (b"\x93NUMPY", "npy"),
    (b"version https://git-lfs", "lfs"),
)


def foreign_kind(path: Path, head: bytes) -> str | None:
    """Return which of the known foreign files this is, or None.

    Parameters
    ----------
    path : Path
        The file.
    head : bytes
        Its first HEAD_BYTES bytes.
    """
    for prefix, kind in _PREFIXES:
        if head.startswith(prefix):
            return kind
    suffix = path.suffix.lower()
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head[4:8] == b"TFL3":
        return "tflite"
    if head[257:262] == b"ustar":
        return "tar"
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return "html"
    if re.search(r"\.data-\d{5}-of-\d{5}$", path.name):
        return "tensorflow"
    if path.name == "checkpoint" and head.startswith((b"model_checkpoint_path", b"all_model")):
        return "tensorflow"
    return _SUFFIXES.get(suffix)


def foreign_folder(folder: Path) -> str | None:
    """Return which of the known foreign folders this is, or None."""
    if any(folder.glob("*.distcp")):
        return "distributed"
    if any((folder / name).exists() for name in ("_CHECKPOINT_METADATA", "manifest.ocdbt")):
        return "orbax"
    return None


def refuse_foreign(kind: str) -> Refusal:
    """Return the refusal of a foreign file, to be raised by the caller."""
    what, hint = _KINDS[kind]
    return Refusal(f"is {what}, not a checkpoint that can be read", hint)
