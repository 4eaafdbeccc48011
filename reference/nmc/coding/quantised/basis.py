"""Bases that both sides learn from what is decoded (clause 12.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LARGEST: Final = 512
"""A dimension above this has no basis."""
UNIT: Final = 1 << 14
_REFINEMENTS = 2

_Exact = NDArray[np.float64]
"""Integers below 2**53 in binary64: sums and products of matrices are exact in any order."""


@dataclass(frozen=True, eq=False)
class Side:
    """The basis of the rows or of the columns, and what it was learnt from.

    Attributes
    ----------
    gram : float64[n, n]
        Integers; how entries changed together.
    basis : float64[n, n]
        Integers; column j is the j-th vector, in units of 2**-14.
    """

    gram: _Exact
    basis: _Exact

    def learned(self, changes: _Exact) -> Side:
        """Return the side after changes, float64[n, other]."""
        new = _gram(changes)
        if new is None:
            return self
        gram = np.floor(3.0 * self.gram * 0.25) + new
        n = len(gram)
        trace = int(np.trace(gram))
        damped = gram + np.eye(n) * ((trace >> 3) // n + 1)
        columns = np.ascontiguousarray((damped @ self.basis).T)
        from nmc.coding.quantised.basis_kernel import orthonormal

        rows = np.zeros((n, n))
        orthonormal(columns, rows, np.zeros(n))
        return Side(gram, np.ascontiguousarray(rows.T))


def _gram(changes: _Exact) -> _Exact | None:
    other = changes.shape[1]
    largest = int(np.abs(changes).max(initial=0.0))
    if not largest:
        return None
    bits = min((52 - other.bit_length()) // 2, 15)
    drop = max(largest.bit_length() - bits, 0)
    kept = np.floor(changes * 2.0**-drop)
    gram = kept @ kept.T
    trace = int(np.trace(gram))
    if not trace:
        return None
    scaled: _Exact = np.floor(gram * 2.0 ** (26 - trace.bit_length()))
    return scaled


def has_basis(n: int, other: int) -> bool:
    """Whether a dimension of n has a basis, beside one of `other` (clause 12.5.1)."""
    return n <= LARGEST and n <= 4 * other


@dataclass(frozen=True, eq=False)
class Bases:
    """Bases of the rows and the columns of one tensor; None stands for the identity."""

    rows: Side | None
    columns: Side | None

    @staticmethod
    def first(rows: int, columns: int) -> Bases:
        """Return the bases before anything was learnt."""
        return Bases(
            _first(rows) if has_basis(rows, columns) else None,
            _first(columns) if has_basis(columns, rows) else None,
        )

    def learned(self, changes: NDArray[np.int64]) -> Bases:
        """Return the bases after changes of the bins, int64[R, C]."""
        exact = changes.astype(np.float64)
        return Bases(
            self.rows.learned(exact) if self.rows else None,
            self.columns.learned(np.ascontiguousarray(exact.T)) if self.columns else None,
        )

    def inverse(self, coefficients: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
        """Return the changes that coefficients stand for (clause 12.5.2), int64[R, C]."""
        first = coefficients.astype(np.float64)
        first = self.rows.basis @ first if self.rows else first * UNIT
        first = np.floor((first + 512.0) * 2.0**-10)
        second = first @ self.columns.basis.T if self.columns else first * UNIT
        drop = 18 - shift
        return np.floor((second + 2.0 ** (drop - 1)) * 2.0**-drop).astype(np.int64)

    def forward(self, changes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the coefficients of changes: what an encoder rounds.

        The vectors are orthonormal to 14 bits only. What the transposed basis leaves over is
        transformed again.
        """
        found = self._transposed(changes)
        for _ in range(_REFINEMENTS):
            found = found + self._transposed(changes - self._exact(found))
        return found

    def _transposed(self, changes: NDArray[np.float64]) -> NDArray[np.float64]:
        out = self.rows.basis.T @ changes / UNIT if self.rows else changes
        return out @ self.columns.basis / UNIT if self.columns else out

    def _exact(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        out = self.rows.basis @ coefficients / UNIT if self.rows else coefficients
        return out @ self.columns.basis.T / UNIT if self.columns else out


def _first(n: int) -> Side:
    return Side(np.zeros((n, n)), np.eye(n) * UNIT)
