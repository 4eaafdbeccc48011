"""Grids, bins and the elements that they stand for (clause 12.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from nmc_format.dtypes import word_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nmc.coding.quantised.symbols import CodedSymbols
    from nmc_format.dtypes import Dtype, Words

Integers = NDArray[np.int32]
"""Bins or symbols of one tensor, one row for each row of the tensor: int32[R, C]."""

BIN_LIMIT: Final = 1 << 28
"""Every bin is smaller than this in magnitude."""
MANTISSA_LIMIT: Final = 1 << 24
EXPONENT_RANGE: Final = range(-1200, 1024)
QUANTISABLE: Final = ("F64", "F32", "F16", "BF16")
"""Element types that have a grid (clause 12.1.1)."""


class GridError(ValueError):
    """A bin whose element is beyond the finite numbers of its type."""


@dataclass(frozen=True)
class Part:
    """Rows of a tensor that share one scale (clause 12.1.1).

    Attributes
    ----------
    rows : int
        How many, at least 1.
    mantissa, exponent : int
        The scale is mantissa * 2**exponent.
    """

    rows: int
    mantissa: int
    exponent: int

    @property
    def scale(self) -> float:
        """The scale; exact, as far as a binary64 number reaches down."""
        return float(np.ldexp(float(self.mantissa), self.exponent))


Grid = tuple[Part, ...]
"""The parts of one tensor, from its first row to its last."""


@dataclass(frozen=True, eq=False)
class Quantised:
    """What is known of a quantised tensor beside its words.

    Attributes
    ----------
    grid : tuple of Part
    bins : int32[R, C]
        Never changed once made, so that frames can share it.
    bound : float
        The declared error: no element is farther from the original (clause 12.6).
    coded : CodedSymbols or None
        How an encoder that quantised it means to code it.
    """

    grid: Grid
    bins: Integers
    bound: float
    coded: CodedSymbols | None = None

    def slices(self) -> Iterator[tuple[Part, slice]]:
        """Return each part with its rows."""
        return slices_of(self.grid)


def slices_of(grid: Grid) -> Iterator[tuple[Part, slice]]:
    """Return each part of a grid with its rows."""
    start = 0
    for part in grid:
        yield part, slice(start, start + part.rows)
        start += part.rows


def matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Return rows and columns of a tensor as this chapter walks it (clause 12.1.1)."""
    if not shape:
        return 1, 1
    columns = 1
    for dimension in shape[1:]:
        columns *= dimension
    return shape[0], columns


def words_of(bins: Integers, grid: Grid, dtype: Dtype) -> Words:
    """Return the words of a tensor, from its bins (clause 12.1.2).

    Raises
    ------
    GridError
        If an element is beyond the finite numbers of its type.
    """
    words = np.empty(bins.shape, word_dtype(dtype))
    for part, rows in slices_of(grid):
        _round(bins[rows], part, dtype, words[rows])
    return words.reshape(-1)


_FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16}


def _round(bins: Integers, part: Part, dtype: Dtype, words: Words) -> None:
    # The scale has 24 bits and a bin 28: their product is exact in binary64, as long as it is far
    # from the ends of its range, and the conversion to the element type is all that rounds.
    if dtype.name == "BF16" or not -1000 <= part.exponent <= 900:
        words[...] = rounded(bins.astype(np.int64) * part.mantissa, part.exponent, dtype)
        return
    with np.errstate(over="ignore", under="ignore"):
        elements = (bins * part.scale).astype(_FLOATS[dtype.name])
    if not np.isfinite(elements).all():
        raise GridError("an element is beyond the finite numbers of its type")
    words[...] = elements.view(words.dtype)


def rounded(products: NDArray[np.int64], exponent: int, dtype: Dtype) -> Words:
    """Return the words nearest to products * 2**exponent, ties to even, in integers alone.

    Raises
    ------
    GridError
        If one is beyond the finite numbers of its type.
    """
    e, m = dtype.exponent_bits, dtype.mantissa_bits
    bias = (1 << (e - 1)) - 1
    size = np.abs(products)
    length = np.frexp(size.astype(np.float64))[1].astype(np.int64)
    field = np.maximum(exponent + length - 1 + bias, 1)
    drop = field - bias - m - exponent
    right = np.clip(drop, 0, 60)
    kept = size >> right
    rest = size - (kept << right)
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), np.int64(1) << 62)
    kept = np.where(rest > half, kept + 1, np.where(rest == half, kept + (kept & 1), kept))
    kept = np.where(drop < 0, size << np.clip(-drop, 0, 62), kept)
    magnitude = kept + ((field - 1) << m)
    magnitude = np.where(size == 0, 0, magnitude)
    if (magnitude >> m >= (1 << e) - 1).any():
        raise GridError("an element is beyond the finite numbers of its type")
    sign = (products < 0).astype(np.uint64) << np.uint64(e + m)
    words: Words = (sign | magnitude.astype(np.uint64)).astype(word_dtype(dtype))
    return words
