"""The encoder of the static variant (clause 8.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import static_encode_kernel as encoding
from nmc.coding.arithmetic import static_kernel as kernels
from nmc.coding.arithmetic import tables
from nmc.coding.arithmetic.history import History
from nmc.coding.arithmetic.payload import SPARE, count_bytes, join
from nmc.coding.arithmetic.static_chunk_kernel import COLUMN_BIT, LINE_BIT, MIDDLE, STEP
from nmc.coding.arithmetic.tensors import CodedTensor, lines_of, sections_of
from nmc_format.dtypes import Words

NO_OFFSETS = np.empty(0, np.int16)
_SHORTEST_LINE = 16  # words; shorter ones are not worth offsets
_STEP = np.int16(STEP)
_PRIOR = 4  # words of the mean extent that every line and column is thought to have besides
_WORTH = 160  # sum of squared offsets over the words of a line or column that pays for its offset


@dataclass(frozen=True)
class Expectation:
    """What is sent of the extents of a tensor's changes (clause 8.6.2).

    Attributes
    ----------
    parameters : int64[PARAMETERS]
        Word format, scale and line length, as the kernels take them.
    columns, lines : int16[n]
        Offsets of the columns and lines, in eighths of an octave; empty where there are none.
    """

    parameters: NDArray[np.int64]
    columns: NDArray[np.int16]
    lines: NDArray[np.int16]

    @classmethod
    def of(
        cls,
        tensor: CodedTensor,
        scale: int,
        columns: NDArray[np.int16] = NO_OFFSETS,
        lines: NDArray[np.int16] = NO_OFFSETS,
    ) -> Expectation:
        """Prepare a scale and offsets in eighths of an octave; offsets can be missing."""
        length = 1
        if columns.size or lines.size:
            length = lines_of(tensor.shape)[1]
        if columns.size and not lines.size and length < kernels.BATCH:
            # repeated until one line is as long as a batch, so that loops over lines pay
            times = -(-kernels.BATCH // length)
            length, columns = length * times, np.tile(columns, times)
        numbers = (tensor.bits, tensor.exponent_bits, tensor.mantissa_bits, scale, length)
        return cls(np.array(numbers, np.int64), columns, lines)


def lanes_of(words: int) -> int:
    """Return how many lanes a chunk of so many words has (clause 8.6.4)."""
    return kernels.LANES if words >= kernels.MANY else 1


def chunk_starts(tensor: CodedTensor) -> range:
    """Return the first words of the chunks of a tensor."""
    return range(0, tensor.count, kernels.CHUNK)


@dataclass(frozen=True)
class _Head:
    """What is sent of a tensor before its chunks, and what it leads to."""

    tensor: CodedTensor
    words: Words
    data: bytes
    contexts: NDArray[np.uint8]
    tokens: NDArray[np.uint8]
    ways: NDArray[np.uint8]


def encode(tensors: Sequence[CodedTensor], current: Sequence[Words], history: History) -> bytes:
    """Encode all tensors, word format by word format; history moves on to this frame."""
    parts: list[bytes] = []
    for section in sections_of(tensors):
        if any(tensors[i].count for i in section):
            pairs = [(tensors[i], current[i]) for i in section if tensors[i].count]
            parts += _encode_section(pairs, history)
        for i in section:
            if not tensors[i].count:
                history.ways[tensors[i].row] = np.empty(0, np.uint8)
    return join(parts)


def _encode_section(pairs: list[tuple[CodedTensor, Words]], history: History) -> list[bytes]:
    counts = np.zeros(kernels.CONTEXTS * kernels.TOKENS, np.uint32)
    heads = [_describe(tensor, words, history, counts) for tensor, words in pairs]
    chosen = tables.choose(counts)
    parts = [b""]
    bodies: list[bytes] = []
    for head in heads:
        parts.append(head.data)
        for first in chunk_starts(head.tensor):
            lanes, code, raw = _encode_chunk(head, first, chosen)
            parts += [count_bytes(len(code) // 4), count_bytes(len(raw))]
            bodies += [lanes, code, raw]
    parts[0] = count_bytes(len(chosen.data))
    return [*parts, chosen.data, *bodies]


def _describe(
    tensor: CodedTensor, words: Words, history: History, counts: NDArray[np.uint32]
) -> _Head:
    """Choose the expected extents of a tensor and find its tokens, which are added to counts."""
    extent = np.empty(tensor.count, np.uint16)
    parameters = Expectation.of(tensor, 0).parameters
    total, number = encoding.extents(tensor.reference, words, parameters, extent)
    scale = int(total) // max(int(number), 1)
    columns, lines = _offsets(tensor, extent, scale)
    kind = COLUMN_BIT * (columns.size > 0) | LINE_BIT * (lines.size > 0)
    data = bytes([kind]) + scale.to_bytes(2, "little")
    data += _offset_bytes(columns) + _offset_bytes(lines)
    expectation = Expectation.of(tensor, scale, columns * _STEP, lines * _STEP)
    contexts = np.empty(tensor.count, np.uint8)
    tokens = np.empty(tensor.count, np.uint8)
    next_ways = np.empty(tensor.count, np.uint8)
    encoding.tokenize(
        tensor.reference,
        words,
        history.ways_of(tensor),
        expectation.columns,
        expectation.lines,
        expectation.parameters,
        contexts,
        tokens,
        next_ways,
        counts,
    )
    history.ways[tensor.row] = next_ways
    return _Head(tensor, words, data, contexts, tokens, next_ways)


def _offsets(
    tensor: CodedTensor, extent: NDArray[np.uint16], scale: int
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return the offsets of columns and lines that are worth their bytes."""
    lines, length = lines_of(tensor.shape)
    if len(tensor.shape) < 2 or length < _SHORTEST_LINE or lines < 2:
        return NO_OFFSETS, NO_OFFSETS
    by_column = np.zeros((length, 2), np.int64)
    by_line = np.zeros((lines, 2), np.int64)
    encoding.sums(extent, length, by_column, by_line)
    return _worthy(by_column, scale), _worthy(by_line, scale)


def _worthy(sums: NDArray[np.int64], scale: int) -> NDArray[np.int16]:
    """Return how far the mean extent of each line is from the scale; nothing if that is little."""
    total, number = sums[:, 0], sums[:, 1]
    weight = number + _PRIOR
    offsets = np.clip((total - scale * number + weight) // (2 * weight), -MIDDLE, MIDDLE - 1)
    if int((number * offsets * offsets).sum()) < _WORTH * number.size:
        return NO_OFFSETS
    made: NDArray[np.int16] = offsets.astype(np.int16)
    return made


def _offset_bytes(offsets: NDArray[np.int16]) -> bytes:
    padded = np.zeros(offsets.size + offsets.size % 2, np.uint8)
    padded[: offsets.size] = offsets + np.int16(MIDDLE)
    return (padded[::2] | padded[1::2] << 4).tobytes()


def _encode_chunk(head: _Head, first: int, chosen: tables.Chosen) -> tuple[bytes, bytes, bytes]:
    """Return the lanes, the code words and the raw bits of a chunk."""
    tensor = head.tensor
    words = min(tensor.count - first, kernels.CHUNK)
    counts, masks = kernels.raw_bits(tensor.bits, tensor.mantissa_bits)
    raw = np.empty(words * tensor.bits // 8 + SPARE, np.uint8)
    length = encoding.write_raw(
        tensor.reference,
        head.words,
        first,
        Expectation.of(tensor, 0).parameters,
        head.contexts,
        head.tokens,
        chosen.bases,
        chosen.frequencies,
        counts,
        masks,
        raw,
        head.ways,
    )
    lanes = np.empty(lanes_of(words), np.uint64)
    code = np.empty(4 * (words + lanes.size), np.uint8)
    place = encoding.write_code(
        head.contexts,
        head.tokens,
        first,
        chosen.bases,
        chosen.starts,
        chosen.frequencies,
        code,
        lanes,
    )
    states = lanes.astype("<u8").view(np.uint8).reshape(-1, 8)[:, : kernels.LANE_BYTES]
    return states.tobytes(), code[place:].tobytes(), raw[: (length + 7) // 8].tobytes()
