"""The coder of symbols, in plain integers (clause 12.4)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from arithmetic.coder_chances import RangeCoder, Slot, learn, squash, stretch
from arithmetic.coder_words import Bits, clip

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 29
"""Bits of a symbol, at most."""

TRELLIS = ((0, 2), (7, 5), (1, 3), (6, 4), (2, 0), (5, 7), (3, 1), (4, 6))
"""The next state, by state and parity (clause 12.4.5)."""


def _slot() -> Slot:
    return [1 << 21, 0]


def _weights() -> list[int]:
    return [16384] * 7


@dataclass
class Model:
    """Slots by what they decide, and mixing weights (clause 12.4.2)."""

    slots: dict[tuple[object, ...], Slot] = field(default_factory=lambda: defaultdict(_slot))
    weights: dict[int, list[int]] = field(default_factory=lambda: defaultdict(_weights))
    sign_weights: dict[int, list[int]] = field(default_factory=lambda: defaultdict(_weights))


@dataclass
class Substream:
    """Code words and raw bits that are being made."""

    code: RangeCoder = field(default_factory=RangeCoder)
    raw: Bits = field(default_factory=Bits)
    used: bool = False


@dataclass(frozen=True)
class Block:
    """The symbols of a part, those before, and the bins before, row by row (clause 12.4.3)."""

    symbols: Sequence[int]
    before: Sequence[int]
    old: Sequence[int]
    columns: int
    dependent: bool


def grade(a: int) -> int:
    """Return the class of an activity, two to an octave."""
    if a < 2:
        return a
    n = a.bit_length()
    return min(2 * n - 2 + (a >> (n - 2) & 1), 15)


def values_of(symbols: Sequence[int]) -> list[int]:
    """Return the values that dependent symbols stand for (clause 12.4.5)."""
    state, values = 0, []
    for symbol in symbols:
        value = 2 * abs(symbol) - (state & 1) if symbol else 0
        values.append(-value if symbol < 0 else value)
        state = TRELLIS[state][symbol & 1]
    return values


class BlockEncoder:
    """Encodes the symbols of a part."""

    def __init__(self, block: Block, model: Model, out: Substream, *, mixed: bool) -> None:
        self._block, self._model, self._out, self._mixed = block, model, out, mixed
        self._rows = len(block.symbols) // block.columns

    def run(self) -> None:
        """Encode all of them."""
        b, wide = self._block, self._block.columns
        means, running, state, strips, used = [0] * wide, 0, 0, 3, 1
        height = max(32 // wide, 1)
        for r in range(self._rows):
            if not b.dependent and r % height == 0:
                strip = slice(r * wide, min(r + height, self._rows) * wide)
                used = int(any(b.symbols[strip]))
                self._decide(used, ("STRIP", int(any(b.before[strip])), strips))
                strips = 2 * strips + used & 3
            for c in range(wide if used else 0):
                i = r * wide + c
                symbol = b.symbols[i]
                self._symbol(r, c, means[c] >> 4, running >> 4, state & 1 if b.dependent else 0)
                size = min(abs(symbol), 4095) << 8
                means[c] += (size - means[c]) >> 3
                running += (size - running) >> 4
                state = TRELLIS[state][symbol & 1]

    def _at(self, values: Sequence[int], r: int, c: int) -> int:
        inside = 0 <= r < self._rows and 0 <= c < self._block.columns
        return values[r * self._block.columns + c] if inside else 0

    def _contexts(self, r: int, c: int, mean: int, running: int) -> tuple[int, list[int]]:
        now, then = self._block.symbols, self._block.before

        def size(values: Sequence[int], *places: tuple[int, int]) -> int:
            return sum(abs(self._at(values, r + y, c + x)) for y, x in places)

        left, left2 = size(now, (0, -1)), size(now, (0, -2))
        up, up2 = size(now, (-1, 0)), size(now, (-2, 0))
        past = size(then, (0, 0))
        around = size(then, (0, -1), (0, 1), (-1, 0), (1, 0))
        near = grade(2 * (left + up) + left2 + up2 + size(now, (-1, -1), (-1, 1)))
        old = abs(self._at(self._block.old, r, c))
        return near, [
            near * 16 + grade(2 * past + around),
            grade(mean) * 16 + grade(running),
            grade(past) * 16 + grade(around),
            min(left, 3) * 64 + min(up, 3) * 16 + min(left2, 3) * 4 + min(up2, 3),
            old.bit_length() * 8 + min(grade(past + left + up), 7),
            min(c, 1023),
        ]

    def _decide(self, bit: int, name: tuple[object, ...]) -> None:
        slot = self._model.slots[name]
        self._out.code.encode(bit, (slot[0] >> 6) | 1)
        learn(slot, bit)

    def _blend(self, bit: int, names: Sequence[tuple[object, ...]], weights: list[int]) -> None:
        slots = [self._model.slots[name] for name in names]
        inputs = [*(stretch(slot[0] >> 10) for slot in slots), 256]
        total = sum(w * v for w, v in zip(weights, inputs, strict=False))
        chance = squash(clip((total + 32768) >> 16, -4095, 4095))
        self._out.code.encode(bit, chance)
        error = (bit << 16) - chance
        for k, v in enumerate(inputs):
            weights[k] = clip(weights[k] + ((v * error + 8192) >> 14), -(1 << 24), 1 << 24)
        for slot in slots:
            learn(slot, bit)

    def _symbol(self, r: int, c: int, mean: int, running: int, odd: int) -> None:
        near, contexts = self._contexts(r, c, mean, running)
        symbol = self._block.symbols[r * self._block.columns + c]
        length = abs(symbol).bit_length()
        node = odd
        for reached in range(min(length + 1, LONGEST)):
            longer = int(length > reached)
            names = [("TABLE", k, context, node) for k, context in enumerate(contexts)]
            if self._mixed:
                self._blend(longer, names, self._model.weights[node * 16 + near])
            else:
                self._decide(longer, names[0])
            node = reached + 2
        if symbol == 0:
            return
        n, top = length - 1, 0
        while n > max(length - 3, 0):
            n -= 1
            bit = abs(symbol) >> n & 1
            self._decide(bit, ("TOP", min(length, 15), near, top))
            top = 1 + bit
        self._out.raw.put(abs(symbol) & ((1 << n) - 1), n)
        self._sign(r, c, int(symbol > 0))

    def _sign(self, r: int, c: int, above: int) -> None:
        def sign(values: Sequence[int], y: int, x: int) -> int:
            value = self._at(values, y, x)
            return 1 + (value > 0) - (value < 0)

        now, old = self._block.symbols, self._at(self._block.old, r, c)
        past = sign(self._block.before, r, c)
        first = ("SIGN", past * 9 + sign(now, r, c - 1) * 3 + sign(now, r - 1, c))
        if not self._mixed:
            self._decide(above, first)
            return
        of_bin = 1 if old == 0 else 2 if old > 0 else 0
        names = [
            first,
            ("SIGN_BIN", of_bin * 32 + abs(old).bit_length()),
            ("SIGN_COLUMN", min(c, 1023)),
        ]
        self._blend(above, names, self._model.sign_weights[past])
