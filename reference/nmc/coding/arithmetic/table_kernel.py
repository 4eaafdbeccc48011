"""The inner loops of the frequency tables (clause 8.6.3)."""

from __future__ import annotations

from typing import Any

from nmc.coding.arithmetic.jit import I64, U64, Array, bit_length, inline, kernel, load64
from nmc.coding.arithmetic.static_kernel import CONTEXTS, TOKENS, TOTAL, TOTAL_BITS

MALFORMED = -1
SYMBOL_COST = 10 << 8  # what one entry of a table costs, about, in 1/256 bit


@inline
def logarithm(number: Any) -> Any:
    """Binary logarithm of a positive number in 1/256, from below, by repeated squaring."""
    length = I64(bit_length(U64(number))) - 1
    fraction = number << 16 >> length
    result = length
    for _ in range(8):
        fraction = fraction * fraction >> 16
        double = I64(fraction >> 17 > 0)
        fraction >>= double
        result = result << 1 | double
    return result


@kernel
def cost(counts: Array) -> Any:
    """Bits, in 1/256, that a table of int64 counts and the tokens coded with it take."""
    total = I64(0)
    bits = I64(0)
    for token in range(TOKENS):
        count = counts[token]
        if count > 0:
            total += count
            bits += SYMBOL_COST - count * logarithm(count)
    return bits + total * logarithm(total) if total > 0 else 0


@inline
def take(octets: Array, position: Any, count: Any) -> Any:
    """Read 0 to 57 bits."""
    word = load64(octets, position >> 3) >> U64(position & 7)
    return I64(word & ((U64(1) << U64(count)) - U64(1)))


@inline
def gamma(octets: Array, position: Any) -> Any:
    """Read an Elias gamma code (clause 8.6.3); 0 where it is malformed."""
    word = load64(octets, position >> 3) >> U64(position & 7)
    word &= U64(65535)
    lowest = word & (U64(0) - word)
    length = I64(bit_length(lowest)) - 1
    if length < 0:
        return I64(0), position
    number = I64(1) << length | take(octets, position + length + 1, length)
    return number, position + 2 * length + 1


@kernel
def read_tables(octets: Array, tokens: int, frequencies: Array) -> Any:
    """Read all tables into int64 frequencies[CONTEXTS, TOKENS]; return the bits read or MALFORMED.

    octets has 16 bytes to spare; what is read beyond the end is zero.
    """
    end = I64(octets.size - 16) * 8
    position = I64(0)
    context = I64(-1)
    source = I64(-1)
    while position <= end:
        step, position = gamma(octets, position)
        context += step
        if step == 0 or context > CONTEXTS:
            return MALFORMED
        if context == CONTEXTS:
            return position if position <= end else MALFORMED
        fresh = I64(1)
        if source >= 0:
            fresh = take(octets, position, I64(1))
            position += 1
        if fresh == 0:
            for token in range(TOKENS):
                frequencies[context, token] = frequencies[source, token]
            continue
        source = context
        token = I64(-1)
        left = I64(TOTAL)
        while left > 0:
            if position > end:
                return MALFORMED
            step, position = gamma(octets, position)
            token += step
            length = take(octets, position, I64(4))
            position += 4
            frequency = I64(1)
            if length > 0:
                frequency += I64(1) << (length - 1) | take(octets, position, length - 1)
                position += length - 1
            if step == 0 or token >= tokens or frequency > left:
                return MALFORMED
            frequencies[context, token] = frequency
            left -= frequency
    return MALFORMED


@kernel
def expand(frequencies: Array, table: Array) -> None:
    """Fill uint32 table[CONTEXTS * TOTAL]: token, frequency - 1, offset of each code point."""
    for context in range(CONTEXTS):
        place = context << TOTAL_BITS
        for token in range(TOKENS):
            frequency = frequencies[context, token]
            for offset in range(frequency):
                table[place] = token | (frequency - 1) << 8 | offset << (8 + TOTAL_BITS)
                place += 1
