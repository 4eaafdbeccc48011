"""The static decoder: tables sent with the frame, chunks of interleaved rANS (clause 8.6)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import static_chunk_kernel as chunk_kernels
from nmc.coding.arithmetic import static_kernel as kernels
from nmc.coding.arithmetic import tables
from nmc.coding.arithmetic.history import History
from nmc.coding.arithmetic.payload import Reader
from nmc.coding.arithmetic.tensors import CodedTensor, CoderError, lines_of, sections_of
from nmc.coding.threads import in_threads, parts_of
from nmc_format.dtypes import Words

_FAULTS = {
    chunk_kernels.KIND: "a head of another kind than 0 to 3",
    chunk_kernels.OFFSETS_LEFT: "bits left over behind the offsets are not 0",
    chunk_kernels.BEYOND: "its head announces more than there is",
    chunk_kernels.LANE_BEYOND: "a lane begins out of its range",
    chunk_kernels.EXHAUSTED: "the code words or the raw bits run out",
    chunk_kernels.CODE_LEFT: "the code words do not end where the tokens do",
    chunk_kernels.RAW_LEFT: "the raw bits do not end where the words do",
}


_OCTET = ctypes.c_char.from_buffer
_PORTION = 1 << 20
"""Words after which references that are not needed any more are let go of."""
_SMALL = 1 << 15
"""Words of a tensor below which it shares room with others: what is kept of one keeps them all."""
_SHARING = 8
"""Small tensors from which on they share room."""
_HEADS = 1 << 16
"""Bytes of heads that are looked for at first, where a payload is not at hand as a whole."""


@dataclass(frozen=True)
class Section:
    """The coded tensors of one word format, as far as the head of a payload tells of them.

    Attributes
    ----------
    indices : list of int
        Those of its tensors among the coded tensors; none is without words.
    rows : int64[tensors, TENSOR_COLUMNS]
        The table of tensors (see the kernels).
    chunks : int64[chunks, CHUNK_COLUMNS]
        The table of chunks: each can be decoded alone.
    offsets : int16[...]
        Offsets of columns and lines, in eighths of an octave.
    tables : Tables
        Its frequency tables.
    """

    indices: list[int]
    rows: NDArray[np.int64]
    chunks: NDArray[np.int64]
    offsets: NDArray[np.int16]
    tables: tables.Tables

    def chunks_of(self, wanted: Collection[int]) -> NDArray[np.int64]:
        """Return the chunks of some tensors, by their indices among the coded tensors."""
        if all(i in wanted for i in self.indices):
            return self.chunks
        known = np.array([i in wanted for i in self.indices])
        some: NDArray[np.int64] = self.chunks[known[self.chunks[:, chunk_kernels.TENSOR]]]
        return some


class Part(NamedTuple):
    """What the decoding of one tensor takes and makes.

    Attributes
    ----------
    before : uint8[count]
        Which ways its words went last.
    words : flat array
        Receives the words.
    after : uint8[count]
        Receives their ways.
    addresses : tuple of int
        Where these arrays lie, in this order, as in the table of tensors.
    """

    before: NDArray[np.uint8]
    words: Words
    after: NDArray[np.uint8]
    addresses: tuple[int, int, int]


def parts_of_tensors(
    indices: Sequence[int], tensors: Sequence[CodedTensor], history: History
) -> dict[int, Part]:
    """Take what the history knows of some tensors, and make room for what comes after.

    Small ones share their room, as it takes longer to ask for memory than to decode them.
    """
    small = [i for i in indices if tensors[i].count < _SMALL]
    if len(small) < _SHARING:
        small = []
    size = sum(tensors[i].count for i in small)
    dtype = tensors[indices[0]].reference.dtype
    words, after = np.empty(size, dtype), np.empty(size, np.uint8)
    first_word, first_way = (_address_of(words), _address_of(after)) if size else (0, 0)
    parts: dict[int, Part] = {}
    at = 0
    for i in small:
        end = at + tensors[i].count
        before = history.ways_of(tensors[i])
        where = _address_of(before), first_word + at * dtype.itemsize, first_way + at
        parts[i] = Part(before, words[at:end], after[at:end], where)
        at = end
    for i in indices:
        if i not in parts:
            own = history.ways_of(tensors[i]), np.empty_like(tensors[i].reference)
            ways = np.empty(tensors[i].count, np.uint8)
            where = _address_of(own[0]), _address_of(own[1]), _address_of(ways)
            parts[i] = Part(*own, ways, where)
    return parts


def read_sections(reader: Reader, tensors: Sequence[CodedTensor]) -> list[Section]:
    """Read the heads and tables of a payload, and pass over its chunks; nothing is decoded yet.

    Raises
    ------
    CoderError
        If heads or tables are malformed, or announce more than there is.
    """
    sections = []
    for every in sections_of(tensors):
        indices = [i for i in every if tensors[i].count]
        if indices:
            sections.append(_read_section(reader, tensors, indices))
    return sections


def _read_section(reader: Reader, tensors: Sequence[CodedTensor], indices: list[int]) -> Section:
    table_size = reader.count()
    rows = np.zeros((len(indices), chunk_kernels.TENSOR_COLUMNS), np.int64)
    sizes = []
    room = number = 0
    for i in indices:
        count = tensors[i].count
        lines, length = lines_of(tensors[i].shape)
        sizes.append((count, length))
        room += lines + 2 * length + kernels.BATCH
        number += -(-count // kernels.CHUNK)
    rows[:, : chunk_kernels.OLD] = sizes
    chunks = np.empty((number, chunk_kernels.CHUNK_COLUMNS), np.int64)
    offsets = np.empty(room, np.int16)
    octets, ahead = payload_of(reader), _HEADS
    while True:
        limit = reader.ready(ahead)
        fault, k, at = chunk_kernels.read_heads(
            octets, reader.position, limit, table_size, rows, offsets, chunks
        )
        if fault != chunk_kernels.BEYOND or limit == octets.size:
            break
        ahead *= 8
    if fault != chunk_kernels.RIGHT:
        raise CoderError(f"row {tensors[indices[k]].row}: {_FAULTS[fault]}")
    reader.take(at - reader.position)
    first = tensors[indices[0]]
    parsed = tables.parse(
        reader.octets(table_size), tables.alphabet(first.bits, first.exponent_bits)
    )
    reader.pass_by(int(chunks[-1, chunk_kernels.RAW_END]) - reader.position)
    return Section(indices, rows, chunks, offsets, parsed)


def payload_of(reader: Reader) -> NDArray[np.uint8]:
    """Return the whole payload as an array; read-only, so that kernels are compiled once."""
    octets = np.frombuffer(reader.data, np.uint8)
    octets.flags.writeable = False
    return octets


def decode(
    reader: Reader,
    tensors: Sequence[CodedTensor],
    history: History,
    threads: int = 1,
    done: Callable[[int], None] = lambda _: None,
) -> list[Words]:
    """Decode all tensors; history moves on to this frame.

    Parameters
    ----------
    threads : int
        How many chunks are decoded at the same time; the words are the same.
    done : callable
        Called with the index of each tensor that was decoded: its reference is not needed any more.

    Raises
    ------
    CoderError
        If the payload is malformed.
    """
    sections = read_sections(reader, tensors)
    octets = payload_of(reader)
    decoded: list[Words] = [np.empty(0, tensor.reference.dtype) for tensor in tensors]
    for section in sections:
        for indices in _portions(section.indices, tensors):
            parts = parts_of_tensors(indices, tensors, history)
            decode_section(section, octets, tensors, parts, threads)
            for i in indices:
                decoded[i], history.ways[tensors[i].row] = parts[i].words, parts[i].after
                done(i)
    for tensor in tensors:
        if not tensor.count:
            history.ways[tensor.row] = np.empty(0, np.uint8)
    return decoded


def _portions(indices: list[int], tensors: Sequence[CodedTensor]) -> list[list[int]]:
    """Return the indices in portions of about so many words as are decoded without a pause."""
    portions: list[list[int]] = [[]]
    words = 0
    for i in indices:
        if words >= _PORTION:
            portions.append([])
            words = 0
        portions[-1].append(i)
        words += tensors[i].count
    return portions


def decode_section(
    section: Section,
    octets: NDArray[np.uint8],
    tensors: Sequence[CodedTensor],
    parts: Mapping[int, Part],
    threads: int = 1,
) -> None:
    """Decode chunks of a section, each straight into its part of its tensor.

    Parameters
    ----------
    section : Section
        Of read_sections.
    octets : uint8[...]
        The whole payload.
    tensors : sequence of CodedTensor
        The coded tensors; of those that are not wanted, references are not looked at.
    parts : mapping of int to Part
        Those of its tensors that are wanted, by index.
    threads : int
        How many chunks are decoded at the same time.

    Raises
    ------
    CoderError
        If a chunk is malformed.
    """
    known = [k for k, i in enumerate(section.indices) if i in parts]
    section.rows[known, chunk_kernels.OLD : chunk_kernels.AFTER + 1] = [
        [_address_of(tensors[i].reference), *parts[i].addresses]
        for i in section.indices
        if i in parts
    ]
    like = tensors[section.indices[0]]
    for near, shift, chunks in _with_room(octets, section.chunks_of(parts)):
        jobs = [
            partial(_decode_chunks, section, chunks[part], near, shift, like, tensors)
            for part in parts_of(len(chunks), threads)
        ]
        in_threads(jobs, threads)


def _address_of(array: NDArray[Any]) -> int:
    """Return where the elements of a settled array lie; whoever uses that keeps the array."""
    return ctypes.addressof(_OCTET(array.data))


def _with_room(
    octets: NDArray[np.uint8], chunks: NDArray[np.int64]
) -> list[tuple[NDArray[np.uint8], int, NDArray[np.int64]]]:
    """Return the chunks with a part of the payload that has OVERREAD octets behind each of them.

    The last ones have a copy of their own, and the byte where it begins.
    """
    ends = chunks[:, chunk_kernels.RAW_END]
    inside = int(np.searchsorted(ends, octets.size - kernels.OVERREAD, side="right"))
    parts = [(octets, 0, chunks[:inside])]
    if inside < len(chunks):
        start = int(chunks[inside, chunk_kernels.START])
        near = np.zeros(octets.size - start + kernels.OVERREAD, np.uint8)
        near[: octets.size - start] = octets[start:]
        near.flags.writeable = False
        parts.append((near, start, chunks[inside:]))
    return parts


def _decode_chunks(
    section: Section,
    chunks: NDArray[np.int64],
    octets: NDArray[np.uint8],
    shift: int,
    like: CodedTensor,
    tensors: Sequence[CodedTensor],
) -> None:
    """Decode some chunks in this thread, with space of its own to work in."""
    counts, _ = kernels.raw_bits(like.bits, like.mantissa_bits)
    wide = like.bits == 64
    points = section.tables.points
    places = section.tables.bases * np.uint64(points.itemsize) + np.uint64(_address_of(points))
    fault, k = chunk_kernels.decode_chunks(
        section.rows,
        chunks,
        section.offsets,
        np.array((like.bits, like.exponent_bits, like.mantissa_bits, 0, 1), np.int64),
        places,
        counts,
        octets,
        shift,
        np.empty(kernels.LANES, np.uint64),
        np.empty(kernels.BATCH, np.uint8),
        np.empty(kernels.BATCH, np.uint8),
        np.empty(kernels.BATCH, np.uint64 if wide else np.uint32),
        np.empty(0, like.reference.dtype),
    )
    if fault != chunk_kernels.RIGHT:
        row = tensors[section.indices[chunks[k, chunk_kernels.TENSOR]]].row
        first = chunks[k, chunk_kernels.FIRST]
        raise CoderError(f"row {row}, word {first} and after: {_FAULTS[fault]}")
