"""Reads PyTorch files without PyTorch: the zip form, TorchScript archives, and the form before 1.6.

Layouts: torch/serialization.py (`_save`, `_legacy_save`) and, for TorchScript,
torch/csrc/jit/docs/serialization.md. Decision 0010 says why this does not use `torch.load`.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, BinaryIO

from nmc_tools.checkpoints import pickles
from nmc_tools.checkpoints.archive import Archive, Bytes, read_exactly
from nmc_tools.checkpoints.checkpoint import Checkpoint, Refusal, capped, plain
from nmc_tools.checkpoints.pickles import Object
from nmc_tools.checkpoints.torch_tensors import (
    BUILDERS,
    Storage,
    Tensor,
    byte_size,
    itemsize,
    storage_itemsize,
    storage_of,
    to_array,
)
from nmc_tools.checkpoints.trees import Found, attributes, find_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from nmc_format.dtypes import Array

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""First value of a file before PyTorch 1.6 (torch/serialization.py, MAGIC_NUMBER)."""

_LEGACY_PROTOCOL = 1001
_MAX_PICKLE_BYTES = 256 * 2**20
_BASE_TENSOR_BYTES = 64 * 2**20
_MAX_SHARING = 16
"""Tensors together may have 64 MiB + 16 times the bytes of the file: tied weights name the same
storage again, but a stride of 0 turns four bytes into as many as one likes."""

_CLASS = re.compile(
    r"^class (\w+)\(Module\):\n  __parameters__ = \[([^\]]*)\]\n  __buffers__ = \[([^\]]*)\]",
    re.MULTILINE,
)


def read_zip(archive: Archive, key: str | None) -> Checkpoint:
    """Read a file of ``torch.save``, or a TorchScript archive.

    Parameters
    ----------
    archive : Archive
        The open zip.
    key : str, optional
        Path to take; see `trees`.

    Raises
    ------
    Refusal
        If it is damaged, exceeds the bounds, or holds no tensors.
    """
    root = _root_folder(archive)
    big_endian = _is_big_endian(archive, root)
    content = _load_pickle(archive, f"{root}data.pkl")
    notes: list[str] = []
    scripted = f"{root}constants.pkl" in archive.members
    if scripted:
        left_out = _declare(content, _declarations(archive, root))
        notes = [f"{left_out} tensors that are neither parameters nor buffers"] if left_out else []
    found = find_weights(content, key)

    def read(storage: Storage) -> Bytes:
        expected = storage.count * itemsize(storage.dtype)
        return archive.read(f"{root}data/{storage.key}", expected)

    state = _arrays(found, read, archive.file_size, big_endian=big_endian)
    return _checkpoint(found, state, "torchscript" if scripted else "torch", notes)


def _root_folder(archive: Archive) -> str:
    parted = [name.rpartition("/") for name in archive.members]
    roots = [f"{folder}{slash}" for folder, slash, name in parted if name == "data.pkl"]
    if len(roots) != 1:
        raise Refusal(f"a PyTorch zip has one data.pkl at its top, this one {len(roots)}")
    return roots[0]


def _is_big_endian(archive: Archive, root: str) -> bool:
    if f"{root}byteorder" not in archive.members:
        return False
    order = bytes(archive.read(f"{root}byteorder"))
    if order not in (b"little", b"big"):
        raise Refusal(f"its byte order is {plain(order)}, expected little or big")
    return order == b"big"


def _load_pickle(archive: Archive, name: str) -> Any:
    info = archive.members[name]
    if info.file_size > _MAX_PICKLE_BYTES:
        raise Refusal(f"{plain(name)} has {info.file_size} bytes, expected at most 256 MiB")
    stream = io.BytesIO(archive.read(name).data)
    return pickles.load(stream, BUILDERS, storage_of)


def _declarations(archive: Archive, root: str) -> dict[str, tuple[set[str], set[str]]]:
    """Return parameters and buffers by TorchScript class, from its source text (never run)."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for name in archive.members:
        if name.startswith(f"{root}code/") and name.endswith(".py"):
            module = name[len(root) + len("code/") : -len(".py")].replace("/", ".")
            text = bytes(archive.read(name)).decode("utf-8", "replace")
            for class_, parameters, buffers in _CLASS.findall(text):
                found[f"{module}.{class_}"] = (_quoted(parameters), _quoted(buffers))
    return found


def _quoted(text: str) -> set[str]:
    return set(re.findall(r'"([^"]*)"', text))


def _declare(root: Any, declarations: dict[str, tuple[set[str], set[str]]]) -> int:
    """Sort the attributes of TorchScript objects into parameters, buffers and modules.

    Returns the number of tensors that are none of these, as PyTorch leaves them out of the state.
    """
    left_out = 0
    seen: set[int] = set()
    todo = [root]
    while todo:
        node = todo.pop()
        if not isinstance(node, Object) or id(node) in seen or node.kind not in declarations:
            continue
        seen.add(id(node))
        parameters, buffers = declarations[node.kind]
        values = attributes(node)
        node.state = {
            "_parameters": {k: v for k, v in values.items() if k in parameters},
            "_buffers": {k: v for k, v in values.items() if k in buffers},
            "_modules": {k: v for k, v in values.items() if isinstance(v, Object)},
        }
        todo += node.state["_modules"].values()
        others = values.keys() - parameters - buffers
        left_out += sum(isinstance(values[k], Tensor) for k in others)
    return left_out


class _Window:
    """A file whose reads never ask for more than it has left."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.size = size
        self.tell = file.tell

    def read(self, n: int, /) -> bytes:
        return self.file.read(min(n, self.size - self.file.tell()))

    def readline(self) -> bytes:
        return self.file.readline()


def read_legacy(file: BinaryIO, key: str | None) -> Checkpoint:
    """Read a file of ``torch.save`` before PyTorch 1.6: pickles, then the storages one by one.

    Parameters
    ----------
    file : binary file
        Seekable.
    key : str, optional
        Path to take; see `trees`.

    Raises
    ------
    Refusal
        If it is damaged, exceeds the bounds, holds no tensors, or is another kind of pickle.
    """
    file_size = file.seek(0, 2)
    file.seek(0)
    window = _Window(file, file_size)
    storages: dict[str, Storage] = {}

    def persistent(identifier: Any) -> Any:
        value = storage_of(identifier)
        if isinstance(value, Storage):
            storages[value.key] = value
        return value

    first = pickles.load(window, BUILDERS, persistent)
    if not isinstance(first, int) or first != LEGACY_MAGIC:
        raise Refusal(
            "is a plain Python pickle, which is a program and is not run",
            "load it where you trust it and save its tensors as .safetensors or .npz",
        )
    protocol, _system, content, keys = (
        pickles.load(window, BUILDERS, persistent) for _ in range(4)
    )
    if protocol != _LEGACY_PROTOCOL:
        raise Refusal(f"has PyTorch protocol {plain(protocol)}, expected {_LEGACY_PROTOCOL}")
    if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys):
        raise Refusal("its list of storages is malformed", "the file is damaged; copy it again")
    found = find_weights(content, key)
    order = [storages[k] for k in keys if k in storages]
    if len(order) != len(keys):
        raise Refusal("it lists a storage that no tensor uses, so its size is unknown")
    needed = {tensor.storage.key for tensor in found.tensors.values()}
    runs = _read_runs(file, file_size, order, needed)

    def read(storage: Storage) -> Bytes:
        size = itemsize(storage.dtype)
        end = (storage.first + storage.count) * size
        if storage.key not in runs or end > len(runs[storage.key]):
            raise Refusal(f"storage {plain(storage.key)!r} is missing, or shorter than its tensors")
        return runs[storage.key][storage.first * size : end]

    # Bytes are little-endian whatever the system was (torch/csrc/generic/serialization.cpp).
    return _checkpoint(found, _arrays(found, read, file_size, big_endian=False), "torch-legacy", [])


def _read_runs(
    file: BinaryIO, file_size: int, order: list[Storage], needed: set[str]
) -> dict[str, Bytes]:
    """Read the needed storages; each is its count of elements (i64) and then the elements."""
    runs: dict[str, Bytes] = {}
    for storage in order:
        what = f"storage {plain(storage.key)!r}"
        count = int.from_bytes(bytes(read_exactly(file, 8, what)), "little")
        size = count * storage_itemsize(storage)
        if size > file_size - file.tell():
            raise Refusal(
                f"{what} claims {size} bytes, {file_size - file.tell()} are left in the file",
                "the file is truncated; copy it again",
            )
        if storage.key in needed:
            runs[storage.key] = read_exactly(file, size, what)
        else:
            file.seek(size, 1)
    return runs


def _arrays(
    found: Found, read: Callable[[Storage], Bytes], file_size: int, *, big_endian: bool
) -> dict[str, Array]:
    _check_budget(found.tensors, file_size)
    runs: dict[tuple[str, int, str], Bytes] = {}
    state: dict[str, Array] = {}
    for name, tensor in found.tensors.items():
        storage = tensor.storage
        place = (storage.key, storage.first, storage.dtype)
        try:
            if place not in runs:
                runs[place] = read(storage)
            state[name] = to_array(tensor, runs[place], big_endian=big_endian)
        except Refusal as refusal:
            raise Refusal(f"{plain(name)!r}: {refusal.reason}", refusal.hint) from None
    return state


def _check_budget(tensors: dict[str, Tensor], file_size: int) -> None:
    budget = _BASE_TENSOR_BYTES + _MAX_SHARING * file_size
    total = 0
    for name, tensor in tensors.items():
        try:
            total += byte_size(tensor)
        except Refusal as refusal:
            raise Refusal(f"{plain(name)!r}: {refusal.reason}", refusal.hint) from None
    if total > budget:
        raise Refusal(
            f"its tensors claim {total} B; of a file of {file_size} at most {budget} are read",
            "if expanded tensors are meant, save them with .contiguous()",
        )


def _checkpoint(
    found: Found, state: dict[str, Array], source_format: str, notes: list[str]
) -> Checkpoint:
    return Checkpoint(
        state=state,
        buffers=found.buffers,
        source_format=source_format,
        key=found.key,
        skipped=capped(found.notes + notes),
    )
