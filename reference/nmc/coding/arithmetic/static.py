"""The static coder: tables sent with the frame, interleaved rANS (clause 8.6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import static_kernel as kernels
from nmc.coding.arithmetic import tables
from nmc.coding.arithmetic.history import History
from nmc.coding.arithmetic.payload import SPARE, Reader, check_rest, count_bytes, join
from nmc.coding.arithmetic.tensors import CodedTensor, CoderError, sections_of, widths_of
from nmc.coding.arithmetic.words import remember
from nmc_format.dtypes import Words

_SPARE_WORDS = 2 * kernels.LANES


def encode(tensors: Sequence[CodedTensor], current: Sequence[Words], history: History) -> bytes:
    """Encode all tensors, widths by widths; history moves on to this frame."""
    return join(
        part
        for section in sections_of(tensors)
        for part in _encode_section(
            [tensors[i] for i in section], [current[i] for i in section], history
        )
    )


def _encode_section(
    tensors: list[CodedTensor], current: list[Words], history: History
) -> list[bytes]:
    count = sum(tensor.count for tensor in tensors)
    if count == 0:
        return []
    context = np.empty(count, np.uint8)
    tokens = np.empty(count, np.uint8)
    octets = np.zeros(sum(tensor.reference.nbytes for tensor in tensors) + SPARE, np.uint8)
    scales = np.empty(len(tensors), "<u2")
    position = at = 0
    for i, (tensor, words) in enumerate(zip(tensors, current, strict=True)):
        widths = widths_of(tensor)
        before = history.entries_of(tensor)
        after = np.empty(tensor.count, np.uint16)
        total, number = remember(tensor.reference, words, widths, after)
        scales[i] = total // max(number, 1)
        part = slice(at, at + tensor.count)
        kernels.contexts(tensor.reference, before, widths, int(scales[i]), context[part])
        position = kernels.tokenize(
            tensor.reference, words, before, widths, tokens[part], octets, position
        )
        history.entries[tensor.row] = after
        at += tensor.count
    counts = np.zeros(kernels.CONTEXTS * kernels.TOKENS, np.uint32)
    kernels.histogram(context, tokens, counts)
    table, frequencies = tables.choose(counts.astype(np.int64).reshape(-1, kernels.TOKENS))
    words16 = np.empty(count + kernels.LANES, np.uint16)
    lanes = np.empty(kernels.LANES, np.uint64)
    place = kernels.rans_encode(
        context,
        tokens,
        tables.starts_of(frequencies).astype(np.uint16).reshape(-1),
        frequencies.astype(np.uint16).reshape(-1),
        words16,
        lanes,
    )
    coded = words16[place:].astype("<u2").tobytes()
    raw = octets[: (position + 7) // 8].tobytes()
    return [
        count_bytes(len(table)),
        count_bytes(len(coded) // 2),
        count_bytes(len(raw)),
        scales.tobytes(),
        lanes.astype("<u4").tobytes(),
        table,
        coded,
        raw,
    ]


def decode(reader: Reader, tensors: Sequence[CodedTensor], history: History) -> list[Words]:
    """Decode all tensors; history moves on to this frame.

    Raises
    ------
    CoderError
        If the payload is malformed.
    """
    decoded: list[Words] = [np.empty_like(tensor.reference) for tensor in tensors]
    for section in sections_of(tensors):
        _decode_section(
            reader, [tensors[i] for i in section], [decoded[i] for i in section], history
        )
    return decoded


def _decode_section(
    reader: Reader, tensors: list[CodedTensor], out: list[Words], history: History
) -> None:
    count = sum(tensor.count for tensor in tensors)
    if count == 0:
        return
    table_size, word_count, raw_size = reader.count(), reader.count(), reader.count()
    scales = np.frombuffer(reader.take(2 * len(tensors)), "<u2")
    lanes = np.frombuffer(reader.take(4 * kernels.LANES), "<u4").astype(np.uint64)
    tokens_known = tables.alphabet(tensors[0].bits, tensors[0].exponent_bits)
    frequencies = tables.parse(reader.octets(table_size), tokens_known)
    words16 = reader.words(word_count, _SPARE_WORDS)
    octets = reader.octets(raw_size)
    context = np.empty(count, np.uint8)
    at = 0
    for tensor, scale in zip(tensors, scales, strict=True):
        part = slice(at, at + tensor.count)
        kernels.contexts(
            tensor.reference,
            history.entries_of(tensor),
            widths_of(tensor),
            int(scale),
            context[part],
        )
        at += tensor.count
    tokens: NDArray[np.uint8] = np.empty(count, np.uint8)
    place = kernels.rans_decode(context, tokens, tables.lookup(frequencies), words16, lanes)
    if place != word_count or (lanes != kernels.FIRST_LANE).any():
        raise CoderError("the code words do not end where the tokens do")
    counts = kernels.raw_counts(tensors[0].bits, tensors[0].mantissa_bits)
    block = np.empty(kernels.BLOCK, np.uint64)
    position = at = 0
    for tensor, words in zip(tensors, out, strict=True):
        widths = widths_of(tensor)
        entries = history.entries_of(tensor)
        part = slice(at, at + tensor.count)
        position = kernels.detokenize(
            tensor.reference, words, entries, widths, tokens[part], counts, octets, position, block
        )
        if position == kernels.EXHAUSTED:
            raise CoderError(f"row {tensor.row}: the raw bits end early")
        if position == kernels.WRONG_WAY:
            reason = "a change leaves its range or is coded the long way"
            raise CoderError(f"row {tensor.row}: {reason}")
        after = np.empty(tensor.count, np.uint16)
        remember(tensor.reference, words, widths, after)
        history.entries[tensor.row] = after
        at += tensor.count
    if (position + 7) // 8 != raw_size:
        raise CoderError(f"{raw_size} bytes of raw bits, {(position + 7) // 8} used")
    check_rest(octets, position)
