"""The encoder of the static variant (clause 8.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import static_encode_kernel as encoding
from nmc.coding.arithmetic import static_kernel as kernels
from nmc.coding.arithmetic import tables
from nmc.coding.arithmetic.history import History, PackedWays
from nmc.coding.arithmetic.payload import SPARE, count_bytes
from nmc.coding.arithmetic.static_chunk_kernel import COLUMN_BIT, LINE_BIT, MIDDLE, STEP
from nmc.coding.arithmetic.tensors import CodedTensor, lines_of, sections_of
from nmc.coding.scratch import Octets, Scratch
from nmc.coding.threads import in_threads, parts_of
from nmc_format.dtypes import Words

NO_OFFSETS = np.empty(0, np.int16)
_UNCOUNTED = np.empty(0, np.uint32)
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
    expectation: Expectation
    next_ways: PackedWays


_Pair: TypeAlias = tuple[CodedTensor, Words]


def encode(
    tensors: Sequence[CodedTensor], current: Sequence[Words], history: History, threads: int = 1
) -> list[Octets]:
    """Encode all tensors, word format by word format; history moves on to this frame.

    Parameters
    ----------
    threads : int
        How many chunks are coded at the same time; the bytes are the same.

    Returns
    -------
    list of bytes or memoryview
        The body of the payload, in pieces.
    """
    parts: list[Octets] = []
    for section in sections_of(tensors):
        pairs = [(tensors[i], current[i]) for i in section if tensors[i].count]
        if pairs:
            parts += _encode_section(pairs, history, threads)
        for i in section:
            if not tensors[i].count:
                history.ways[tensors[i].row] = np.empty(0, np.uint8)
    return parts


def _encode_section(pairs: list[_Pair], history: History, threads: int) -> list[Octets]:
    heads = _describe(pairs, threads, history.scratch)
    chunks = [(head, first) for head in heads for first in chunk_starts(head.tensor)]
    chosen = tables.choose(_count(chunks, history, threads))
    coded: list[tuple[Octets, ...]] = [(b"", b"", b"")] * len(chunks)

    def encode_some(part: slice) -> None:
        work = _Workspace(history)
        for k in range(part.start, part.stop):
            coded[k] = tuple(map(history.scratch.kept, _encode_chunk(*chunks[k], chosen, work)))

    in_threads([partial(encode_some, part) for part in parts_of(len(chunks), threads)], threads)
    parts: list[Octets] = [count_bytes(len(chosen.data))]
    ahead = iter(coded)
    for head in heads:
        parts.append(head.data)
        history.ways[head.tensor.row] = head.next_ways
        for _, (_, code, raw) in zip(chunk_starts(head.tensor), ahead, strict=False):
            parts += [count_bytes(len(code) // 4), count_bytes(len(raw))]
    return [*parts, chosen.data, *chain.from_iterable(coded)]


def _describe(pairs: list[_Pair], threads: int, scratch: Scratch) -> list[_Head]:
    """Choose the expected extents of the tensors of a section."""
    spans = [
        (k, lines)
        for k, (tensor, _) in enumerate(pairs)
        for lines in _line_ranges(*lines_of(tensor.shape))
    ]
    found: dict[int, _Extents] = {}

    def look(part: slice) -> None:
        for n in range(part.start, part.stop):
            k, lines = spans[n]
            found[n] = _Extents.of(*pairs[k], lines)

    in_threads([partial(look, part) for part in parts_of(len(spans), threads)], threads)
    own: list[list[_Extents]] = [[] for _ in pairs]
    for n, (k, _) in enumerate(spans):
        own[k].append(found[n])
    return [_head(*pair, extents, scratch) for pair, extents in zip(pairs, own, strict=True)]


def _line_ranges(lines: int, length: int) -> list[range]:
    """Return the lines of a tensor in ranges of about a chunk."""
    step = max(1, kernels.CHUNK // length)
    return [range(at, min(at + step, lines)) for at in range(0, lines, step)]


@dataclass(frozen=True)
class _Extents:
    """Sums of the extents of some lines of a tensor, and of the number of words that changed.

    Attributes
    ----------
    total, number : int
    columns, lines : int64[n, 2]
        Of each column, and of each of the lines; empty where offsets are not thought of.
    """

    total: int
    number: int
    columns: NDArray[np.int64]
    lines: NDArray[np.int64]

    @classmethod
    def of(cls, tensor: CodedTensor, words: Words, lines: range) -> _Extents:
        """Look at some lines of a tensor."""
        all_lines, length = lines_of(tensor.shape)
        part = slice(lines.start * length, min(lines.stop * length, tensor.count))
        extent = np.empty(part.stop - part.start, np.uint16)
        parameters = Expectation.of(tensor, 0).parameters
        total, number = encoding.extents(tensor.reference[part], words[part], parameters, extent)
        matrix = len(tensor.shape) > 1 and length >= _SHORTEST_LINE and all_lines > 1
        by_column = np.zeros((length if matrix else 0, 2), np.int64)
        by_line = np.zeros((len(lines) if matrix else 0, 2), np.int64)
        if matrix:
            encoding.sums(extent, length, by_column, by_line)
        return cls(int(total), int(number), by_column, by_line)


def _head(tensor: CodedTensor, words: Words, found: list[_Extents], scratch: Scratch) -> _Head:
    number = sum(extents.number for extents in found)
    scale = sum(extents.total for extents in found) // max(number, 1)
    columns = lines = NO_OFFSETS
    if found[0].lines.size:
        columns = _worthy(np.sum([extents.columns for extents in found], axis=0), scale)
        lines = _worthy(np.concatenate([extents.lines for extents in found]), scale)
    kind = COLUMN_BIT * (columns.size > 0) | LINE_BIT * (lines.size > 0)
    data = bytes([kind]) + scale.to_bytes(2, "little")
    data += _offset_bytes(columns) + _offset_bytes(lines)
    expectation = Expectation.of(tensor, scale, columns * _STEP, lines * _STEP)
    return _Head(tensor, words, data, expectation, PackedWays.of(tensor.count, scratch))


class _Workspace:
    """Space for one chunk, one for each thread; and the history, which nobody changes meanwhile."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.contexts = np.empty(kernels.CHUNK, np.uint8)
        self.tokens = np.empty(kernels.CHUNK, np.uint8)
        self.next_ways = np.empty(kernels.CHUNK, np.uint8)


def _tokenize(head: _Head, first: int, work: _Workspace, counts: NDArray[np.uint32]) -> None:
    """Find the tokens of a chunk, which are added to counts unless that is empty.

    They are found twice, once to count them: to keep them would take half as much memory as the
    words.
    """
    last = min(head.tensor.count, first + kernels.CHUNK)
    encoding.tokenize(
        head.tensor.reference,
        head.words,
        work.history.ways_part(head.tensor, first, last),
        first,
        head.expectation.columns,
        head.expectation.lines,
        head.expectation.parameters,
        work.contexts[: last - first],
        work.tokens[: last - first],
        work.next_ways[: last - first],
        counts,
    )


def _count(
    chunks: Sequence[tuple[_Head, int]], history: History, threads: int
) -> NDArray[np.uint32]:
    """Count the tokens of all chunks in each context."""
    parts = parts_of(len(chunks), threads)
    counts = np.zeros((len(parts), kernels.CONTEXTS * kernels.TOKENS), np.uint32)

    def count(k: int) -> None:
        work = _Workspace(history)
        for head, first in chunks[parts[k]]:
            _tokenize(head, first, work, counts[k])

    in_threads([partial(count, k) for k in range(len(parts))], threads)
    total: NDArray[np.uint32] = counts.sum(axis=0, dtype=np.uint32)
    return total


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
    if not offsets.size:
        return b""
    padded = np.zeros(offsets.size + offsets.size % 2, np.uint8)
    padded[: offsets.size] = offsets + np.int16(MIDDLE)
    return (padded[::2] | padded[1::2] << 4).tobytes()


def _encode_chunk(
    head: _Head, first: int, chosen: tables.Chosen, work: _Workspace
) -> tuple[bytes, bytes, bytes]:
    """Return the lanes, the code words and the raw bits of a chunk."""
    tensor = head.tensor
    _tokenize(head, first, work, _UNCOUNTED)
    part = slice(first, min(tensor.count, first + kernels.CHUNK))
    words = part.stop - first
    contexts, tokens = work.contexts[:words], work.tokens[:words]
    counts, masks = kernels.raw_bits(tensor.bits, tensor.mantissa_bits)
    raw = np.empty(words * tensor.bits // 8 + SPARE, np.uint8)
    length = encoding.write_raw(
        tensor.reference[part],
        head.words[part],
        head.expectation.parameters,
        contexts,
        tokens,
        chosen.bases,
        chosen.frequencies,
        counts,
        masks,
        raw,
        work.next_ways[:words],
    )
    head.next_ways.put(first, work.next_ways[:words])
    lanes = np.empty(lanes_of(words), np.uint64)
    code = np.empty(4 * (words + lanes.size), np.uint8)
    place = encoding.write_code(
        contexts, tokens, chosen.bases, chosen.starts, chosen.frequencies, code, lanes
    )
    states = lanes.astype("<u8").view(np.uint8).reshape(-1, 8)[:, : kernels.LANE_BYTES]
    return states.tobytes(), code[place:].tobytes(), raw[: (length + 7) // 8].tobytes()
