"""A Baseline decoder with nearly no checks: what can be read is read, and only states are compared.

It takes any ZIP, any HDF5 that the library reads, any text that looks like a header, any mode. A
vector that it accepts holds the very states that its digests name: no digest and no length stands
in for the check that is meant.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import math
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zstandard
from blake3 import blake3
from plain_decoder import ABSENT, BITS, INTEGER, RAW, SKIP, Tensor

_ENTRY = re.compile(rb'"([^"]*)"\s*:\s*\{[^{}]*"data_offsets"\s*:\s*\[([^\]]*)\]')
_UNTEXT = "surrogateescape"
_WIDE = 64
_NARROW = 3
"""Bits of a mode that a reader looks at who expects four of them."""
_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"
"""The end of the magic number of a skippable frame (RFC 8878, 3.1.2)."""


class Unreadable(Exception):  # noqa: N818 - nothing is wrong with this program
    """There is nothing that could be read."""


def decode(path: Path, frames: tuple[int, ...]) -> str:
    """Decode frames in each way that a decoder without checks may have.

    Returns
    -------
    str
        Empty where one way makes the states that the manifest names; else what came of the last.
    """
    wrong = ""
    for found, bits in itertools.product(_readings(path), (_WIDE, 32)):
        try:
            package = _Package(found, bits)
            states = [package.state(t) for t in frames]
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
            continue
        if all(_digest(s) == package.digests[t] for t, s in zip(frames, states, strict=True)):
            return ""
        wrong = "another state than its digest names"
    return wrong or "there are no members"


def _digest(state: dict[str, Tensor]) -> str:
    """Return the digest of a state; names are bytes, whether they are text or not."""
    body = b"nmc state 1\0" + struct.pack("<I", len(state))
    for name in sorted(state, key=lambda n: n.encode(errors=_UNTEXT)):
        tensor = state[name]
        raw, dtype = name.encode(errors=_UNTEXT), tensor.dtype.encode()
        head = b"nmc tensor 1\0" + struct.pack("<I", len(dtype)) + dtype
        head += struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        head += blake3(tensor.data).digest()
        body += struct.pack("<I", len(raw)) + raw + hashlib.sha256(head).digest()
    return hashlib.sha256(body).hexdigest()


class _Package:
    """The members of a package; ``bits`` is the width of the numbers of its reader."""

    def __init__(self, members: dict[str, bytes], bits: int) -> None:
        manifest = next((m for n, m in members.items() if n.casefold().endswith(".h5")), None)
        if manifest is None:
            raise Unreadable("no manifest")
        self.bits = bits
        self.segments = {_number(n): m for n, m in members.items() if _number(n) >= 0}
        with h5py.File(io.BytesIO(manifest), "r") as file:
            self.coding = file["/frames/coding"][()].tolist()
            self.digests = [row.tobytes().hex() for row in file["/frames/state_digest"][()]]
            table = file["/model/tensors"]
            self.names = _texts(table["name"])
            self.dtypes = _texts(table["dtype"])
            self.shapes = [tuple(d for d in row if d >= 0) for row in table["shape"][()].tolist()]

    def state(self, t: int) -> dict[str, Tensor]:
        """Return the state of a frame, made from the first one on: key frames end nothing."""
        rows: dict[int, Tensor] = {}
        for s in range(t + 1):
            rows = self._step(s, rows)
        return {self.names[i]: tensor for i, tensor in rows.items()}

    def _size(self, dtype: str, shape: tuple[int, ...]) -> int:
        """Return the bytes of a tensor, the last one filled up; the product wraps around."""
        elements = math.prod(shape) % (1 << self.bits)
        return (elements * BITS.get(dtype, 8) + 7) // 8

    def _step(self, t: int, before: dict[int, Tensor]) -> dict[int, Tensor]:
        streams = _streams(self.segments[t])
        shapes = _shapes(streams.get("shapes", b""), self.bits)
        made: dict[int, Tensor] = {}
        raw: dict[int, Tensor] = {}
        integer: dict[int, Tensor] = {}
        for i, mode in enumerate(streams.get("modes", bytes([SKIP]) * len(self.names))):
            if i >= len(self.names):
                break
            mode &= _NARROW if self.bits < _WIDE else 0xFF  # noqa: PLW2901 - as it is read
            shape = shapes.get(i, self.shapes[i])
            zeros = Tensor(self.dtypes[i], shape, b"")
            if mode == RAW:
                raw[i] = replace(zeros, data=bytes(self._size(self.dtypes[i], shape)))
            elif mode == INTEGER:
                size = self._size(self.dtypes[i], shape)
                integer[i] = before.get(i) or replace(zeros, data=bytes(size))
            elif mode != ABSENT and i in before:
                made[i] = before[i]
        for i, data in _cut("raw", streams, raw).items():
            made[i] = replace(raw[i], data=data)
        for i, data in _cut("integer", streams, integer).items():
            old = integer[i]
            made[i] = replace(old, data=_sum(old.dtype, old.data, data))
        return made


def _number(name: str) -> int:
    found = re.search(r"(\d+)\D*$", name) if "segments" in name.casefold() else None
    return int(found[1]) if found else -1


def _texts(column: Any) -> list[str]:
    return [v.decode("utf-8", _UNTEXT) for v in column[()].astype("S").tolist()]


def _readings(path: Path) -> list[dict[str, bytes]]:
    """Return the members of a directory, or of a ZIP by its local headers and by its directory."""
    if path.is_dir():
        files = [p for p in path.rglob("*") if p.is_file()]
        return [{p.relative_to(path).as_posix(): p.read_bytes() for p in files}]
    data = path.read_bytes()
    return [_by_headers(data), _by_directory(data)]


def _by_headers(data: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    at = data.find(b"PK\3\4")
    while 0 <= at <= len(data) - 30:
        name_size, extra_size = struct.unpack_from("<HH", data, at + 26)
        start = at + 30 + name_size + extra_size
        name = data[at + 30 : at + 30 + name_size].decode("utf-8", "replace")
        after = data.find(b"PK\3\4", start)
        end = after if after >= 0 else data.find(b"PK\1\2", start)
        if at + 42 + name_size <= len(data):
            size = struct.unpack_from("<Q", data, at + 34 + name_size)[0]
            end = min(start + size, end)
        found.setdefault(name, data[start:end])
        at = after
    return found


def _by_directory(data: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    at = data.find(b"PK\1\2")
    while 0 <= at <= len(data) - 46:
        name_size = struct.unpack_from("<H", data, at + 28)[0]
        name = data[at + 46 : at + 46 + name_size].decode("utf-8", "replace")
        size, _, header = struct.unpack_from("<QQQ", data.ljust(at + 128), at + 50 + name_size)
        if header + 30 <= len(data):
            start = header + 30 + sum(struct.unpack_from("<HH", data, header + 26))
            found.setdefault(name, data[start : start + size])
        at = data.find(b"PK\1\2", at + 4)
    return found


def _streams(data: bytes) -> dict[str, bytes]:
    """Return the streams of anything that looks like a header; the data is what ends the file."""
    entries = {}
    last = 0
    for match in _ENTRY.finditer(data):
        try:
            start, end = sorted(int(float(part)) for part in match[2].split(b","))
        except ValueError:
            continue
        entries[match[1].decode("utf-8", "replace")] = (start, end)
        last = match.end()
    size = int.from_bytes(data[:8], "little")
    body = (
        8 + size
        if last <= 8 + size <= len(data)
        else len(data) - max((end for _, end in entries.values()), default=0)
    )
    return {name: data[body + start : body + end] for name, (start, end) in entries.items()}


def _shapes(data: bytes, bits: int) -> dict[int, tuple[int, ...]]:
    """Return the shapes by row, each number as a reader of so many bits has it."""
    whole = np.frombuffer(data[: len(data) // 8 * 8], "<u8").tolist()
    words = [number % (1 << bits) for number in whole]
    shapes = {}
    while len(words) > 1:
        row, rank = words[:2]
        shapes[row], words = tuple(words[2 : 2 + rank]), words[2 + rank :]
    return shapes


def _cut(name: str, streams: dict[str, bytes], like: dict[int, Tensor]) -> dict[int, bytes]:
    """Return the bytes of each tensor of a stream, zeros where it has none."""
    sizes = {i: len(tensor.data) for i, tensor in like.items()}
    total = sum(sizes.values())
    if name in streams or f"{name}.zstd" not in streams:
        data, made = streams.get(name, b"").ljust(total, b"\0"), {}
        for i, size in sizes.items():
            made[i], data = data[:size], data[size:]
        return made
    data = _zstd(streams[f"{name}.zstd"], total).ljust(total, b"\0")
    planes = {i: bytearray(size) for i, size in sizes.items()}
    for k in range(7, -1, -1):
        for i, plane in planes.items():
            width = _width(like[i].dtype)
            if width > k:
                count = len(plane) // width
                plane[k::width], data = data[:count], data[count:]
    return {i: _unfolded(name, like[i].dtype, bytes(p)) for i, p in planes.items()}


def _zstd(data: bytes, size: int) -> bytes:
    """Return what is in the first frame that has any, of stored blocks and runs also behind others.

    Where there is no other one, it is a skippable frame.
    """
    at = data.find(_MAGIC[1:]) - 1
    if at < 0:
        return data[8:] if data[1:4] == _SKIPPABLE else data
    frame = bytearray(data[at:])
    frame[:4] = _MAGIC
    frame[4] &= 0b1111_0011  # no checksum, and no bit that is reserved
    flags = data[at + 4]
    single = flags >> 5 & 1
    where = at + 5 + (not single) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6]
    made = b""
    while where + 3 <= len(data):
        head = int.from_bytes(data[where : where + 3], "little")
        kind, length = head >> 1 & 3, head >> 3
        if kind == 2:
            reader = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
            return reader.decompress(bytes(frame))
        made += (
            data[where + 3 : where + 3 + length]
            if kind != 1
            else data[where + 3 : where + 4] * length
        )
        where += 3 + (1 if kind == 1 else length)
        if head & 1:
            break
    more = data[where:]
    return _zstd(more, size) if not made and more[:4] == _MAGIC else made[:size]


def _width(dtype: str) -> int:
    return 4 if dtype == "C64" else max(1, BITS.get(dtype, 8) // 8)


def _unfolded(stream: str, dtype: str, data: bytes) -> bytes:
    width = _width(dtype)
    x = np.frombuffer(data, f"<u{width}")
    one, top = x.dtype.type(1), x.dtype.type(8 * width - 1)
    if stream == "integer":
        return ((x >> one) ^ (~(x & one) + one)).tobytes()
    floating = dtype.startswith(("F", "BF", "C")) and not dtype.startswith(("F4", "F6", "F8_E8"))
    return ((x >> one) | (x << top)).tobytes() if floating else data


def _sum(dtype: str, before: bytes, difference: bytes) -> bytes:
    width = f"<u{_width(dtype)}"
    made: bytes = (np.frombuffer(before, width) + np.frombuffer(difference, width)).tobytes()
    return made
