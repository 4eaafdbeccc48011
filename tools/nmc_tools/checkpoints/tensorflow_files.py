"""Reads TensorFlow checkpoints without TensorFlow: both versions, and variables of a SavedModel.

Layouts: tensorflow/core/protobuf/tensor_bundle.proto (version 2: an index and data files),
saved_tensor_slice.proto (version 1: one file), framework/tensor.proto, tensor_shape.proto and
types.proto. Decision 0026 says why this does not use TensorFlow. No graph is read, nothing is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from nmc_format.dtypes import DTYPES, byte_size, from_words, word_dtype
from nmc_tools.checkpoints.bounded_zip import read_exactly
from nmc_tools.checkpoints.budget import Budget
from nmc_tools.checkpoints.checkpoint import (
    Checkpoint,
    Refusal,
    buffers_by_convention,
    capped,
    plain,
)
from nmc_tools.checkpoints.protobuf import fields, fixed32, inner, numbers, signed, text
from nmc_tools.checkpoints.tensorflow_table import check_sum, entries

if TYPE_CHECKING:
    from nmc_format.dtypes import Array
    from nmc_tools.checkpoints.protobuf import Value

MAX_INDEX_BYTES = 256 * 2**20

_DTYPES = {
    1: "F32", 2: "F64", 3: "I32", 4: "U8", 5: "I16", 6: "I8", 8: "C64", 9: "I64", 10: "BOOL",
    14: "BF16", 17: "U16", 19: "F16", 22: "U32", 23: "U64", 24: "F8_E5M2", 25: "F8_E4M3",
}  # fmt: skip
"""Element types by their number in types.proto, as far as NMC has them."""

_TEXT = 7
_MAX_DIMENSIONS = 32
_OBJECT = "/.ATTRIBUTES/VARIABLE_VALUE"
_SLOT = "/.OPTIMIZER_SLOT/"
_COUNTERS = frozenset({"beta1_power", "beta2_power", "global_step", "save_counter"})
_SLOTS = frozenset({"Adam", "Adam_1", "Momentum", "RMSProp", "RMSProp_1", "Adagrad", "Ftrl"})
_VALUES = {5: "<f4", 6: "<f8"}
"""Fields of a TensorProto that hold packed floats; those of _INTEGERS hold packed numbers."""
_INTEGERS = (7, 10, 11, 13, 16, 17)


@dataclass(frozen=True)
class _Entry:
    """Where the elements of one tensor are."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    sliced: bool


def read_index(path: Path, file: BinaryIO, *, whole: bool) -> Checkpoint:
    """Read a checkpoint of version 2, by its ``.index``; the data files lie beside it.

    Names are the keys of the checkpoint, for one of objects without the ending
    ``/.ATTRIBUTES/VARIABLE_VALUE``. Slots of the optimizer and counters are left out.

    Parameters
    ----------
    path : Path
        The index.
    file : binary file
        The same file, open.
    whole : bool
        Whether slots and counters are taken too.

    Raises
    ------
    Refusal
        If it is damaged or incomplete, or a tensor has a type that cannot be stored.
    """
    size = file.seek(0, 2)
    file.seek(0)
    if size > MAX_INDEX_BYTES:
        raise Refusal(f"has {size} bytes, an index at most {MAX_INDEX_BYTES}")
    budget = Budget(size)
    table = dict(entries(memoryview(file.read()), budget))
    shards = _header(table.pop(b"", memoryview(b"")), budget)
    found = {_text(key): _entry(value, budget) for key, value in table.items()}
    taken, notes = _taken(found, whole=whole)
    state: dict[str, Array] = {}
    files: dict[int, BinaryIO] = {}
    try:
        for name, entry in taken.items():
            if entry.shard not in files:
                files[entry.shard] = _shard(path, entry.shard, shards)
            state[name] = _array(name, entry, files[entry.shard])
    finally:
        for shard in files.values():
            shard.close()
    return _checkpoint(state, "tensorflow", notes)


def read_saved_model(path: Path, *, whole: bool) -> Checkpoint:
    """Read the variables of a SavedModel, by its folder or its ``saved_model.pb``.

    Raises
    ------
    Refusal
        As `read_index`, and if the folder ``variables`` is not there.
    """
    folder = path if path.is_dir() else path.parent
    index = folder / "variables" / "variables.index"
    if not index.is_file():
        raise Refusal(
            "is the graph of a TensorFlow SavedModel; its weights are in variables/variables.index "
            "beside it, which is not there",
            "fetch the whole folder, or export the model again",
        )
    with index.open("rb") as file:
        return read_index(index, file, whole=whole)


def read_version_1(file: BinaryIO, *, whole: bool) -> Checkpoint:
    """Read a checkpoint of version 1, which is one file.

    Raises
    ------
    Refusal
        As `read_index`.
    """
    size = file.seek(0, 2)
    file.seek(0)
    budget = Budget(size)
    table = dict(entries(memoryview(file.read()), budget))
    types = _types(table.pop(b"", memoryview(b"")), budget)
    found: dict[str, Array] = {}
    texts: list[str] = []
    for message in table.values():
        for number, value in fields(message, budget):
            if number == 2:
                name, array = _saved_slice(inner(value), types, budget)
                if name in found:
                    raise Refusal(f"{plain(name)!r} is saved in slices", "save it in one piece")
                if array is None:
                    texts.append(name)
                else:
                    found[name] = array
    taken, notes = _taken(found, whole=whole)
    notes += [f"{plain(name)}: text, not a tensor" for name in texts]
    return _checkpoint(taken, "tensorflow-1", notes)


def _checkpoint(state: dict[str, Array], format_: str, notes: list[str]) -> Checkpoint:
    counters = frozenset(n for n in state if n.rpartition("/")[2] in _COUNTERS)
    buffers = buffers_by_convention(state) | counters
    return Checkpoint(state, buffers, format_, skipped=capped(notes))


def _taken(found: dict[str, Any], *, whole: bool) -> tuple[dict[str, Any], list[str]]:
    """Return what is taken of a checkpoint, by its name, and notes of what is not."""
    notes: list[str] = []
    taken: dict[str, Any] = {}
    for key, value in found.items():
        if isinstance(value, _Entry) and value.dtype == _TEXT:
            notes.append(f"{plain(key)}: text, not a tensor")
            continue
        owner, _, last = key.rpartition("/")
        name = key.removesuffix(_OBJECT)
        is_slot = _SLOT in key or name.startswith("optimizer/")
        is_slot |= last in _SLOTS and owner in found
        if not whole and is_slot:
            notes.append(f"{plain(name)}: optimizer state")
        elif not whole and name.rpartition("/")[2] in _COUNTERS:
            notes.append(f"{plain(name)}: a counter of the training")
        elif name in taken:
            raise Refusal(f"two tensors have the name {plain(name)!r}")
        else:
            taken[name] = value
    return taken, notes


def _text(key: bytes) -> str:
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError:
        # The key of a slice of a variable is bytes that order as the slices do.
        raise Refusal(
            f"holds a variable in slices (key {plain(key)})", "save it without partitions"
        ) from None


def _header(message: memoryview, budget: Budget) -> int:
    shards = 1
    for number, value in fields(message, budget):
        if number == 1 and isinstance(value, int):
            shards = value
        if number == 2 and value:
            raise Refusal("is a big-endian checkpoint", "load it with TensorFlow and save it again")
    if not 1 <= shards <= 99_999:
        raise Refusal(f"claims {plain(shards)} data files")
    return shards


def _entry(message: memoryview, budget: Budget) -> _Entry:
    plain_numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    shape: tuple[int, ...] = ()
    checksum, sliced = 0, False
    for number, value in fields(message, budget):
        if number in plain_numbers and isinstance(value, int):
            plain_numbers[number] = value
        elif number == 2:
            shape = _shape(inner(value), budget)
        elif number == 6:
            checksum = fixed32(value)
        elif number == 7:
            sliced = True
    dtype, shard, offset, size = plain_numbers.values()
    return _Entry(dtype, shape, shard, offset, size, checksum, sliced)


def _shape(message: memoryview, budget: Budget) -> tuple[int, ...]:
    sides: list[int] = []
    for number, value in fields(message, budget):
        if number == 2:
            side = 0
            for part, size in fields(inner(value), budget):
                if part == 1 and isinstance(size, int):
                    side = signed(size)
            sides.append(side)
        if number == 3 and value:
            raise Refusal("a tensor of it has no shape")
    if len(sides) > _MAX_DIMENSIONS or not all(0 <= side < 2**62 for side in sides):
        raise Refusal(f"a tensor of it has no shape of at most {_MAX_DIMENSIONS} dimensions")
    return tuple(sides)


def _dtype_name(name: str, number: int) -> str:
    if number not in _DTYPES or _DTYPES[number] not in DTYPES:
        raise Refusal(
            f"{plain(name)!r} has TensorFlow's element type {number}, which cannot be stored",
            "convert the variable and save again",
        )
    return _DTYPES[number]


def _shard(path: Path, number: int, count: int) -> BinaryIO:
    if number >= count:
        raise Refusal(f"names data file {number} of {count}", "the index is damaged")
    name = f"{path.stem}.data-{number:05d}-of-{count:05d}"
    try:
        return path.with_name(name).open("rb")
    except FileNotFoundError:
        raise Refusal(
            f"its data file {plain(name)} is not beside it", "fetch all files of the checkpoint"
        ) from None


def _array(name: str, entry: _Entry, file: BinaryIO) -> Array:
    dtype = DTYPES[_dtype_name(name, entry.dtype)]
    if entry.sliced:
        raise Refusal(f"{plain(name)!r} is saved in slices", "save it without partitions")
    size = byte_size(dtype, entry.shape)
    file_size = file.seek(0, 2)
    if size != entry.size or entry.offset + size > file_size:
        raise Refusal(
            f"{plain(name)!r} of shape {list(entry.shape)} claims {entry.size} bytes at "
            f"{entry.offset} of a data file of {file_size}, and needs {size}",
            "the data file is truncated, or belongs to another index",
        )
    file.seek(entry.offset)
    data = read_exactly(file, size, plain(name))
    check_sum(data, entry.checksum.to_bytes(4, "little"), name)
    return from_words(data.view(word_dtype(dtype)), dtype, entry.shape)


def _types(message: memoryview, budget: Budget) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Return element types and shapes by name, of the SavedTensorSliceMeta in version 1's head."""
    types: dict[str, tuple[int, tuple[int, ...]]] = {}
    metas = [inner(value) for number, value in fields(message, budget) if number == 1]
    tensors = [inner(v) for meta in metas for number, v in fields(meta, budget) if number == 1]
    for tensor in tensors:
        name, dtype = "", 0
        shape: tuple[int, ...] = ()
        for number, value in fields(tensor, budget):
            if number == 1:
                name = text(value)
            elif number == 2:
                shape = _shape(inner(value), budget)
            elif number == 3 and isinstance(value, int):
                dtype = value
        types[name] = (dtype, shape)
    return types


def _saved_slice(
    message: memoryview, types: dict[str, tuple[int, tuple[int, ...]]], budget: Budget
) -> tuple[str, Array | None]:
    name, tensor = "", memoryview(b"")
    for number, value in fields(message, budget):
        if number == 1:
            name = text(value)
        elif number == 2:
            for _, extent in fields(inner(value), budget):
                if len(inner(extent)):
                    raise Refusal(f"{plain(name)!r} is saved in slices", "save it in one piece")
        elif number == 3:
            tensor = inner(value)
    if name not in types:
        raise Refusal(f"{plain(name)!r} is not in the list of its tensors", "copy the file again")
    return name, _tensor_of(name, tensor, *types[name], budget)


def _tensor_of(
    name: str, message: memoryview, number: int, shape: tuple[int, ...], budget: Budget
) -> Array | None:
    """Return the array of a TensorProto, or None for one of text.

    Raises
    ------
    Refusal
        If it is malformed, has not the elements of its shape, or a type that cannot be stored.
    """
    found = fields(message, budget)
    parts = [(field, value) for field, value in found if field in (4, *_VALUES, *_INTEGERS)]
    if number == _TEXT:
        return None
    dtype = DTYPES[_dtype_name(name, number)]
    words = word_dtype(dtype)
    pieces = [_words(field, value, words, budget) for field, value in parts]
    data = np.concatenate(pieces) if pieces else np.empty(0, words)
    if byte_size(dtype, shape) != data.nbytes:
        raise Refusal(
            f"{plain(name)!r} of shape {list(shape)} has {data.nbytes} bytes, expected "
            f"{byte_size(dtype, shape)}",
            "copy the file again",
        )
    return from_words(data, dtype, shape)


def _words(field: int, value: Value, words: np.dtype[Any], budget: Budget) -> Any:
    """Return a part of the elements as words of their size."""
    if field == 4 or field in _VALUES:
        data = inner(value)
        if len(data) % words.itemsize:
            raise Refusal("a tensor of it has no whole number of elements")
        return np.frombuffer(data, words)
    found = numbers(value)
    budget.spend(40 * len(found))
    mask = 2 ** (8 * words.itemsize) - 1
    return np.array([n & mask for n in found], words)
