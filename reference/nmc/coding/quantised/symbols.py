"""Symbols: the integers that are coded, and the bins that they make (clauses 12.3 and 12.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from nmc.coding.quantised.grid import BIN_LIMIT, Integers, slices_of
from nmc.coding.quantised.trellis import TRELLIS

if TYPE_CHECKING:
    from nmc.coding.quantised.basis import Bases
    from nmc.coding.quantised.grid import Grid, Quantised

Changes = NDArray[np.int64]
"""What is added to the bins of a tensor or a part: int64[R, C]."""

SHIFT_LIMIT: Final = 24
TRANSFORM_SHIFT_LIMIT: Final = 17
COEFFICIENT_LIMIT: Final = 1 << 15
CHANGE_LIMIT: Final = 1 << 29


class SymbolError(ValueError):
    """Symbols that lead beyond the range of bins or coefficients."""


@dataclass(frozen=True, eq=False)
class CodedSymbols:
    """How one tensor is coded (clause 12.3.2).

    Attributes
    ----------
    symbols : int32[R, C]
    shifts : tuple of int
        One for each part.
    substreams : tuple of int
        One for each part.
    dependent, transformed, learning : bool
        The flags.
    base : Quantised or None
        What is updated; None where the bins begin at zero.
    """

    symbols: Integers
    shifts: tuple[int, ...]
    substreams: tuple[int, ...]
    dependent: bool = False
    transformed: bool = False
    learning: bool = False
    base: Quantised | None = None


def reconstructed(symbols: Integers, *, dependent: bool) -> Changes:
    """Return the integers that the symbols of one part stand for (clause 12.4.5), int64[R, C]."""
    values = symbols.astype(np.int64)
    if not dependent:
        return values
    odd = odd_states_of(symbols)
    signs: Changes = np.sign(values)
    return 2 * values - signs * odd


def odd_states_of(symbols: Integers) -> NDArray[np.int64]:
    """Return for each symbol of a part whether its trellis state is odd, int64[R, C]."""
    from nmc.coding.quantised.trellis_kernel import odd_states

    out = np.empty(symbols.size, np.int64)
    odd_states(np.ascontiguousarray(symbols).reshape(-1), TRELLIS, out)
    return out.reshape(symbols.shape)


def changes_of(coded: CodedSymbols, grid: Grid, bases: Bases | None) -> Changes:
    """Return what is added to the bins (clause 12.3.3), int64[R, C].

    Raises
    ------
    SymbolError
        If a change or a coefficient is out of range.
    """
    changes = np.empty(coded.symbols.shape, np.int64)
    for (_, rows), shift in zip(slices_of(grid), coded.shifts, strict=True):
        values = reconstructed(coded.symbols[rows], dependent=coded.dependent)
        largest = int(np.abs(values).max(initial=0))
        if coded.transformed:
            if largest >= COEFFICIENT_LIMIT:
                raise SymbolError(f"a coefficient of {largest}; below {COEFFICIENT_LIMIT} allowed")
            assert bases is not None
            values = bases.inverse(values, shift)
        else:
            if largest > (CHANGE_LIMIT - 1) >> shift:
                raise SymbolError(f"a change of {largest} << {shift}; below 2^29 allowed")
            values <<= shift
        changes[rows] = values
    return changes


def added(bins: Integers | None, changes: Changes) -> Integers:
    """Return the bins after an update.

    Raises
    ------
    SymbolError
        If one leaves the range of bins.
    """
    after = changes if bins is None else bins + changes
    if after.size and int(np.abs(after).max()) >= BIN_LIMIT:
        raise SymbolError("a bin of 2^28 or more")
    return after.astype(np.int32)
