"""Reads safetensors files strictly: what a program under test hands over is not trusted either.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from math import prod
from typing import TYPE_CHECKING, Any

from nmc_conformance.digests import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BITS: Mapping[str, int] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""Bits of an element, by type (clause 4.3.1)."""

MAX_HEADER_BYTES = 100_000_000
MAX_FILE_BYTES = 1 << 30


class OutputError(Exception):
    """A file is not what the protocol wants; says why."""


def read(path: Path) -> dict[str, Tensor]:
    """Read every tensor of a file.

    Raises
    ------
    OutputError
        If the file is missing, malformed, or has gaps or overlaps.
    """
    if path.is_symlink() or not path.is_file():
        raise OutputError(f"{path.name} is missing or no regular file")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise OutputError(f"{path.name} has {size} bytes")
    return parse(path.read_bytes(), path.name)


def parse(data: bytes, name: str) -> dict[str, Tensor]:
    """Read the bytes of a file; `name` is for messages."""
    if len(data) < 8:
        raise OutputError(f"{name} has {len(data)} bytes, a safetensors file at least 8")
    size = int.from_bytes(data[:8], "little")
    if size > min(MAX_HEADER_BYTES, len(data) - 8):
        raise OutputError(f"{name} ends within its header of {size} bytes")
    header = _header(data[8 : 8 + size], name)
    body = memoryview(data)[8 + size :]
    state: dict[str, Tensor] = {}
    spans: list[tuple[int, int]] = []
    for key, entry in header.items():
        dtype, shape, start, end = _entry(key, entry, name)
        if not 0 <= start <= end <= len(body):
            raise OutputError(f"{name}: {key!r} lies outside of the file")
        if prod(shape) * BITS[dtype] != 8 * (end - start):
            raise OutputError(f"{name}: {key!r} has {end - start} bytes, its shape needs others")
        spans.append((start, end))
        state[key] = Tensor(dtype, shape, bytes(body[start:end]))
    at = 0
    for start, end in sorted(spans):
        if start != at:
            raise OutputError(f"{name}: there is a gap or an overlap at byte {at} of the data")
        at = end
    if at != len(body):
        raise OutputError(f"{name}: {len(body) - at} bytes belong to no tensor")
    return state


def _header(text: bytes, name: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise OutputError(f"{name}: the header names an entry twice")
        return made

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise OutputError(f"{name}: the header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise OutputError(f"{name}: the header is not a JSON object")
    header.pop("__metadata__", None)
    return header


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _entry(key: str, entry: Any, name: str) -> tuple[str, tuple[int, ...], int, int]:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [start, end]} if (
            dtype in BITS and all(map(_is_count, [*shape, start, end]))
        ):
            return dtype, tuple(shape), start, end
    raise OutputError(f"{name}: the entry of {key!r} is malformed")


def write(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state, such as an encoder is given."""
    header: dict[str, Any] = {}
    at = 0
    for name, tensor in state.items():
        end = at + len(tensor.data)
        shape = list(tensor.shape)
        header[name] = {"dtype": tensor.dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in state.values():
            file.write(tensor.data)
