"""Rounding that knows what is seen, so that errors make up for each other (an encoder's business).

Where ``e @ H @ e`` is seen of the error e of a row, each column is rounded in turn and those after
it take up what it did wrong (Frantar and Alistarh 2022, "Optimal Brain Compression"; Frantar et
al. 2023, "GPTQ", section 3). Before that, what is seen of a change is kept as far as it is above
the noise of rounding: the test channel of reverse water-filling (Cover and Thomas, Elements of
Information Theory, 10.3.3) in the directions in which H weighs what changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmc.coding.quantised.basis import UNIT

if TYPE_CHECKING:
    from nmc.coding.quantised.basis import Bases
    from nmc.coding.quantised.grid import Integers

Reals = NDArray[np.float64]

_DAMPING = 0.1
"""Share of the mean of the diagonal that is added to it: errors that are never seen stay small."""
_UNSEEN = 0.05
"""Share of the mean of its part that is added to each element: other cameras see other ones."""


@dataclass(frozen=True, eq=False)
class TensorCurvature:
    """How much is seen of an error in a tensor, as a mean squared error.

    Attributes
    ----------
    columns : float64[C, C] or None
        The same for all rows: of the error e of one row, ``e @ columns @ e``.
    elements : float64[R, C] or None
        Of each element by itself, over its squared error.
    """

    columns: Reals | None = None
    elements: Reals | None = None


@dataclass(frozen=True, eq=False)
class Feedback:
    """In which order columns are rounded, and what each leaves to those after it.

    Attributes
    ----------
    order : int64[C]
    root, unroot : float64[C, C]
        A square root R of what is seen, R @ R.T, in this order, and its inverse.
    upper : float64[C, C]
        What an error of 1 in column j is worth in column k > j.
    noise : float
        What is seen of rounding an element to integers.
    """

    order: NDArray[np.int64]
    root: Reals
    unroot: Reals
    upper: Reals
    noise: float

    @staticmethod
    def of(columns: Reals, bases: Bases | None) -> Feedback | None:
        """Return it for the columns of :class:`TensorCurvature`, or of coefficients in a basis.

        None where nothing is seen of any error, or it is not known.
        """
        if bases is not None and bases.columns is not None:
            basis = bases.columns.basis / UNIT
            columns = basis.T @ columns @ basis
        found = _damped(columns)
        if found is None:
            return None
        order, damped, _ = found
        try:
            unit, pivots = _factors(damped)
        except np.linalg.LinAlgError:  # negative somewhere: it is no curvature
            return None
        root, upper = np.sqrt(pivots), np.ascontiguousarray(np.linalg.inv(unit))
        noise = float(pivots.mean()) / 12
        return Feedback(order, unit * root, upper / root[:, None], upper, noise)

    def chosen(self, wanted: Reals, *, seen_only: bool) -> Integers:
        """Return integers in place of numbers, int32[R, C].

        Parameters
        ----------
        wanted : float64[R, C]
        seen_only : bool
            Leave out what is below the noise of rounding.
        """
        from nmc.coding.quantised.curvature_kernel import feed_back

        ordered = np.ascontiguousarray(wanted[:, self.order])
        if seen_only:
            ordered = self._above_noise(ordered)
        found = np.empty(ordered.shape, np.int32)
        feed_back(ordered, self.upper, found)
        symbols = np.empty_like(found)
        symbols[:, self.order] = found
        return symbols

    def _above_noise(self, wanted: Reals) -> Reals:
        seen = wanted @ self.root
        values, vectors = np.linalg.eigh(seen.T @ seen / len(seen))
        kept = np.maximum(1 - self.noise / np.maximum(values, self.noise), 0)
        return np.ascontiguousarray((seen @ vectors * kept) @ vectors.T @ self.unroot)


def importance(elements: Reals) -> Reals:
    """Return the weights of the elements of a part: 1 on average, none next to nothing."""
    mean = float(elements.mean())
    if not (np.isfinite(mean) and mean > 0):
        return np.ones(elements.shape)
    return np.asarray((elements / mean + _UNSEEN) / (1 + _UNSEEN))


def seen_of_rounding(columns: Reals) -> float:
    """Return what is seen of rounding an element to integers; 0 where nothing is seen."""
    found = _damped(columns)
    if found is None:
        return 0.0
    _, damped, mean = found
    try:
        return float(_factors(damped)[1].mean()) * mean / 12
    except np.linalg.LinAlgError:
        return mean / 12


def _damped(columns: Reals) -> tuple[NDArray[np.int64], Reals, float] | None:
    """Return an order, the matrix in it with a diagonal of 1 on average, and that average."""
    diagonal = np.diag(columns)
    mean = float(diagonal.mean())
    if not (mean > 0 and np.isfinite(columns).all()):
        return None
    order = np.argsort(-diagonal, kind="stable")
    whole = columns[np.ix_(order, order)] / mean
    return order, whole + np.eye(len(whole)) * _DAMPING, mean


def _factors(matrix: Reals) -> tuple[Reals, Reals]:
    """Return U and p of ``matrix = U @ diag(p) @ U.T``; U is triangular, with a diagonal of 1."""
    lower = np.linalg.cholesky(matrix[::-1, ::-1])  # backwards: no inverse has to be factored
    diagonal = np.diag(lower)
    return (lower / diagonal)[::-1, ::-1], diagonal[::-1] ** 2
