"""Words, their differences and their raw bits, as every variant sees them (clause 8.4)."""

from __future__ import annotations

from typing import Any

from nmc.coding.arithmetic.jit import (
    I64,
    U64,
    Array,
    bit_length,
    get,
    inline,
    kernel,
    load64,
    put,
    store64,
)


@inline
def clip(value: Any, low: Any, high: Any) -> Any:
    """Nearest number to value in [low, high]."""
    return max(low, min(high, value))


@inline
def raw_bits(encoding: Any, octets: Array, position: Any, value: Any, count: Any) -> Any:
    """Copy the low bits of a word to or from the bit field (clause 8.4.3); count is 1 to 63."""
    shift = U64(position & 7)
    first = min(count, I64(32))
    mask = (U64(1) << U64(first)) - U64(1)
    if encoding:
        place = position >> 3
        kept = get(octets, place) & ((U64(1) << shift) - U64(1))
        store64(octets, place, kept | ((value & mask) << shift))
        if count > 32:
            place = (position + 32) >> 3
            rest = (value >> U64(32)) & ((U64(1) << U64(count - 32)) - U64(1))
            kept = get(octets, place) & ((U64(1) << shift) - U64(1))
            store64(octets, place, kept | (rest << shift))
        return value
    result = (load64(octets, position >> 3) >> shift) & mask
    if count > 32:
        rest = load64(octets, (position + 32) >> 3) >> shift
        result |= (rest & ((U64(1) << U64(count - 32)) - U64(1))) << U64(32)
    return result


@inline
def short_raw_bits(octets: Array, position: Any, count: Any) -> Any:
    """Read 0 to 57 bits of the bit field in one load."""
    return (load64(octets, position >> 3) >> U64(position & 7)) & ((U64(1) << U64(count)) - U64(1))


@inline
def below_leading(word: Any, length: Any) -> Any:
    """Return the three bits below the leading one, as if the word were a binary fraction."""
    if length >= 4:
        return I64((word >> U64(length - 4)) & U64(7))
    return I64((word << U64(4 - length)) & U64(7))


@inline
def compare(old: Any, new: Any, bits: Any, magnitude_mask: Any, floating: Any) -> Any:
    """Return flipped, length, shrunk and difference of two words (clause 8.4.1)."""
    if floating:
        # Without branches: which way a word moves is close to a coin toss.
        a = old & magnitude_mask
        b = new & magnitude_mask
        flipped = (old ^ new) >> U64(bits - 1)
        less = U64(b < a)
        moved = ((b - a) ^ (U64(0) - less)) + less
        length = I64(bit_length(moved)) & (I64(flipped) - 1)
        return I64(flipped), length, I64(less & (U64(1) - flipped)), b if flipped else moved
    forward = (new - old) & magnitude_mask
    backward = (old - new) & magnitude_mask
    if backward < forward:
        return I64(0), I64(bit_length(backward)), I64(1), backward
    return I64(0), I64(bit_length(forward)), I64(0), forward


@inline
def way_is_right(
    word: Any, magnitude: Any, magnitude_mask: Any, bits: Any, floating: Any, shrunk: Any
) -> Any:
    """Whether a move stays in its range and is the shorter of two ways (clause 8.4.1)."""
    if floating:
        return word <= (magnitude if shrunk else magnitude_mask - magnitude)
    return word <= (U64(1) << U64(bits - 1)) - U64(shrunk)


@inline
def extent_of(
    flipped: Any, length: Any, word: Any, magnitude: Any, exponent: Any, mantissa_bits: Any
) -> Any:
    """Extent of a change, in eighths of an octave (clause 8.4.2); magnitude is the old word's."""
    if flipped:
        larger = max(word, magnitude)
        octave = max(I64(larger >> U64(mantissa_bits)), I64(1)) + mantissa_bits + 1
        return 8 * octave + below_leading(larger, mantissa_bits + 1)
    return 8 * (length + exponent) + below_leading(word, length)


@kernel
def remember(reference: Array, current: Array, widths: Array, entries: Array) -> Any:
    """Write the entry of every word (clause 8.4.2); return the sum and number of entries."""
    bits, exponent_bits, mantissa_bits = widths[2], widths[3], widths[4]
    floating = exponent_bits > 0
    magnitude_mask = U64(0xFFFFFFFFFFFFFFFF) >> U64(64 - bits + I64(floating))
    total = I64(0)
    number = I64(0)
    for i in range(reference.size):
        index = U64(i)
        old = get(reference, index)
        new = get(current, index)
        flipped, length, shrunk, word = compare(old, new, bits, magnitude_mask, floating)
        sign = I64(0)
        exponent = I64(0)
        magnitude = old & magnitude_mask
        if floating:
            sign = I64(old >> U64(bits - 1))
            exponent = max(I64(magnitude >> U64(mantissa_bits)), I64(1))
        entry = U64(0)
        if flipped or length > 0:
            extent = extent_of(flipped, length, word, magnitude, exponent, mantissa_bits)
            down = sign ^ (1 if flipped else shrunk)
            entry = U64((extent << 1) | down)
            total += extent
            number += 1
        put(entries, index, entry)
    return total, number
