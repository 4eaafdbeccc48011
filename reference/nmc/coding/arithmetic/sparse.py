"""The sparse variant: which cells are live, and a payload of their words alone (clause 8.7)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from nmc.coding.arithmetic import cells
from nmc.coding.arithmetic import sparse_words_kernel as kernels
from nmc.coding.arithmetic.cells import Indices, LiveCells
from nmc.coding.arithmetic.history import History, SparseWays
from nmc.coding.arithmetic.payload import Reader, join
from nmc.coding.arithmetic.tensors import CodedTensor
from nmc.coding.threads import in_threads
from nmc_format.dtypes import Words

_FEWEST = 2048
"""With fewer words than these, chances take more bytes than they save."""

Encode = Callable[[Sequence[CodedTensor], Sequence[Words], History], bytes]
Decode = Callable[[Reader, Sequence[CodedTensor], History], list[Words]]
DecodeSome = Callable[[Sequence[CodedTensor], History], dict[int, Words]]


def count_changes(tensors: Sequence[CodedTensor], current: Sequence[Words]) -> list[int]:
    """Return how many words of each tensor differ."""
    return [
        int(kernels.count_changes(tensor.reference, words))
        for tensor, words in zip(tensors, current, strict=True)
    ]


def is_sparse(tensors: Sequence[CodedTensor], changes: Sequence[int], share: int) -> bool:
    """Return whether at most one word in share changed, of enough words."""
    count = sum(tensor.count for tensor in tensors)
    return count >= _FEWEST and share * sum(changes) <= count


def turned(tensors: Sequence[CodedTensor], current: Sequence[Words]) -> float:
    """Return the share of words whose first bit turned: of most numbers that is the sign."""
    count = sum(tensor.count for tensor in tensors)
    number = sum(
        int(kernels.count_turned(tensor.reference, words))
        for tensor, words in zip(tensors, current, strict=True)
    )
    return number / max(count, 1)


def live_cells(
    tensors: Sequence[CodedTensor], current: Sequence[Words], changes: Sequence[int]
) -> list[LiveCells]:
    """Look which cells of each tensor are live, so many words of which differ."""
    return [
        cells.live_cells(tensor, words, number)
        for tensor, words, number in zip(tensors, current, changes, strict=True)
    ]


def encode(
    tensors: Sequence[CodedTensor],
    current: Sequence[Words],
    lives: Sequence[LiveCells],
    history: History,
    encode_words: Encode,
    threads: int = 1,
) -> bytes:
    """Encode the words in live cells; history moves on to this frame.

    Parameters
    ----------
    lives : sequence of LiveCells
        Those of `live_cells`.
    encode_words : callable
        Makes the inner payload (clause 8.7.1).
    threads : int
        How many pieces are coded at the same time; the bytes are the same.
    """
    parts = cells.encode(tensors, lives, history, threads)
    indices = [None if live.every else live.words() for live in lives]
    inner, inside = _inner(tensors, indices, history)
    words = [_gather(new, some) for new, some in zip(current, indices, strict=True)]
    parts.append(encode_words(inner, words, inside))
    _remember(tensors, inner, indices, history, inside)
    return join(parts)


def decode(
    reader: Reader,
    tensors: Sequence[CodedTensor],
    history: History,
    decode_words: Decode,
    threads: int = 1,
) -> list[Words]:
    """Decode all tensors, so many pieces at the same time; history moves on to this frame.

    Raises
    ------
    CoderError
        If the payload is malformed.
    """
    lives = cells.decode(reader, tensors, history, threads=threads)
    indices = [None if live.every else live.words() for live in lives]
    inner, inside = _inner(tensors, indices, history)
    decoded = decode_words(reader, inner, inside)
    _remember(tensors, inner, indices, history, inside)

    def put_back(i: int) -> None:
        decoded[i] = _scattered(tensors[i].reference, decoded[i], indices[i])

    in_threads([partial(put_back, i) for i in range(len(tensors))], threads)
    return decoded


def decode_some(
    reader: Reader,
    tensors: Sequence[CodedTensor],
    wanted: Collection[int],
    history: History,
    decode_words: DecodeSome,
    threads: int = 1,
) -> dict[int, Words]:
    """Decode some tensors, by index; history moves on to this frame for them.

    Parameters
    ----------
    wanted : collection of int
        Those of `cells.ragged` are among them.
    decode_words : callable
        Decodes them from the inner payload.
    threads : int
        How many pieces are decoded at the same time.

    Raises
    ------
    CoderError
        If the payload is malformed, as far as it is looked at.
    """
    lives = cells.decode(reader, tensors, history, wanted, threads)
    indices = {i: None if lives[i].every else lives[i].words() for i in wanted}
    inside = history.copy()
    inner = []
    for i, (tensor, live) in enumerate(zip(tensors, lives, strict=True)):
        some = indices.get(i)
        if live.every:
            inner.append(tensor)
        elif some is None:
            inner.append(_resized(tensor, min(live.cells.size * live.size, tensor.count)))
        else:
            inner.append(_among(tensor, some))
            inside.ways[tensor.row] = history.ways_at(tensor, some)
    decoded = decode_words(inner, inside)
    known = list(indices)
    _remember(
        [tensors[i] for i in known],
        [inner[i] for i in known],
        [indices[i] for i in known],
        history,
        inside,
    )
    return {
        i: _scattered(tensors[i].reference, decoded[i], some)
        if inner[i].count
        else tensors[i].reference
        for i, some in indices.items()
    }


def _resized(tensor: CodedTensor, count: int) -> CodedTensor:
    """Return a tensor of so many words, none of which is looked at."""
    nothing = np.broadcast_to(np.zeros(1, tensor.reference.dtype), count)
    return replace(tensor, shape=(count,), reference=nothing)


def _among(tensor: CodedTensor, some: Indices) -> CodedTensor:
    """Return a tensor of some of its words alone."""
    reference = _gather(tensor.reference, some)
    return replace(tensor, shape=reference.shape, reference=reference)


def _inner(
    tensors: Sequence[CodedTensor], indices: Sequence[Indices | None], history: History
) -> tuple[list[CodedTensor], History]:
    """Return the coded tensors of the inner payload, and their history."""
    inside = history.copy()
    inner = []
    for tensor, some in zip(tensors, indices, strict=True):
        if some is None:
            inner.append(tensor)
            continue
        inner.append(_among(tensor, some))
        inside.ways[tensor.row] = history.ways_at(tensor, some)
    return inner, inside


def _remember(
    tensors: Sequence[CodedTensor],
    inner: Sequence[CodedTensor],
    indices: Sequence[Indices | None],
    history: History,
    inside: History,
) -> None:
    """Let a history move on as that of the inner payload did."""
    history.adopt(inside)
    for tensor, part, some in zip(tensors, inner, indices, strict=True):
        if some is not None:
            ways = inside.ways_of(part)
            kept = ways != 0
            history.ways[tensor.row] = SparseWays(tensor.count, some[kept], ways[kept])


def _gather(words: Words, indices: Indices | None) -> Words:
    if indices is None:
        return words
    out = np.empty(indices.size, words.dtype)
    kernels.gather(words, indices, out)
    return out


def _scattered(reference: Words, words: Words, indices: Indices | None) -> Words:
    if indices is None:
        return words
    out = reference.copy()
    kernels.scatter(words, indices, out)
    return out
