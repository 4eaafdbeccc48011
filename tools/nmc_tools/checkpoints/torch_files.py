"""Reads PyTorch files without PyTorch: the zip form, TorchScript archives, and the form before 1.6.

Layouts: torch/serialization.py (`_save`, `_legacy_save`) and, for TorchScript,
torch/csrc/jit/docs/serialization.md. Decision 0010 says why this does not use `torch.load`.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias

from nmc_tools.checkpoints import pickles
from nmc_tools.checkpoints.bounded_zip import Archive, Bytes
from nmc_tools.checkpoints.budget import Budget
from nmc_tools.checkpoints.checkpoint import Checkpoint, Refusal, capped, plain
from nmc_tools.checkpoints.containers import attributes
from nmc_tools.checkpoints.dumped_storages import DumpedStorages
from nmc_tools.checkpoints.keeping import Kept, Numbers, keep_all
from nmc_tools.checkpoints.numpy_objects import NumpyArray, array_of, byte_size_of
from nmc_tools.checkpoints.pickle_values import Object
from nmc_tools.checkpoints.scalars import scalars_of
from nmc_tools.checkpoints.torch_runs import LEGACY_MAGIC, LEGACY_PROTOCOL, Window, read_runs
from nmc_tools.checkpoints.torch_tensors import (
    Storage,
    Tensor,
    builders,
    byte_size,
    itemsize,
    storage_itemsize,
    storage_of,
    to_array,
)
from nmc_tools.checkpoints.trees import Found, find_weights
from nmc_tools.checkpoints.unnamed import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nmc_format.dtypes import Array

_MAX_PICKLE_BYTES = 256 * 2**20
_BASE_TENSOR_BYTES = 64 * 2**20
_MAX_FIGURE_BYTES = 2**16
_MAX_SHARING = 16
"""Tensors together may have 64 MiB + 16 times the bytes of the file: tied weights name the same
storage again, but a stride of 0 turns four bytes into as many as one likes."""

_CLASS = re.compile(r"^class (\w{1,255})\(Module\):$")
_LISTED = re.compile(r"  __(parameters|buffers)__ = \[([^\]]*)\]")
_QUOTED = re.compile(r'"([^"]*)"')
_MAX_CODE_BYTES = 64 * 2**20
_MAX_MODULE_NAME = 1024


Keep: TypeAlias = Literal["weights", "all"]
"""What is taken of a training checkpoint."""


@dataclass(frozen=True)
class _Source:
    """Where the elements of the tensors of a file are."""

    read: Callable[[Storage], Bytes]
    file_size: int
    big_endian: bool = False


def read_zip(archive: Archive, keys: Sequence[str], keep: Keep) -> Checkpoint:
    """Read a file of ``torch.save``, or a TorchScript archive.

    Parameters
    ----------
    archive : Archive
        The open zip.
    keys : sequence of str
        Paths to take; see `trees`.
    keep : {"weights", "all"}
        What is taken; see `nesting`.

    Raises
    ------
    Refusal
        If it is damaged, exceeds the bounds, or holds no tensors.
    """
    root = _root_folder(archive)
    big_endian = _is_big_endian(archive, root)
    budget = Budget(archive.file_size)
    content = _load_pickle(archive, f"{root}data.pkl", budget)
    notes: list[str] = []
    scripted = f"{root}constants.pkl" in archive.members
    if scripted:
        left_out = _declare(content, _declarations(archive, root))
        notes = [f"{left_out} tensors that are neither parameters nor buffers"] if left_out else []

    def read(storage: Storage) -> Bytes:
        expected = storage.count * itemsize(storage.dtype)
        return archive.read(f"{root}data/{storage.key}", expected)

    source = _Source(read, archive.file_size, big_endian)
    format_ = "torchscript" if scripted else "torch"
    return _checkpoint(_select(content, keys, keep, budget), source, format_, notes)


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


def _load_pickle(archive: Archive, name: str, budget: Budget) -> Any:
    info = archive.members[name]
    if info.file_size > _MAX_PICKLE_BYTES:
        raise Refusal(f"{plain(name)} has {info.file_size} bytes, expected at most 256 MiB")
    stream = io.BytesIO(archive.read(name).data)
    return pickles.load(stream, builders(budget), storage_of, budget)


def _declarations(archive: Archive, root: str) -> dict[str, tuple[set[str], set[str]]]:
    """Return parameters and buffers by TorchScript class, from its source text (never run)."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    total = 0
    for name, info in archive.members.items():
        if name.startswith(f"{root}code/") and name.endswith(".py"):
            total += info.file_size
            if total > _MAX_CODE_BYTES or len(name) > _MAX_MODULE_NAME:
                raise Refusal(
                    f"its TorchScript code has over {_MAX_CODE_BYTES} bytes, or a module a name of "
                    f"over {_MAX_MODULE_NAME} characters"
                )
            module = name[len(root) + len("code/") : -len(".py")].replace("/", ".")
            text = bytes(archive.read(name)).decode("utf-8", "replace")
            found |= {f"{module}.{class_}": lists for class_, lists in _classes(text)}
    return found


def _classes(text: str) -> Iterator[tuple[str, tuple[set[str], set[str]]]]:
    """Yield each class with its parameters and buffers, which stand on the lines below its name.

    Line by line, and by patterns that look at each character once: a pattern over the whole text
    can be made to search it again from every place.
    """
    lists: dict[str, set[str]] = {}
    for line in text.splitlines():
        if begins := _CLASS.match(line):
            lists = {"parameters": set(), "buffers": set()}
            yield begins[1], (lists["parameters"], lists["buffers"])
        elif lists and (listed := _LISTED.match(line)):
            lists[listed[1]].update(_QUOTED.findall(listed[2]))


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
        left_out += sum(
            isinstance(v, Tensor) and k not in parameters and k not in buffers
            for k, v in values.items()
        )
    return left_out


def read_legacy(file: BinaryIO, keys: Sequence[str], keep: Keep) -> Checkpoint:
    """Read a file of ``torch.save`` before PyTorch 1.6: pickles, then the storages one by one.

    Parameters
    ----------
    file : binary file
        Seekable.
    keys : sequence of str
        Paths to take; see `trees`.
    keep : {"weights", "all"}
        What is taken; see `nesting`.

    Raises
    ------
    Refusal
        If it is damaged, exceeds the bounds, holds no tensors, or is another kind of pickle.
    """
    file_size = file.seek(0, 2)
    file.seek(0)
    window = Window(file, file_size)
    storages: dict[str, Storage] = {}
    budget = Budget(file_size)
    dumped = DumpedStorages(budget)
    known = {**builders(budget), **dumped.builders}

    def persistent(identifier: Any) -> Any:
        value = storage_of(identifier)
        if isinstance(value, Storage):
            storages[value.key] = value
        return value

    first = pickles.load(window, known, persistent, budget)
    if dumped.runs:
        selected = _select(first, keys, keep, budget)
        return _checkpoint(selected, _Source(dumped.read, file_size), "torch-legacy", [])
    if not isinstance(first, int) or first != LEGACY_MAGIC:
        raise Refusal(
            "is a plain Python pickle, which is a program and is not run",
            "load it where you trust it and save its tensors as .safetensors or .npz",
        )
    protocol, _system, content, listed = (
        pickles.load(window, known, persistent, budget) for _ in range(4)
    )
    if protocol != LEGACY_PROTOCOL:
        raise Refusal(f"has PyTorch protocol {plain(protocol)}, expected {LEGACY_PROTOCOL}")
    if not isinstance(listed, list) or not all(isinstance(k, str) for k in listed):
        raise Refusal("its list of storages is malformed", "the file is damaged; copy it again")
    selected = _select(content, keys, keep, budget)
    order = [storages[k] for k in listed if k in storages]
    if len(order) != len(listed):
        raise Refusal("it lists a storage that no tensor uses, so its size is unknown")
    tensors = [*selected.tensors.values(), *selected.figures]
    needed = {tensor.storage.key for tensor in tensors if isinstance(tensor, Tensor)}
    runs = read_runs(file, file_size, order, needed)

    def read(storage: Storage) -> Bytes:
        size = itemsize(storage.dtype)
        end = (storage.first + storage.count) * size
        if storage.key not in runs or end > len(runs[storage.key]):
            raise Refusal(f"storage {plain(storage.key)!r} is missing, or shorter than its tensors")
        return runs[storage.key][storage.first * size : end]

    # Bytes are little-endian whatever the system was (torch/csrc/generic/serialization.cpp).
    return _checkpoint(selected, _Source(read, file_size), "torch-legacy", [])


@dataclass(frozen=True)
class _Selected:
    """What is taken of a file, not yet read.

    Attributes
    ----------
    content : object
        The file.
    found : Found
        Its weights.
    tensors : mapping of str to Tensor, NumpyArray or array
        All that is taken.
    kept : Kept or None
        The whole file, where that is asked for.
    figures : list of Tensor
        Metrics: what the file says of its training, in tensors of one number.
    """

    content: Any
    budget: Budget
    found: Found
    tensors: Mapping[str, Tensor | NumpyArray | Numbers]
    kept: Kept | None
    figures: list[Tensor]


def _select(content: Any, keys: Sequence[str], keep: Keep, budget: Budget) -> _Selected:
    found = find_weights(named(content), keys, budget)
    kept = keep_all(content, found.tensors, budget) if keep == "all" else None
    figures: list[Tensor] = []
    scalars_of(content, budget, figures.append)
    return _Selected(content, budget, found, kept.tensors if kept else found.tensors, kept, figures)


def _arrays(
    tensors: Mapping[str, Tensor | NumpyArray | Numbers], source: _Source
) -> dict[str, Array]:
    _check_budget(tensors, source.file_size)
    runs: dict[tuple[str, int, str], Bytes] = {}
    state: dict[str, Array] = {}
    for name, tensor in tensors.items():
        try:
            if not isinstance(tensor, Tensor):
                state[name] = array_of(tensor) if isinstance(tensor, NumpyArray) else tensor
                continue
            place = (tensor.storage.key, tensor.storage.first, tensor.storage.dtype)
            if place not in runs:
                runs[place] = source.read(tensor.storage)
            state[name] = to_array(tensor, runs[place], big_endian=source.big_endian)
        except Refusal as refusal:
            raise Refusal(f"{plain(name)!r}: {refusal.reason}", refusal.hint) from None
    return state


def _check_budget(tensors: Mapping[str, Tensor | NumpyArray | Numbers], file_size: int) -> None:
    budget = _BASE_TENSOR_BYTES + _MAX_SHARING * file_size
    total = 0
    for name, tensor in tensors.items():
        try:
            if isinstance(tensor, Tensor):
                total += byte_size(tensor)
            else:
                total += byte_size_of(tensor) if isinstance(tensor, NumpyArray) else tensor.nbytes
        except Refusal as refusal:
            raise Refusal(f"{plain(name)!r}: {refusal.reason}", refusal.hint) from None
    if total > budget:
        raise Refusal(
            f"its tensors claim {total} B; of a file of {file_size} at most {budget} are read",
            "if expanded tensors are meant, save them with .contiguous()",
        )


def _figure(tensor: Tensor, source: _Source) -> float | None:
    """Return the one number of a tensor, or None where it cannot be read: it is not a weight."""
    if tensor.storage.count * storage_itemsize(tensor.storage) > _MAX_FIGURE_BYTES:
        return None
    try:
        data = source.read(tensor.storage)
        value = to_array(tensor, data, big_endian=source.big_endian).item()
    except Refusal:
        return None
    return None if isinstance(value, complex) else value


def _checkpoint(
    selected: _Selected, source: _Source, source_format: str, notes: list[str]
) -> Checkpoint:
    found, kept = selected.found, selected.kept
    state = _arrays(selected.tensors, source)
    scalars = scalars_of(selected.content, selected.budget, lambda t: _figure(t, source))
    return Checkpoint(
        state=state,
        buffers=found.buffers | (kept.buffers if kept else frozenset()),
        source_format=source_format,
        key=found.key,
        skipped=capped((kept.lost if kept else found.notes) + notes),
        scalars=scalars,
        tree=kept.tree if kept else None,
    )
