"""Says what a file or directory is that is not a package (clause 5.1.1), and what to do with it."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HEAD_BYTES: Final = 4096
_PACK: Final = "make a package of it with 'nmc pack'"
_AGAIN: Final = "get the file again"

_SPECIAL = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file",
        f"if it is a package's manifest, give its directory; if it is a checkpoint, {_PACK}",
    ),
    (b"ply\n", "a PLY file", _PACK),
    (b"ply\r\n", "a PLY file", _PACK),
    (b"\x80\x02", "a PyTorch checkpoint or another pickle", _PACK),
    (b"\x80\x03", "a pickle", _PACK),
    (b"\x80\x04", "a pickle", _PACK),
    (b"\x80\x05", "a pickle", _PACK),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
    (b"GGUF", "a GGUF model", "save its weights as .safetensors, then pack those"),
    (b"\x1f\x8b", "compressed by gzip", "decompress it first"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard", "decompress it first"),
    (b"\xfd7zXZ\0", "compressed by xz", "decompress it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"\x93NUMPY", "one numpy array", "put named arrays into an .npz file, then pack that"),
)
_CHECKPOINTS = re.compile(
    r"\.(safetensors|pt|pth|ckpt|npz|h5|hdf5|keras|ply|bin|th|msgpack|ingp)$", re.IGNORECASE
)


def special_kind(mode: int) -> str:
    """Return what a file is that is neither regular nor a directory, by its mode."""
    return next((kind for test, kind in _SPECIAL if test(mode)), "no regular file")


def foreign_file(head: bytes, size: int) -> tuple[str, str]:
    """Return what a file is that does not begin as a package does, and what to do.

    Parameters
    ----------
    head : bytes
        Its first ``HEAD_BYTES``.
    size : int
        Bytes of the file.
    """
    if not size:
        return "it is empty", _AGAIN
    for beginning, kind, hint in _BEGINNINGS:
        if head.startswith(beginning):
            return f"it is {kind}", hint
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8:
        return "it is a safetensors file", _PACK
    if head[257:262] == b"ustar":
        return "it is a tar archive", "unpack it first"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<error")):
        return "it is a web page, perhaps the error of a download", _AGAIN
    if text.startswith((b"{", b"[")):
        return "it is JSON text, perhaps the error of a download", _AGAIN
    if not head.strip(b"\0"):
        return "it begins with zeros only, perhaps a download that never began", _AGAIN
    return "it does not begin with a ZIP member", ""


def foreign_zip(names: Iterable[str]) -> tuple[str, str] | None:
    """Return what a ZIP file with these members is, and what to do; None if it may be a package."""
    found = list(names)
    if any(name == "manifest.h5" for name in found):
        return None
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in found):
        return "it is a PyTorch checkpoint", _PACK
    if "model.weights.h5" in found:
        return "it is a Keras model", _PACK
    if any(name.endswith(".npy") for name in found):
        return "it is a numpy archive", _PACK
    if any(name.endswith("/manifest.h5") for name in found):
        return "it is a ZIP of a package directory", "unpack it, and give the directory"
    if any(name.endswith(".nmc") for name in found):
        return "it is a ZIP with packages in it", "unpack it first"
    return None


def foreign_directory(path: Path) -> tuple[str, str]:
    """Return what a directory without a manifest is, and what to do."""
    reason = "it has no manifest.h5"
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry, _ in zip(entries, range(1000), strict=False))
    except OSError:
        return reason, ""
    if not names:
        return "it is an empty directory", ""
    for name in names:
        if name.endswith(".nmc"):
            return f"{reason}, but packages: {name}", "give one of them"
    for name in names:
        if _CHECKPOINTS.search(name):
            return f"{reason}, but checkpoints: {name}", "make a package of them with 'nmc pack'"
    return reason, ""
