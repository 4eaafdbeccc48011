"""The inner loops of the static encoder (clause 8.6): extents, tokens, raw bits and code words."""

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
    put,
    store32,
    store64,
)
from nmc.coding.arithmetic.static_kernel import (
    BATCH,
    BITS,
    ESCAPE,
    EXPONENT,
    FIRST_LANE,
    FLIPS,
    LONGEST,
    MANTISSA,
    MOVES,
    REACH,
    TOTAL_BITS,
    batch_contexts,
)

NEAR = 2 * REACH


@inline
def difference(x: Any, z: Any, bits: Any) -> Any:
    """Return the size of a move and whether it shrinks; words of up to 64 bits as uint64."""
    mask = U64(0xFFFFFFFFFFFFFFFF) >> U64(64 - bits)
    forward = (z - x) & mask
    shrunk = forward >> U64(bits - 1)
    return ((forward ^ (U64(0) - shrunk)) + shrunk) & mask, shrunk


@kernel
def extents(old: Array, new: Array, widths: Array, out: Array) -> Any:
    """Write the extent of every change to uint16 out, 0 where the words are equal (note in 8.6.2).

    Returns
    -------
    tuple of int
        The sum of the extents and the number of words that change.
    """
    bits, exponent_bits, mantissa_bits = widths[BITS], widths[EXPONENT], widths[MANTISSA]
    floating = U64(exponent_bits > 0)
    magnitude = U64(0xFFFFFFFFFFFFFFFF) >> (U64(64 - bits) + floating)
    sign = U64(floating << U64(bits - 1))
    total = I64(0)
    number = I64(0)
    for i in range(old.size):
        index = U64(i)
        x = get(old, index)
        z = get(new, index)
        size, _ = difference(x, z, bits)
        turned = (x ^ z) & sign > U64(0)
        size = max(x & magnitude, z & magnitude) if turned else size
        length = I64(bit_length(size))
        below = ((size << U64(3)) >> U64(max(length - 1, I64(0)))) & U64(7)
        exponent = max(I64((x & magnitude) >> U64(mantissa_bits)), I64(floating))
        exponent = exponent if exponent_bits > 0 else I64(0)
        field = max(I64(size >> U64(mantissa_bits)), I64(1)) + mantissa_bits + 1
        octave = field if turned else length + exponent
        extent = 8 * octave + I64(below)
        changed = x != z
        put(out, index, U64(extent) if changed else U64(0))
        total += extent if changed else I64(0)
        number += I64(changed)
    return total, number


@kernel
def sums(extent: Array, line: int, columns: Array, lines: Array) -> None:
    """Add up the extents and their number in int64[n, 2] for each column and each line."""
    for row in range(lines.shape[0]):
        first = row * line
        total = I64(0)
        number = I64(0)
        for column in range(min(I64(line), I64(extent.size) - first)):
            value = I64(extent[first + column])
            one = I64(value > 0)
            columns[column, 0] += value
            columns[column, 1] += one
            total += value
            number += one
        lines[row, 0] = total
        lines[row, 1] = number


@kernel
def tokenize(
    old: Array,
    new: Array,
    ways: Array,
    first: int,
    columns: Array,
    lines: Array,
    widths: Array,
    contexts: Array,
    tokens: Array,
    next_ways: Array,
    counts: Array,
) -> None:
    """Write context, token and way of the words from first on, as many as there are ways of.

    Every change has the token that clause 8.6.5 gives it; what has none is an escape. Tokens are
    counted in uint32 counts[contexts, tokens], unless that is empty.
    """
    bits, mantissa_bits = widths[BITS], widths[MANTISSA]
    sign = U64(widths[EXPONENT] > 0) << U64(bits - 1)
    rest = ~sign
    for start in range(0, ways.size, BATCH):
        end = min(I64(ways.size), start + BATCH)
        batch_contexts(
            old,
            ways,
            I64(first),
            first + start,
            first + end,
            columns,
            lines,
            widths,
            contexts[start:end],
        )
        for i in range(start, end):
            index = U64(i)
            x = get(old, U64(first + i))
            z = get(new, U64(first + i))
            size, shrunk = difference(x, z, bits)
            turned = (x ^ z) & sign > U64(0)
            count = I64(bit_length(size + U64(1))) - 2
            half = ((size + U64(1)) >> U64(count & 63)) & U64(1)
            before = get(ways, index)
            other = shrunk ^ (before & (before >> U64(1)))
            move = U64(MOVES) + (U64(count) << U64(2)) + (half << U64(1)) + other
            move = move if count <= LONGEST else U64(ESCAPE)
            step = ((z & rest) >> U64(mantissa_bits)) - ((x & rest) >> U64(mantissa_bits))
            step += U64(REACH)
            flip = step + U64(FLIPS) if step < U64(NEAR) else U64(ESCAPE)
            token = flip if turned else move
            token = token if z != x else U64(0)
            put(tokens, index, token)
            way = U64(2) + shrunk if token >= U64(MOVES) else U64(2)
            put(next_ways, index, way if token > U64(0) else U64(0))
        for i in range(start, end if counts.size > 0 else start):
            slot = (get(contexts, U64(i)) << U64(8)) | get(tokens, U64(i))
            put(counts, slot, get(counts, slot) + U64(1))


@kernel
def write_raw(
    old: Array,
    new: Array,
    widths: Array,
    contexts: Array,
    tokens: Array,
    bases: Array,
    frequencies: Array,
    counts: Array,
    masks: Array,
    octets: Array,
    next_ways: Array,
) -> Any:
    """Write the raw bits of a chunk; return their number (clause 8.6.5).

    A token that the table of its context does not have becomes an escape.
    """
    bits = widths[BITS]
    pending = U64(0)
    filled = U64(0)
    place = U64(0)
    number = I64(0)
    for i in range(old.size):
        index = U64(i)
        token = get(tokens, index)
        slot = (get(bases, get(contexts, index)) >> U64(TOTAL_BITS - 8)) | token
        if get(frequencies, slot) == U64(0):
            token = U64(ESCAPE)
            put(tokens, index, token)
            put(next_ways, index, U64(2))
        value = get(new, index)
        if token >= U64(MOVES):
            size, _ = difference(get(old, index), value, bits)
            value = size + U64(1)
        count = get(counts, token)
        value &= get(masks, token)
        number += I64(count)
        low = min(count, U64(32))
        pending |= (value & U64(0xFFFFFFFF)) << filled
        filled += low
        store64(octets, place, pending)
        place += filled >> U64(3)
        pending >>= filled & ~U64(7)
        filled &= U64(7)
        if count > U64(32):
            pending |= (value >> U64(32)) << filled
            filled += count - low
            store64(octets, place, pending)
            place += filled >> U64(3)
            pending >>= filled & ~U64(7)
            filled &= U64(7)
    return number


@kernel
def write_code(
    contexts: Array,
    tokens: Array,
    bases: Array,
    starts: Array,
    frequencies: Array,
    octets: Array,
    lanes: Array,
) -> Any:
    """Write the code words of a chunk, backwards from the end of octets (clause 8.6.4).

    Returns
    -------
    int
        Where the first one lies. The lanes are those that a decoder begins with.
    """
    count = I64(lanes.size)
    size = I64(tokens.size)
    place = I64(octets.size)
    for lane in range(count):
        lanes[lane] = U64(FIRST_LANE)
    run = 2 * count
    for start in range((size - 1) // run * run, -1, -run):
        end = min(start + run, size)
        for lane in range(count - 1, -1, -1):
            one = start + lane
            if one >= end:
                continue
            state = get(lanes, U64(lane))
            slot = _slot(contexts, tokens, one, bases)
            f = get(frequencies, slot)
            two = one + count
            if two < end:
                later = _slot(contexts, tokens, two, bases)
                g = get(frequencies, later)
                if state >= (f * g) << U64(32):
                    place -= 4
                    store32(octets, place, state)
                    state >>= U64(32)
                quotient = state // g
                state = (quotient << U64(TOTAL_BITS)) + state - quotient * g + get(starts, later)
            elif state >= f << U64(32 + TOTAL_BITS):
                place -= 4
                store32(octets, place, state)
                state >>= U64(32)
            quotient = state // f
            state = (quotient << U64(TOTAL_BITS)) + state - quotient * f + get(starts, slot)
            put(lanes, U64(lane), state)
    return place


@inline
def _slot(contexts: Array, tokens: Array, index: Any, bases: Array) -> Any:
    """Return the element of a token in the frequencies."""
    context = get(contexts, U64(index))
    return (get(bases, context) >> U64(TOTAL_BITS - 8)) | get(tokens, U64(index))


@kernel
def pack_ways(ways: Array, octets: Array) -> None:
    """Write four ways into each octet, those of one quarter of a chunk after the other."""
    quarter = I64(octets.size)
    for i in range(quarter):
        put(octets, U64(i), get(ways, U64(i)))
    for k in range(1, 4):
        for i in range(min(quarter, I64(ways.size) - k * quarter)):
            way = get(ways, U64(k * quarter + i))
            put(octets, U64(i), get(octets, U64(i)) | (way << U64(2 * k)))


@kernel
def unpack_ways(octets: Array, ways: Array) -> None:
    """Undo pack_ways."""
    quarter = I64(octets.size)
    for k in range(4):
        for i in range(min(quarter, I64(ways.size) - k * quarter)):
            put(ways, U64(k * quarter + i), (get(octets, U64(i)) >> U64(2 * k)) & U64(3))
