"""Range coder, and what its chances are made of, in plain integers (clause 8.5).

Decisions are coded by 8.5.2, slots learn by 8.5.3, and logarithms mix them by 8.5.8.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

from arithmetic.coder_words import clip

Slot: TypeAlias = list[int]
"""Probability of 22 bits, and the number of decisions seen (clause 8.5.3)."""


def _slot() -> Slot:
    return [1 << 21, 0]


def _weights() -> list[int]:
    return [20000] * 8


class RangeCoder:
    """Encodes decisions (clause 8.5.2); `low` is a whole number of any size, so nothing carries."""

    def __init__(self) -> None:
        self._low, self._span, self._shifts = 0, (1 << 32) - 1, 0

    def encode(self, bit: int, chance: int) -> None:
        """Encode one decision."""
        bound = self._span * chance >> 16
        if bit:
            self._span = bound
        else:
            self._low, self._span = self._low + bound, self._span - bound
        if self._span < 65536:
            self._low, self._span = self._low << 16, self._span << 16
            self._shifts += 1

    def words(self, *, rounded: bool = False) -> list[int]:
        """Return the code words; rounded up, the last one is 0, and they decode to the same."""
        n = 2 + self._shifts
        low = (self._low + 0xFFFF) >> 16 << 16 if rounded else self._low
        return [low >> 16 * (n - 1 - i) & 0xFFFF for i in range(n)]


@dataclass
class Predictor:
    """Slots of one word format, and tables and weights of mixing (clauses 8.5.3 and 8.5.8)."""

    slots: dict[tuple[object, ...], Slot] = field(default_factory=lambda: defaultdict(_slot))
    tables: dict[tuple[int, int, int], Slot] = field(default_factory=lambda: defaultdict(_slot))
    coarse: dict[int, list[int]] = field(default_factory=lambda: defaultdict(_weights))
    fine: dict[int, list[int]] = field(default_factory=lambda: defaultdict(_weights))


def learn(slot: Slot, bit: int) -> None:
    """Move a slot towards what was decided."""
    p, n = slot
    slot[0] = p + (((((1 << 22) - 1) * bit - p) * (131072 // (2 * n + 3))) >> 16)
    slot[1] = min(n + 1, 255)


def lg(a: int) -> int:
    """Return the binary logarithm in 1/256, rounded down step by step (clause 8.5.8)."""
    n = a.bit_length() - 1
    f = (a << 16) >> n
    for _ in range(8):
        f = (f * f) >> 16
        n <<= 1
        if f >= 1 << 17:
            f, n = f >> 1, n + 1
    return n


def stretch(a: int) -> int:
    """Return the logarithm of odds of a chance of 12 bits."""
    return lg(max(a, 1)) - lg(4096 - max(a, 1))


@cache
def _odds() -> list[int]:
    return [lg(q) - lg(65536 - q) for q in range(1, 65536)]


@cache
def squash(a: int) -> int:
    """Return the chance of a logarithm of odds."""
    low, high = 0, 65535
    while low < high:
        middle = (low + high) // 2
        if _odds()[middle] <= a:
            low = middle + 1
        else:
            high = middle
    return clip(low, 32, 65504)
