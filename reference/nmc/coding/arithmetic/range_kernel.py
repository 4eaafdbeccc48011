"""Binary arithmetic coding with probabilities that learn (clauses 8.5.2 and 8.5.3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nmc.coding.arithmetic.jit import I64, U64, Array, get, inline, kernel, put

FULL_SPAN = 0xFFFFFFFF
EVEN = 1 << 31  # probability one half, nothing seen
SEEN_LIMIT = 255
RATES = np.array([131072 // (2 * seen + 3) for seen in range(SEEN_LIMIT + 1)], np.int64)


@inline
def carry(words: Array, position: Any) -> Any:
    """Add one to the number whose last 16 bits lie before position."""
    place = position - 1
    while place >= 0:
        words[place] = np.uint16((I64(words[place]) + 1) & 65535)
        if words[place] != 0:
            break
        place -= 1


@inline
def arithmetic(stream: Any, coder: Any, bit: Any, chance: Any) -> Any:
    """Code one decision whose probability of being 1 is chance / 65536 (clause 8.5.2)."""
    encoding, words, size = stream
    span, low, at = coder
    bound = (span * chance) >> 16
    # Selected with masks: the outcome is close to a coin toss, and a branch would be mispredicted.
    if encoding:
        low += bound & (bit - 1)
    else:
        bit = I64(low < bound)
        low -= bound & (bit - 1)
    span = (bound & -bit) | ((span - bound) & (bit - 1))
    if span < 65536:
        span <<= 16
        if encoding:
            if low >> 32:
                carry(words, at)
            if at < size:
                put(words, at, U64((low >> 16) & 65535))
            low = (low & 65535) << 16
        else:
            low <<= 16
            if at < size:
                low |= I64(get(words, at))
        at += 1
    return bit, (span, low, at)


@inline
def learn(model: Array, slot: Any, held: Any, bit: Any) -> Any:
    """Move the probability of a slot, whose held is known, towards bit (clause 8.5.3)."""
    p = held >> 10
    seen = held & 1023
    p += (((4194303 & -bit) - p) * RATES[U64(seen)]) >> 16
    put(model, slot, U64((p << 10) | (seen + I64(seen < SEEN_LIMIT))))


@inline
def decide(stream: Any, coder: Any, bit: Any, model: Array, slot: Any) -> Any:
    """Code one decision with the probability of a slot (clause 8.5.3)."""
    held = I64(get(model, slot))
    bit, coder = arithmetic(stream, coder, bit, (held >> 16) | 1)
    learn(model, slot, held, bit)
    return bit, coder


@kernel
def finish(words: Array, registers: Array) -> None:
    """Write the two words that end the encoder's stream (clause 8.5.2)."""
    low, at = registers[1], registers[2]
    if low >> 32:
        carry(words, at)
    words[at] = np.uint16((low >> 16) & 65535)
    words[at + 1] = np.uint16(low & 65535)
