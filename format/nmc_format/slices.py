"""Slices of frame t that refer to others of frame t-1: the stream `slices` (clause 6.2.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nmc_format.issues import refuse

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRESH = -1
"""Origin of a slice without one: its reference has words of 0."""


@dataclass(frozen=True, eq=False)
class SliceMap:
    """Where the slices of some tensors come from.

    Attributes
    ----------
    rows : tuple of int
        Rows of the tensor table, ascending.
    count : int
        Slices of these tensors in frame t.
    lengths, origins : int64[runs]
        For each run of slices, how many they are and the origin of the first one; FRESH of all.
    """

    rows: tuple[int, ...]
    count: int
    lengths: NDArray[np.int64]
    origins: NDArray[np.int64]

    @property
    def highest(self) -> int:
        """One more than the highest origin."""
        known = self.origins >= 0
        return int((self.origins + self.lengths)[known].max(initial=0))

    def origin_of_each(self) -> NDArray[np.int64]:
        """Return the origin of every slice, FRESH where it has none."""
        starts = np.cumsum(self.lengths) - self.lengths
        inside = np.arange(self.count) - np.repeat(starts, self.lengths)
        first = np.repeat(self.origins, self.lengths)
        return np.where(first < 0, FRESH, first + inside)


def map_of(rows: tuple[int, ...], origins: NDArray[np.int64]) -> SliceMap:
    """Return the map of slices whose origins are known, in the longest runs."""
    step = np.diff(origins)
    joined = np.where(origins[:-1] < 0, step == 0, step == 1)
    starts = np.flatnonzero(np.concatenate([[True], ~joined]))[: origins.size]
    lengths = np.diff(np.append(starts, origins.size))
    return SliceMap(rows, origins.size, lengths, origins[starts])


def serialize(maps: list[SliceMap]) -> bytes:
    """Return the stream of some maps."""
    numbers: list[int] = []
    for made in maps:
        numbers += [len(made.rows), *made.rows, made.count]
        expected = 0
        for length, origin in zip(made.lengths.tolist(), made.origins.tolist(), strict=True):
            offset = origin - expected
            step = 0 if origin < 0 else 1 + (2 * offset if offset >= 0 else -2 * offset - 1)
            numbers += [2 * step] if length == 1 else [2 * step + 1, length]
            expected = expected if origin < 0 else origin + length
    out = bytearray()
    for number in numbers:
        left = number
        while left >= 128:
            out.append(left & 127 | 128)
            left >>= 7
        out.append(left)
    return bytes(out)


def parse(data: memoryview, file: str, offset: int) -> tuple[SliceMap, ...]:
    """Parse the stream; what it says of tensors is not checked.

    Raises
    ------
    FormatError
        If it is malformed.
    """

    def bad(reason: str) -> Exception:
        return refuse("segment/slices", file=file, offset=offset, reason=reason)

    if not data:
        raise bad("it is empty")
    numbers = _counts(np.frombuffer(data, np.uint8))
    if numbers is None:
        raise bad("a count is cut off, or takes more than nine bytes")
    maps, at, last = [], 0, -1
    while at < len(numbers):
        size = numbers[at]
        rows = tuple(numbers[at + 1 : at + 1 + size])
        at += 1 + size
        if at >= len(numbers):
            raise bad("it ends within a map")
        if not rows:
            raise bad("a map has no rows")
        for row in rows:
            if row <= last:
                raise bad("rows are not in ascending order")
            last = row
        count, at = numbers[at], at + 1
        left, expected = count, 0
        lengths, origins = [], []
        while left:
            if at >= len(numbers) or (numbers[at] & 1 and at + 1 >= len(numbers)):
                raise bad("it ends within a run")
            step, length = numbers[at] >> 1, numbers[at + 1] if numbers[at] & 1 else 1
            at += 1 + (numbers[at] & 1)
            if not 1 <= length <= left:
                raise bad(f"a run of {length} slices, where {left} are left")
            origin = FRESH if step == 0 else expected + _signed(step - 1)
            if step and origin < 0:
                raise bad(f"a slice comes from slice {origin}")
            expected = expected if step == 0 else origin + length
            left -= length
            lengths.append(length)
            origins.append(origin)
        if max(count, expected) >= 1 << 62:
            raise bad("a number is too large")
        maps.append(SliceMap(rows, count, np.array(lengths, np.int64), np.array(origins, np.int64)))
    return tuple(maps)


def _signed(number: int) -> int:
    return -((number + 1) >> 1) if number & 1 else number >> 1


def _counts(data: NDArray[np.uint8]) -> list[int] | None:
    """Return the counts that bytes are made of (clause 8.3.2); None where they are malformed."""
    ends = np.flatnonzero(data < 128)
    if not ends.size or ends[-1] != data.size - 1:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends + 1 - starts
    if sizes.max() > 9:
        return None
    shifts = 7 * (np.arange(data.size) - np.repeat(starts, sizes)).astype(np.uint64)
    parts = (data & np.uint8(127)).astype(np.uint64) << shifts
    numbers: list[int] = np.add.reduceat(parts, starts).tolist()
    return numbers
