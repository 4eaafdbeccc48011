"""The static coder: tables sent with the frame, interleaved rANS (clause 8.6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import static_kernel as kernels
from nmc.coding.arithmetic import tables
from nmc.coding.arithmetic.history import History
from nmc.coding.arithmetic.payload import SPARE, Reader, check_rest, count_bytes, join
from nmc.coding.arithmetic.planes import CoderError, Plane, Words, groups_of, layout_of
from nmc.coding.arithmetic.words import remember

_SPARE_WORDS = 2 * kernels.LANES


def encode(planes: Sequence[Plane], current: Sequence[Words], history: History) -> bytes:
    """Encode all planes, layout by layout; history moves on to this frame."""
    return join(
        part
        for group in groups_of(planes)
        for part in _encode_group([planes[i] for i in group], [current[i] for i in group], history)
    )


def _encode_group(planes: list[Plane], current: list[Words], history: History) -> list[bytes]:
    count = sum(plane.count for plane in planes)
    if count == 0:
        return []
    context = np.empty(count, np.uint8)
    tokens = np.empty(count, np.uint8)
    octets = np.zeros(sum(plane.reference.nbytes for plane in planes) + SPARE, np.uint8)
    scales = np.empty(len(planes), "<u2")
    position = at = 0
    for i, (plane, words) in enumerate(zip(planes, current, strict=True)):
        layout = layout_of(plane)
        before = history.changes_of(plane)
        after = np.empty(plane.count, np.uint16)
        total, number = remember(plane.reference, words, layout, after)
        scales[i] = total // max(number, 1)
        part = slice(at, at + plane.count)
        kernels.contexts(plane.reference, before, layout, int(scales[i]), context[part])
        position = kernels.tokenize(
            plane.reference, words, before, layout, tokens[part], octets, position
        )
        history.changes[plane.row] = after
        at += plane.count
    counts = np.zeros(kernels.CONTEXTS * kernels.TOKENS, np.uint32)
    kernels.histogram(context, tokens, counts)
    table, sizes = tables.choose(counts.astype(np.int64).reshape(-1, kernels.TOKENS))
    words16 = np.empty(count + kernels.LANES, np.uint16)
    states = np.empty(kernels.LANES, np.uint64)
    place = kernels.rans_encode(
        context,
        tokens,
        tables.starts_of(sizes).astype(np.uint16).reshape(-1),
        sizes.astype(np.uint16).reshape(-1),
        words16,
        states,
    )
    coded = words16[place:].astype("<u2").tobytes()
    raw = octets[: (position + 7) // 8].tobytes()
    return [
        count_bytes(len(table)),
        count_bytes(len(coded) // 2),
        count_bytes(len(raw)),
        scales.tobytes(),
        states.astype("<u4").tobytes(),
        table,
        coded,
        raw,
    ]


def decode(reader: Reader, planes: Sequence[Plane], history: History) -> list[Words]:
    """Decode all planes; history moves on to this frame.

    Raises
    ------
    CoderError
        If the payload is malformed.
    """
    decoded: list[Words] = [np.empty_like(plane.reference) for plane in planes]
    for group in groups_of(planes):
        _decode_group(reader, [planes[i] for i in group], [decoded[i] for i in group], history)
    return decoded


def _decode_group(reader: Reader, planes: list[Plane], out: list[Words], history: History) -> None:
    count = sum(plane.count for plane in planes)
    if count == 0:
        return
    table_size, word_count, raw_size = reader.count(), reader.count(), reader.count()
    scales = np.frombuffer(reader.take(2 * len(planes)), "<u2")
    states = np.frombuffer(reader.take(4 * kernels.LANES), "<u4").astype(np.uint64)
    tokens_known = tables.alphabet(planes[0].bits, planes[0].exponent_bits)
    sizes = tables.parse(reader.octets(table_size), tokens_known)
    words16 = reader.words(word_count, _SPARE_WORDS)
    octets = reader.octets(raw_size)
    context = np.empty(count, np.uint8)
    at = 0
    for plane, scale in zip(planes, scales, strict=True):
        part = slice(at, at + plane.count)
        kernels.contexts(
            plane.reference, history.changes_of(plane), layout_of(plane), int(scale), context[part]
        )
        at += plane.count
    tokens: NDArray[np.uint8] = np.empty(count, np.uint8)
    place = kernels.rans_decode(context, tokens, tables.lookup(sizes), words16, states)
    if place != word_count or (states != kernels.FIRST_STATE).any():
        raise CoderError("the code words do not end where the tokens do")
    counts = kernels.raw_counts(planes[0].bits, planes[0].mantissa_bits)
    block = np.empty(kernels.BLOCK, np.uint64)
    position = at = 0
    for plane, words in zip(planes, out, strict=True):
        layout = layout_of(plane)
        changes = history.changes_of(plane)
        part = slice(at, at + plane.count)
        position = kernels.detokenize(
            plane.reference, words, changes, layout, tokens[part], counts, octets, position, block
        )
        if position == kernels.EXHAUSTED:
            raise CoderError(f"row {plane.row}: the raw bits end early")
        if position == kernels.WRONG_WAY:
            reason = "a change leaves its range or is coded the long way"
            raise CoderError(f"row {plane.row}: {reason}")
        after = np.empty(plane.count, np.uint16)
        remember(plane.reference, words, layout, after)
        history.changes[plane.row] = after
        at += plane.count
    if (position + 7) // 8 != raw_size:
        raise CoderError(f"{raw_size} bytes of raw bits, {(position + 7) // 8} used")
    check_rest(octets, position)
