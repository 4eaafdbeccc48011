"""Reads a manifest with the HDF5 library, in a process of its own with limits (clause 5.3.1).

Run as ``python -m nmc_format.hdf5_sandbox FILE``: prints one JSON line that lists the objects, then
their bytes. A file that crashes, hangs or exhausts the library ends that process and no other.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_format.hdf5 import MAX_OBJECTS, RawObjects
from nmc_format.issues import refuse

if TYPE_CHECKING:
    import h5py

MAX_MANIFEST_BYTES = 256 * 2**20
"""Bytes a manifest may have, on disk and decoded: 10,000 frames of 1,000 tensors need 5 MB."""

_MEMORY_LIMIT = 4 * 2**30
_SECONDS = 20
_ALLOWED_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}


class _Refused(Exception):  # noqa: N818 - a message to the parent, not an error of this code
    """What the child reports to its parent: a code, a pointer and the facts of the message."""

    def __init__(self, code: str, pointer: str, **facts: Any) -> None:
        super().__init__(code)
        self.report = {"code": code, "pointer": pointer, "facts": facts}


def read_sandboxed(path: Path) -> RawObjects:
    """Read every object of a manifest that is not in compact form.

    Raises
    ------
    FormatError
        If the library cannot read the file, or the file uses what a manifest may not.
    """
    command = [sys.executable, "-m", "nmc_format.hdf5_sandbox", str(path)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, capture_output=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise refuse(
            "manifest/unreadable", pointer="/", reason=f"reading it took over {_SECONDS} s"
        ) from None
    head, _, body = done.stdout.partition(b"\n")
    if done.returncode != 0 or not head:
        raise refuse("manifest/unreadable", pointer="/", reason="the HDF5 library fails on it")
    listing = json.loads(head)
    if "code" in listing:
        raise refuse(listing["code"], pointer=listing["pointer"], **listing["facts"])
    objects: RawObjects = {}
    at = 0
    for path_, dtype, shape in listing["objects"]:
        array_dtype = np.dtype(dtype)
        count = int(np.prod(shape, dtype=np.int64))
        objects[path_] = np.frombuffer(body, array_dtype, count, at).reshape(shape).copy()
        at += count * array_dtype.itemsize
    return objects


def _limit_resources() -> None:
    try:
        import resource
    except ImportError:  # no such limits on this system; the parent's time limit still holds
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _value(h5: Any, pointer: str) -> np.ndarray[Any, Any]:
    """Read one dataset or attribute as integers, floats or fixed-length bytes."""
    import h5py

    array = np.asarray(h5[()] if isinstance(h5, h5py.Dataset) else h5)
    if array.dtype.kind in "OU":
        encoded = [v if isinstance(v, bytes) else str(v).encode() for v in array.reshape(-1)]
        array = np.array(encoded, dtype="S").reshape(array.shape)
    if array.dtype.kind not in "iufS" or array.dtype.itemsize == 0:
        if array.dtype.kind == "S":
            return array.astype("S1")
        raise _Refused(
            "manifest/object-type", pointer, actual=str(array.dtype), expected="numbers or text"
        )
    return array.astype(array.dtype.newbyteorder("<"))


def _check_dataset(dataset: h5py.Dataset, pointer: str, budget: int) -> int:
    if dataset.external:
        raise _Refused("manifest/external-storage", pointer, kind="external file")
    if dataset.is_virtual:
        raise _Refused("manifest/external-storage", pointer, kind="virtual dataset")
    plist = dataset.id.get_create_plist()
    for i in range(plist.get_nfilters()):
        number = plist.get_filter(i)[0]
        if number not in _ALLOWED_FILTERS:
            raise _Refused("manifest/filter", pointer, filter=number)
    size: int = int(dataset.size or 0) * max(1, dataset.dtype.itemsize)
    if size > budget:
        raise _Refused("manifest/too-large", pointer, size=size, limit=MAX_MANIFEST_BYTES)
    return size


def _walk(file: h5py.File) -> RawObjects:
    import h5py

    objects: RawObjects = {}
    seen: set[tuple[int, int]] = set()
    budget = MAX_MANIFEST_BYTES
    todo: list[tuple[str, Any]] = [("", file)]
    while todo:
        path, node = todo.pop()
        info = h5py.h5o.get_info(node.id)
        if (info.fileno, info.addr) in seen or len(seen) > MAX_OBJECTS:
            raise _Refused("manifest/link", path or "/", kind="second or cyclic hard")
        seen.add((info.fileno, info.addr))
        if len(node.attrs) > MAX_OBJECTS:
            raise _Refused(
                "manifest/too-large", path or "/", size=len(node.attrs), limit=MAX_OBJECTS
            )
        for name in node.attrs:
            objects[f"{path or '/'}@{name}"] = _value(node.attrs[name], f"{path}@{name}")
        if isinstance(node, h5py.Dataset):
            budget -= _check_dataset(node, path, budget)
            objects[path] = _value(node, path)
            continue
        for name in node:
            link = node.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = type(link).__name__.removesuffix("Link").lower()
                raise _Refused("manifest/link", f"{path}/{name}", kind=kind)
            child = node[name]
            if not isinstance(child, h5py.Group | h5py.Dataset):
                raise _Refused(
                    "manifest/object-type",
                    f"{path}/{name}",
                    actual="named type",
                    expected="a group or a dataset",
                )
            todo.append((f"{path}/{name}", child))
    return objects


def _child(path: str) -> int:
    _limit_resources()
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            objects = _walk(file)
    except _Refused as refused:
        print(json.dumps(refused.report))
        return 0
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        report = {"reason": str(error).splitlines()[0] if str(error) else type(error).__name__}
        print(json.dumps({"code": "manifest/unreadable", "pointer": "/", "facts": report}))
        return 0
    listing = [(p, a.dtype.str, a.shape) for p, a in objects.items()]
    sys.stdout.buffer.write(json.dumps({"objects": listing}).encode() + b"\n")
    for array in objects.values():
        sys.stdout.buffer.write(np.ascontiguousarray(array).tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(_child(sys.argv[1]))
