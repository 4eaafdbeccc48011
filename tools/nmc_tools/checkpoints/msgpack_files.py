"""Reads the snapshots of instant-ngp: a msgpack document, by itself or in gzip (.msgpack, .ingp).

Format: https://github.com/msgpack/msgpack/blob/master/spec.md. Layout: instant-ngp src/testbed.cu
(`save_snapshot`) and tiny-cuda-nn trainer.h and optimizers (`serialize`). Decision 0026 says why
this does not use a library.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from nmc_tools.checkpoints.bounded_zip import BASE_DECODED_BYTES, MAX_EXPANSION
from nmc_tools.checkpoints.budget import Budget
from nmc_tools.checkpoints.checkpoint import Checkpoint, Refusal, capped, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc_format.dtypes import Array

_MAX_DEPTH = 48
_ENTRY = 100
_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_LENGTHS = {
    0xC4: (">B", "bin"), 0xC5: (">H", "bin"), 0xC6: (">I", "bin"),
    0xD9: (">B", "str"), 0xDA: (">H", "str"), 0xDB: (">I", "str"),
    0xDC: (">H", "array"), 0xDD: (">I", "array"), 0xDE: (">H", "map"), 0xDF: (">I", "map"),
}  # fmt: skip
_TYPES = {"__half": "<f2", "float": "<f4", "double": "<f8"}
_ELEMENTS = {
    "density_grid_binary": "<f2",
    "first_moments_binary": "<f4",
    "second_moments_binary": "<f4",
    "per_layer_second_moments_binary": "<f4",
    "param_steps_binary": "<u4",
}
"""Element types that a snapshot does not say, but the code that reads it does."""


def read_snapshot(file: BinaryIO, *, whole: bool) -> Checkpoint:
    """Read a snapshot: the parameters, the density grid, and all other binary parts.

    Names are the paths in the document, ``snapshot.params_binary``. The optimizer is left out;
    what else the document says is put into ``extra["snapshot"]``, and its scalars into
    ``scalars``.

    Parameters
    ----------
    file : binary file
        Seekable.
    whole : bool
        Whether the optimizer is taken too.

    Raises
    ------
    Refusal
        If it is malformed, exceeds the bounds, or is not a snapshot.
    """
    file_size = file.seek(0, 2)
    file.seek(0)
    data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = _decompressed(data, file_size)
    document = unpack(memoryview(data), Budget(file_size))
    snapshot = document.get("snapshot") if isinstance(document, dict) else None
    if not isinstance(snapshot, dict) or "params_binary" not in snapshot:
        raise Refusal(
            "is msgpack, but no snapshot of instant-ngp: it has no snapshot.params_binary",
            "load a Flax file with flax.serialization and save it as .safetensors",
        )
    state: dict[str, Array] = {}
    notes: list[str] = []
    if not whole and snapshot.pop("optimizer", None) is not None:
        notes.append("snapshot.optimizer: optimizer state")
    rest = _parted(document, "", snapshot, state)
    _check_grid(state.get("snapshot.density_grid_binary"), snapshot)
    figures = {
        f"snapshot.{n}": snapshot[n]
        for n in ("training_step", "loss")
        if isinstance(snapshot.get(n), int | float) and np.isfinite(snapshot[n])
    }
    return Checkpoint(
        state,
        frozenset(n for n in state if not n.endswith("params_binary")),
        "instant-ngp",
        skipped=capped(notes),
        extra={"snapshot": rest},
        scalars=figures,
    )


def _decompressed(data: bytes, file_size: int) -> bytes:
    limit = BASE_DECODED_BYTES + MAX_EXPANSION * file_size
    stream = zlib.decompressobj(wbits=31)
    try:
        content = stream.decompress(data, limit)
    except zlib.error as error:
        raise Refusal(f"its gzip data is damaged: {plain(error)}", "copy it again") from None
    if not stream.eof:
        why = f"holds more than {limit} bytes" if stream.unconsumed_tail else "ends too early"
        raise Refusal(f"its gzip data {why}", "the file is damaged; copy it again")
    return content


def _parted(node: Any, path: str, snapshot: Mapping[str, Any], state: dict[str, Array]) -> Any:
    """Return what is not a binary part, as JSON; the binary parts go into the state."""
    prefix = f"{path}." if path else ""
    if isinstance(node, dict):
        rest = {}
        for name, value in node.items():
            if isinstance(value, memoryview):
                state[prefix + name] = _array(name, value, snapshot)
            else:
                rest[name] = _parted(value, prefix + name, snapshot, state)
        return rest
    if isinstance(node, list):
        return [_parted(v, f"{prefix}{i}", snapshot, state) for i, v in enumerate(node)]
    if isinstance(node, memoryview):
        state[path] = np.frombuffer(node, np.uint8).copy()
        return None
    return str(node) if isinstance(node, float) and not np.isfinite(node) else node


def _array(name: str, value: memoryview, snapshot: Mapping[str, Any]) -> Array:
    type_ = _ELEMENTS.get(name, "|u1")
    if name == "params_binary":
        type_ = _TYPES.get(str(snapshot.get("params_type")), "|u1")
    dtype = np.dtype(type_)
    if len(value) % dtype.itemsize:
        raise Refusal(
            f"{plain(name)!r} has {len(value)} bytes, which are not whole elements of {dtype}",
            "the file is damaged; copy it again",
        )
    array = np.frombuffer(value, dtype).copy()
    count = snapshot.get("n_params")
    if name == "params_binary" and isinstance(count, int) and dtype != "u1" and count != len(array):
        raise Refusal(f"holds {len(array)} parameters, and says that there are {plain(count)}")
    return array


def _check_grid(grid: Array | None, snapshot: Mapping[str, Any]) -> None:
    size = snapshot.get("density_grid_size")
    if grid is None or not isinstance(size, int) or not 0 < size < 2**20:
        return
    if grid.size % size**3:  # type: ignore[union-attr]
        raise Refusal(
            f"its density grid has {grid.size} cells, "  # type: ignore[union-attr]
            f"which are not cascades of {size} cubed",
            "the file is damaged; copy it again",
        )


def unpack(data: memoryview, budget: Budget) -> Any:
    """Return one msgpack value; binary parts are views of the data.

    Raises
    ------
    Refusal
        If it is malformed, nests too deep, or claims more than it holds.
    """
    reader = _Reader(data, budget)
    value = reader.value(0)
    if reader.at != len(data):
        raise Refusal(f"has {len(data) - reader.at} bytes after its msgpack value")
    return value


class _Reader:
    def __init__(self, data: memoryview, budget: Budget) -> None:
        self.data, self.budget, self.at = data, budget, 0

    def take(self, count: int) -> memoryview:
        end = self.at + count
        if end > len(self.data):
            left = len(self.data) - self.at
            raise Refusal(
                f"its msgpack claims {count} bytes at byte {self.at}, {left} are left",
                "the file is truncated, or no msgpack; copy it again",
            )
        part, self.at = self.data[self.at : end], end
        return part

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise Refusal(f"its msgpack nests over {_MAX_DEPTH} deep")
        code = self.take(1)[0]
        if code <= 0x7F:
            return code
        if code >= 0xE0:
            return code - 256
        if code in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[code]
        if code in _NUMBERS:
            return self.number(_NUMBERS[code])
        if code <= 0xBF:
            kind = "map" if code <= 0x8F else "array" if code <= 0x9F else "str"
            return self.sized(kind, code & (0x1F if kind == "str" else 0x0F), depth)
        if code in _LENGTHS:
            form, kind = _LENGTHS[code]
            return self.sized(kind, self.number(form), depth)
        raise Refusal(f"its msgpack has the unexpected byte {code:#04x} at byte {self.at - 1}")

    def sized(self, kind: str, count: int, depth: int) -> Any:
        if kind == "bin":
            return self.take(count)
        self.budget.spend(count)
        if kind == "str":
            try:
                return str(self.take(count), "utf-8")
            except UnicodeDecodeError:
                raise Refusal("a text of its msgpack is not UTF-8") from None
        # Nothing is allocated for what is only claimed: an element takes a byte at least.
        if count * (2 if kind == "map" else 1) > len(self.data) - self.at:
            raise Refusal(f"its msgpack claims {count} entries, more than bytes are left")
        self.budget.spend(_ENTRY * count)
        if kind == "array":
            return [self.value(depth + 1) for _ in range(count)]
        entries: dict[str, Any] = {}
        for _ in range(count):
            name = self.value(depth + 1)
            if not isinstance(name, str) or name in entries:
                raise Refusal("a map of its msgpack has a name twice, or one that is not text")
            entries[name] = self.value(depth + 1)
        return entries
