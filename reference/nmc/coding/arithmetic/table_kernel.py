"""The inner loop that reads frequency tables (clause 8.6.3)."""

from __future__ import annotations

from typing import Any

from nmc.coding.arithmetic.jit import I64, U64, Array, bit_length, get, inline, kernel, load64
from nmc.coding.arithmetic.static_kernel import CONTEXTS, TOKENS, TOTAL, TOTAL_BITS

MALFORMED = -1
NUMBER_BITS = 5  # of a table


@inline
def _take(octets: Array, position: Any, count: Any) -> Any:
    """Read 0 to 57 bits."""
    word = load64(octets, position >> 3) >> U64(position & 7)
    return I64(word & ((U64(1) << U64(count)) - U64(1)))


@inline
def _gamma(octets: Array, position: Any) -> Any:
    """Read an Elias gamma code (clause 8.6.3); 0 where it is malformed."""
    word = load64(octets, position >> 3) >> U64(position & 7)
    word &= U64(65535)
    lowest = word & (U64(0) - word)
    length = I64(bit_length(lowest)) - 1
    if length < 0:
        return I64(0), position
    number = I64(1) << length | _take(octets, position + length + 1, length)
    return number, position + 2 * length + 1


@kernel
def read_tables(octets: Array, tokens: Array, bases: Array, table: Array) -> Any:
    """Read all tables (clause 8.6.3); return the bits read or MALFORMED.

    Parameters
    ----------
    octets : uint8[size + 16]
        What is read beyond the end is zero.
    tokens : uint8[TOKENS]
        1 for every token of the alphabet, else 0.
    bases : uint16[CONTEXTS]
        Receives the first element of each context's table.
    table : uint32[TABLES * TOTAL]
        Receives token, offset and frequency of each code point, from the least significant bit.
    """
    end = I64(octets.size - 16) * 8
    number = _take(octets, I64(0), I64(NUMBER_BITS)) + 1
    position = I64(NUMBER_BITS)
    context = I64(0)
    while context < CONTEXTS:
        run, position = _gamma(octets, position)
        chosen = _take(octets, position, I64(NUMBER_BITS))
        position += NUMBER_BITS
        if position > end or run == 0 or run > CONTEXTS - context or chosen >= number:
            return MALFORMED
        for _ in range(run):
            bases[context] = chosen << TOTAL_BITS
            context += 1
    for k in range(number):
        token = I64(-1)
        given = I64(0)
        while given < TOTAL:
            step, position = _gamma(octets, position)
            token += step
            length = _take(octets, position, I64(4))
            position += 4
            frequency = I64(1)
            if length > 0:
                frequency += I64(1) << (length - 1) | _take(octets, position, length - 1)
                position += length - 1
            if position > end or step == 0 or token >= TOKENS or frequency > TOTAL - given:
                return MALFORMED
            if get(tokens, U64(token)) == U64(0):
                return MALFORMED
            for offset in range(frequency):
                table[k * TOTAL + given + offset] = (
                    token | offset << 8 | frequency << (8 + TOTAL_BITS)
                )
            given += frequency
    return position
