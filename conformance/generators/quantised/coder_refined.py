"""Tensors of a refinement, in plain integers (clause 12.7.3)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from arithmetic.coder_words import clip
from writers.package_writer import count

from quantised.coder_bins import Grid, Known, Part


@dataclass(frozen=True)
class RefinedTensor:
    """One tensor of mode `refine`: ``below`` is what it is there, ``past`` what it was here."""

    row: int
    dtype: str
    shape: tuple[int, ...]
    symbols: tuple[int, ...]
    below: Known
    past: Known | None
    finer: int
    reach: int
    substreams: tuple[int, ...]
    flags: int

    @property
    def grid(self) -> Grid:
        """The finer grid."""
        return tuple(Part(p.rows, p.mantissa, p.exponent - self.finer) for p in self.below.grid)

    @property
    def known(self) -> Known | None:
        """What it was, where that has the same grid."""
        return self.past if self.past and self.past.grid == self.grid else None

    @property
    def columns(self) -> int:
        """Columns."""
        return prod(self.shape) // (self.shape[0] if self.shape else 1)

    @property
    def middles(self) -> list[int]:
        """The bins in the middle of those of the grid below."""
        n = self.finer
        return [b << n if n >= 0 else (b + (1 << (-n - 1))) >> -n for b in self.below.bins]

    @property
    def lags(self) -> list[int] | None:
        """How far the bins before are from the middle; None where there are none."""
        if self.known is None:
            return None
        return [a - b for a, b in zip(self.known.bins, self.middles, strict=True)]

    @property
    def expected(self) -> list[int]:
        """The bins that are expected."""
        if self.lags is None:
            return self.middles
        cut = [clip(lag, -self.reach, self.reach) for lag in self.lags]
        return [a + b for a, b in zip(self.middles, cut, strict=True)]

    @property
    def old(self) -> tuple[int, ...]:
        """What the contexts know of each element."""
        if self.lags is None:
            return self.below.bins
        return tuple(clip(lag, -(1 << 27), 1 << 27) for lag in self.lags)

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Shifts, of which there are none, and substreams."""
        return tuple((0, substream) for substream in self.substreams)

    @property
    def entry(self) -> bytes:
        """What the payload says of it."""
        return bytes([self.flags, self.finer & 255]) + count(self.reach) + bytes(self.substreams)

    @property
    def pieces(self) -> list[tuple[slice, int, int]]:
        """The symbols of each part, its shift and its substream."""
        made, at = [], 0
        for k, part in enumerate(self.below.grid):
            size = part.rows * self.columns
            made.append((slice(at, at + size), *self.places[min(k, len(self.places) - 1)]))
            at += size
        return made

    def made(self) -> Known:
        """Return grid and bins at this stop."""
        bins = tuple(a + b for a, b in zip(self.expected, self.symbols, strict=True))
        return Known(self.grid, bins)
