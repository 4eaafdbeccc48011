"""The sparse variant: which cells are live, and a payload of their words alone (clause 8.7)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from nmc.coding.arithmetic import cells
from nmc.coding.arithmetic import sparse_words_kernel as kernels
from nmc.coding.arithmetic.cells import Indices, LiveCells
from nmc.coding.arithmetic.history import History, SparseWays
from nmc.coding.arithmetic.payload import Reader, join
from nmc.coding.arithmetic.tensors import CodedTensor
from nmc_format.dtypes import Words

_FEWEST = 2048
"""With fewer words than these, chances take more bytes than they save."""

Encode = Callable[[Sequence[CodedTensor], Sequence[Words], History], bytes]
Decode = Callable[[Reader, Sequence[CodedTensor], History], list[Words]]
DecodeSome = Callable[[Sequence[CodedTensor], History], dict[int, Words]]


def select(
    tensors: Sequence[CodedTensor], current: Sequence[Words], share: int
) -> list[LiveCells] | None:
    """Look which cells of each tensor are live; None where more than one word in share changed."""
    changes = [
        int(kernels.count_changes(tensor.reference, words))
        for tensor, words in zip(tensors, current, strict=True)
    ]
    count = sum(tensor.count for tensor in tensors)
    if count < _FEWEST or share * sum(changes) > count:
        return None
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
) -> bytes:
    """Encode the words in live cells; history moves on to this frame.

    Parameters
    ----------
    lives : sequence of LiveCells
        Those of `select`.
    encode_words : callable
        Makes the inner payload (clause 8.7.1).
    """
    parts = cells.encode(tensors, lives, history)
    indices = [None if live.every else live.words() for live in lives]
    inner, inside = _inner(tensors, indices, history)
    words = [_gather(new, some) for new, some in zip(current, indices, strict=True)]
    parts.append(encode_words(inner, words, inside))
    _remember(tensors, inner, indices, history, inside)
    return join(parts)


def decode(
    reader: Reader, tensors: Sequence[CodedTensor], history: History, decode_words: Decode
) -> list[Words]:
    """Decode all tensors; history moves on to this frame.

    Raises
    ------
    CoderError
        If the payload is malformed.
    """
    lives = cells.decode(reader, tensors, history)
    indices = [None if live.every else live.words() for live in lives]
    inner, inside = _inner(tensors, indices, history)
    decoded = decode_words(reader, inner, inside)
    _remember(tensors, inner, indices, history, inside)
    return [
        _scattered(tensor.reference, words, some)
        for tensor, words, some in zip(tensors, decoded, indices, strict=True)
    ]


def decode_some(
    reader: Reader,
    tensors: Sequence[CodedTensor],
    wanted: Collection[int],
    history: History,
    decode_words: DecodeSome,
) -> dict[int, Words]:
    """Decode some tensors, by index; history moves on to this frame for them.

    Parameters
    ----------
    wanted : collection of int
        Those of `cells.ragged` are among them.
    decode_words : callable
        Decodes them from the inner payload.

    Raises
    ------
    CoderError
        If the payload is malformed, as far as it is looked at.
    """
    lives = cells.decode(reader, tensors, history, wanted)
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
