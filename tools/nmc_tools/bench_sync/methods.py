"""How a state travels: messages of this program, and the layouts of others, as bytes in memory.

Each method is both ends of a line. What a peer's layout has beside the data, such as an index, is
counted too. Deltas of others do not say which state they build on; the checksums that their layouts
have are made and compared, where they have any.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import zstandard

import nmc
from nmc_format.dtypes import dtype_of, from_words, to_words
from nmc_tools.bridges import refit, sparse_patches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nmc.coding.arithmetic import Effort

    State = Mapping[str, np.ndarray[Any, Any]]


class Line(Protocol):
    """Both ends of a line, which have the same state before each frame."""

    def start(self, state: State) -> None:
        """Begin with a state that both ends have."""

    def send(self, state: State) -> bytes:
        """Return what travels for the next state."""

    def receive(self, data: bytes) -> State:
        """Return the state that came."""


class Messages:
    """Messages of this program; each end hashes what changed."""

    def __init__(self, effort: Effort) -> None:
        self._sender, self._receiver = nmc.Sender(effort=effort), nmc.Receiver()

    def start(self, state: State) -> None:
        """Begin with a key message."""
        self._receiver.receive(self._sender.send(state))

    def send(self, state: State) -> bytes:
        """Return a delta message."""
        return self._sender.send(state)

    def receive(self, data: bytes) -> State:
        """Return the state, compared with its digest."""
        return self._receiver.receive(data)  # type: ignore[return-value]


def _flat(array: np.ndarray[Any, Any]) -> refit.Bytes:
    return to_words(array).view(np.uint8)


class Peer:
    """A layout that codes tensor by tensor what changed.

    Parameters
    ----------
    encode, decode
        From new and old array to named parts, and from these and the old array to the new one.
    """

    def __init__(
        self,
        encode: Callable[[str, Any, Any], dict[str, Any]],
        decode: Callable[[str, Mapping[str, Any], Any], Any],
        *,
        checksum: refit.Checksum | None = None,
        index: Mapping[str, str] | None = None,
    ) -> None:
        self._encode, self._decode = encode, decode
        self._checksum, self._index = checksum, index
        self._sent: State = {}
        self._received: State = {}

    def start(self, state: State) -> None:
        """Begin with a state that both ends have."""
        self._sent = {name: array.copy() for name, array in state.items()}
        self._received = dict(self._sent)

    def send(self, state: State) -> bytes:
        """Return a safetensors file of what changed, and the index behind it."""
        from safetensors.numpy import save

        parts: dict[str, Any] = {}
        sums: dict[str, str] = {}
        kept = dict(self._sent)
        for name, array in state.items():
            if np.array_equal(_flat(array), _flat(self._sent[name])):
                continue
            parts |= self._encode(name, array, self._sent[name])
            kept[name] = array.copy()
            if self._checksum:
                sums[name] = refit.checksum_of(self._checksum, _flat(array))
        self._sent = kept
        data = save(parts, metadata=sums or None)
        if self._index is not None:
            index = {
                "metadata": self._index,
                "weight_map": dict.fromkeys(parts, "model.safetensors"),
            }
            data += json.dumps(index).encode()
        return data

    def receive(self, data: bytes) -> State:
        """Return the state, its checksums compared.

        Raises
        ------
        ValueError
            If a checksum differs.
        """
        from safetensors.numpy import load

        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        sums = header.pop("__metadata__", {})
        end = 8 + size + max(entry["data_offsets"][1] for entry in header.values())
        parts = load(data[:end])
        state = dict(self._received)
        for name in {n.removesuffix(".val").removesuffix(".idx") for n in parts}:
            state[name] = self._decode(name, parts, self._received[name])
            if (
                self._checksum
                and refit.checksum_of(self._checksum, _flat(state[name])) != sums[name]
            ):
                raise ValueError(f"the checksum of {name} differs")
        self._received = state
        return state


def _like(data: refit.Bytes, old: np.ndarray[Any, Any]) -> Any:
    return from_words(data.view(to_words(old).dtype), dtype_of(old), old.shape)


def _refit(encoding: refit.Encoding) -> Peer:
    def encode(name: str, new: Any, old: Any) -> dict[str, Any]:
        difference = refit.difference_of(Path(name), name, _flat(new), _flat(old), encoding)
        packed = zstandard.ZstdCompressor(level=1).compress(difference)
        return {name: np.frombuffer(packed, np.uint8)}

    def decode(name: str, parts: Mapping[str, Any], old: Any) -> Any:
        plain = zstandard.ZstdDecompressor().decompress(parts[name].data)
        return _like(refit.patched(Path(name), name, encoding, plain, _flat(old)), old)

    index = {
        "version": "000001",
        "base_version": "000000",
        "delta_encoding": encoding,
        "compression_format": "zstd",
        "checksum_format": "adler32",
    }
    return Peer(encode, decode, checksum="adler32", index=index)


def _trl() -> Peer:
    def encode(name: str, new: Any, old: Any) -> dict[str, Any]:
        now, before = to_words(new), to_words(old)
        places = np.flatnonzero(now != before)
        coded = sparse_patches.coded_places(places, "gap_delta")
        return {f"{name}.val": now[places], f"{name}.idx": coded}

    def decode(name: str, parts: Mapping[str, Any], old: Any) -> Any:
        words = to_words(old).copy()
        words[np.cumsum(parts[f"{name}.idx"].astype(np.int64) + 1) - 1] = parts[f"{name}.val"]
        return from_words(words, dtype_of(old), old.shape)

    return Peer(encode, decode)


class Z4ai:
    """One delta of the whole state, which is smaller than one for each tensor."""

    def __init__(self) -> None:
        import z4ai

        self._z4ai = z4ai
        self._sent = self._received = b""
        self._kinds: State = {}

    def start(self, state: State) -> None:
        """Begin with a state that both ends have."""
        self._kinds = state
        self._sent = self._received = _joined(state)

    def send(self, state: State) -> bytes:
        """Return the delta of all bytes."""
        now = _joined(state)
        data = bytes(self._z4ai.compress_delta(now, self._sent, dtype="bf16", threads=1))
        self._sent = now
        return data

    def receive(self, data: bytes) -> State:
        """Return the state."""
        self._received = bytes(self._z4ai.decompress_delta(data, self._received))
        state, at = {}, 0
        for name, old in self._kinds.items():
            plain = np.frombuffer(self._received, np.uint8, old.nbytes, at)
            state[name] = from_words(plain.view(to_words(old).dtype), dtype_of(old), old.shape)
            at += old.nbytes
        return state  # type: ignore[return-value]


def _joined(state: State) -> bytes:
    return b"".join(_flat(array).tobytes() for array in state.values())


LINES: dict[str, Callable[[], Line]] = {
    "overwrite, zstd (miles, ModelExpress)": partial(_refit, "overwrite"),
    "XOR, zstd (miles, ModelExpress)": partial(_refit, "xor"),
    "sparse patch, gaps (TRL)": _trl,
    "z4ai, delta": Z4ai,
    "nmc message, fast": partial(Messages, "fast"),
    "nmc message, strong": partial(Messages, "strong"),
    "nmc message, max": partial(Messages, "max"),
}
"""Every method by the name it has in tables; those of this project begin with ``nmc``."""

MODULES = {"z4ai, delta": "z4ai"}
"""Methods that are left out where their module is not installed."""
