"""A decoder that is the pseudo-code of the text: clauses 4, 6, 7, 8 and 9, run as they stand.

What is not pseudo-code is here: reading a package with h5py, zipfile and json, and the functions
that the text takes from elsewhere, such as SHA-256 and BLAKE3, and from its own tables.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import math
import struct
import zipfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import h5py
import prose
import pseudocode
import zstandard
from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TYPES = {
    name.strip("`"): tuple(map(int, numbers))
    for name, *numbers, _ in prose.table(
        "spec/text/04-model.md",
        "| Name | Element, bits | Word, bits | Exponent, bits | Mantissa, bits | Element |",
    )
}
"""Bits of element, word, exponent and mantissa, by table 4-1."""

MODES = {
    int(byte): name.strip("`")
    for byte, name, *_ in prose.table(
        "spec/text/06-segment.md", "| Byte | Mode | Meaning | Key frame | Delta frame |"
    )
}
"""Modes by table 6-2."""

CODINGS = {
    profile.strip("`"): [coding.strip(" `") for coding in codings.split(",")]
    for profile, _, codings in prose.table(
        "spec/text/10-profiles.md", "| Profile | Modes | Entropy codings |"
    )
}
"""Codings of each profile, by clause 10.1."""

PROFILE_MODES = {
    profile.strip("`"): [mode.strip(" `") for mode in modes.split(",")]
    for profile, modes, _ in prose.table(
        "spec/text/10-profiles.md", "| Profile | Modes | Entropy codings |"
    )
}
"""Modes of each profile, by clause 10.1."""

SUBJECTS = ("frames", "coder", "freezing")
"""Marks of the blocks that are the program."""

COMPILED = compile(
    pseudocode.python("".join(map(pseudocode.code_of, SUBJECTS))), "spec/text", "exec"
)

ELSEWHERE: dict[str, Any] = {
    "BLAKE3": lambda data: blake3(bytes(data)).digest(),
    "F": lambda s: struct.pack("<I", len(s.encode())) + s.encode(),
    "LE": lambda x, n: int(x).to_bytes(n, "little"),
    "LE32": lambda x: struct.pack("<I", x),
    "LE64": lambda x: struct.pack("<Q", x),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
    "ascending": lambda a: sorted(a, key=lambda x: x.encode() if isinstance(x, str) else x),
    "decompress": lambda data: zstandard.ZstdDecompressor().decompress(data),
    "element_bits": lambda dtype: TYPES[dtype][0],
    "exponent_bits": lambda dtype: TYPES[dtype][2],
    "joined": b"".join,
    "mantissa_bits": lambda dtype: TYPES[dtype][3],
    "mode_name": MODES.__getitem__,
    "product": math.prod,
    "tag": lambda text: text.encode("ascii") + b"\0",
    "word_bits": lambda dtype: TYPES[dtype][1],
}
"""What the pseudo-code takes from tables and from other standards."""

RECORD = (
    "requires_grad",
    "requires_grad_known",
    "trained_from",
    "exclude_layers",
    "exclude_layers_count",
)
"""Columns of the training record that clause 9 has rules for."""


def members_of(path: Path) -> dict[str, bytes]:
    """Return the members of a package of either form."""
    if path.is_dir():
        files = [path / "manifest.h5", *sorted((path / "segments").glob("*.safetensors"))]
        return {f.relative_to(path).as_posix(): f.read_bytes() for f in files}
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def objects_of(manifest: bytes) -> dict[str, Any]:
    """Return the objects of a manifest by path; text is text."""
    found: dict[str, Any] = {}

    def take(name: str, node: Any) -> None:
        for attribute, value in node.attrs.items():
            found[f"/{name}@{attribute}"] = value
        if isinstance(node, h5py.Dataset):
            found[f"/{name}"] = node[()].tolist()

    with h5py.File(io.BytesIO(manifest), "r") as file:
        take("", file)
        file.visititems(take)
    return found


class TextDecoder:
    """The program of the text, over one package."""

    def __init__(self, path: Path) -> None:
        self._members = members_of(path)
        self._objects = objects_of(self._members["manifest.h5"])
        self._segments: dict[int, Mapping[str, bytes]] = {}
        names, dtypes = (self._texts(f"/model/tensors/{c}") for c in ("name", "dtype"))
        shapes = [[d for d in row if d >= 0] for row in self._objects["/model/tensors/shape"]]
        self.table = [
            SimpleNamespace(name=name, dtype=dtype, shape=shape, role=role, layer=layer)
            for name, dtype, shape, role, layer in zip(
                names,
                dtypes,
                shapes,
                self._objects["/model/tensors/role"],
                self._objects["/model/tensors/layer"],
                strict=True,
            )
        ]
        first = self._objects.get("/model/tensors/first_frame", [0] * len(names))
        self.scope = {
            **pseudocode.NOTATION,
            **ELSEWHERE,
            "S": len(self._objects.get("/refinements/start", [[]])[0]),
            "T": lambda t: sum(f <= t for f in first),
            "coding": self._objects["/frames/coding"],
            "codings": CODINGS[self._text("/@profile")],
            "profile_modes": PROFILE_MODES[self._text("/@profile")],
            "has_stream": lambda t, name: name in self._streams(t),
            "state": functools.cache(self.decode_to),
            "state_bytes": self._objects["/frames/state_bytes"],
            "stream": lambda t, name: self._streams(t)[name],
            "streams": lambda t: list(self._streams(t)),
            "table": self.table,
            **{name: self._objects.get(f"/training/{name}") for name in RECORD},
        }
        exec(COMPILED, self.scope)  # the text is our own
        for pure in ("lg", "stretch", "squash"):
            self.scope[pure] = functools.cache(self.scope[pure])

    def __len__(self) -> int:
        return len(self.scope["coding"])

    def _text(self, path: str) -> str:
        value = self._objects[path]
        return value.decode() if isinstance(value, bytes) else str(value)

    def _texts(self, path: str) -> list[str]:
        return [v.decode() if isinstance(v, bytes) else str(v) for v in self._objects[path]]

    def _streams(self, t: int) -> Mapping[str, bytes]:
        if t not in self._segments:
            data = self._members[f"segments/{t:08d}.safetensors"]
            size = int.from_bytes(data[:8], "little")
            header = json.loads(data[8 : 8 + size])
            body = data[8 + size :]
            self._segments[t] = {
                name: body[slice(*entry["data_offsets"])]
                for name, entry in header.items()
                if name != "__metadata__"
            }
        return self._segments[t]

    def decode(self, t: int, before: Mapping[int, Any]) -> dict[int, Any]:
        """Return the state of a frame, tensor by row, from that of the frame before."""
        state: dict[int, Any] = self.scope["decode_frame"](t, before)
        return state

    def decode_to(self, t: int) -> dict[int, Any]:
        """Return the state of a frame, decoded from its key frame on."""
        state: dict[int, Any] = self.scope["decode_to"](t)
        return state

    def refine(
        self, t: int, base: Mapping[int, Any], stops: list[dict[int, Any]]
    ) -> list[dict[int, Any]]:
        """Return the states of the stops above the base, from those of the frame before."""
        made: list[dict[int, Any]] = self.scope["refine_frame"](t, base, stops)
        return made

    def decode_stops(self, t: int) -> list[dict[int, Any]]:
        """Return the states of all stops of a frame, decoded from its key frame on."""
        stops: list[dict[int, Any]] = self.scope["decode_stops"](t)
        return stops

    def digest(self, state: Mapping[int, Any]) -> str:
        """Return the digest of a state."""
        tensors = {self.table[row].name: tensor for row, tensor in state.items()}
        found: bytes = self.scope["state_digest"](tensors)
        return found.hex()
