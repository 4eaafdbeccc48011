"""Several probabilities for one decision, mixed in the logistic domain (clause 8.5.8)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic.jit import I64, U64, Array, get, inline, routine
from nmc.coding.arithmetic.range_kernel import arithmetic, learn
from nmc.coding.arithmetic.words import clip

NODES = 256
CONTEXTS = 1024
EXTENT_TABLES = 4
SIGN_TABLES = 5
SIGN_START = EXTENT_TABLES * CONTEXTS * NODES
TABLE_SLOTS = SIGN_START + SIGN_TABLES * CONTEXTS

INPUTS = 8  # one weight set; the last used input is the constant one
FINE = 18 * INPUTS  # weight sets chosen by decision come first, those chosen by level or node after
WEIGHT_COUNT = FINE + 296 * INPUTS
FIRST_WEIGHT = 20000  # in 1 / 2**16
WEIGHT_LIMIT = 1 << 24
RANGE = 4095


def _logarithms(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Binary logarithms in 1/256, from below, of numbers below 2**16 (clause 8.5.8)."""
    length = np.zeros_like(numbers)
    for shift in (8, 4, 2, 1):
        length += shift * (numbers >> (length + shift) > 0)
    fraction = (numbers << 16) >> length
    result = length
    for _ in range(8):
        fraction = fraction * fraction >> 16
        double = fraction >> 17
        fraction >>= double
        result = 2 * result + double
    return result


def _stretch() -> NDArray[np.int64]:
    p = np.maximum(np.arange(4096), 1)
    return _logarithms(p) - _logarithms(4096 - p)


def _squash() -> NDArray[np.int64]:
    p = np.arange(1, 65536)
    stretched = _logarithms(p) - _logarithms(65536 - p)
    counts = np.searchsorted(stretched, np.arange(-RANGE - 1, RANGE + 1), side="right")
    return np.clip(counts, 32, 65504).astype(np.int64)


STRETCH = _stretch()
SQUASH = _squash()


@inline
def relative(extent: Any, exponent: Any, shift: Any, top: Any) -> Any:
    """Extent of a change as seen from a word's exponent: 0 where there is none, 1 to top else."""
    if extent <= 0:
        return I64(0)
    return clip(((extent - 8 * exponent) >> shift) + 1, 1, top)


@inline
def extent_contexts(
    net: Any,
    exponent: Any,
    row: Any,
    past: Any,
    left_zero: Any,
    previous: Any,
    left: Any,
    above: Any,
    average: Any,
    run: Any,
) -> Any:
    """Set the contexts of the decisions about the extent of a change (clause 8.5.9)."""
    places = net[1]
    places[0] = (past * 2 + left_zero) * 128 + relative(previous, exponent, 2, 127)
    places[1] = CONTEXTS + relative(above, exponent, 3, 31) * 32 + relative(left, exponent, 3, 31)
    places[2] = 2 * CONTEXTS + relative(average, exponent, 1, 255) * 4 + run
    places[3] = 3 * CONTEXTS + (exponent & 127) * 4 + (row & 3)


@inline
def sign_contexts(
    net: Any, heading: Any, drifts: Any, turns: Any, neighbours: Any, match: Any
) -> Any:
    """Set the contexts of the decision about the direction of a change (clause 8.5.9)."""
    places = net[1]
    places[0] = heading * 64 + ((drifts[0] + 256) >> 3)
    places[1] = CONTEXTS + heading * 64 + ((drifts[1] + 256) >> 3)
    places[2] = 2 * CONTEXTS + heading * 27 + neighbours
    places[3] = 3 * CONTEXTS
    if heading > 0:
        places[3] += ((turns[0] + 256) >> 4) * 32 + ((turns[1] + 256) >> 4)
    places[4] = 4 * CONTEXTS + heading * 256 + match


@routine
def mix(
    stream: Any,
    coder: Any,
    bit: Any,
    model: Array,
    slot: Any,
    net: Any,
    of_sign: Any,
    node: Any,
    choices: Any,
) -> Any:
    """Code one decision with a mixture of probabilities (clause 8.5.8)."""
    tables, places, weights, inputs, slots = net
    coarse = choices[0] * INPUTS
    fine = FINE + choices[1] * INPUTS
    held = I64(get(model, slot))
    count = SIGN_TABLES if of_sign else EXTENT_TABLES
    inputs[0] = STRETCH[U64(held >> 20)]
    for k in range(count):
        place = places[k]
        if of_sign:
            place += SIGN_START
        else:
            place = place * NODES + node
        slots[k] = place
        inputs[k + 1] = STRETCH[U64(get(tables, place) >> U64(20))]
    inputs[count + 1] = 256
    first = I64(0)
    second = I64(0)
    for k in range(count + 2):
        first += weights[coarse + k] * inputs[k]
        second += weights[fine + k] * inputs[k]
    first = clip((first + 32768) >> 16, -RANGE, RANGE)
    second = clip((second + 32768) >> 16, -RANGE, RANGE)
    chance = SQUASH[U64(((first + second) >> 1) + RANGE + 1)]
    bit, coder = arithmetic(stream, coder, bit, chance)
    first = (bit << 16) - SQUASH[U64(first + RANGE + 1)]
    second = (bit << 16) - SQUASH[U64(second + RANGE + 1)]
    for k in range(count + 2):
        moved = weights[coarse + k] + ((inputs[k] * first + 32768) >> 16)
        weights[coarse + k] = clip(moved, -WEIGHT_LIMIT, WEIGHT_LIMIT)
        moved = weights[fine + k] + ((inputs[k] * second + 32768) >> 16)
        weights[fine + k] = clip(moved, -WEIGHT_LIMIT, WEIGHT_LIMIT)
    learn(model, slot, held, bit)
    for k in range(count):
        learn(tables, slots[k], I64(get(tables, slots[k])), bit)
    return bit, coder
