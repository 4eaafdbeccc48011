"""Reads a manifest with the HDF5 library, in a process of its own with limits (clause 5.3.1).

Run by `nmc_format.isolated` with one argument, the file: prints one JSON line that lists the
objects, then their bytes. A file that crashes, hangs or exhausts the library ends that process and
no other.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_format.isolated import (
    isolated_command,
    isolated_environment,
    isolated_folder,
    limit_resources,
)
from nmc_format.issues import refuse
from nmc_format.manifest.objects import MAX_MANIFEST_BYTES, MAX_OBJECTS

if TYPE_CHECKING:
    import h5py

    from nmc_format.manifest.objects import RawObjects

_NEEDS = ("nmc_spec", "nmc_format", "numpy", "h5py", "ml_dtypes")
_MEMORY_LIMIT = 4 * 2**30
_SECONDS = 20
_NULL_SPACE = 2
"""Class H5S_NULL of a dataspace: there is no element, not even an empty list of them."""

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
    command = isolated_command("nmc_format.manifest.sandbox", _NEEDS, path)
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env=isolated_environment(),
            cwd=isolated_folder(),
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


def _check_type(dtype: Any, pointer: str) -> None:
    """Accept numbers and text; enumerations, references, compounds and arrays are none of them."""
    import h5py

    is_text = h5py.check_string_dtype(dtype) is not None
    is_number = dtype.kind in "iuf" and h5py.check_enum_dtype(dtype) is None
    if not (is_text or is_number) or dtype.subdtype is not None:
        raise _Refused(
            "manifest/object-type", pointer, actual=str(dtype), expected="numbers or text"
        )


@dataclass
class _Budget:
    """What a manifest may still hold (clause 5.3.1 and 5.3.2)."""

    bytes: int = MAX_MANIFEST_BYTES
    objects: int = MAX_OBJECTS

    def spend(self, size: int, pointer: str) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise _Refused("manifest/too-large", pointer, size=size, limit=MAX_MANIFEST_BYTES)

    def count(self, pointer: str) -> None:
        self.objects -= 1
        if self.objects < 0:
            raise _Refused("manifest/object-count", pointer, limit=MAX_OBJECTS)


def _value(array: np.ndarray[Any, Any], pointer: str, budget: _Budget) -> np.ndarray[Any, Any]:
    """Return what was read as integers, floats or fixed-length bytes."""
    if array.dtype.kind in "OU":
        texts = array.reshape(-1).tolist()
        encoded = [v if isinstance(v, bytes) else v.encode(errors="surrogateescape") for v in texts]
        budget.spend(len(encoded) * max(map(len, encoded), default=0), pointer)
        array = np.array(encoded, dtype="S").reshape(array.shape)
    if array.dtype.itemsize == 0:
        return array.astype("S1")
    return array.astype(array.dtype.newbyteorder("<"))


def _read_attribute(node: Any, name: str, pointer: str, budget: _Budget) -> np.ndarray[Any, Any]:
    attribute = node.attrs.get_id(name)
    _check_type(attribute.dtype, pointer)
    if attribute.get_space().get_simple_extent_type() == _NULL_SPACE:
        raise _Refused("manifest/object-shape", pointer, actual="null", expected="a value")
    budget.spend(int(np.prod(attribute.shape)) * max(1, attribute.dtype.itemsize), pointer)
    return _value(np.asarray(node.attrs[name]), pointer, budget)


def _read_dataset(dataset: h5py.Dataset, pointer: str, budget: _Budget) -> np.ndarray[Any, Any]:
    if dataset.external:
        raise _Refused("manifest/external-storage", pointer, kind="external file")
    if dataset.is_virtual:
        raise _Refused("manifest/external-storage", pointer, kind="virtual dataset")
    plist = dataset.id.get_create_plist()
    for i in range(plist.get_nfilters()):
        number = plist.get_filter(i)[0]
        if number not in _ALLOWED_FILTERS:
            raise _Refused("manifest/filter", pointer, filter=number)
    _check_type(dataset.dtype, pointer)
    if dataset.shape is None:
        raise _Refused("manifest/object-shape", pointer, actual="null", expected="a value")
    budget.spend(int(dataset.size) * max(1, dataset.dtype.itemsize), pointer)
    return _value(np.asarray(dataset[()]), pointer, budget)


def _check_name(name: str, pointer: str) -> None:
    """Refuse a name that would make a path ambiguous (clause 5.3.2)."""
    if "@" in name or "/" in name:
        reason = "the name of a group, dataset or attribute holds an @ or a stroke"
        raise _Refused("manifest/value", pointer, reason=reason)


def _walk(file: h5py.File) -> RawObjects:
    import h5py

    objects: RawObjects = {}
    seen: set[tuple[int, int]] = set()
    budget = _Budget()
    todo: list[tuple[str, Any]] = [("", file)]
    while todo:
        path, node = todo.pop()
        info = h5py.h5o.get_info(node.id)
        if (info.fileno, info.addr) in seen:
            raise _Refused("manifest/link", path or "/", kind="second or cyclic hard")
        seen.add((info.fileno, info.addr))
        budget.count(path or "/")
        for name in node.attrs:
            pointer = f"{path or '/'}@{name}"
            _check_name(name, pointer)
            budget.count(pointer)
            objects[pointer] = _read_attribute(node, name, pointer, budget)
        if isinstance(node, h5py.Dataset):
            objects[path] = _read_dataset(node, path, budget)
            continue
        for name in node:
            _check_name(name, f"{path}/{name}")
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
    limit_resources(_MEMORY_LIMIT, _SECONDS)
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.userblock_size:
                raise _Refused("manifest/unreadable", "/", reason="it has a user block")
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
