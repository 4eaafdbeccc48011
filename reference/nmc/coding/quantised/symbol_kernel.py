"""The symbols of one block through the coder, in either direction (clause 12.4).

The same function encodes and decodes: the slots change in one place, so that the two cannot part.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nmc.coding.arithmetic.jit import I64, U64, Array, bit_length, get, inline, kernel, routine
from nmc.coding.arithmetic.mixing_kernel import RANGE, SQUASH, STRETCH
from nmc.coding.arithmetic.range_kernel import EVEN, arithmetic, decide, learn
from nmc.coding.arithmetic.words import clip, raw_bits
from nmc.coding.quantised.trellis import TRELLIS

NODES = 32
CONTEXTS = 256
COLUMNS = 1024
TABLES = 6

# Slots of a model (clause 12.4.2): tables 0 to 4 have 256 contexts, table 5 has one for a column.
SIGN = (5 * CONTEXTS + COLUMNS) * NODES
SIGN_BIN = SIGN + 27
SIGN_COLUMN = SIGN_BIN + 96
TOP = SIGN_COLUMN + COLUMNS
STRIP = TOP + 16 * 16 * 3
SLOTS = STRIP + 8

INPUTS = TABLES + 1  # the last input is the constant one
SIGN_SETS = NODES * 16
SETS = SIGN_SETS + 3
FIRST_WEIGHT = 16384  # in 1 / 2**16
WEIGHT_LIMIT = 1 << 24
CONSTANT = 256

LONGEST = 29
"""Bits of the largest magnitude of a symbol."""
STRIP_SYMBOLS = 32
MOST_WORDS = 40
"""Code words of one symbol and its strip: at most 34 decisions of at most 16 bits."""

OK, FULL = 0, 1


def first_slots() -> Array:
    """Return uint32[SLOTS] of even probabilities that have seen nothing."""
    return np.full(SLOTS, EVEN, np.uint32)


def first_weights() -> Array:
    """Return int64[SETS * INPUTS], equal weights."""
    return np.full(SETS * INPUTS, FIRST_WEIGHT, np.int64)


@inline
def grade(a: Any) -> Any:
    """Activity in 16 classes, two to an octave (clause 12.4.3)."""
    if a < 2:
        return I64(a)
    n = I64(bit_length(U64(a)))
    return min(2 * n - 2 + ((a >> (n - 2)) & 1), I64(15))


@inline
def signum(a: Any) -> Any:
    """0 below zero, 1 at zero, 2 above."""
    return 1 + I64(a > 0) - I64(a < 0)


@routine
def blend(
    stream: Any,
    coder: Any,
    bit: Any,
    model: Array,
    net: Any,
    node: Any,
    count: Any,
    chosen: Any,
) -> Any:
    """Code one decision with several slots (clause 12.4.4)."""
    places, inputs, weights = net
    first = chosen * INPUTS
    total = weights[first + count] * CONSTANT
    for k in range(count):
        inputs[k] = STRETCH[U64(get(model, places[k] + node) >> U64(20))]
        total += weights[first + k] * inputs[k]
    total = clip((total + 32768) >> 16, -RANGE, RANGE)
    chance = SQUASH[U64(total + RANGE + 1)]
    bit, coder = arithmetic(stream, coder, bit, chance)
    error = (bit << 16) - chance
    for k in range(count):
        moved = weights[first + k] + ((inputs[k] * error + 8192) >> 14)
        weights[first + k] = clip(moved, -WEIGHT_LIMIT, WEIGHT_LIMIT)
        learn(model, places[k] + node, I64(get(model, places[k] + node)), bit)
    moved = weights[first + count] + ((CONSTANT * error + 8192) >> 14)
    weights[first + count] = clip(moved, -WEIGHT_LIMIT, WEIGHT_LIMIT)
    return bit, coder


@inline
def ask(
    stream: Any,
    coder: Any,
    bit: Any,
    model: Array,
    net: Any,
    node: Any,
    count: Any,
    chosen: Any,
    mixing: Any,
) -> Any:
    """Code one decision with the first slot alone, or with all of them."""
    if mixing:
        return blend(stream, coder, bit, model, net, node, count, chosen)
    return decide(stream, coder, bit, model, net[0][0] + node)


# One loop, so that the coder's registers stay in registers: split up it runs at half the speed.
@kernel
def code_block(  # noqa: C901, PLR0912, PLR0915
    encoding: Any,
    mixing: Any,
    dependent: Any,
    symbols: Array,
    before: Array,
    bins: Array,
    means: Array,
    model: Array,
    net: Any,
    words: Array,
    octets: Array,
    registers: Array,
) -> Any:
    """Code the symbols of one block; clause 12.4 defines every quantity in it.

    Parameters
    ----------
    encoding : bool
        Whether symbols are read and the streams are written, or the reverse.
    mixing : bool
        Whether probabilities are mixed (clause 12.4.4).
    dependent : bool
        Whether the trellis chooses the quantiser (clause 12.4.5).
    symbols : int32[R, C]
    before : int32[R, C]
        The symbols that were coded here last.
    bins : int32[R, C]
        The bins that are updated; zeros where there are none.
    means : int64[C]
        Zeros; work space.
    model : uint32[SLOTS]
    net : tuple of int64[TABLES], int64[INPUTS], int64[SETS * INPUTS]
        Places and inputs (work space) and the weights.
    words : uint16[...]
        Code words.
    octets : uint8[...]
        Raw bits, with 16 bytes to spare.
    registers : int64[4]
        Span, low and position in words; position in bits of octets.

    Returns
    -------
    int
        OK, or FULL when a stream is at its end.
    """
    places = net[0]
    rows, columns = symbols.shape
    stream = (encoding, words, words.size)
    coder = (registers[0], registers[1], registers[2])
    position = registers[3]
    last_position = I64(octets.size - 16) * 8
    running = I64(0)
    state = I64(0)
    # An encoder needs room for one more symbol; a decoder reads zeros behind the last word.
    limit = words.size if encoding else words.size + MOST_WORDS
    strip_rows = max(STRIP_SYMBOLS // columns, 1)
    strips = I64(3)
    first = 0
    while first < rows:
        last = min(first + strip_rows, rows)
        if not dependent:
            lively = I64(0)
            used = I64(0)
            for r in range(first, last):
                for c in range(columns):
                    lively |= I64(before[r, c] != 0)
                    if encoding:
                        used |= I64(symbols[r, c] != 0)
            used, coder = decide(stream, coder, used, model, STRIP + lively * 4 + strips)
            strips = (strips * 2 + used) & 3
            if used == 0:
                first = last
                continue
        for r in range(first, last):
            for c in range(columns):
                left = left2 = up = up2 = corners = I64(0)
                left_sign = up_sign = I64(1)
                was = I64(before[r, c])
                past = abs(was)
                around = I64(0)
                if c > 0:
                    left = abs(I64(symbols[r, c - 1]))
                    left_sign = signum(symbols[r, c - 1])
                    around += abs(I64(before[r, c - 1]))
                    if c > 1:
                        left2 = abs(I64(symbols[r, c - 2]))
                if r > 0:
                    up = abs(I64(symbols[r - 1, c]))
                    up_sign = signum(symbols[r - 1, c])
                    around += abs(I64(before[r - 1, c]))
                    if c > 0:
                        corners += abs(I64(symbols[r - 1, c - 1]))
                    if c + 1 < columns:
                        corners += abs(I64(symbols[r - 1, c + 1]))
                    if r > 1:
                        up2 = abs(I64(symbols[r - 2, c]))
                if c + 1 < columns:
                    around += abs(I64(before[r, c + 1]))
                if r + 1 < rows:
                    around += abs(I64(before[r + 1, c]))
                near = grade(2 * (left + up) + left2 + up2 + corners)
                size = I64(bit_length(U64(abs(I64(bins[r, c])))))
                column = min(I64(c), I64(COLUMNS - 1))
                places[0] = near * 16 + grade(2 * past + around)
                places[1] = CONTEXTS + grade(means[c] >> 4) * 16 + grade(running >> 4)
                places[2] = 2 * CONTEXTS + grade(past) * 16 + grade(around)
                places[3] = 3 * CONTEXTS + min(left, 3) * 64 + min(up, 3) * 16
                places[3] += min(left2, 3) * 4 + min(up2, 3)
                places[4] = 4 * CONTEXTS + size * 8 + min(grade(past + left + up), 7)
                places[5] = 5 * CONTEXTS + column
                for k in range(TABLES):
                    places[k] *= NODES
                if coder[2] + MOST_WORDS > limit:
                    return FULL
                symbol = I64(symbols[r, c]) if encoding else I64(0)
                magnitude = abs(symbol)
                length = I64(bit_length(U64(magnitude)))
                n = I64(0)
                node = state & 1
                while n < LONGEST:
                    more, coder = ask(
                        stream,
                        coder,
                        I64(length > n),
                        model,
                        net,
                        node,
                        TABLES,
                        node * 16 + near,
                        mixing,
                    )
                    if not more:
                        break
                    n += 1
                    node = n + 1
                if n > 0:
                    value = I64(1)
                    rest = n - 1
                    slot = TOP + (min(n, 15) * 16 + near) * 3
                    if rest > 0:
                        rest -= 1
                        bit, coder = decide(stream, coder, (magnitude >> rest) & 1, model, slot)
                        value = 2 * value + bit
                        if rest > 0:
                            rest -= 1
                            bit, coder = decide(
                                stream, coder, (magnitude >> rest) & 1, model, slot + 1 + bit
                            )
                            value = 2 * value + bit
                        if rest > 0:
                            if position + rest > last_position:
                                return FULL
                            low = I64(raw_bits(encoding, octets, position, U64(magnitude), rest))
                            value = value << rest | (low & ((1 << rest) - 1))
                            position += rest
                    places[0] = SIGN + signum(was) * 9 + left_sign * 3 + up_sign
                    places[1] = SIGN_BIN + signum(bins[r, c]) * 32 + size
                    places[2] = SIGN_COLUMN + column
                    above, coder = ask(
                        stream,
                        coder,
                        I64(symbol > 0),
                        model,
                        net,
                        0,
                        3,
                        SIGN_SETS + signum(was),
                        mixing,
                    )
                    magnitude = value
                    if not encoding:
                        symbols[r, c] = value if above else -value
                else:
                    magnitude = I64(0)
                if dependent:
                    state = TRELLIS[2 * state + (magnitude & 1)]
                moved = min(magnitude, 4095) << 8
                means[c] += (moved - means[c]) >> 3
                running += (moved - running) >> 4
        first = last
    registers[0], registers[1], registers[2] = coder
    registers[3] = position
    if coder[2] > words.size:
        return FULL
    return OK
