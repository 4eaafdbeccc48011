"""Words, changes, entries and bit fields of the lossless coder (clauses 8.1, 8.3 and 8.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

WORD_FORMATS = {
    "F8_E5M2": (8, 5, 2),
    "F8_E4M3": (8, 4, 3),
    "F8_E4M3FNUZ": (8, 4, 3),
    "F8_E5M2FNUZ": (8, 5, 2),
    "F16": (16, 5, 10),
    "BF16": (16, 8, 7),
    "F32": (32, 8, 23),
    "C64": (32, 8, 23),
    "F64": (64, 11, 52),
}
"""(w, e, m) of the floating types; others are integers of the word of their type (table 4-1)."""

PACKED = frozenset({"F4", "F6_E2M3", "F6_E3M2"})
FIRST_ENTRY = 1


def clip(a: int, low: int, high: int) -> int:
    """Return a number within bounds (clause 8.1.1)."""
    return max(low, min(high, a))


@dataclass(frozen=True)
class CodedTensor:
    """One tensor of a payload, with its words before and after, and faults on request.

    ``forced`` has, by the index of a word, a change to code in place of the right one.
    """

    row: int
    w: int
    e: int
    m: int
    shape: tuple[int, ...]
    old: tuple[int, ...]
    new: tuple[int, ...]
    forced: Mapping[int, Change] = field(default_factory=dict)

    @property
    def word_format(self) -> tuple[int, int, int]:
        """The triple that tables are kept for."""
        return self.w, self.e, self.m

    @property
    def top(self) -> int:
        """Bits of a magnitude."""
        return self.w - 1 if self.e else self.w

    def sign(self, x: int) -> int:
        """Return the sign of a word; 0 of an integer."""
        return x >> self.top

    def magnitude(self, x: int) -> int:
        """Return the magnitude of a word."""
        return x & ((1 << self.top) - 1)

    def exponent(self, x: int) -> int:
        """Return the exponent of a word; 0 of an integer."""
        return max(self.magnitude(x) >> self.m, 1) if self.e else 0

    @property
    def columns(self) -> int:
        """Words of a line (clause 8.1.2)."""
        columns = self.shape[-1] if self.shape else 1
        for d in reversed(self.shape[1:-1]):
            if columns >= 32:
                break
            columns *= d
        return min(columns, 65536)


def coded_tensor(
    row: int, dtype: str, shape: tuple[int, ...], old: bytes, new: bytes
) -> CodedTensor:
    """Return a tensor as the coder sees it (clause 8.3.1)."""
    integer = {"8": 8, "16": 16, "32": 32, "64": 64}
    w, e, m = WORD_FORMATS.get(dtype) or (integer.get(dtype.lstrip("UI"), 8), 0, 0)
    size = w // 8
    before, after = (
        tuple(int.from_bytes(d[i : i + size], "little") for i in range(0, len(d), size))
        for d in (old, new)
    )
    walked = (*shape, 2) if dtype == "C64" else (len(old),) if dtype in PACKED else shape
    assert prod(walked) == len(before)
    return CodedTensor(row, w, e, m, walked, before, after)


@dataclass(frozen=True)
class Change:
    """The change from one word to another (clause 8.4).

    As a fault, ``far`` codes the exponent of a flip as if it were 32 above (1) or below (-1) the
    expected one.
    """

    equal: bool
    flip: bool = False
    d: int = 0
    shrunk: int = 0
    size: int = 0
    down: int = 0
    far: int = 0

    @property
    def entry(self) -> int:
        """What the history keeps of it."""
        return 0 if self.equal else 2 * self.size + self.down


def _fraction(a: int, n: int) -> int:
    return (a >> (n - 4)) & 7 if n >= 4 else (a << (4 - n)) & 7


def change_of(p: CodedTensor, i: int) -> Change:
    """Return the change of a word that is coded."""
    return p.forced[i] if i in p.forced else compare(p, p.old[i], p.new[i])


def compare(p: CodedTensor, x: int, z: int) -> Change:
    """Return the change between two words (clauses 8.4.1 and 8.4.2)."""
    if x == z:
        return Change(True)
    if p.e and p.sign(x) != p.sign(z):
        g = max(p.magnitude(x), p.magnitude(z))
        size = 8 * (max(g >> p.m, 1) + p.m + 1) + _fraction(g, p.m + 1)
        return Change(False, True, size=size, down=1 - p.sign(x))
    if p.e:
        d, shrunk = (z - x, 0) if z > x else (x - z, 1)
    else:
        forward, backward = (z - x) % (1 << p.w), (x - z) % (1 << p.w)
        d, shrunk = (backward, 1) if backward < forward else (forward, 0)
    n = d.bit_length()
    size = 8 * (n + p.exponent(x)) + _fraction(d, n)
    return Change(False, False, d, shrunk, size, shrunk ^ p.sign(x))


@dataclass(frozen=True)
class Past:
    """What an entry says of a word before it is coded (clause 8.4.2)."""

    past: int
    previous: int
    heading: int


def past_of(entry: int) -> Past:
    """Return what an entry says."""
    if entry <= 1:
        return Past(entry, 0, 0)
    return Past(2, entry >> 1, 1 + (entry & 1))


class Bits:
    """A field of bits, the first one the least significant (clause 8.4.3)."""

    def __init__(self) -> None:
        self._bits: list[int] = []

    def put(self, value: int, n: int) -> None:
        """Append a number of n bits."""
        assert 0 <= value < 1 << n
        self._bits += [value >> k & 1 for k in range(n)]

    def gamma(self, value: int) -> None:
        """Append an Elias gamma code (clause 8.6.3)."""
        k = value.bit_length() - 1
        self.put(0, k)
        self.put(1, 1)
        self.put(value - (1 << k), k)

    def bytes(self, fill: int = 0) -> bytes:
        """Return the field, filled up with bits that have no meaning."""
        made = bytearray((len(self._bits) + 7) // 8)
        for k, bit in enumerate(self._bits + [fill] * (-len(self._bits) % 8)):
            made[k // 8] |= bit << k % 8
        return bytes(made)


@dataclass
class History:
    """What the coder remembers in a group (clause 8.3.3)."""

    ways: dict[int, list[int]] = field(default_factory=dict)
    entries: dict[int, list[int]] = field(default_factory=dict)
    trends: dict[int, object] = field(default_factory=dict)
    predictors: dict[tuple[int, int, tuple[int, int, int]], object] = field(default_factory=dict)

    def forget(self, row: int) -> None:
        """Forget a row that is absent or raw in a frame."""
        self.ways.pop(row, None)
        self.forget_entries(row)

    def forget_entries(self, row: int) -> None:
        """Forget what variants 2, 3 and 5 remember of a row."""
        self.entries.pop(row, None)
        self.trends.pop(row, None)

    def ways_of(self, p: CodedTensor) -> list[int]:
        """Return the ways of a row, those at first where its number of words is another."""
        known = self.ways.get(p.row)
        if known is None or len(known) != len(p.old):
            known = self.ways[p.row] = [FIRST_ENTRY] * len(p.old)
        return known

    def entries_of(self, p: CodedTensor) -> list[int]:
        """Return the entries of a row, those at first where its number of words is another."""
        known = self.entries.get(p.row)
        if known is None or len(known) != len(p.old):
            known = self.entries[p.row] = [FIRST_ENTRY] * len(p.old)
        return known
