"""A small Baseline decoder for the tests of the runner: numpy, h5py, and the text of the standard.

It checks what protects a state (lengths, links, digests) and little else of a manifest, so it
passes every conforming Baseline package and only part of the refusals. The wrong decoders beside it
are this one with a fault.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from blake3 import blake3

ABSENT, SKIP, RAW, INTEGER = range(4)
BITS = {
    **dict.fromkeys(["F4"], 4),
    **dict.fromkeys(["F6_E2M3", "F6_E3M2"], 6),
    **dict.fromkeys(["I16", "U16", "F16", "BF16"], 16),
    **dict.fromkeys(["I32", "U32", "F32"], 32),
    **dict.fromkeys(["C64", "F64", "I64", "U64"], 64),
}
"""Bits of an element; 8 where the type is not listed."""


class RejectedError(Exception):
    """The package is refused."""


class UnsupportedError(Exception):
    """The package is of a profile that this program does not have."""


@dataclass(frozen=True)
class Tensor:
    """Type, shape and bytes of a tensor."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass
class Package:
    """Members by name, and the objects of the manifest."""

    members: dict[str, bytes]
    objects: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with h5py.File(io.BytesIO(self.members["manifest.h5"]), "r") as file:
            self._take("", file)
            file.visititems(self._take)

    def _take(self, name: str, node: Any) -> None:
        for attribute, value in node.attrs.items():
            self.objects[f"/{name}@{attribute}"] = value
        if isinstance(node, h5py.Dataset):
            self.objects[f"/{name}"] = node[()]

    def text(self, path: str) -> str:
        """Return a scalar text."""
        value = self.objects[path]
        return value.decode() if isinstance(value, bytes) else str(value)

    def texts(self, path: str) -> list[str]:
        """Return a column of texts."""
        return [v.decode() if isinstance(v, bytes) else str(v) for v in self.objects[path].tolist()]


def read_members(path: Path) -> dict[str, bytes]:
    """Return the members of either form (clauses 5.1.1 and 5.2.1)."""
    if path.is_dir():
        files = [path / "manifest.h5", *sorted((path / "segments").glob("*.safetensors"))]
        return {f.relative_to(path).as_posix(): f.read_bytes() for f in files}
    data = path.read_bytes()
    count, _, at = struct.unpack("<QQQ", data[-98 + 32 : -98 + 56])
    members = {}
    for _ in range(count):
        size_of_name, size_of_extra = struct.unpack_from("<HH", data, at + 28)
        name = data[at + 46 : at + 46 + size_of_name].decode("ascii")
        size, _, header = struct.unpack_from("<QQQ", data, at + 50 + size_of_name)
        start = header + 30 + sum(struct.unpack_from("<HH", data, header + 26))
        members[name] = data[start : start + size]
        at += 46 + size_of_name + size_of_extra
    return members


def size_of(dtype: str, shape: tuple[int, ...]) -> int:
    """Return the bytes of a tensor (clause 4.3.3)."""
    return int(np.prod(shape, dtype=object)) * BITS.get(dtype, 8) // 8


def digest_of(state: dict[str, Tensor]) -> str:
    """Return the digest of a state (clause 4.5.2)."""

    def framed(text: str) -> bytes:
        return struct.pack("<I", len(text.encode())) + text.encode()

    body = b"nmc state 1\0" + struct.pack("<I", len(state))
    for name in sorted(state, key=str.encode):
        t = state[name]
        head = b"nmc tensor 1\0" + framed(t.dtype) + struct.pack("<I", len(t.shape))
        head += b"".join(struct.pack("<Q", d) for d in t.shape)
        body += framed(name) + hashlib.sha256(head + blake3(t.data).digest()).digest()
    return hashlib.sha256(body).hexdigest()


class Decoder:
    """Decodes the frames of one package in order; a fault can be put in by name."""

    def __init__(self, path: Path, fault: str = "") -> None:
        self.package = Package(read_members(path))
        self.fault = fault
        if self.package.text("/@profile") != "baseline":
            raise UnsupportedError
        self.coding = self.package.objects["/frames/coding"].tolist()
        digests = self.package.objects["/frames/state_digest"]
        self.digests = [row.tobytes().hex() for row in digests]
        self.names = self.package.texts("/model/tensors/name")
        self.dtypes = self.package.texts("/model/tensors/dtype")
        shapes = self.package.objects["/model/tensors/shape"].tolist()
        self.shapes = [tuple(d for d in row if d >= 0) for row in shapes]
        first = self.package.objects.get("/model/tensors/first_frame", np.zeros(len(self.names)))
        self.first = first.tolist()

    def frame(self, t: int) -> dict[str, Tensor]:
        """Return the state of a frame, verified."""
        start = max(s for s in range(t + 1) if self.coding[s] == 0)
        rows: dict[int, Tensor] = {}
        for s in range(start, t + 1):
            rows = self._step(s, rows)
        state = {self.names[i]: tensor for i, tensor in rows.items()}
        unchecked = self.fault in {"accept-all", "digest-unchecked"}
        if not unchecked and digest_of(state) != self.digests[t]:
            raise RejectedError("decoding/state-digest-mismatch")
        return state

    def _streams(self, t: int) -> dict[str, bytes]:
        data = self.package.members[f"segments/{t:08d}.safetensors"]
        if len(data) != self.package.objects["/frames/segment_length"][t]:
            raise RejectedError("segment/length")
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        links = header.pop("__metadata__")
        parent = self.digests[t - 1] if self.coding[t] else None
        if self.fault != "accept-all":
            if links["state"] != self.digests[t]:
                raise RejectedError("decoding/segment-state-mismatch")
            if links.get("parent") != parent:
                raise RejectedError("decoding/parent-digest-mismatch")
        body = data[8 + size :]
        return {n: body[slice(*entry["data_offsets"])] for n, entry in header.items()}

    def _step(self, t: int, before: dict[int, Tensor]) -> dict[int, Tensor]:
        streams = self._streams(t)
        records = np.frombuffer(streams.get("shapes", b""), "<u8").tolist()
        shapes = {}
        while records:
            row, rank = records[:2]
            shapes[row], records = tuple(records[2 : 2 + rank]), records[2 + rank :]
        raw, integer = io.BytesIO(streams.get("raw", b"")), io.BytesIO(streams.get("integer", b""))
        made = {}
        for i, mode in enumerate(streams["modes"]):
            if self.first[i] > t:
                raise RejectedError("segment/stream-length")
            if mode == SKIP:
                made[i] = before[i]
            elif mode == RAW:
                shape = shapes.get(i, self.shapes[i])
                made[i] = Tensor(self.dtypes[i], shape, raw.read(size_of(self.dtypes[i], shape)))
            elif mode == INTEGER:
                old = before[i]
                made[i] = Tensor(old.dtype, old.shape, self._add(old, integer.read(len(old.data))))
            elif mode != ABSENT:
                raise RejectedError("segment/mode")
        return made

    def _add(self, old: Tensor, difference: bytes) -> bytes:
        """Return the words of a tensor after a difference (clause 8.2.1), or a fault instead."""
        width = 4 if old.dtype == "C64" else max(1, BITS.get(old.dtype, 8) // 8)
        x, y = np.frombuffer(old.data, f"<u{width}"), np.frombuffer(difference, f"<u{width}")
        if self.fault == "delta-ignored":
            return old.data
        made = x + y
        if self.fault == "delta-twice":
            made = x + y + y
        if self.fault == "float" and old.dtype == "F32":
            with np.errstate(all="ignore"):
                step = made.view("<f4") - x.view("<f4")
                made = (x.view("<f4") + step).astype("<f4").view("<u4")
        data: bytes = made.tobytes()
        return data


def write(path: Path, state: dict[str, Tensor]) -> None:
    """Write a state as a safetensors file."""
    header, at = {}, 0
    for name, t in state.items():
        end = at + len(t.data)
        header[name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    body = b"".join(t.data for t in state.values())
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


DESCRIPTION = {
    "protocol": 1,
    "name": "plain",
    "version": "1",
    "profiles": ["baseline"],
    "levels": [1, 2, 3, 4],
    "features": ["hdf5"],
}


def main(arguments: list[str], fault: str = "") -> int:
    """Carry out one request of the protocol; return the exit status."""
    if arguments[:1] == ["describe"]:
        print(json.dumps({**DESCRIPTION, "name": fault or "plain"}))
        return 0
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    output = Path(options["--output"])
    try:
        decoder = Decoder(Path(options["--input"]), fault)
        for t in map(int, options["--frames"].split(",")):
            state = decoder.frame(t)
            if fault == "previous-frame" and t:
                state = decoder.frame(t - 1)
            write(output / f"frame_{t:08d}.safetensors", state)
    except UnsupportedError:
        return 3
    except Exception as error:  # whatever is wrong refuses the package
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
