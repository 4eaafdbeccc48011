"""The two kinds of codes of Zstandard: FSE tables and Huffman trees (RFC 8878, 4.1 and 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

PREDEFINED_COUNTS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (6, (4, 3, *(2,) * 11, *(1,) * 3, *(2,) * 9, 3, 2, *(1,) * 5, *(-1,) * 4)),
    (5, (*(1,) * 6, 2, 2, 2, *(1,) * 15, *(-1,) * 5)),
    (6, (1, 4, 3, *(2,) * 6, *(1,) * 37, *(-1,) * 7)),
)
"""Accuracy and counts of the predefined tables: literal lengths, offsets, match lengths."""


@dataclass(frozen=True)
class Table:
    """An FSE table (RFC 8878, 4.1): its accuracy, and how often each code is in it.

    Attributes
    ----------
    accuracy : int
        The table has 2^accuracy states.
    counts : tuple of int
        By code; -1 is a count of less than 1.
    """

    accuracy: int
    counts: tuple[int, ...]

    def states(self) -> list[tuple[int, int, int]]:
        """Return of each state its code, and the first state and the bits that follow it."""
        return _states(self.accuracy, self.counts)

    def description(self) -> bytes:
        """Return the bytes that describe the table."""
        bits: list[tuple[int, int]] = [(self.accuracy - 5, 4)]
        left, code = 1 << self.accuracy, 0
        while left > 0:
            value = self.counts[code] + 1
            width = (left + 1).bit_length()
            short = (1 << width) - 1 - (left + 1)
            if value < short:
                bits.append((value, width - 1))
            else:
                bits.append((value if value < 1 << (width - 1) else value + short, width))
            left -= abs(self.counts[code])
            code += 1
            if value == 1:
                zeros = 0
                while self.counts[code + zeros] == 0:
                    zeros += 1
                bits += [(3, 2)] * (zeros // 3) + [(zeros % 3, 2)]
                code += zeros
        return forward(bits)


@cache
def _states(accuracy: int, counts: tuple[int, ...]) -> list[tuple[int, int, int]]:
    size = 1 << accuracy
    codes = [-1] * size
    high = size
    for code, n in enumerate(counts):
        if n == -1:
            high -= 1
            codes[high] = code
    at = 0
    for code, n in enumerate(counts):
        for _ in range(max(n, 0)):
            codes[at] = code
            at = (at + (size >> 1) + (size >> 3) + 3) & (size - 1)
            while at >= high:
                at = (at + (size >> 1) + (size >> 3) + 3) & (size - 1)
    seen = [abs(n) for n in counts]
    made = []
    for code in codes:
        x = seen[code]
        seen[code] += 1
        width = accuracy + 1 - x.bit_length()
        made.append((code, (x << width) - size, width))
    return made


PREDEFINED_TABLES = tuple(Table(accuracy, counts) for accuracy, counts in PREDEFINED_COUNTS)


def forward(bits: Sequence[tuple[int, int]]) -> bytes:
    """Return fields of (value, width) one after the other, the first one lowest."""
    number = at = 0
    for value, width in bits:
        number |= value << at
        at += width
    return number.to_bytes((at + 7) // 8, "little")


def backward(bits: Sequence[tuple[int, int]]) -> bytes:
    """Return fields that are read from the end: the first one behind the mark of the end."""
    return forward([*reversed(bits), (1, 1)])


def steps(table: Table | None, codes: Sequence[int]) -> tuple[int, list[tuple[int, int]]]:
    """Return the first state of a run of codes, and the bits from each code to the next."""
    if table is None:
        return 0, [(0, 0)] * (len(codes) - 1)
    by_code: dict[int, list[tuple[int, int, int]]] = {}
    for state, (code, first, width) in enumerate(table.states()):
        by_code.setdefault(code, []).append((state, first, width))
    # The state with the most bits behind it: a reader notices the end by bits that it lacks.
    state = max(by_code[codes[-1]], key=lambda s: s[2])[0]
    made: list[tuple[int, int]] = []
    for code in reversed(codes[:-1]):
        before, first, width = next(s for s in by_code[code] if s[1] <= state < s[1] + (1 << s[2]))
        made.append((state - first, width))
        state = before
    return state, made[::-1]


@dataclass(frozen=True)
class Huffman:
    """A Huffman tree by the weights of its symbols (RFC 8878, 4.2.1).

    Attributes
    ----------
    weights : tuple of int
        By byte. That of the last one follows from the others.
    table : Table or None
        Codes the weights; None writes them with four bits each.
    """

    weights: tuple[int, ...]
    table: Table | None = None

    @property
    def bits(self) -> int:
        """Bits of the longest code."""
        return sum(1 << (w - 1) for w in self.weights if w).bit_length() - 1

    def codes(self) -> dict[int, tuple[int, int]]:
        """Return of each byte its code and the width of it."""
        made, at = {}, 0
        for weight in range(1, self.bits + 1):
            for symbol, w in enumerate(self.weights):
                if w == weight:
                    made[symbol] = (at >> (w - 1), self.bits + 1 - w)
                    at += 1 << (w - 1)
        assert at == 1 << self.bits
        return made

    def description(self) -> bytes:
        """Return the bytes that describe the tree."""
        said = self.weights[:-1]
        if self.table is None:
            pairs = [*said, 0][: len(said) + len(said) % 2]
            packed = bytes(a << 4 | b for a, b in zip(pairs[::2], pairs[1::2], strict=True))
            return bytes([127 + len(said)]) + packed
        first, more = steps(self.table, said[::2])
        second, others = steps(self.table, said[1::2])
        bits = [(first, self.table.accuracy), (second, self.table.accuracy)]
        for i in range(len(more)):
            bits.append(more[i])
            bits += others[i : i + 1]
        body = self.table.description() + backward(bits)
        assert len(body) < 128
        return bytes([len(body)]) + body

    def stream(self, literals: bytes) -> bytes:
        """Return one stream of literals."""
        codes = self.codes()
        return backward([codes[b] for b in literals])
