"""The inner loops that choose and write frequency tables (clause 8.6.3)."""

from __future__ import annotations

from typing import Any, NamedTuple

from nmc.coding.arithmetic.jit import (
    I64,
    U64,
    Array,
    bit_length,
    inline,
    kernel,
    load64,
    store64,
)
from nmc.coding.arithmetic.static_kernel import CONTEXTS, ESCAPE, OCTAVES, TOKENS, TOTAL
from nmc.coding.arithmetic.table_kernel import NUMBER_BITS

SYMBOL_COST = 8 << 8  # what one entry of a table costs, about, in 1/256 bit


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


@inline
def cost(counts: Array, other: Array) -> Any:
    """Bits, in 1/256, that a table and the tokens coded with it take; two counts are added up."""
    total = I64(0)
    bits = I64(0)
    for token in range(TOKENS):
        count = counts[token] + other[token]
        if count > 0:
            total += count
            bits += SYMBOL_COST - count * logarithm(count)
    return bits + total * logarithm(total) if total > 0 else 0


class Groups(NamedTuple):
    """Contexts that share a table, while they are chosen; a group is named by its first context.

    Attributes
    ----------
    sums : int64[CONTEXTS + 1, TOKENS]
        The counts of each group; the last one is zero.
    owner : int64[CONTEXTS]
        The group of each context, -1 where it has no words.
    costs, losses, following : int64[CONTEXTS]
        Of each group: its cost, what is lost if the next group of the same way joins it, and that
        group, -1 where there is none.
    """

    sums: Array
    owner: Array
    costs: Array
    losses: Array
    following: Array


@inline
def loss(groups: Any, first: Any) -> Any:
    """Return what is lost if the group that follows joins a group."""
    second = groups.following[first]
    together = cost(groups.sums[first], groups.sums[second])
    return together - groups.costs[first] - groups.costs[second]


@kernel
def find_groups(counts: Array, groups: Any) -> Any:
    """Make every context with words a group of its own; return how many there are."""
    nothing = groups.sums[CONTEXTS]
    alive = I64(0)
    last = I64(-1)
    for context in range(CONTEXTS):
        used = I64(0)
        for token in range(TOKENS):
            count = I64(counts[context * TOKENS + token])
            groups.sums[context, token] = count
            used += count
        groups.following[context] = -1
        groups.owner[context] = -1
        if used > 0:
            alive += 1
            groups.owner[context] = context
            groups.costs[context] = cost(groups.sums[context], nothing)
            if last >= 0 and last // OCTAVES == context // OCTAVES:
                groups.following[last] = context
                groups.losses[last] = loss(groups, last)
            last = I64(context)
    return alive


@kernel
def join_groups(groups: Any, alive: int, most: int) -> None:
    """Join neighbours, those that lose the least first.

    It goes on as long as something is gained, or there are more groups than most.
    """
    owner, following = groups.owner, groups.following
    while True:
        best = I64(-1)
        for group in range(CONTEXTS):
            there = owner[group] == group and following[group] >= 0
            if there and (best < 0 or groups.losses[group] < groups.losses[best]):
                best = I64(group)
        if best < 0 or (alive <= most and groups.losses[best] > 0):
            break
        gone = following[best]
        alive -= 1
        groups.costs[best] += groups.costs[gone] + groups.losses[best]
        for token in range(TOKENS):
            groups.sums[best, token] += groups.sums[gone, token]
        following[best] = following[gone]
        for context in range(CONTEXTS):
            if owner[context] == gone:
                owner[context] = best
        if following[best] >= 0:
            groups.losses[best] = loss(groups, best)
        for group in range(CONTEXTS):
            if owner[group] == group and following[group] == best:
                groups.losses[group] = loss(groups, group)


@inline
def _gain(count: Any, frequency: Any) -> Any:
    """Return what a token gains by one more code point, in 1/256 bit."""
    return count * (logarithm((frequency + 1) << 8) - logarithm(frequency << 8))


@kernel
def normalise(counts: Array, frequencies: Array) -> None:
    """Write the frequencies of one table, which add up to TOTAL.

    Tokens that would use less than a third of the least chance become escapes. The rest of the
    code points goes, or is taken, where that gains most, or loses least.
    """
    total = I64(0)
    for token in range(TOKENS):
        total += counts[token]
    rare = I64(0)
    for token in range(TOKENS):
        frequencies[token] = 0
        if token != ESCAPE and 3 * TOTAL * counts[token] < total:
            rare += counts[token]
            counts[token] = 0
    counts[ESCAPE] += rare
    given = I64(0)
    for token in range(TOKENS):
        if counts[token] > 0:
            share = (2 * TOTAL * counts[token] + total) // (2 * total)
            frequencies[token] = max(share, I64(1))
            given += max(share, I64(1))
    while given != TOTAL:
        chosen = I64(-1)
        value = I64(0)
        for token in range(TOKENS):
            f = I64(frequencies[token])
            if given < TOTAL and f > 0:
                gain = _gain(counts[token], f)
                if chosen < 0 or gain > value:
                    chosen, value = I64(token), gain
            if given > TOTAL and f > 1:
                loss = _gain(counts[token], f - 1)
                if chosen < 0 or loss < value:
                    chosen, value = I64(token), loss
        step = I64(1) if given < TOTAL else I64(-1)
        frequencies[chosen] += step
        given += step


@inline
def _append(octets: Array, position: Any, value: Any, count: Any) -> Any:
    """Write up to 32 bits behind zeros; return the position behind them."""
    place = position >> 3
    word = load64(octets, place) | (U64(value) << U64(position & 7))
    store64(octets, place, word)
    return position + count


@inline
def _append_gamma(octets: Array, position: Any, number: Any) -> Any:
    length = I64(bit_length(U64(number))) - 1
    position = _append(octets, position, I64(1) << length, length + 1)
    return _append(octets, position, number - (I64(1) << length), length)


@kernel
def write_tables(owner: Array, number: int, frequencies: Array, octets: Array) -> Any:
    """Write the tables as clause 8.6.3 has them into zeros; return the number of bits."""
    position = _append(octets, I64(0), number - 1, NUMBER_BITS)
    first = I64(0)
    for context in range(1, CONTEXTS + 1):
        if context == CONTEXTS or owner[context] != owner[first]:
            position = _append_gamma(octets, position, context - first)
            position = _append(octets, position, owner[first], NUMBER_BITS)
            first = I64(context)
    for table in range(number):
        last = I64(-1)
        for token in range(TOKENS):
            f = I64(frequencies[table, token])
            if f > 0:
                position = _append_gamma(octets, position, token - last)
                last = I64(token)
                length = I64(bit_length(U64(f - 1)))
                position = _append(octets, position, length, I64(4))
                if length > 0:
                    position = _append(
                        octets, position, f - 1 - (I64(1) << (length - 1)), length - 1
                    )
    return position
