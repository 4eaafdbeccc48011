"""The static coder: tables sent with the frame, chunks of interleaved rANS (clause 8.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import static_kernel as kernels
from nmc.coding.arithmetic import tables
from nmc.coding.arithmetic.history import History
from nmc.coding.arithmetic.payload import Reader
from nmc.coding.arithmetic.tensors import CodedTensor, CoderError, lines_of, sections_of
from nmc_format.dtypes import Words

NO_OFFSETS = np.empty(0, np.int16)
MIDDLE = 8  # the offset that is nothing
STEP = 2  # eighths of an octave in one step of an offset
_OFFSETS = np.array([(i % 16, i // 16) for i in range(256)], np.int16)
_OFFSETS = (_OFFSETS - np.int16(MIDDLE)) * np.int16(STEP)
"""The two offsets of each byte, in eighths of an octave."""
_FAULTS = {
    kernels.LANE_BEYOND: "a lane begins out of its range",
    kernels.EXHAUSTED: "the code words or the raw bits run out",
    kernels.CODE_LEFT: "the code words do not end where the tokens do",
    kernels.RAW_LEFT: "the raw bits do not end where the words do",
}
COLUMNS, LINES = 1, 2
"""Bits of the kind of a head: which offsets it has (clause 8.6.2)."""


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


@dataclass(frozen=True)
class Chunk:
    """One chunk of a payload: at most CHUNK words of a tensor, which can be decoded alone.

    Attributes
    ----------
    tensor : int
        Index of its tensor among the coded tensors.
    first : int
        Its first word.
    start, code, end : int
        Bytes of the payload where its lanes, its raw bits and what follows them begin.
    expectation : Expectation
    tables : Tables
    """

    tensor: int
    first: int
    start: int
    code: int
    end: int
    expectation: Expectation
    tables: tables.Tables


def lanes_of(words: int) -> int:
    """Return how many lanes a chunk of so many words has (clause 8.6.4)."""
    return kernels.LANES if words >= kernels.MANY else 1


def chunk_starts(tensor: CodedTensor) -> range:
    """Return the first words of the chunks of a tensor."""
    return range(0, tensor.count, kernels.CHUNK)


def read_chunks(reader: Reader, tensors: Sequence[CodedTensor]) -> Iterator[Chunk]:
    """Yield every chunk of a payload, in their order; nothing of them is decoded yet.

    Raises
    ------
    CoderError
        If heads or tables are malformed, or announce more than there is.
    """
    for section in sections_of(tensors):
        if any(tensors[i].count for i in section):
            yield from _read_section(reader, [(i, tensors[i]) for i in section])


def _read_section(reader: Reader, section: list[tuple[int, CodedTensor]]) -> Iterator[Chunk]:
    table_size = reader.count()
    heads = [(i, tensor, *_read_head(reader, tensor)) for i, tensor in section if tensor.count > 0]
    known = tables.alphabet(section[0][1].bits, section[0][1].exponent_bits)
    parsed = tables.parse(reader.octets(table_size), known)
    for i, tensor, expectation, sizes in heads:
        for first, (code_words, raw_size) in zip(chunk_starts(tensor), sizes, strict=True):
            start = reader.position
            words = min(tensor.count - first, kernels.CHUNK)
            lanes = kernels.LANE_BYTES * lanes_of(words)
            reader.take(lanes + 4 * code_words + raw_size)
            code = start + lanes + 4 * code_words
            yield Chunk(i, first, start, code, reader.position, expectation, parsed)


def _read_head(reader: Reader, tensor: CodedTensor) -> tuple[Expectation, list[tuple[int, int]]]:
    kind, low, high = reader.take(3)
    if kind > COLUMNS | LINES:
        raise CoderError(f"row {tensor.row}: a head of kind {kind}; there are 0 to 3")
    columns = by_line = NO_OFFSETS
    if kind:
        lines, length = lines_of(tensor.shape)
        columns = _read_offsets(reader, length) if kind & COLUMNS else NO_OFFSETS
        by_line = _read_offsets(reader, lines) if kind & LINES else NO_OFFSETS
    sizes = [(reader.count(), reader.count()) for _ in chunk_starts(tensor)]
    return Expectation.of(tensor, low | high << 8, columns, by_line), sizes


def _read_offsets(reader: Reader, number: int) -> NDArray[np.int16]:
    data = np.frombuffer(reader.take((number + 1) // 2), np.uint8)
    if number % 2 and data[-1] > 15:
        raise CoderError("bits left over behind the offsets are not 0")
    return _OFFSETS[data].reshape(-1)[:number]


def decode(reader: Reader, tensors: Sequence[CodedTensor], history: History) -> list[Words]:
    """Decode all tensors; history moves on to this frame.

    Raises
    ------
    CoderError
        If the payload is malformed.
    """
    chunks = list(read_chunks(reader, tensors))
    decoded: list[Words] = [np.empty_like(tensor.reference) for tensor in tensors]
    ways = [np.empty(tensor.count, np.uint8) for tensor in tensors]
    before = [history.ways_of(tensor) for tensor in tensors]
    payload = np.frombuffer(reader.data, np.uint8)
    work = Workspace()
    for chunk in chunks:
        i = chunk.tensor
        decode_chunk(payload, chunk, tensors[i], before[i], decoded[i], ways[i], work)
    for tensor, after in zip(tensors, ways, strict=True):
        history.ways[tensor.row] = after
    return decoded


class Workspace:
    """What the decoding of one chunk needs besides the chunk; one for each thread."""

    def __init__(self) -> None:
        self.lanes = np.empty(kernels.LANES, np.uint64)
        self.contexts = np.empty(kernels.BATCH, np.uint8)
        self.tokens = np.empty(kernels.BATCH, np.uint8)
        self.raw = np.empty(kernels.BATCH, np.uint32)
        self.wide_raw = np.empty(kernels.BATCH, np.uint64)


def decode_chunk(
    payload: NDArray[np.uint8],
    chunk: Chunk,
    tensor: CodedTensor,
    ways: NDArray[np.uint8],
    words: Words,
    next_ways: NDArray[np.uint8],
    work: Workspace,
) -> None:
    """Decode one chunk into its part of a tensor; chunks are independent of each other.

    Parameters
    ----------
    payload : uint8[...]
        The whole payload, as it was read.
    chunk : Chunk
        Of read_chunks.
    tensor : CodedTensor
        Its tensor.
    ways : uint8[count]
        What the history knows of the tensor.
    words, next_ways : flat arrays of the tensor's size
        Receive the chunk's words and their ways.
    work : Workspace
        Of this thread.

    Raises
    ------
    CoderError
        If the chunk is malformed.
    """
    octets, start = payload, chunk.start
    size = chunk.end - start
    if payload.size - chunk.end < kernels.OVERREAD:
        octets, start = np.zeros(size + kernels.OVERREAD, np.uint8), 0
        octets[:size] = payload[chunk.start : chunk.end]
        octets.flags.writeable = False  # as a payload: for another type all would be compiled again
    counts, masks = kernels.raw_bits(tensor.bits, tensor.mantissa_bits)
    state = kernels.decode_chunk(
        tensor.reference,
        ways,
        chunk.first,
        chunk.expectation.columns,
        chunk.expectation.lines,
        chunk.expectation.parameters,
        chunk.tables.bases,
        chunk.tables.points,
        counts,
        masks,
        octets,
        start,
        start + chunk.code - chunk.start,
        start + size,
        work.lanes,
        work.contexts,
        work.tokens,
        work.wide_raw if tensor.bits == 64 else work.raw,
        words,
        next_ways,
    )
    if state != kernels.DECODED:
        raise CoderError(f"row {tensor.row}, word {chunk.first} and after: {_FAULTS[state]}")
