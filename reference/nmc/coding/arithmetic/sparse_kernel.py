"""The inner loops of the sparse variant (clause 8.7): which cells live, as one rANS lane."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic.jit import I64, U64, Array, get, inline, kernel, put

OCTAVES = 32
BEYOND = 1 << 30  # a chance that ends every stretch
FOLLOWS = 128  # of a place: the cell before is live
PLACES = 256  # 128 * follows + 32 * past + octave
END = 127  # place behind the last cell of a block
ONE = 1 << 16  # a chance of 1
LIMIT = 3 << 14  # what the chances of a stretch may add up to
FIRST_LANE = 1 << 23
EXHAUSTED = -1
TOO_FEW = -2
MISSED = -3
PIECE = 1 << 17  # cells of a piece, which is decoded by itself
STRIDE = 8  # sums that are compared at once
FAR = 1 << 62  # above all sums
BLOCK = 4096  # cells whose places are looked up at once, while they are in the nearest cache


class View(NamedTuple):
    """What the kernels see of a tensor in which live cells are looked for.

    Attributes
    ----------
    reference : ndarray
        Its words in frame t-1.
    widths : int64[5]
        Lines and word format.
    size : int
        Words of a cell.
    rest : int
        Past of the cells that are not recent: 0 equal, 1 not known.
    recent : ndarray of uint32 or uint64
        Cells of which a word was coded in the frame before, ascending.
    past : int
        Their past: 2 changed, 1 not known.
    """

    reference: Array
    widths: Array
    size: int
    rest: int
    recent: Array
    past: int


def new_block() -> NDArray[np.uint8]:
    """Return room for the places of a block, and for the two behind its end."""
    return np.empty(BLOCK + 2, np.uint8)


@inline
def octave_of(word: Any, magnitude_mask: Any, mantissa_bits: Any, first: Any) -> Any:
    """Octave of a cell's first word above the first (clause 8.7.3)."""
    octave = I64((word & magnitude_mask) >> U64(mantissa_bits)) - first
    return min(max(octave, I64(0)), I64(OCTAVES - 1))


@inline
def look_up(
    reference: Array,
    widths: Array,
    size: Any,
    rest: Any,
    recent: Array,
    past: Any,
    first: Any,
    at: Any,
    start: Any,
    out: Array,
) -> Any:
    """Write the places of a block of cells from start on; return how far recent was used."""
    mantissa_bits = widths[4]
    magnitude_mask = U64(0)
    if widths[3] > 0:
        magnitude_mask = U64(0xFFFFFFFFFFFFFFFF) >> U64(64 - widths[2] + 1)
    cells = -(-I64(reference.size) // size)
    end = min(start + BLOCK, cells)
    if size == 1:
        for i in range(start, end):
            octave = octave_of(get(reference, U64(i)), magnitude_mask, mantissa_bits, first)
            put(out, U64(i - start), U64(octave + OCTAVES * rest))
    else:
        for i in range(start, end):
            octave = octave_of(get(reference, U64(i * size)), magnitude_mask, mantissa_bits, first)
            put(out, U64(i - start), U64(octave + OCTAVES * rest))
    while at < recent.size and I64(get(recent, U64(at))) < end:
        place = U64(I64(get(recent, U64(at))) - start)
        put(out, place, U64((I64(get(out, place)) & (OCTAVES - 1)) + past * OCTAVES))
        at += 1
    return at


@inline
def first_from(indices: Array, begin: Any) -> Any:
    """Find the first of ascending indices that is not below begin."""
    low, high = I64(0), I64(indices.size)
    while low < high:
        middle = (low + high) >> 1
        if I64(get(indices, U64(middle))) < begin:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def count_places(
    reference: Array,
    widths: Array,
    size: int,
    rest: int,
    recent: Array,
    past: int,
    first: int,
    live: Array,
    step: int,
    block: Array,
    seen: Array,
    moved: Array,
) -> None:
    """Count in int64[256] how often each place is seen, and how often it live.

    Of every `step` blocks one is looked at: the counts only make chances.
    """
    cells = -(-I64(reference.size) // size)
    at = I64(0)
    next_change = I64(0)
    for start in range(0, cells, step * BLOCK):
        while next_change < live.size and I64(get(live, U64(next_change))) < start:
            next_change += 1
        while at < recent.size and I64(get(recent, U64(at))) < start:
            at += 1
        at = look_up(reference, widths, size, rest, recent, past, first, at, start, block)
        end = min(start + BLOCK, cells)
        put(block, U64(end - start), U64(END))
        for i in range(end - start):
            seen[I64(get(block, U64(i)))] += 1
        while next_change < live.size and I64(get(live, U64(next_change))) < end:
            here = I64(get(live, U64(next_change))) - start
            moved[I64(get(block, U64(here)))] += 1
            after = I64(get(block, U64(here + 1)))
            seen[after] -= 1
            seen[after | FOLLOWS] += 1
            put(block, U64(here + 1), U64(after | FOLLOWS))
            next_change += 1


def new_sums() -> NDArray[np.int64]:
    """Return room for the sums of a block's chances, and for those behind its end."""
    return np.empty(BLOCK + STRIDE + 1, np.int64)


@inline
def add_up(block: Array, length: Any, chances: Array, sums: Array) -> None:
    """Write what the chances before each cell of a block add up to; more than any, behind it."""
    total = I64(0)
    put(sums, U64(0), total)
    for i in range(length):
        total += I64(get(chances, U64(get(block, U64(i)))))
        put(sums, U64(i + 1), total)
    for i in range(length + 1, length + STRIDE + 1):
        put(sums, U64(i), I64(FAR))


@inline
def find_over(sums: Array, begin: Any, limit: Any) -> Any:
    """Return the first cell from begin on behind which the sum is above a limit."""
    i = begin
    while I64(get(sums, U64(i + STRIDE))) <= limit:
        i += STRIDE
    below = I64(0)
    for k in range(1, STRIDE):
        below += I64(get(sums, U64(i + k)) <= limit)
    return i + below


@kernel
def encode_cells(
    reference: Array,
    widths: Array,
    size: int,
    rest: int,
    recent: Array,
    past: int,
    first: int,
    begin: int,
    live: Array,
    chances: Array,
    block: Array,
    sums: Array,
    symbols: Array,
) -> Any:
    """Write first << 32 | frequency of every decision of a piece (clause 8.7.4) to uint64 symbols.

    Return their number, or MISSED where the chance of a change is 0. What a stretch has spent at a
    cell is the difference of two sums: no cell that stays is looked at, but to add it up.
    """
    stop = min(begin + PIECE, -(-I64(reference.size) // size))
    at = first_from(recent, begin)
    number = U64(0)
    next_change = I64(0)
    carried = I64(0)
    follows = U64(0)
    for start in range(begin, stop, BLOCK):
        at = look_up(reference, widths, size, rest, recent, past, first, at, start, block)
        put(block, U64(0), get(block, U64(0)) | follows)
        follows = U64(0)
        end = min(start + BLOCK, stop)
        length = I64(end - start)
        add_up(block, length, chances, sums)
        base = -carried  # what a stretch has spent at cell i is sums[i] - base
        i = I64(0)
        while i < length:
            here = length
            if I64(get(live, U64(next_change))) < end:
                here = I64(get(live, U64(next_change))) - start
            total = I64(get(sums, U64(here))) - base
            while total > LIMIT:
                i = find_over(sums, i, base + LIMIT)
                spent = I64(get(sums, U64(i))) - base
                if spent == 0:  # a chance above the limit is spent alone
                    i += 1
                    spent = I64(get(sums, U64(i))) - base
                    if i == length:
                        break
                put(symbols, number, U64(spent << 32) | U64(ONE - spent))
                number += U64(1)
                base = I64(get(sums, U64(i)))
                total = I64(get(sums, U64(here))) - base
            if here == length:
                carried = total
                break
            chance = I64(get(sums, U64(here + 1))) - I64(get(sums, U64(here)))
            if chance == 0:
                return I64(MISSED)
            if total > 0 and total + chance > LIMIT:
                put(symbols, number, U64(total << 32) | U64(ONE - total))
                number += U64(1)
                total = I64(0)
            put(symbols, number, U64(total << 32) | U64(chance))
            number += U64(1)
            next_change += 1
            if next_change == live.size:
                return I64(number)
            i = here + 1
            carried = I64(0)
            if i == length:
                follows = U64(FOLLOWS)
                break
            after = get(chances, U64(get(block, U64(i))) | U64(FOLLOWS))
            base = I64(get(sums, U64(i + 1))) - I64(after)
            put(sums, U64(i), base)  # as if the cells before had taken so much more or less
    return I64(number)


@kernel
def code_symbols(symbols: Array, octets: Array, lane: Array) -> Any:
    """Code symbols from the last to the first; return where the bytes begin in octets."""
    place = I64(octets.size)
    x = U64(FIRST_LANE)
    for i in range(symbols.size - 1, -1, -1):
        symbol = get(symbols, U64(i))
        first = symbol >> U64(32)
        frequency = symbol & U64(0xFFFFFFFF)
        while x >= frequency << U64(15):
            place -= 1
            put(octets, U64(place), x)
            x >>= U64(8)
        quotient = U64(np.uint32(x) // np.uint32(frequency))
        x = (quotient << U64(16)) + (x - quotient * frequency) + first
    lane[0] = x
    return place


@kernel
def decode_cells(
    reference: Array,
    widths: Array,
    size: int,
    rest: int,
    recent: Array,
    past: int,
    first: int,
    begin: int,
    live: Array,
    chances: Array,
    block: Array,
    octets: Array,
    lane: Array,
) -> Any:
    """Find the cells of a piece that are live (clause 8.7.4); return how many bytes that took.

    TOO_FEW where the piece ends before all were found, EXHAUSTED where the bytes do. What comes
    out of a lane is hard to foresee, so that nothing but the end of a stretch is a branch.
    """
    last_place = U64(octets.size - 16)
    stop = min(begin + PIECE, -(-I64(reference.size) // size))
    at = first_from(recent, begin)
    number = U64(0)
    x = U64(lane[0])
    spot = U64(0)
    target = x & U64(ONE - 1)
    bound = min(target, U64(LIMIT))
    total = U64(0)
    follows = U64(0)
    for start in range(begin, stop, BLOCK):
        if number == live.size:
            break
        at = look_up(reference, widths, size, rest, recent, past, first, at, start, block)
        put(block, U64(0), get(block, U64(0)) | follows)
        length = U64(min(start + BLOCK, stop) - start)
        put(block, length, U64(END))
        i = U64(0)
        while number < live.size:
            chance = get(chances, get(block, i))
            i += U64(1)
            while total + chance <= bound:
                total += chance
                chance = get(chances, get(block, i))
                i += U64(1)
            if i > length:
                break
            after = total + chance
            none = (after > U64(LIMIT)) & (total > U64(0))
            if (after <= target) & (total == U64(0)):
                total = after
                continue
            put(live, number, U64(start) + i - U64(1))
            change = U64(1) - U64(none)
            number += change
            put(block, i, get(block, i) | (U64(FOLLOWS) * change))
            i -= U64(none)
            frequency = U64(ONE) - total if none else chance
            x = frequency * (x >> U64(16)) + target - total
            wanted = U64(x < U64(FIRST_LANE)) + U64(x < U64(FIRST_LANE >> 8))
            pair = (get(octets, spot) << U64(8)) | get(octets, spot + U64(1))
            x = (x << (U64(8) * wanted)) | (pair >> (U64(16) - U64(8) * wanted))
            spot += wanted
            if spot > last_place:
                return I64(EXHAUSTED)
            target = x & U64(ONE - 1)
            bound = min(target, U64(LIMIT))
            total = U64(0)
        follows = get(block, length) & U64(FOLLOWS)
    lane[0] = I64(x)
    if number < live.size:
        return I64(TOO_FEW)
    return I64(spot)
