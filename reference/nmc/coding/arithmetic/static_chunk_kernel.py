"""Heads and chunks of a section of the static variant (clause 8.6.1), one call for all of them.

The tensors of a section are arrays of any number. A kernel takes them as one table, which has for
each tensor a row of numbers, the addresses of its arrays among them.
"""

from __future__ import annotations

from typing import Any

from nmc.coding.arithmetic.jit import (
    I64,
    U64,
    Array,
    elements,
    get,
    inline,
    kernel,
    load64,
    prefetch,
)
from nmc.coding.arithmetic.static_kernel import (
    BATCH,
    CHUNK,
    FIRST_LANE,
    LANE_BYTES,
    LANES,
    LAST_LANE,
    LINE,
    MANY,
    SCALE,
    batch_contexts,
    batch_raw,
    batch_tokens,
    batch_words,
)

# Columns of the table of tensors. The first six come from the caller, the others from the heads.
COUNT, LENGTH, OLD, WAYS, WORDS, AFTER = range(6)
HEAD_SCALE, HEAD_LINE, COLUMNS, COLUMNS_END, LINES, LINES_END = range(6, 12)
TENSOR_COLUMNS = 12

# Columns of the table of chunks: tensor, first word, where lanes and raw bits begin, and their end.
TENSOR, FIRST, START, CODE_END, RAW_END = range(5)
CHUNK_COLUMNS = 5

# What can be wrong.
RIGHT, KIND, OFFSETS_LEFT, BEYOND, LANE_BEYOND, EXHAUSTED, CODE_LEFT, RAW_LEFT = range(8)

MIDDLE = 8  # the offset that is nothing
STEP = 2  # eighths of an octave in one step of an offset
COLUMN_BIT, LINE_BIT = 1, 2  # of the kind of a head: which offsets it has
_LONGEST_COUNT = 9  # bytes


@inline
def _count(octets: Array, position: Any, limit: Any) -> Any:
    """Read a count (clause 8.3.2); return it and the position, -1 and no matter what on a fault."""
    number = I64(0)
    for k in range(_LONGEST_COUNT):
        if position >= limit:
            return I64(-1), position
        octet = I64(get(octets, U64(position)))
        position += 1
        number |= (octet & 127) << (7 * k)
        if octet < 128:
            return number, position
    return I64(-1), position


@inline
def _offsets(octets: Array, position: Any, number: Any, out: Array, first: Any) -> Any:
    """Write offsets in eighths of an octave from place first on; return whether all is right."""
    for i in range(number):
        octet = I64(get(octets, U64(position + (i >> 1))))
        out[first + i] = ((octet >> (4 * (i & 1)) & 15) - MIDDLE) * STEP
    return number & 1 == 0 or get(octets, U64(position + (number >> 1))) < U64(16)


@kernel
def read_heads(
    octets: Array,
    position: int,
    limit: int,
    table_size: int,
    rows: Array,
    offsets: Array,
    chunks: Array,
) -> Any:
    """Read the heads of a section, and find its chunks behind the tables that follow.

    Parameters
    ----------
    octets : uint8[...]
        The payload.
    position, limit, table_size : int
        Where the heads begin, where what is at hand of them ends, and the bytes of the tables
        behind them.
    rows : int64[tensors, TENSOR_COLUMNS]
        The table of tensors; receives what the heads say.
    offsets : int16[...]
        Receives all offsets; room for those of every line and column, and BATCH for each tensor.
    chunks : int64[chunks, CHUNK_COLUMNS]
        Receives the table of chunks; all lie in the payload.

    Returns
    -------
    tuple of int
        What is wrong, the row where, and the position of the tables.
    """
    size = I64(octets.size)
    limit = I64(limit)
    at = I64(0)
    chunk = I64(0)
    position = I64(position)
    for k in range(rows.shape[0]):
        if limit - position < 3:
            return I64(BEYOND), I64(k), position
        kind = I64(get(octets, U64(position)))
        rows[k, HEAD_SCALE] = I64(get(octets, U64(position + 1))) | (
            I64(get(octets, U64(position + 2))) << 8
        )
        position += 3
        if kind > COLUMN_BIT | LINE_BIT:
            return I64(KIND), I64(k), position
        count = rows[k, COUNT]
        length = rows[k, LENGTH]
        lines = (count + length - 1) // length
        right = True
        columns = length if kind & COLUMN_BIT else I64(0)
        by_line = lines if kind & LINE_BIT else I64(0)
        if limit - position < ((columns + 1) >> 1) + ((by_line + 1) >> 1):
            return I64(BEYOND), I64(k), position
        rows[k, COLUMNS] = at
        right = _offsets(octets, position, columns, offsets, at)
        position += (columns + 1) >> 1
        at += columns
        if columns > 0 and by_line == 0:
            while length < BATCH:  # repeated, so that loops over lines pay
                for i in range(columns):
                    offsets[at + i] = offsets[at + i - columns]
                at += columns
                length += columns
        rows[k, COLUMNS_END] = at
        rows[k, LINES] = at
        right = _offsets(octets, position, by_line, offsets, at) and right
        position += (by_line + 1) >> 1
        at += by_line
        rows[k, LINES_END] = at
        rows[k, HEAD_LINE] = length
        if not right:
            return I64(OFFSETS_LEFT), I64(k), position
        for first in range(0, count, CHUNK):
            code, position = _count(octets, position, limit)
            raw, position = _count(octets, position, limit)
            if code < 0 or raw < 0 or code > size or raw > size:
                return I64(BEYOND), I64(k), position
            chunks[chunk, TENSOR] = k
            chunks[chunk, FIRST] = first
            chunks[chunk, CODE_END] = code
            chunks[chunk, RAW_END] = raw
            chunk += 1
    place = position + table_size
    for i in range(chunk):
        row = chunks[i, TENSOR]
        words = min(rows[row, COUNT] - chunks[i, FIRST], I64(CHUNK))
        lanes = I64(LANES) if words >= MANY else I64(1)
        chunks[i, START] = place
        chunks[i, CODE_END] = place + LANE_BYTES * lanes + 4 * chunks[i, CODE_END]
        chunks[i, RAW_END] += chunks[i, CODE_END]
        place = chunks[i, RAW_END]
        if place > size:
            return I64(BEYOND), row, position
    return I64(RIGHT), I64(0), position


@inline
def _first_lanes(octets: Array, start: Any, lanes: Array) -> Any:
    """Read the lanes that a chunk begins with; return whether all are in their range."""
    right = True
    for lane in range(lanes.size):
        state = load64(octets, start + LANE_BYTES * lane) & U64(2**56 - 1)
        lanes[lane] = state
        right = right and state >= U64(FIRST_LANE) and state < U64(LAST_LANE)
    return right


@inline
def _ended(octets: Array, position: Any, end: Any) -> Any:
    """Whether a bit field ends at an octet: what is left over is less than one, and zeros."""
    if (position + U64(7)) >> U64(3) != U64(end):
        return False
    rest = position & U64(7)
    return rest == U64(0) or get(octets, position >> U64(3)) >> rest == U64(0)


@inline
def _fetch(old: Array, ways: Array, words: Array, after: Array, here: Any) -> None:
    """Fetch what the batch from here on will need: no page is fetched by itself."""
    for i in range(here, here + BATCH, 64 // old.itemsize):
        prefetch(old, U64(i), 0)
        prefetch(words, U64(i), 1)
    for i in range(here, here + BATCH, 64):
        prefetch(ways, U64(i), 0)
        prefetch(after, U64(i), 1)


@inline
def _decode(
    old: Array,
    ways: Array,
    first: Any,
    columns: Array,
    lines: Array,
    widths: Array,
    places: Array,
    counts: Array,
    octets: Array,
    start: Any,
    code_end: Any,
    raw_end: Any,
    lanes: Array,
    contexts: Array,
    tokens: Array,
    raw: Array,
    words: Array,
    after: Array,
) -> Any:
    """Decode the chunk of a tensor that begins at word first; return what is wrong with it."""
    last = min(I64(old.size), first + CHUNK)
    if not _first_lanes(octets, start, lanes):
        return I64(LANE_BEYOND)
    place = U64(start + LANE_BYTES * lanes.size)
    position = U64(code_end) << U64(3)
    for here in range(first, last, BATCH):
        there = min(last, here + BATCH)
        size = there - here
        batch_contexts(old, ways, I64(0), here, there, columns, lines, widths, contexts)
        _fetch(old, ways, words, after, there)
        place = batch_tokens(contexts, size, places, tokens, octets, place, lanes)
        position = batch_raw(tokens, size, counts, octets, position, raw)
        if place > U64(code_end) or position > U64(raw_end) << U64(3):
            return I64(EXHAUSTED)
        batch_words(
            old[here:there],
            ways[here:there],
            tokens,
            raw,
            widths,
            words[here:there],
            after[here:there],
        )
    if place != U64(code_end):
        return I64(CODE_LEFT)
    for lane in range(lanes.size):
        if lanes[lane] != U64(FIRST_LANE):
            return I64(CODE_LEFT)
    return I64(RIGHT) if _ended(octets, position, raw_end) else I64(RAW_LEFT)


@kernel
def decode_chunks(
    rows: Array,
    chunks: Array,
    offsets: Array,
    widths: Array,
    places: Array,
    counts: Array,
    octets: Array,
    shift: int,
    states: Array,
    contexts: Array,
    tokens: Array,
    raw: Array,
    like: Array,
) -> Any:
    """Decode some chunks of a section (clause 8.6), each straight into its part of its tensor.

    Parameters
    ----------
    rows, chunks, offsets
        As read_heads left them; of chunks, those that are wanted.
    widths : int64[PARAMETERS]
        Word format of the section, and room for scale and line.
    octets : uint8[...]
        A part of the payload, from byte shift on; OVERREAD octets behind the last chunk are
        looked at.
    states, contexts, tokens, raw : arrays of LANES and of BATCH elements
        Space to work in.
    like : array of the words' type

    Returns
    -------
    tuple of int
        What is wrong, and with which of the chunks.
    """
    for k in range(chunks.shape[0]):
        row = chunks[k, TENSOR]
        count = rows[row, COUNT]
        first = chunks[k, FIRST]
        lanes = I64(LANES) if min(count - first, I64(CHUNK)) >= MANY else I64(1)
        widths[SCALE] = rows[row, HEAD_SCALE]
        widths[LINE] = rows[row, HEAD_LINE]
        wrong = _decode(
            elements(like, rows[row, OLD], count),
            elements(contexts, rows[row, WAYS], count),
            first,
            offsets[rows[row, COLUMNS] : rows[row, COLUMNS_END]],
            offsets[rows[row, LINES] : rows[row, LINES_END]],
            widths,
            places,
            counts,
            octets,
            chunks[k, START] - shift,
            chunks[k, CODE_END] - shift,
            chunks[k, RAW_END] - shift,
            states[:lanes],
            contexts,
            tokens,
            raw,
            elements(like, rows[row, WORDS], count),
            elements(contexts, rows[row, AFTER], count),
        )
        if wrong != RIGHT:
            return wrong, I64(k)
    return I64(RIGHT), I64(0)
