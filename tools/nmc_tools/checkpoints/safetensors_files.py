"""Reads and writes safetensors files: a length, a JSON header, and the bytes of the tensors.

The `safetensors` library checks the header (types, shapes, offsets without gaps or overlaps); the
bytes are then read straight into place, in the order in which the header names them.
Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import mmap
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from safetensors import SafetensorError, safe_open

from nmc_format.dtypes import DTYPES, byte_size, dtype_of, from_words, to_words, word_dtype
from nmc_tools.checkpoints.bounded_zip import Bytes, read_exactly
from nmc_tools.checkpoints.checkpoint import Checkpoint, Refusal, buffers_by_convention, plain
from nmc_tools.checkpoints.unreadable import refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from nmc_format.dtypes import Array, Dtype

Outline: TypeAlias = "tuple[Dtype, tuple[int, ...]]"
"""Element type and shape of a tensor."""
MAX_HEADER_BYTES = 100_000_000
"""Bytes of the JSON header, as the library has it."""
_SHARE = 4
"""The part of the memory that a file may take; a larger one is mapped."""


def read_safetensors(path: Path, file: BinaryIO) -> Checkpoint:
    """Read every tensor of a file.

    Parameters
    ----------
    path : Path
        The file, for the library.
    file : binary file
        The same file, open.

    Raises
    ------
    Refusal
        If the header is too large, malformed or does not agree with the file.
    OSError
        If it cannot be opened once more.
    """
    header = _header(file)
    try:
        with safe_open(path, framework="numpy") as checked:
            checked.keys()
    except (SafetensorError, OSError, ValueError) as error:
        path.open("rb").close()  # where the system gives no handle the file is not to blame
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise Refusal(
            f"its header is refused by the safetensors library: {plain(reason)}",
            "the file is damaged or truncated; copy it again",
        ) from None
    metadata = header.pop("__metadata__", None)
    if metadata and {"nmc", "state"} <= metadata.keys() and "modes" in header:
        raise refuse_foreign("package")
    start = file.tell()
    part = _parts_of(file)
    state: dict[str, Array] = {}
    for name, entry in header.items():
        dtype, shape = DTYPES.get(entry["dtype"]), tuple(entry["shape"])
        if dtype is None:
            raise Refusal(f"{plain(name)!r} has the unknown type {plain(entry['dtype'])}")
        data = part(start + entry["data_offsets"][0], byte_size(dtype, shape), plain(name))
        state[name] = from_words(data.view(word_dtype(dtype)), dtype, shape)
    extra = {"metadata": metadata} if metadata else {}
    return Checkpoint(state, buffers_by_convention(state), "safetensors", extra=extra)


def _parts_of(file: BinaryIO) -> Callable[[int, int, str], Bytes]:
    """Return what reads a part of a file; one that is large beside the memory is mapped.

    Whoever cuts a file while it is mapped ends the process; what is read is not changed any more.
    """
    from nmc.coding.scratch import memory_limit  # not needed by the process that reads HDF5

    size = file.seek(0, 2)
    if size > memory_limit() // _SHARE:
        mapped = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        return lambda first, count, _: mapped[first : first + count]

    def read(first: int, count: int, what: str) -> Bytes:
        file.seek(first)
        return read_exactly(file, count, what)

    return read


def _header(file: BinaryIO) -> dict[str, Any]:
    """Return the header; the library has no names in order, and lets a name stand twice."""
    file_size = file.seek(0, 2)
    file.seek(0)
    if file_size < 8:
        raise Refusal(f"has {file_size} bytes, a safetensors file at least 8", "copy it again")
    size = int.from_bytes(file.read(8), "little")
    if size > min(MAX_HEADER_BYTES, file_size - 8):
        raise Refusal(
            f"claims a header of {size} bytes; the file has {file_size}, and at most "
            f"{MAX_HEADER_BYTES} are read",
            "the file is truncated, or no safetensors file",
        )
    text = file.read(size)
    try:
        header = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"its header is not JSON: {plain(error)}", "copy the file again") from None
    if not isinstance(header, dict):
        raise Refusal("its header is not a JSON object", "the file is not a safetensors file")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise Refusal("its header names an entry twice", "the file is damaged")
    return entries


def write_safetensors(
    file: BinaryIO, state: Mapping[str, Array], metadata: Mapping[str, str] | None
) -> None:
    """Write tensors as :func:`write_tensors` does, which are all at hand.

    Parameters
    ----------
    file : binary file
        Where to write.
    state : mapping of str to Array
        The tensors.
    metadata : mapping of str to str, optional
        Content of ``__metadata__``.
    """
    outlines = {name: (dtype_of(array), array.shape) for name, array in state.items()}
    write_tensors(file, outlines, lambda names: {n: state[n] for n in names}, metadata)


def write_tensors(
    file: BinaryIO,
    outlines: Mapping[str, Outline],
    read: Callable[[list[str]], Mapping[str, Array]],
    metadata: Mapping[str, str] | None,
    most: int = 1 << 62,
) -> None:
    """Write tensors so that every reader finds them aligned, and named in the given order.

    Wider elements come first in the data, as the library does it, for torch refuses to view
    unaligned bytes; the header keeps the order of the outlines.

    Parameters
    ----------
    file : binary file
        Where to write.
    outlines : mapping of str to (Dtype, shape)
        The tensors.
    read : callable
        Returns some of them. What it returned is let go of before it is asked for more.
    metadata : mapping of str to str, optional
        Content of ``__metadata__``.
    most : int
        Bytes of the tensors that are asked for at a time, if these are more than one.
    """
    by_width = sorted(outlines, key=lambda name: -outlines[name][0].bits)
    offsets: dict[str, list[int]] = {}
    at = 0
    for name in by_width:
        size = byte_size(*outlines[name])
        offsets[name] = [at, at + size]
        at += size
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    for name, (dtype, shape) in outlines.items():
        header[name] = {
            "dtype": dtype.name,
            "shape": list(shape),
            "data_offsets": offsets[name],
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for names in _batches(by_width, offsets, most):
        _write_words(file, read(names), names)


def _batches(names: list[str], offsets: Mapping[str, list[int]], most: int) -> Iterator[list[str]]:
    """Yield the names in order, as many at a time as have so many bytes, but one at least."""
    batch: list[str] = []
    for name in names:
        if batch and offsets[name][1] - offsets[batch[0]][0] > most:
            yield batch
            batch = []
        batch.append(name)
    if batch:
        yield batch


def _write_words(file: BinaryIO, state: Mapping[str, Array], names: list[str]) -> None:
    file.writelines(to_words(state[name]).view("u1").data for name in names)
