"""The inner loops of the static coder (clause 8.6): contexts, tokens, raw bits and rANS."""

from __future__ import annotations

from typing import Any

import numpy as np

from nmc.coding.arithmetic.jit import I64, U64, Array, get, inline, kernel, put
from nmc.coding.arithmetic.words import clip, compare, raw_bits, short_raw_bits

OCTAVES = 64
CONTEXTS = 3 * OCTAVES
TOKENS = 256
LANES = 4
TOTAL_BITS = 12
TOTAL = 1 << TOTAL_BITS
FIRST_LANE = 1 << 16
EXHAUSTED = -1
WRONG_WAY = -2
BLOCK = 2048  # words that are looked at twice while they are in the nearest cache
REACH = 8  # flips that move the exponent by -REACH .. REACH - 1 have tokens of their own


@kernel
def contexts(reference: Array, entries: Array, widths: Array, scale: int, out: Array) -> None:
    """Write the context of every word (clause 8.6.2) to uint8 out."""
    bits, exponent_bits, mantissa_bits = widths[2], widths[3], widths[4]
    magnitude_mask = U64(0xFFFFFFFFFFFFFFFF) >> U64(64 - bits + 1)
    lowest = I64(exponent_bits > 0)
    for i in range(reference.size):
        index = U64(i)
        exponent = I64(0)
        if exponent_bits > 0:
            exponent = I64((get(reference, index) & magnitude_mask) >> U64(mantissa_bits))
        exponent = max(exponent, lowest)
        entry = I64(get(entries, index))
        forecast = scale
        past = entry
        if entry > 1:
            forecast = ((entry >> 1) + 7 * scale) >> 3
            past = I64(2)
        octaves = clip((forecast >> 3) - exponent, 0, OCTAVES - 1)
        put(out, index, U64(past * OCTAVES + octaves))


@kernel
def tokenize(
    reference: Array,
    current: Array,
    entries: Array,
    widths: Array,
    tokens: Array,
    octets: Array,
    position: int,
) -> Any:
    """Write the token of every word and its raw bits (clause 8.6.5); return the bit position."""
    bits, exponent_bits, mantissa_bits = widths[2], widths[3], widths[4]
    floating = exponent_bits > 0
    magnitude_mask = U64(0xFFFFFFFFFFFFFFFF) >> U64(64 - bits + I64(floating))
    mantissa_mask = (U64(1) << U64(mantissa_bits)) - U64(1)
    for i in range(reference.size):
        index = U64(i)
        old = get(reference, index)
        flipped, length, shrunk, word = compare(
            old, get(current, index), bits, magnitude_mask, floating
        )
        if flipped:
            step = I64(word >> U64(mantissa_bits)) - I64(
                (old & magnitude_mask) >> U64(mantissa_bits)
            )
            if -REACH <= step < REACH:
                token = 2 * bits + 1 + REACH + step
                count = mantissa_bits
                word &= mantissa_mask
            else:
                token = 2 * bits + 1 + 2 * REACH
                count = bits - 1
        elif length == 0:
            token = I64(0)
            count = I64(0)
        else:
            sign = I64(old >> U64(bits - 1)) if floating else I64(0)
            entry = I64(get(entries, index))
            expected = (entry ^ sign) & 1 if entry > 1 else I64(0)
            token = 2 * length - 1 + (shrunk ^ expected)
            count = length - 1
        put(tokens, index, U64(token))
        if count > 0:
            raw_bits(True, octets, position, word, count)
            position += count
    return position


def raw_counts(bits: int, mantissa_bits: int) -> Array:
    """Return int64[TOKENS]: how many raw bits follow each token (clause 8.6.5)."""
    counts = np.zeros(TOKENS, np.int64)
    lengths = np.arange(1, 2 * bits + 1)
    counts[lengths] = (lengths - 1) >> 1
    counts[2 * bits + 1 : 2 * bits + 1 + 2 * REACH] = mantissa_bits
    counts[2 * bits + 1 + 2 * REACH] = bits - 1
    return counts


@inline
def detokenize_raw(tokens: Array, counts: Array, octets: Array, position: Any, out: Array) -> Any:
    """Read the raw bits of a block of tokens; return the bit position."""
    last_position = I64(octets.size - 16) * 8
    for i in range(tokens.size):
        count = I64(get(counts, get(tokens, U64(i))))
        if count <= 57:
            put(out, U64(i), short_raw_bits(octets, position, count))
        else:
            put(out, U64(i), raw_bits(False, octets, position, U64(0), count))
        position += count
        if position > last_position:
            return I64(EXHAUSTED)
    return position


@kernel
def detokenize(
    reference: Array,
    current: Array,
    entries: Array,
    widths: Array,
    tokens: Array,
    counts: Array,
    octets: Array,
    position: int,
    block: Array,
) -> Any:
    """Write every word from its token and raw bits (clause 8.6.5); return the bit position.

    EXHAUSTED where the bits run out, WRONG_WAY for a change that no encoder makes.
    The work goes in blocks: reading bits is a chain, what is made of them is not, and the second
    loop becomes vector instructions.
    """
    bits, exponent_bits, mantissa_bits = widths[2], widths[3], widths[4]
    floating = U64(exponent_bits > 0)
    magnitude_mask = U64(0xFFFFFFFFFFFFFFFF) >> (U64(64 - bits) + floating)
    sign_shift = U64(bits - 1)
    shift = U64(mantissa_bits)
    lengths = U64(2 * bits)
    escape = U64(2 * bits + 1 + 2 * REACH)
    highest = (U64(1) << U64(exponent_bits)) - U64(1)
    half = U64(1) << sign_shift
    wrong = U64(0)
    for start in range(0, reference.size, block.size):
        end = min(start + block.size, reference.size)
        position = detokenize_raw(tokens[start:end], counts, octets, position, block)
        if position == EXHAUSTED:
            return position
        for i in range(start, end):
            index = U64(i)
            old = get(reference, index)
            token = get(tokens, index)
            word = get(block, U64(i - start))
            entry = get(entries, index)
            length = (token + U64(1)) >> U64(1)
            leading = (U64(1) << ((length - U64(1)) & U64(63))) if token > U64(0) else U64(0)
            sign = (old >> sign_shift) & floating
            expected = (entry ^ sign) & U64(entry > U64(1))
            shrunk = U64(0) - (((token + U64(1)) ^ expected) & U64(1))
            moved = (old + (((word | leading) ^ shrunk) - shrunk)) & magnitude_mask
            moved |= old & ~magnitude_mask
            magnitude = old & magnitude_mask
            room = magnitude ^ (magnitude_mask & ~shrunk)  # mask - magnitude where it grows
            room = room if floating else half - (shrunk & U64(1))
            field = (magnitude >> shift) + token - lengths - U64(1 + REACH)
            near = (word >> shift) - (magnitude >> shift) + U64(REACH) < U64(2 * REACH)
            astray = near if token == escape else field > highest
            wrong |= U64((word | leading) > room if token <= lengths else astray)
            flipped = word | (field << shift if token < escape else U64(0))
            flipped = (flipped & magnitude_mask) | (~old & ~magnitude_mask)
            put(current, index, moved if token <= lengths else flipped)
        if wrong:
            return I64(WRONG_WAY)
    return position


@kernel
def histogram(context: Array, tokens: Array, counts: Array) -> None:
    """Count the tokens of each context in uint32 counts[CONTEXTS * TOKENS]."""
    for i in range(tokens.size):
        slot = (get(context, U64(i)) << U64(8)) | get(tokens, U64(i))
        put(counts, slot, get(counts, slot) + U64(1))


@kernel
def rans_encode(
    context: Array, tokens: Array, starts: Array, frequencies: Array, words: Array, lanes: Array
) -> Any:
    """Encode the tokens backwards from the end of words (clause 8.6.4); return the first place."""
    place = I64(words.size)
    for k in range(LANES):
        lanes[k] = U64(FIRST_LANE)
    for i in range(tokens.size - 1, -1, -1):
        slot = (get(context, U64(i)) << U64(8)) | get(tokens, U64(i))
        frequency = get(frequencies, slot)
        lane = U64(i & (LANES - 1))
        x = get(lanes, lane)
        if x >= frequency << U64(32 - TOTAL_BITS):
            place -= 1
            put(words, place, x)
            x >>= U64(16)
        quotient = np.uint32(x) // np.uint32(frequency)
        rest = x - U64(quotient) * frequency
        put(lanes, lane, (U64(quotient) << U64(TOTAL_BITS)) + rest + get(starts, slot))
    return place


@inline
def rans_step(
    x: Any, context: Any, tokens: Array, index: Any, table: Array, words: Array, place: Any
) -> Any:
    """Decode one token of one lane (clause 8.6.4), without a branch."""
    found = get(table, (get(context, index) << U64(TOTAL_BITS)) | (x & U64(TOTAL - 1)))
    put(tokens, index, found)
    high = x >> U64(TOTAL_BITS)
    x = ((found >> U64(8)) & U64(TOTAL - 1)) * high + high + (found >> U64(20))
    longer = (x << U64(16)) | get(words, place)
    short = x < U64(FIRST_LANE)
    x = longer if short else x
    return x, place + U64(short)


@kernel
def rans_decode(context: Array, tokens: Array, table: Array, words: Array, lanes: Array) -> Any:
    """Decode a token for every context (clause 8.6.4); words has 2 * LANES to spare."""
    place = U64(0)
    last = U64(words.size - 2 * LANES)
    a, b, c, d = lanes[0], lanes[1], lanes[2], lanes[3]
    whole = tokens.size & ~(LANES - 1)
    for i in range(0, whole, LANES):
        if place > last:
            return EXHAUSTED
        j = U64(i)
        a, place = rans_step(a, context, tokens, j, table, words, place)
        b, place = rans_step(b, context, tokens, j + U64(1), table, words, place)
        c, place = rans_step(c, context, tokens, j + U64(2), table, words, place)
        d, place = rans_step(d, context, tokens, j + U64(3), table, words, place)
    lanes[0], lanes[1], lanes[2], lanes[3] = a, b, c, d
    for i in range(whole, tokens.size):
        lane = i & (LANES - 1)
        lanes[lane], place = rans_step(lanes[lane], context, tokens, U64(i), table, words, place)
    if place > last:
        return EXHAUSTED
    return I64(place)
