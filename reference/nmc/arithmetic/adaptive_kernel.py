"""One plane through the adaptive coder, in either direction (clauses 8.5 and 8.6).

The same function encodes and decodes: the model evolves in one place, so that the two cannot part.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nmc.arithmetic.jit import get, inline, kernel, put
from nmc.arithmetic.words import change_of, clip, compare, raw_bits

Array = Any
U = np.uint64
I = np.int64  # noqa: E741

FEATURES = 6
ZERO = 0
FLIP = ZERO + 24 * 32
CLASS = FLIP + 256
SIGN = CLASS + 256 * 16
TOP = SIGN + 3 * 3 * 8 * 8 * 2
EXPONENT = TOP + 32 * 4
SLOTS = EXPONENT + 4 * 16
LIMIT = 255
FIRST_WEIGHTS = (250 << 14, 0, 94 << 14, 0, 0, 0)  # of the features, in 1 / 2**24
FIRST_MEAN = 8 * 120 << 4
RATES = np.array([131072 // (2 * n + 3) for n in range(LIMIT + 1)], np.int64)

OK, FULL = 0, 1


def first_model() -> Array:
    """Return uint32[SLOTS] of even probabilities that have seen nothing."""
    return np.full(SLOTS, 1 << 31, np.uint32)


def first_trend() -> Array:
    """Return int64[8]: weights, mean and slow mean before anything is known."""
    return np.array([*FIRST_WEIGHTS, FIRST_MEAN, FIRST_MEAN], np.int64)


@inline
def carry(words: Array, position: Any) -> Any:
    """Add one to the number whose last 16 bits lie before position."""
    place = position - 1
    while place >= 0:
        words[place] = np.uint16((I(words[place]) + 1) & 65535)
        if words[place] != 0:
            break
        place -= 1


@kernel
def finish(words: Array, state: Array) -> None:
    """Write the two words that end the encoder's stream (clause 8.5.2)."""
    low, at = state[1], state[2]
    if low >> 32:
        carry(words, at)
    words[at] = np.uint16((low >> 16) & 65535)
    words[at + 1] = np.uint16(low & 65535)


@inline
def arithmetic(stream: Any, coder: Any, bit: Any, chance: Any) -> Any:
    """Code one decision whose probability of being 1 is chance / 65536 (clause 8.5.2)."""
    encoding, words, size = stream
    span, low, at = coder
    bound = (span * chance) >> 16
    if encoding:
        low += bound & (bit - 1)
    else:
        bit = I(low < bound)
        low -= bound & (bit - 1)
    span = (bound & -bit) | ((span - bound) & (bit - 1))
    if span < 65536:
        span <<= 16
        if encoding:
            if low >> 32:
                carry(words, at)
            if at < size:
                put(words, at, U((low >> 16) & 65535))
            low = (low & 65535) << 16
        else:
            low <<= 16
            if at < size:
                low |= I(get(words, at))
        at += 1
    return bit, (span, low, at)


@inline
def decide(stream: Any, coder: Any, bit: Any, model: Array, slot: Any) -> Any:
    """Code one decision with the adaptive probability in a slot (clause 8.5.3)."""
    state = I(get(model, slot))
    p = state >> 10
    n = state & 1023
    bit, coder = arithmetic(stream, coder, bit, (p >> 6) | 1)
    p += (((4194303 & -bit) - p) * RATES[U(n)]) >> 16
    put(model, slot, U((p << 10) | (n + I(n < LIMIT))))
    return bit, coder


@inline
def number(stream: Any, coder: Any, value: Any, centre: Any, bounds: Any, model: Array, base: Any) -> Any:
    """Code a number by steps up or down from a centre (clause 8.5.4)."""
    lowest, highest = bounds
    reached = centre
    up = I(0)
    if centre < highest:
        up, coder = decide(stream, coder, I(value > centre), model, base)
    if up:
        reached += 1
        step = I(1)
        while reached < highest:
            more, coder = decide(stream, coder, I(value > reached), model, base + step)
            if not more:
                break
            reached += 1
            step = min(step + 1, I(7))
    else:
        step = I(8)
        while reached > lowest:
            more, coder = decide(stream, coder, I(value < reached), model, base + step)
            if not more:
                break
            reached -= 1
            step = min(step + 1, I(15))
    return reached, coder


@kernel
def code_plane(
    encoding: bool,
    layout: Array,
    reference: Array,
    current: Array,
    changes: Array,
    trend: Array,
    columns: Array,
    model: Array,
    words: Array,
    octets: Array,
    state: Array,
) -> int:
    """Code one plane; see clause 8.5 for every quantity in it.

    Parameters
    ----------
    encoding : bool
        Whether current is read and the streams are written, or the reverse.
    layout : int64[5]
        Rows, columns, word width, exponent width, mantissa width.
    reference, current : uint64[rows * columns]
    changes : uint16[rows * columns]
        The change of each word in the frame before (clause 8.4); replaced by this frame's.
    trend : int64[8]
        Weights of the forecast, running mean and slow mean.
    columns : int64[3, columns]
        Work space: running mean, length of the run of zeros, last direction.
    model : uint32[SLOTS]
    words : uint16[...], octets : uint8[...]
        Code words and raw bits; octets has 16 bytes to spare.
    state : int64[4]
        span, low and position in words; position in bits of octets.

    Returns
    -------
    int
        OK, or FULL when a stream is at its end.
    """
    rows, cols, bits, exponent_bits, mantissa_bits = layout
    size = words.size
    stream = (encoding, words, size)
    coder = (state[0], state[1], state[2])
    position = state[3]
    last_position = I(octets.size - 16) * 8
    floating = exponent_bits > 0
    top = bits - 1 if floating else bits
    magnitude_mask = U(0xFFFFFFFFFFFFFFFF) >> U(64 - top)
    exponent_mask = (I(1) << exponent_bits) - 1
    features = columns[3]
    feature_weights = trend[:FEATURES]
    mean = trend[FEATURES]
    slow = trend[FEATURES + 1]
    for j in range(cols):
        columns[0, j] = -1
        columns[1, j] = 0
        columns[2, j] = 0
    features[5] = 32
    index = I(0)
    for _row in range(rows):
        left = I(0)
        left_zero = I(0)
        drift = I(0)
        for j in range(cols):
            old = get(reference, index)
            sign = I(0)
            exponent = I(0)
            if floating:
                sign = I(old >> U(bits - 1))
                exponent = max(I((old & magnitude_mask) >> U(mantissa_bits)), I(1))
            # What is known about this word before it is coded (clause 8.5.1).
            history = I(get(changes, index))
            previous = I(0)
            past = I(1)
            heading = I(0)
            if history == 0:
                past = I(0)
            elif history > 1:
                past = I(2)
                previous = history >> 1
                heading = 1 + (history & 1)
            here = mean >> 4
            features[0] = clip((columns[0, j] >> 4) - here, -64, 64) if columns[0, j] >= 0 else 0
            features[1] = clip(left - here, -64, 64) if left > 0 else 0
            features[2] = clip(previous - here, -64, 64) if previous > 0 else 0
            features[3] = clip(8 * (exponent + 16) - here, -64, 64)
            features[4] = clip((slow >> 4) - here, -64, 64)
            total = I(0)
            for k in range(FEATURES):
                total += feature_weights[k] * features[k]
            forecast = here + (total >> 24)
            level = clip((forecast - 8 * exponent) >> 1, 0, 255)
            flipped = I(0)
            length = I(0)
            shrunk = I(0)
            word = U(0)
            new = old
            if encoding:
                new = get(current, index)
                flipped, length, shrunk, word = compare(old, new, bits, magnitude_mask, floating)
            slot = ZERO + (((past * 2 + left_zero) * 4 + columns[1, j]) << 5) + (level >> 3)
            zero, coder = decide(stream, coder, I(flipped == 0 and length == 0), model, slot)
            if zero:
                left = I(0)
                left_zero = I(1)
                columns[1, j] = min(columns[1, j] + 1, I(3))
                put(changes, index, U(0))
                if not encoding:
                    put(current, index, old)
                index += 1
                continue
            if floating:
                flipped, coder = decide(stream, coder, flipped, model, FLIP + level)
            if flipped:
                centre = clip((forecast >> 3) - mantissa_bits - 1, 0, exponent_mask)
                value = I(word >> U(mantissa_bits))
                base = EXPONENT + (((forecast >> 1) & 3) << 4)
                value, coder = number(stream, coder, value, centre, (I(0), exponent_mask), model, base)
                if not encoding:
                    word = U(value) << U(mantissa_bits)
                count = mantissa_bits
                down = sign ^ 1
            else:
                centre = clip(level >> 2, 1, top)
                length, coder = number(stream, coder, length, centre, (I(1), top), model, CLASS + (level << 4))
                nearness = clip(((previous - 8 * (length + exponent)) >> 3) + 4, 0, 7) if previous > 0 else I(0)
                large = I(length > mantissa_bits - 2)
                slot = SIGN + ((((heading * 3 + columns[2, j]) * 8 + clip((drift + 256) >> 6, 0, 7)) * 8 + nearness) * 2 + large)
                down, coder = decide(stream, coder, shrunk ^ sign, model, slot)
                shrunk = down ^ sign
                count = length - 1
                if not encoding:
                    word = U(1) << U(count)
                base = TOP + (clip(level - 4 * length + 16, 0, 31) << 2)
                node = I(0)
                for _ in range(2):
                    if count > 0:
                        count -= 1
                        bit, coder = decide(stream, coder, I((word >> U(count)) & U(1)), model, base + node)
                        word |= U(bit) << U(count)
                        node = 1 + bit
            if count > 0:
                word |= raw_bits(encoding, octets, position, word, count)
                position += count
            if position > last_position or coder[2] > size:
                return FULL
            if not encoding:
                if flipped:
                    new = word | (U(1 - sign) << U(bits - 1))
                else:
                    moved = (old - word if shrunk else old + word) & magnitude_mask
                    new = moved | (old & ~magnitude_mask)
            change = change_of(flipped, length, word, old & magnitude_mask, exponent, mantissa_bits)
            # What this word teaches (clause 8.5.5).
            error = clip(change - forecast, -32, 32) << 4
            for k in range(FEATURES):
                feature_weights[k] = clip(feature_weights[k] + error * features[k], -(1 << 28), 1 << 28)
            seen = columns[0, j] if columns[0, j] >= 0 else forecast << 4
            columns[0, j] = seen + (((change << 4) - seen) >> 4)
            mean += ((change << 4) - mean) >> 4
            slow += ((change << 4) - slow) >> 10
            columns[1, j] = 0
            columns[2, j] = 1 + down
            drift += (((2 * down - 1) << 8) - drift) >> 3
            left = change
            left_zero = I(0)
            put(changes, index, U((change << 1) | down))
            if not encoding:
                put(current, index, new)
            index += 1
    trend[FEATURES] = mean
    trend[FEATURES + 1] = slow
    state[0], state[1], state[2] = coder
    state[3] = position
    return OK
