"""The inner loops of the static decoder (clause 8.6): contexts, tokens, raw bits and words.

A chunk is decoded in batches, whose contexts, tokens and raw bits stay in the nearest cache. The
loops over the words of a batch are of two kinds: those without a chain become vector instructions,
and those with one do as little as they can.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from nmc.coding.arithmetic.jit import (
    I64,
    U64,
    Array,
    bits_of,
    get,
    inline,
    load32,
    load64,
    put,
    word_at,
)

OCTAVES = 64
CONTEXTS = 3 * OCTAVES
TOKENS = 256
TABLES = 32
TOTAL_BITS = 10
TOTAL = 1 << TOTAL_BITS

CHUNK = 1 << 16  # words, at most
LANES = 8
MANY = 1 << 13  # words from which on a chunk has LANES lanes, not one
FIRST_LANE = 1 << 20
LAST_LANE = 1 << 52
LANE_BYTES = 7

ESCAPE = 1
FLIPS = 2  # the first token of a flip that moves the exponent field by -REACH .. REACH - 1
REACH = 8
MOVES = FLIPS + 2 * REACH
LONGEST = 58  # raw bits of a move with a token of its own

BATCH = 1024
OVERREAD = BATCH * 8 + 64  # octets that may be looked at beyond the end of a chunk

# Elements of the parameters of a tensor that the kernels take.
BITS, EXPONENT, MANTISSA, SCALE, LINE = range(5)
PARAMETERS = 5


@cache
def raw_bits(bits: int, mantissa_bits: int) -> tuple[Array, Array]:
    """Return how many raw bits follow each token, and as many ones (clause 8.6.5).

    Returns
    -------
    tuple of uint8[TOKENS] and uint64[TOKENS]
    """
    counts = np.zeros(TOKENS, np.uint8)
    counts[ESCAPE] = bits
    counts[FLIPS:MOVES] = mantissa_bits
    counts[MOVES:] = np.arange(TOKENS - MOVES) >> 2
    return counts, np.array([(1 << int(count)) - 1 for count in counts], np.uint64)


@inline
def piece_contexts(
    old: Array, ways: Array, base: Any, columns: Array, widths: Array, first: Any, out: Array
) -> None:
    """Write the contexts of a part of a line (clause 8.6.2) from place first of out.

    base is the expected extent without the offset of the column; columns may be empty.
    """
    finer = np.int32(bits_of(old) < U64(64))
    most = bits_of(old) - U64(1)  # known when it is compiled, so that lanes stay narrow
    magnitude_bits = widths[EXPONENT] + widths[MANTISSA]
    mask = (U64(1) << U64(magnitude_bits)) - U64(1)
    mantissa = U64(widths[MANTISSA]) & most
    lowest = np.int32(widths[EXPONENT] > 0)
    flat = columns.size == 0
    for i in range(old.size):
        index = U64(i)
        exponent = max(np.int32((get(old, index) & mask) >> mantissa), lowest)
        expected = np.int32(base) if flat else np.int32(np.int32(base) + np.int32(columns[i]))
        octave = np.int32((expected >> (np.int32(3) - finer)) - np.int32(exponent << finer))
        octave = max(np.int32(0), min(np.int32(OCTAVES - 1), octave))
        put(out, U64(first) + index, U64(octave) | (min(get(ways, index), U64(2)) << U64(6)))


@inline
def batch_contexts(
    old: Array,
    ways: Array,
    shift: Any,
    start: Any,
    end: Any,
    columns: Array,
    lines: Array,
    widths: Array,
    out: Array,
) -> None:
    """Write the contexts of words start to end of a tensor, piece by piece of its lines.

    The ways are those from word shift on.
    """
    length = widths[LINE]
    here = start
    while here < end:
        base = widths[SCALE]
        there = end
        first = I64(0)
        last = I64(0)
        if columns.size > 0 or lines.size > 0:
            line = here // length
            there = min(end, (line + 1) * length)
            if lines.size > 0:
                base += I64(lines[line])
            if columns.size > 0:
                first = here - line * length
                last = first + there - here
        piece_contexts(
            old[here:there],
            ways[here - shift : there - shift],
            base,
            columns[first:last],
            widths,
            here - start,
            out,
        )
        here = there


@inline
def token_step(state: Any, contexts: Array, index: Any, places: Array, tokens: Array) -> Any:
    """Decode one token of a lane (clause 8.6.4); places has the address of each context's table."""
    found = word_at(get(places, get(contexts, index)), state & U64(TOTAL - 1))
    put(tokens, index, found)
    offset = (found >> U64(8)) & U64(TOTAL - 1)
    return (found >> U64(8 + TOTAL_BITS)) * (state >> U64(TOTAL_BITS)) + offset


@inline
def refill(state: Any, octets: Array, start: Any, place: Any) -> Any:
    """Take a code word into a lane that has become too small, without a branch.

    place counts code words from start on, so that the comparison is its own carry.
    """
    longer = (state << U64(32)) | load32(octets, start + U64(4) * place)
    short = state < U64(FIRST_LANE)
    return (longer if short else state), place + U64(short)


@inline
def few_tokens(
    contexts: Array,
    start: Any,
    end: Any,
    places: Array,
    tokens: Array,
    octets: Array,
    place: Any,
    lanes: Array,
) -> Any:
    """Decode the tokens from start to end, run by run; return the place of the next code word."""
    count = I64(lanes.size)
    if count == 1:
        state = lanes[0]
        for i in range(start, end, 2):
            state = token_step(state, contexts, U64(i), places, tokens)
            if i + 1 < end:
                state = token_step(state, contexts, U64(i + 1), places, tokens)
            state, taken = refill(state, octets, place, U64(0))
            place += U64(4) * taken
        lanes[0] = state
        return place
    for first in range(start, end, 2 * count):
        for i in range(first, min(end, first + 2 * count)):
            lane = (i - first) % count
            lanes[lane] = token_step(lanes[lane], contexts, U64(i), places, tokens)
        for lane in range(count):
            lanes[lane], taken = refill(lanes[lane], octets, place, U64(0))
            place += U64(4) * taken
    return place


@inline
def batch_tokens(
    contexts: Array,
    size: Any,
    places: Array,
    tokens: Array,
    octets: Array,
    place: Any,
    lanes: Array,
) -> Any:
    """Decode the tokens of a batch; return the place of the next code word."""
    whole = I64(0)
    if lanes.size == LANES:
        whole = size & ~(2 * LANES - 1)
        start, place = place, U64(0)
        a, b, c, d = lanes[0], lanes[1], lanes[2], lanes[3]
        e, f, g, h = lanes[4], lanes[5], lanes[6], lanes[7]
        for i in range(0, whole, 2 * LANES):
            j = U64(i)
            a = token_step(a, contexts, j, places, tokens)
            b = token_step(b, contexts, j + U64(1), places, tokens)
            c = token_step(c, contexts, j + U64(2), places, tokens)
            d = token_step(d, contexts, j + U64(3), places, tokens)
            e = token_step(e, contexts, j + U64(4), places, tokens)
            f = token_step(f, contexts, j + U64(5), places, tokens)
            g = token_step(g, contexts, j + U64(6), places, tokens)
            h = token_step(h, contexts, j + U64(7), places, tokens)
            a = token_step(a, contexts, j + U64(8), places, tokens)
            b = token_step(b, contexts, j + U64(9), places, tokens)
            c = token_step(c, contexts, j + U64(10), places, tokens)
            d = token_step(d, contexts, j + U64(11), places, tokens)
            e = token_step(e, contexts, j + U64(12), places, tokens)
            f = token_step(f, contexts, j + U64(13), places, tokens)
            g = token_step(g, contexts, j + U64(14), places, tokens)
            h = token_step(h, contexts, j + U64(15), places, tokens)
            a, place = refill(a, octets, start, place)
            b, place = refill(b, octets, start, place)
            c, place = refill(c, octets, start, place)
            d, place = refill(d, octets, start, place)
            e, place = refill(e, octets, start, place)
            f, place = refill(f, octets, start, place)
            g, place = refill(g, octets, start, place)
            h, place = refill(h, octets, start, place)
        lanes[0], lanes[1], lanes[2], lanes[3] = a, b, c, d
        lanes[4], lanes[5], lanes[6], lanes[7] = e, f, g, h
        place = start + U64(4) * place
    return few_tokens(contexts, whole, size, places, tokens, octets, place, lanes)


@inline
def batch_raw(
    tokens: Array, size: Any, counts: Array, octets: Array, position: Any, out: Array
) -> Any:
    """Read the raw bits of a batch (clause 8.6.5), others above them; return the bit position.

    Those of two tokens are read at once where they fit in what one load has; of words of at most 16
    bits, those of four.
    """
    fours = size & ~3 if get(counts, U64(ESCAPE)) <= U64(16) else I64(0)
    for i in range(0, fours, 4):
        index = U64(i)
        one = get(counts, get(tokens, index))
        two = one + get(counts, get(tokens, index + U64(1)))
        three = get(counts, get(tokens, index + U64(2)))
        four = three + get(counts, get(tokens, index + U64(3)))
        word = load64(octets, position >> U64(3)) >> (position & U64(7))
        put(out, index, word)
        put(out, index + U64(1), word >> one)
        position += two
        word >>= two
        if two + four > U64(57):  # nearly all escapes
            word = load64(octets, position >> U64(3)) >> (position & U64(7))
        put(out, index + U64(2), word)
        put(out, index + U64(3), word >> three)
        position += four
    whole = I64(0) if out.itemsize == 8 else size & ~1
    for i in range(fours, whole, 2):
        index = U64(i)
        one = get(counts, get(tokens, index))
        two = get(counts, get(tokens, index + U64(1)))
        word = load64(octets, position >> U64(3)) >> (position & U64(7))
        put(out, index, word)
        if one + two > U64(57):  # two escapes
            later = position + one
            put(out, index + U64(1), load64(octets, later >> U64(3)) >> (later & U64(7)))
        else:
            put(out, index + U64(1), word >> one)
        position += one + two
    for i in range(whole, size):
        token = get(tokens, U64(i))
        place = position >> U64(3)
        shift = position & U64(7)
        word = load64(octets, place) >> shift
        if out.itemsize == 8:  # an escape of 64 bits can lie in nine octets
            word |= get(octets, place + U64(8)) << U64(1) << (U64(63) - shift)
        put(out, U64(i), word)
        position += get(counts, token)
    return position


@inline
def batch_words(
    old: Array, ways: Array, tokens: Array, raw: Array, widths: Array, words: Array, after: Array
) -> None:
    """Write every word from its token and raw bits (clause 8.6.5), and the way that it went."""
    word = old.dtype.type
    most = word(bits_of(old) - U64(1))  # known when it is compiled, so that lanes stay narrow
    one = word(1)
    mantissa = word(word(widths[MANTISSA]) & most)
    sign = word(word(widths[EXPONENT] > 0) << most)
    below = word(word(one << mantissa) - one)
    for i in range(old.size):
        index = U64(i)
        x = word(get(old, index))
        token = word(get(tokens, index))
        bits = word(get(raw, index))
        way = word(get(ways, index))
        code = word(token - word(MOVES))
        count = word(word(code >> word(2)) & most)
        step = word(word(word(2) | word(word(code >> one) & one)) << count)
        low = word(word(one << count) - one)
        step = word(word(step - one) + word(bits & low))
        shrunk = word(word(code ^ word(way & word(way >> one))) & one)
        less = word(word(0) - shrunk)
        moved = word(x + word(word(step ^ less) - less))
        field = word(word(token - word(FLIPS + REACH)) << mantissa)
        flipped = word(word(word(word(x & word(~below)) + sign) + field) + word(bits & below))
        other = word(bits if token == word(ESCAPE) else x)
        other = word(flipped if token >= word(FLIPS) else other)
        put(words, index, U64(moved if token >= word(MOVES) else other))
        way = word(word(2) + shrunk) if token >= word(MOVES) else word(2)
        put(after, index, U64(way if token > word(0) else word(0)))
