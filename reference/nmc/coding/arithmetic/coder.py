"""Encoder and decoder of one delta frame's payload (clause 8.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from nmc.coding.arithmetic.history import History
from nmc.coding.arithmetic.payload import Reader, join
from nmc.coding.arithmetic.tensors import (
    CodedTensor,
    CoderError,
    check_current,
    check_tensors,
    settle,
    settled,
)
from nmc.coding.scratch import Octets
from nmc_format.dtypes import Words

Effort: TypeAlias = Literal["fast", "strong", "max"]

STORED, STATIC, ADAPTIVE, MIXED, SPARSE, DIVIDED = 0, 1, 2, 3, 4, 5
_VARIANTS: dict[str, int] = {"fast": STATIC, "strong": ADAPTIVE, "max": MIXED}
LARGE = 1 << 22
"""Words from which on variant 2 is divided; below, slots that are learnt once cost less."""
_HARD = 0.65
"""Share of the words from which on other variants are compared with the static one, which is
smaller where nothing can be foreseen; a chain of trained weights stays below."""
_SMALL_TENSORS = 1 / 128
"""Tensors a word from which on the static variant, of a chunk for each, takes more bytes."""
# Changed words alone are coded where at most one in so many changed. Variants 2 and 3 are smaller
# long before they lose, at a tenth of the speed: with a fifth of BF16 words changed, by 4 %.
_SPARSE_SHARES: dict[str, int] = {"fast": 3, "strong": 10, "max": 10}


def encode(
    tensors: Sequence[CodedTensor],
    current: Sequence[Words],
    history: History,
    effort: Effort = "strong",
    threads: int = 1,
) -> bytes:
    """Encode the words of one delta frame.

    Parameters
    ----------
    tensors : sequence of CodedTensor
        The tensors to code; one that is skipped in this frame is left out.
    current : sequence of ndarray
        Flat words of frame t, of the dtype and size of each tensor's reference.
    history : History
        Of the group; moves on to this frame.
    effort : {"fast", "strong", "max"}
        Static, adaptive or mixed coding. Where few words changed, those alone are coded (clause
        8.7). The payload falls back to stored words where that is smaller.
    threads : int
        Chunks of the static variant, or portions of the divided one, that are coded at the same
        time; the bytes are the same.

    Returns
    -------
    bytes
        The payload; the same on every machine.

    Raises
    ------
    CoderError
        If tensors and words do not fit together.
    """
    return join(encode_pieces(tensors, current, history, effort, threads))


def encode_pieces(
    tensors: Sequence[CodedTensor],
    current: Sequence[Words],
    history: History,
    effort: Effort,
    threads: int = 1,
) -> list[Octets]:
    """Encode as :func:`encode` does; return the payload in pieces, which are not copied."""
    check_tensors(tensors)
    check_current(tensors, current)
    tensors, current = settle(tensors), [settled(words) for words in current]
    from nmc.coding.arithmetic import sparse

    lives = sparse.select(tensors, current, _SPARSE_SHARES[effort])
    if lives is not None:
        next_history = history.copy()
        encode_words = partial(_encode_inner, threads=threads)
        body = sparse.encode(tensors, current, lives, next_history, encode_words)
        if len(body) < sum(tensor.reference.nbytes for tensor in tensors):
            forget_others(SPARSE, tensors, next_history)
            history.adopt(next_history)
            return [bytes([SPARSE]), body]
    return _encode_words(_variant(effort, tensors), tensors, current, history, threads)


def _encode_inner(
    tensors: Sequence[CodedTensor], current: Sequence[Words], history: History, threads: int
) -> bytes:
    """Return the payload within a sparse one (clause 8.7.1)."""
    return join(_encode_words(STATIC, tensors, current, history, threads))


def _encode_words(
    variant: int,
    tensors: Sequence[CodedTensor],
    current: Sequence[Words],
    history: History,
    threads: int,
) -> list[Octets]:
    """Return a payload of a variant but the sparse one, or of one that is smaller, in pieces."""
    stored = sum(tensor.reference.nbytes for tensor in tensors)
    if stored:
        coded = _body(variant, tensors, current, history, threads)
        if variant != STATIC and coded.size > _HARD * stored:
            static = _body(STATIC, tensors, current, history, threads)
            coded = min(coded, static, key=lambda c: c.size)
        if coded.size < stored:
            forget_others(coded.variant, tensors, coded.history)
            history.adopt(coded.history)
            return [bytes([coded.variant]), *coded.pieces]
    forget_others(STORED, tensors, history)
    order = [words.astype(words.dtype.newbyteorder("<"), copy=False) for words in current]
    return [bytes([STORED]), *(history.scratch.kept(words.view("u1").data) for words in order)]


def _variant(effort: Effort, tensors: Sequence[CodedTensor]) -> int:
    """Return the variant for an effort: that of many small tensors has no chunks for each."""
    words = sum(tensor.count for tensor in tensors)
    variant = _VARIANTS[effort]
    if variant == STATIC and _SMALL_TENSORS * words < sum(t.count > 0 for t in tensors):
        variant = ADAPTIVE
    return DIVIDED if variant == ADAPTIVE and words >= LARGE else variant


@dataclass(frozen=True)
class _Coded:
    """A body in pieces, what it takes, and the history after it."""

    variant: int
    pieces: list[Octets]
    size: float
    history: History


def _body(
    variant: int,
    tensors: Sequence[CodedTensor],
    current: Sequence[Words],
    history: History,
    threads: int,
) -> _Coded:
    """Encode the body of a variant, without a bound where it came to no end."""
    pieces: list[Octets] | None = None
    next_history = history.copy()
    if variant == STATIC:
        from nmc.coding.arithmetic import static_encode

        pieces = static_encode.encode(tensors, current, next_history, threads)
    elif variant == DIVIDED:
        from nmc.coding.arithmetic import divided

        pieces = divided.encode(tensors, current, next_history, threads)
    else:
        from nmc.coding.arithmetic import adaptive

        pieces = adaptive.encode(tensors, current, next_history, mixing=variant == MIXED)
    if pieces is None:
        return _Coded(variant, [], math.inf, next_history)
    return _Coded(variant, pieces, sum(map(len, pieces)), next_history)


def decode(
    payload: bytes | memoryview,
    tensors: Sequence[CodedTensor],
    history: History,
    threads: int = 1,
    release: Callable[[int], None] | None = None,
) -> list[Words]:
    """Decode the words of one delta frame.

    Parameters
    ----------
    payload : bytes or memoryview
        What encode returned.
    tensors : sequence of CodedTensor
        As they were for encode.
    history : History
        Of the group; moves on to this frame. What it is where an error is raised is not said.
    threads : int
        Chunks of the static variant, or portions of the divided one, that are decoded at the same
        time; the words are the same.
    release : callable or None
        Called with the index of a tensor whose reference is not needed any more, so that its
        memory can be used again.

    Returns
    -------
    list of ndarray
        Flat words of frame t, of the dtype and size of each tensor's reference.

    Raises
    ------
    CoderError
        If the payload is malformed. A damaged payload may also decode to wrong words: the state
        digest tells.
    """
    check_tensors(tensors)
    tensors = settle(tensors)
    reader = Reader(memoryview(payload).cast("B"))
    next_history = history.copy()
    variant = reader.byte()

    def done(i: int) -> None:
        if release is not None:
            tensors[i] = tensors[i].spent()
            release(i)

    if variant == SPARSE:
        from nmc.coding.arithmetic import sparse

        inner = partial(_decode_inner, threads=threads)
        decoded = sparse.decode(reader, tensors, next_history, inner)
    else:
        decoded = _decode_words(variant, reader, tensors, next_history, threads, done)
    reader.end()
    forget_others(variant, tensors, next_history)
    history.adopt(next_history)
    return decoded


def forget_others(variant: int, tensors: Sequence[CodedTensor], history: History) -> None:
    """Forget what other variants remember of the tensors (clause 8.3.3)."""
    rows = [tensor.row for tensor in tensors]
    if variant not in (STATIC, SPARSE):
        history.forget_ways(rows)
    if variant not in (ADAPTIVE, MIXED, DIVIDED):
        history.forget_entries(rows)


def _decode_inner(
    reader: Reader, tensors: Sequence[CodedTensor], history: History, threads: int
) -> list[Words]:
    """Decode the payload within a sparse one (clause 8.7.1)."""
    variant = reader.byte()
    if variant not in (STORED, STATIC):
        raise CoderError(f"an inner payload of variant {variant}; it is 0 or 1")
    return _decode_words(variant, reader, tensors, history, threads, lambda _: None)


def _decode_words(
    variant: int,
    reader: Reader,
    tensors: Sequence[CodedTensor],
    history: History,
    threads: int,
    done: Callable[[int], None],
) -> list[Words]:
    """Decode the body of any variant but the sparse one."""
    if variant == STORED:
        history.forget_ways(tensor.row for tensor in tensors)
        return _read_stored(reader, tensors)
    if variant == STATIC:
        from nmc.coding.arithmetic import static

        return static.decode(reader, tensors, history, threads, done)
    if variant in (ADAPTIVE, MIXED):
        from nmc.coding.arithmetic import adaptive

        return adaptive.decode(reader, tensors, history, done, mixing=variant == MIXED)
    if variant == DIVIDED:
        from nmc.coding.arithmetic import divided

        return divided.decode(reader, tensors, history, threads, done)
    raise CoderError(f"byte 0: coder variant {variant}; this decoder knows 0 to 5")


def _read_stored(reader: Reader, tensors: Sequence[CodedTensor]) -> list[Words]:
    decoded: list[Words] = []
    for tensor in tensors:
        dtype = tensor.reference.dtype
        data = reader.take(tensor.reference.nbytes)
        decoded.append(np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype))
    return decoded
