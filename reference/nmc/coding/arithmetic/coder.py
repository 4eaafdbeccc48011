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
_TABLES = (STATIC, SPARSE)
"""Variants of effort *fast*, whose tables are sent."""
_ORDER = (*_TABLES, ADAPTIVE, DIVIDED, MIXED)
"""Variants from the least to the greatest."""
_VARIANTS: dict[str, int] = {"fast": STATIC, "strong": ADAPTIVE, "max": MIXED}
LARGE = 1 << 22
"""Words from which on variant 2 is divided; below, slots that are learnt once cost less."""
_HARD = 0.65
"""Share of the words from which on other variants are compared with the static one, which is
smaller where nothing can be foreseen; a chain of trained weights stays below."""
_TURNED = 1 / 64
"""Share of words that turn their sign from which on they are compared, too."""
_FEW = 1 << 16
"""Words below which they are compared in any case: learning takes more bytes than tables."""
_WORTH = 1 - 1 / 1024
"""Share of the bytes of a lesser variant that a greater one may take: less is gained than is lost
in the next frame, where the lesser one has nothing to go by."""
_SMALL_TENSORS = 1 / 128
"""Tensors a word from which on the static variant, of a chunk for each, takes more bytes."""
_SPARSE_SHARE = 3
"""Changed words alone can be smallest where at most one in so many changed."""
_ALONE_SHARES: dict[str, int] = {"fast": _SPARSE_SHARE, "strong": 10, "max": 10}
"""Nothing else is tried where at most one in so many changed. Variants 2 and 3 are smaller long
before they lose, at a tenth of the speed: with a fifth of BF16 words changed, by 4 %."""


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
        Chunks of the static variant, portions of the divided one, or pieces of the sparse one that
        are coded at the same time; the bytes are the same.

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

    stored = sum(tensor.reference.nbytes for tensor in tensors)
    found: list[_Coded] = []
    changes = sparse.count_changes(tensors, current)
    if sparse.is_sparse(tensors, changes, _SPARSE_SHARE):
        lives = sparse.live_cells(tensors, current, changes)
        next_history = history.copy()
        encode_words = partial(_encode_inner, threads=threads)
        body = sparse.encode(tensors, current, lives, next_history, encode_words, threads)
        if len(body) < stored:
            found.append(_Coded(SPARSE, [body], len(body), next_history))
    if not found or not sparse.is_sparse(tensors, changes, _ALONE_SHARES[effort]):
        found += _candidates(effort, tensors, current, history, threads)
    return _smallest(found, tensors, current, history)


def _encode_inner(
    tensors: Sequence[CodedTensor], current: Sequence[Words], history: History, threads: int
) -> bytes:
    """Return the payload within a sparse one (clause 8.7.1)."""
    stored = sum(tensor.reference.nbytes for tensor in tensors)
    found = [_body(STATIC, tensors, current, history, threads)] if stored else []
    return join(_smallest(found, tensors, current, history))


def _candidates(
    effort: Effort,
    tensors: Sequence[CodedTensor],
    current: Sequence[Words],
    history: History,
    threads: int,
) -> list[_Coded]:
    """Code every word by the variant of an effort, and by lesser ones where they can be smaller.

    So *max* is never larger than *strong*. Nothing is tried that cannot be smaller for all that is
    known: *fast* is, on words that cannot be foreseen, such as those that turned their sign.
    """
    from nmc.coding.arithmetic import sparse

    stored = sum(tensor.reference.nbytes for tensor in tensors)
    if not stored:
        return []
    found = [_body(_variant(effort, tensors), tensors, current, history, threads)]
    if effort == "max":
        found.append(_body(_variant("strong", tensors), tensors, current, history, threads))
    if found[0].variant == STATIC:
        return found
    few = sum(tensor.count for tensor in tensors) < _FEW
    hard = min(coded.size for coded in found) > _HARD * stored
    if few or hard or sparse.turned(tensors, current) > _TURNED:
        found.append(_body(STATIC, tensors, current, history, threads))
    return found


def _chosen(found: list[_Coded]) -> _Coded | None:
    """Return the smallest of some payloads, a greater variant only where that is worth it."""
    chosen: _Coded | None = None
    for coded in sorted(found, key=lambda c: (_ORDER.index(c.variant), c.size)):
        lesser = chosen is not None and chosen.variant in _TABLES and coded.variant in _TABLES
        if chosen is None or coded.size < chosen.size * (1 if lesser else _WORTH):
            chosen = coded
    return chosen


def _smallest(
    found: list[_Coded],
    tensors: Sequence[CodedTensor],
    current: Sequence[Words],
    history: History,
) -> list[Octets]:
    """Return the smallest payload in pieces: one of those found, or one of stored words."""
    coded = _chosen(found)
    if coded is not None and coded.size < sum(tensor.reference.nbytes for tensor in tensors):
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
        Chunks of the static variant, portions of the divided one, or pieces of the sparse one that
        are decoded at the same time; the words are the same.
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
        decoded = sparse.decode(reader, tensors, next_history, inner, threads)
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
