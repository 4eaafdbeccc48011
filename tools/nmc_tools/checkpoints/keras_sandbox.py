"""Reads Keras weights with the HDF5 library, in a process of its own with limits.

Run by `nmc_format.isolated` with the file, a number of bytes, and "all" or "weights": prints one
JSON line that lists the tensors, then their bytes, at most so many. Layouts:
keras/src/legacy/saving (`save_weights_to_hdf5_group`) and keras/src/saving/saving_lib.py
(`H5IOStore`).
"""

from __future__ import annotations

import json
import os
import sys
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from natsort import natsorted

from nmc_format.dtypes import dtype_of, to_words
from nmc_format.isolated import limit_resources
from nmc_tools.checkpoints.checkpoint import Refusal, plain
from nmc_tools.checkpoints.unreadable import refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Iterator

_BASE_MEMORY = 4 * 2**30
_SECONDS = 100
_MAX_OBJECTS = 200_000
_ALLOWED_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
NOT_WEIGHTS = {
    "optimizer": "optimizer state",
    "optimizer_weights": "optimizer state",
    "metrics": "metric state",
}
_NUMBER_KINDS = "biufc"


def _names(group: Any, attribute: str) -> list[str] | None:
    """Return a list of names; long ones are split over attributes with a number at the end."""
    if attribute in group.attrs:
        return [_text(v) for v in np.asarray(group.attrs[attribute]).reshape(-1)]
    names: list[str] = []
    part = 0
    while f"{attribute}{part}" in group.attrs:
        names += [_text(v) for v in np.asarray(group.attrs[f"{attribute}{part}"]).reshape(-1)]
        part += 1
    return names if part else None


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _child(group: Any, path: str) -> Any:
    """Return an object under a group, by hard links alone."""
    import h5py

    node = group
    for name in path.split("/"):
        link = node.get(name, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            raise Refusal(f"names weight {plain(path)!r}, which is not in it")
        if not isinstance(link, h5py.HardLink):
            raise Refusal(f"{plain(path)!r} is a soft or external link, expected the weight itself")
        node = node[name]
    return node


def _listed(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield the weights of the layout with ``layer_names`` (Keras 1 and 2)."""
    for layer in _names(root, "layer_names") or []:
        group = _child(root, layer)
        for weight in _names(group, "weight_names") or []:
            yield f"{layer}/{weight}", _child(group, weight)


def _walked(file: Any, notes: list[str], *, whole: bool) -> Iterator[tuple[str, Any]]:
    """Yield every dataset in natural order (Keras 3), of the weights alone if not the whole."""
    import h5py

    seen: set[tuple[int, int]] = set()
    found: dict[str, Any] = {}
    todo: list[tuple[str, Any]] = [("", file)]
    while todo:
        path, node = todo.pop()
        info = h5py.h5o.get_info(node.id)
        if (info.fileno, info.addr) in seen or len(seen) >= _MAX_OBJECTS:
            raise Refusal(f"{plain(path)!r} is linked twice, or one of over {_MAX_OBJECTS} objects")
        seen.add((info.fileno, info.addr))
        if isinstance(node, h5py.Dataset):
            found[path] = node
            continue
        for name in node:
            if not path and name in NOT_WEIGHTS and not whole:
                notes.append(f"{name}: {NOT_WEIGHTS[name]}")
                continue
            child = _child(node, name)
            if isinstance(child, h5py.Group | h5py.Dataset):
                todo.append((f"{path}/{name}" if path else name, child))
    yield from ((path, found[path]) for path in natsorted(found, key=lambda p: p.split("/")))


def _check(dataset: Any, path: str, budget: int) -> int:
    """Return the bytes of a dataset, after what could exhaust or mislead a reader was refused."""
    if dataset.external or dataset.is_virtual:
        raise Refusal(f"{plain(path)!r} lies in another file, expected the weight itself")
    plist = dataset.id.get_create_plist()
    for i in range(plist.get_nfilters()):
        number = plist.get_filter(i)[0]
        if number not in _ALLOWED_FILTERS:
            raise Refusal(f"{plain(path)!r} uses HDF5 filter {number}, expected deflate")
    size = int(dataset.size or 0) * int(dataset.dtype.itemsize)
    if size > budget:
        raise Refusal(f"{plain(path)!r} brings the weights to more bytes than such a file may hold")
    return size


def _array(dataset: Any, path: str) -> np.ndarray[Any, Any] | None:
    """Return the weight, or None for what holds no numbers."""
    stored = np.asarray(dataset[()])
    if _text(dataset.attrs.get("dtype", "")) == "bfloat16":
        import ml_dtypes

        opaque = stored.dtype.kind == "V"
        return stored.view(ml_dtypes.bfloat16) if opaque else stored.astype(ml_dtypes.bfloat16)
    if stored.dtype.kind not in _NUMBER_KINDS:
        return None
    try:
        dtype_of(stored)
    except TypeError as error:
        raise Refusal(f"{plain(path)!r}: {error}", "save it as another type") from None
    return stored


def _beside(file: Any, notes: list[str], *, whole: bool) -> Iterator[tuple[str, Any]]:
    """Yield what lies beside ``model_weights`` (Keras 1 and 2), where the whole is asked for."""
    for name, what in NOT_WEIGHTS.items():
        if name in file and whole:
            for path, dataset in _walked(_child(file, name), notes, whole=True):
                yield f"{name}/{path}", dataset
        elif name in file:
            notes.append(f"{name}: {what}")


def _read(
    file: Any, budget: int, *, whole: bool
) -> tuple[dict[str, np.ndarray[Any, Any]], list[str]]:
    import h5py

    if _text(file.attrs.get("format", "")) == "nmc" and "manifest_digest" in file.attrs:
        raise refuse_foreign("package")
    root = _child(file, "model_weights") if "model_weights" in file else file
    notes: list[str] = []
    listed = _names(root, "layer_names") is not None
    found = _listed(root) if listed else _walked(root, notes, whole=whole)
    beside = _beside(file, notes, whole=whole) if root is not file else ()
    state: dict[str, np.ndarray[Any, Any]] = {}
    for path, dataset in chain(found, beside):
        if path in state or not isinstance(dataset, h5py.Dataset):
            raise Refusal(f"weight {plain(path)!r} occurs twice, or is not a dataset")
        budget -= _check(dataset, path, budget)
        array = _array(dataset, path) if dataset.shape is not None else None
        if array is None:
            notes.append(f"{plain(path)}: not a tensor")
        else:
            state[path] = array
    return state, notes


def _main(path: str, budget: int, *, whole: bool) -> int:
    limit_resources(_BASE_MEMORY + 2 * budget, _SECONDS)
    import h5py

    # The library prints to descriptor 1 in places; the listing must not be mixed with that.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        with h5py.File(path, "r", locking=False) as file:
            state, notes = _read(file, budget, whole=whole)
    except Refusal as refusal:
        out.write(json.dumps({"refused": [refusal.reason, refusal.hint]}).encode() + b"\n")
    except Exception as error:  # the library raises many kinds on damaged files
        reason = f"the HDF5 library fails on it: {plain(error)}"
        out.write(json.dumps({"refused": [reason, "copy the file again"]}).encode() + b"\n")
    else:
        listing = [[n, dtype_of(a).name, list(a.shape)] for n, a in state.items()]
        out.write(json.dumps({"tensors": listing, "skipped": notes}).encode() + b"\n")
        for array in state.values():
            out.write(to_words(array).view("u1").data)
    out.close()
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], int(sys.argv[2]), whole=sys.argv[3] == "all"))
