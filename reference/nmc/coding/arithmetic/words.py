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
    load64,
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
