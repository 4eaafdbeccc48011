"""Encodes one frame (chapter 6): a state, and the state before, make the bytes of a segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from nmc.coding import arithmetic, streams
from nmc.coding.decode import coded_tensor
from nmc.coding.state import digest_of
from nmc_format.segment import ABSENT, INTEGER, RAW, SKIP, serialize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from nmc.coding.arithmetic import History
    from nmc.coding.state import State, Tensor
    from nmc_format.dtypes import Words
    from nmc_format.manifest.tensors import TensorRow

Effort: TypeAlias = Literal["fast", "strong", "max"]
EFFORTS: tuple[Effort, ...] = ("fast", "strong", "max")

Entropy: TypeAlias = Literal["none", "zstd", "nmc"]
ENTROPIES: tuple[Entropy, ...] = ("none", "zstd", "nmc")

_SAMPLES = 4096
_FEWEST = 64

ZSTD_LEVELS = {"fast": 1, "strong": 7, "max": 19}


@dataclass(frozen=True)
class CodedFrame:
    """One coded frame.

    Attributes
    ----------
    delta : bool
        Whether it is a delta frame.
    pieces : list of bytes-like
        The bytes of the segment, in order.
    state_digest : bytes
        Digest of the state, 32 bytes.
    """

    delta: bool
    pieces: list[Buffer]
    state_digest: bytes

    @property
    def size(self) -> int:
        """Bytes of the segment."""
        return sum(memoryview(piece).nbytes for piece in self.pieces)


def encode_key(
    state: State, rows: Sequence[TensorRow], entropy: Entropy, effort: Effort
) -> CodedFrame:
    """Encode a key frame: every tensor raw (clause 6.2.2).

    Parameters
    ----------
    state : mapping of int to Tensor
        The state, by row.
    rows : sequence of TensorRow
        The tensor table up to this frame.
    entropy, effort
        How the raw stream is coded.
    """
    modes = np.full(len(rows), ABSENT, np.uint8)
    for row in state:
        modes[row] = RAW
    return _serialize(state, rows, modes, _raw(state, list(state), entropy, effort), None)


def encode_delta(
    state: State,
    before: State,
    rows: Sequence[TensorRow],
    entropy: Entropy,
    effort: Effort,
    history: History,
    parent: bytes,
) -> CodedFrame:
    """Encode a delta frame (clauses 6.2.2 and 8.2).

    Parameters
    ----------
    state, before : mapping of int to Tensor
        The states of this frame and of the one before. A tensor that is the same object in both
        is skipped without being looked at.
    history : History
        What the lossless coder remembers; changed by this call.
    parent : bytes
        Digest of the state before.
    """
    modes = np.full(len(rows), ABSENT, np.uint8)
    for row, tensor in state.items():
        modes[row] = _mode(tensor, before.get(row), entropy)
    history.keep({row for row in state if modes[row] != RAW})
    changed = [row for row in state if modes[row] == INTEGER]
    payloads = _raw(state, [row for row in state if modes[row] == RAW], entropy, effort)
    if any(state[row].words.size for row in changed):
        payloads |= _integer(state, before, rows, changed, entropy, effort, history)
    return _serialize(state, rows, modes, payloads, parent)


def _mode(tensor: Tensor, reference: Tensor | None, entropy: Entropy) -> int:
    if reference is tensor:
        return SKIP
    if reference is None or reference.shape != tensor.shape:
        return RAW
    if entropy != "none" and _is_unrelated(tensor.words, reference.words):
        return RAW
    return INTEGER


def _is_unrelated(words: Words, reference: Words) -> bool:
    """Whether differences are as large as the words, so that coding them gains nothing.

    Looks at some thousand words: more than half of the differences reach into the upper three
    sixteenths of the bits. Those of a fine-tuned tensor are far below.
    """
    stride = max(1, words.size // _SAMPLES)
    some, before = words[::stride], reference[::stride]
    distance = np.minimum(some - before, before - some)
    limit = 1 << (8 * words.itemsize * 13 // 16)
    return some.size >= _FEWEST and 2 * int((distance >= limit).sum()) > some.size


def _serialize(
    state: State,
    rows: Sequence[TensorRow],
    modes: np.ndarray[tuple[int], np.dtype[np.uint8]],
    payloads: dict[str, Buffer],
    parent: bytes | None,
) -> CodedFrame:
    shapes = {
        row: tensor.shape
        for row, tensor in state.items()
        if modes[row] == RAW and tensor.shape != rows[row].shape
    }
    digest = digest_of(state, rows)
    pieces = serialize(parent=parent, state=digest, modes=modes, shapes=shapes, payloads=payloads)
    return CodedFrame(parent is not None, pieces, digest)


def _raw(state: State, raw: Sequence[int], entropy: Entropy, effort: Effort) -> dict[str, Buffer]:
    tensors = [(state[row].dtype, state[row].words) for row in raw]
    size = sum(words.nbytes for _, words in tensors)
    if not size:
        return {}
    if entropy != "none":
        coded = streams.compress(tensors, ZSTD_LEVELS[effort], differences=False)
        if len(coded) < size:
            return {"raw.zstd": coded}
    return {"raw": streams.join([words for _, words in tensors])}


def _integer(
    state: State,
    before: State,
    rows: Sequence[TensorRow],
    changed: Sequence[int],
    entropy: Entropy,
    effort: Effort,
    history: History,
) -> dict[str, Buffer]:
    if entropy == "nmc":
        inputs = [coded_tensor(row, rows, before[row]) for row in changed]
        words = [state[row].words for row in changed]
        return {"integer.nmc": arithmetic.encode(inputs, words, history, effort)}
    differences: list[Words] = [
        np.subtract(state[row].words, before[row].words)  # unsigned: modulo 2^w (clause 8.2.1)
        for row in changed
    ]
    if entropy == "zstd":
        tensors = [(state[row].dtype, d) for row, d in zip(changed, differences, strict=True)]
        coded = streams.compress(tensors, ZSTD_LEVELS[effort], differences=True)
        if len(coded) < sum(d.nbytes for d in differences):
            return {"integer.zstd": coded}
    return {"integer": streams.join(differences)}
