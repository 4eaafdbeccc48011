"""One tensor through the adaptive coder, in either direction (clause 8.5).

The same function encodes and decodes: the slots change in one place, so that the two cannot part.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nmc.coding.arithmetic.jit import I64, U64, Array, get, inline, kernel, put
from nmc.coding.arithmetic.mixing_kernel import extent_contexts, sign_contexts
from nmc.coding.arithmetic.number_kernel import ask, number
from nmc.coding.arithmetic.range_kernel import EVEN, RATES, decide
from nmc.coding.arithmetic.words import clip, compare, extent_of, raw_bits, way_is_right

# Slots of a predictor, one adaptive probability each (clause 8.5.3).
ZONES = 46
ZERO = 0
FLIP = ZERO + 24 * ZONES
LENGTH = FLIP + 256
SIGN = LENGTH + 256 * 16
TOP = SIGN + 3 * 3 * 8 * 8
EXPONENT = TOP + 32 * 3
SLOTS = EXPONENT + 4 * 16

FAR = 32  # exponents from the expected one at which a flip says its exponent as it is

CUES = 7
FIRST_COEFFICIENTS = (250 << 14, 0, 94 << 14, 0, 0, 0, 0)  # of the cues, in 1 / 2**24
COEFFICIENT_LIMIT = 1 << 28

# Rows of the work space of one tensor; each has a number for each column, the last one cues.
AVERAGE, RUN, DIRECTION, ABOVE, DRIFT, TURN, SEEN, WORK = 0, 1, 2, 3, 4, 5, 6, 7
WORK_ROWS = 8
SEEN_WORDS = 127  # an average follows its words more slowly up to here

OK, FULL, WRONG_WAY = 0, 1, 2


def first_slots() -> Array:
    """Return uint32[SLOTS] of even probabilities that have seen nothing."""
    return np.full(SLOTS, EVEN, np.uint32)


def first_trend(octave: int) -> Array:
    """Return int64[CUES + 2]: coefficients, mean, slow mean before any change (clause 8.5.4)."""
    return np.array([*FIRST_COEFFICIENTS, octave << 7, octave << 7], np.int64)


@inline
def closer(average: Any, value: Any) -> Any:
    """Move a running average of directions, in 1/256, by an eighth."""
    return average + ((value - average) >> 3)


@inline
def zone_of(gap: Any) -> Any:
    """Class of a forecast above the last bit of a word, fine where it is near (clause 8.5.4)."""
    return max((gap + 16) >> 1, I64(0)) if gap < 16 else 14 + (min(gap, I64(255)) >> 3)


@inline
def follow(average: Any, seen: Any, extent: Any) -> Any:
    """Move an average of extents, in 1/16, towards one more (clause 8.5.7)."""
    return average + ((((extent << 4) - average) * RATES[U64(seen)]) >> 16)


# One loop, so that the coder's registers stays in registers: split up it runs at half the speed.
@kernel
def code_tensor(  # noqa: C901, PLR0912, PLR0915
    encoding: bool,
    row: int,
    widths: Array,
    reference: Array,
    current: Array,
    entries: Array,
    trend: Array,
    columns: Array,
    model: Array,
    net: Any,
    words: Array,
    octets: Array,
    registers: Array,
) -> Any:
    """Code some lines of one tensor; clause 8.5 defines every quantity in it.

    Parameters
    ----------
    encoding : bool
        Whether current is read and the streams are written, or the reverse.
    row : int
        Row in the tensor table.
    widths : int64[5]
        Lines, columns, word width, exponent width, mantissa width.
    reference, current : uint64[count]
        Words of these lines.
    entries : uint16[count]
        The change of each word in the frame before (clause 8.4.2); replaced by this frame's.
    trend : int64[CUES + 2]
        Weights of the forecast, running mean and slow mean.
    columns : int64[WORK_ROWS, max(columns, CUES)]
        What the lines before leave of each column; zeros before the first one.
    model : uint32[SLOTS]
    net : tuple of arrays or None
        Tables, contexts, coefficients, inputs and slots of the mixture; None where nothing is mixed
        (clause 8.5.8). By it the kernel is compiled for one of the two alone.
    words : uint16[...]
        Code words.
    octets : uint8[...]
        Raw bits, with 16 bytes to spare.
    registers : int64[4]
        Span, low and position in words; position in bits of octets.

    Returns
    -------
    int
        OK, FULL when a stream is at its end, or WRONG_WAY for a change that no encoder makes.
    """
    rows, cols, bits, exponent_bits, mantissa_bits = widths
    size = words.size
    stream = (encoding, words, size)
    coder = (registers[0], registers[1], registers[2])
    position = registers[3]
    last_position = I64(octets.size - 16) * 8
    floating = exponent_bits > 0
    top = bits - 1 if floating else bits
    magnitude_mask = U64(0xFFFFFFFFFFFFFFFF) >> U64(64 - top)
    highest_exponent = (I64(1) << exponent_bits) - 1
    cues = columns[WORK]
    coefficients = trend[:CUES]
    mean = trend[CUES]
    slow = trend[CUES + 1]
    cues[5] = 32
    index = I64(0)
    for _ in range(rows):
        left = I64(0)
        left_zero = I64(0)
        left_direction = I64(0)
        corner = I64(0)
        drift = I64(0)
        turn = I64(0)
        average = I64(0)
        seen = I64(0)
        for j in range(min(cols, reference.size - index)):
            old = get(reference, index)
            magnitude = old & magnitude_mask
            sign = I64(0)
            exponent = I64(0)
            if floating:
                sign = I64(old >> U64(bits - 1))
                exponent = max(I64(magnitude >> U64(mantissa_bits)), I64(1))
            # What is known about this word before it is coded (clause 8.5.4).
            entry = I64(get(entries, index))
            previous = I64(0)
            heading = I64(0)
            past = entry
            if entry > 1:
                past = I64(2)
                previous = entry >> 1
                heading = 1 + (entry & 1)
            here = mean >> 4
            cues[0] = (
                clip((columns[AVERAGE, j] >> 4) - here, -64, 64) if columns[SEEN, j] > 0 else 0
            )
            cues[1] = clip(left - here, -64, 64) if left > 0 else 0
            cues[2] = clip(previous - here, -64, 64) if previous > 0 else 0
            cues[3] = clip(columns[ABOVE, j] - here, -64, 64) if columns[ABOVE, j] > 0 else 0
            cues[4] = clip((slow >> 4) - here, -64, 64)
            cues[6] = clip((average >> 4) - here, -64, 64) if seen > 0 else 0
            total = I64(0)
            for k in range(CUES):
                total += coefficients[k] * cues[k]
            forecast = clip(here + (total >> 24), 0, 32767)
            gap = (forecast - 8 * exponent) >> 1
            depth = clip(gap, 0, 255)
            zone = zone_of(gap)
            if net is not None:
                extent_contexts(
                    net,
                    exponent,
                    row,
                    past,
                    left_zero,
                    previous,
                    left,
                    columns[ABOVE, j],
                    columns[AVERAGE, j] >> 4,
                    columns[RUN, j],
                )
            flipped = I64(0)
            length = I64(0)
            shrunk = I64(0)
            word = U64(0)
            new = old
            if encoding:
                new = get(current, index)
                flipped, length, shrunk, word = compare(old, new, bits, magnitude_mask, floating)
            slot = ZERO + ((past * 2 + left_zero) * 4 + columns[RUN, j]) * ZONES + zone
            same = I64(flipped == 0 and length == 0)
            same, coder = ask(stream, coder, same, model, slot, net, False, 0, (past, 200 + zone))
            if same:
                left = I64(0)
                left_zero = I64(1)
                left_direction = I64(0)
                corner = columns[DIRECTION, j]
                columns[RUN, j] = min(columns[RUN, j] + 1, I64(3))
                columns[DIRECTION, j] = 0
                columns[ABOVE, j] = 0
                bound = 8 * exponent - 4
                if bound < forecast < bound + 32:
                    mean += ((bound << 4) - mean) >> 4
                    if seen > 0:
                        average = follow(average, seen, bound)
                        seen = min(seen + 1, I64(SEEN_WORDS))
                    number_seen = columns[SEEN, j]
                    if number_seen > 0:
                        columns[AVERAGE, j] = follow(columns[AVERAGE, j], number_seen, bound)
                        columns[SEEN, j] = min(number_seen + 1, I64(SEEN_WORDS))
                put(entries, index, U64(0))
                put(current, index, old)
                index += 1
                continue
            if floating:
                choices = (3 + past, 248 + (depth >> 3))
                flipped, coder = ask(
                    stream, coder, flipped, model, FLIP + depth, net, False, 1, choices
                )
            if flipped:
                centre = clip((forecast >> 3) - mantissa_bits - 1, 0, highest_exponent)
                value = I64(word >> U64(mantissa_bits))
                base = EXPONENT + (((forecast >> 1) & 3) << 4)
                bounds = (max(centre - FAR, I64(0)), min(centre + FAR, highest_exponent))
                near = clip(value, bounds[0], bounds[1])
                near, coder = number(stream, coder, near, centre, bounds, model, base, None, past)
                if abs(near - centre) == FAR:
                    side = near
                    near = I64(raw_bits(encoding, octets, position, U64(value), exponent_bits))
                    position += exponent_bits
                    if (near < side) if side > centre else (near > side):
                        return WRONG_WAY
                if not encoding:
                    value = near
                    word = U64(value) << U64(mantissa_bits)
                count = mantissa_bits
                down = sign ^ 1
            else:
                centre = clip(depth >> 2, 1, top)
                base = LENGTH + (depth << 4)
                length, coder = number(
                    stream, coder, length, centre, (I64(1), top), model, base, net, past
                )
                nearness = I64(0)
                if previous > 0:
                    nearness = clip(((previous - 8 * (length + exponent)) >> 3) + 4, 0, 7)
                surprise = clip(depth - 4 * length + 8, 0, 15)
                pair = heading * 3 + columns[DIRECTION, j]
                slot = SIGN + (pair * 8 + ((drift + 256) >> 6)) * 8 + nearness
                if net is not None:
                    neighbours = (left_direction * 3 + columns[DIRECTION, j]) * 3 + corner
                    match = (nearness * 16 + surprise) * 2 + sign
                    drifts = (drift, columns[DRIFT, j])
                    sign_contexts(net, heading, drifts, (turn, columns[TURN, j]), neighbours, match)
                choices = (15 + heading, 280 + surprise)
                down, coder = ask(stream, coder, shrunk ^ sign, model, slot, net, True, 0, choices)
                shrunk = down ^ sign
                count = length - 1
                if not encoding:
                    word = U64(1) << U64(count)
                base = TOP + clip(depth - 4 * length + 16, 0, 31) * 3
                node = I64(0)
                for _top in range(2):
                    if count > 0:
                        count -= 1
                        bit, coder = decide(
                            stream, coder, I64((word >> U64(count)) & U64(1)), model, base + node
                        )
                        word |= U64(bit) << U64(count)
                        node = 1 + bit
            if count > 0:
                word |= raw_bits(encoding, octets, position, word, count)
                position += count
            if position > last_position or coder[2] > size:
                return FULL
            if flipped:
                new = word | (U64(1 - sign) << U64(bits - 1))
            else:
                if not encoding and not way_is_right(
                    word, magnitude, magnitude_mask, bits, floating, shrunk
                ):
                    return WRONG_WAY
                moved = (old - word if shrunk else old + word) & magnitude_mask
                new = moved | (old & ~magnitude_mask)
            put(current, index, new)
            # What this word teaches (clause 8.5.7).
            extent = extent_of(flipped, length, word, magnitude, exponent, mantissa_bits)
            error = clip(extent - forecast, -32, 32) << 4
            for k in range(CUES):
                coefficients[k] = clip(
                    coefficients[k] + error * cues[k], -COEFFICIENT_LIMIT, COEFFICIENT_LIMIT
                )
            number_seen = columns[SEEN, j]
            start = columns[AVERAGE, j] if number_seen > 0 else forecast << 4
            columns[AVERAGE, j] = follow(start, number_seen, extent)
            columns[SEEN, j] = min(number_seen + 1, I64(SEEN_WORDS))
            average = follow(average if seen > 0 else forecast << 4, seen, extent)
            seen = min(seen + 1, I64(SEEN_WORDS))
            mean += ((extent << 4) - mean) >> 4
            slow += ((extent << 4) - slow) >> 10
            drift = closer(drift, (2 * down - 1) << 8)
            columns[RUN, j] = 0
            if net is not None:
                columns[DRIFT, j] = closer(columns[DRIFT, j], (2 * down - 1) << 8)
                if heading > 0:
                    kept = I64(256) if down == heading - 1 else I64(-256)
                    turn = closer(turn, kept)
                    columns[TURN, j] = closer(columns[TURN, j], kept)
            columns[ABOVE, j] = extent
            corner = columns[DIRECTION, j]
            columns[DIRECTION, j] = 1 + down
            left = extent
            left_zero = I64(0)
            left_direction = 1 + down
            put(entries, index, U64((extent << 1) | down))
            index += 1
    trend[CUES] = mean
    trend[CUES + 1] = slow
    registers[0], registers[1], registers[2] = coder
    registers[3] = position
    return OK
