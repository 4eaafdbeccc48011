"""Steps from measured sensitivity: coarse where nobody sees it, fine where everybody does.

A part of a model is given noise of a uniform quantiser, and the error c * step**2 of what is seen
is measured. At high rate a part of n numbers costs n * log2(1 / step) bits, so that the fewest bits
for an error go with steps in proportion to sqrt(n / c): reverse water-filling (Cover and Thomas,
Elements of Information Theory, 10.3.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmc_format.plan import QUANTISABLE

State = Mapping[str, NDArray[Any]]
Distortion = Callable[[State], float]
"""PSNR in dB between what is seen of a changed state and of the original; infinity if the same."""

_ERROR = 1e-5  # mean square at which sensitivity is measured: 50 dB
_FIRST, _ROUNDS = 1 / 16, 2  # a first step, in standard deviations, and how often it is mended
_UNSEEN = 1e-12  # an error below this says nothing but that nobody sees the part
_MANY_ROWS = 1 << 14
_PIECES = 12
_ALIKE = 0.5  # octaves between the steps of pieces that are one part


@dataclass(frozen=True)
class SensitivePart:
    """Rows of a tensor, and what they do.

    Attributes
    ----------
    name : str
        The tensor.
    rows, count : int
        Rows and elements.
    error : float
        Mean squared error of what is seen, over that of the step.
    """

    name: str
    rows: int
    count: int
    error: float


@dataclass(frozen=True)
class Sensitivity:
    """How much each part of a model is seen; parts are in the order of their tensors' rows."""

    parts: Sequence[SensitivePart]

    @staticmethod
    def measured(
        state: State,
        distortion: Distortion,
        parts: Mapping[str, Sequence[int]] | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Sensitivity:
        """Measure a model.

        Parameters
        ----------
        state : mapping of str to array
            The model, such as the first state of a chain.
        distortion : callable
            PSNR in dB of a changed state against this one. It is called twice for each part.
        parts : mapping of str to sequence of int, or None
            Rows of the parts of tensors that are cut, such as the levels of a hash grid. A tensor
            that is not named, and has many rows, is cut into pieces that double in size.
        progress : callable or None
            Called with (parts done, parts in all).

        Raises
        ------
        ValueError
            If the distortion is NaN.
        """
        asked = [
            (name, first, rows)
            for name, array in state.items()
            if has_grid(array)
            for first, rows in cut(array, (parts or {}).get(name))
        ]
        found = []
        for done, (name, first, rows) in enumerate(asked):
            array = np.asarray(state[name])
            inside = np.zeros(array.shape, bool)
            inside[first : first + rows] = True
            error = _error(state, name, inside, distortion)
            found.append(SensitivePart(name, rows, int(inside.sum()), error))
            if progress:
                progress(done + 1, len(asked))
        return Sensitivity.above_nothing(found)

    @staticmethod
    def above_nothing(parts: Sequence[SensitivePart]) -> Sensitivity:
        """Return it with parts that nobody sees counted as hardly seen."""
        seen = [part.error for part in parts if part.error > _UNSEEN]
        floor = min(seen, default=1.0) * 1e-3
        return Sensitivity([replace(part, error=max(part.error, floor)) for part in parts])

    def joined(self) -> Sensitivity:
        """Return it with neighbouring parts of a tensor as one, where their steps are alike."""
        found: list[SensitivePart] = []
        for part in self.parts:
            last = found[-1] if found else None
            if last is None or last.name != part.name or not _are_alike(last, part):
                found.append(part)
                continue
            error = last.error + part.error
            found[-1] = SensitivePart(
                part.name, last.rows + part.rows, last.count + part.count, error
            )
        return Sensitivity(found)

    def fidelity_like(self, steps: Mapping[str, float]) -> float:
        """Return the fidelity in dB whose steps take as many bits as some others would.

        At high rate an element costs the logarithm of its step. Tensors that are in one of both
        alone do not count.

        Raises
        ------
        ValueError
            If there is no tensor that is in both.
        """
        own = self.steps(0.0)
        octaves, count = 0.0, 0
        place: dict[str, int] = {}
        for part in self.parts:
            at = place.setdefault(part.name, 0)
            place[part.name] += 1
            if part.name in steps:
                octaves += part.count * math.log2(own[part.name][at][1] / steps[part.name])
                count += part.count
        if not count:
            raise ValueError("no tensor has both a sensitivity and a step")
        return 20 * math.log10(2) * octaves / count

    def steps(self, fidelity: float) -> dict[str, list[tuple[int, float]]]:
        """Return rows and step of each part of each tensor, for a fidelity in dB.

        The errors of the parts are taken to add up, which they do for small steps.
        """
        total = sum(part.count for part in self.parts)
        found: dict[str, list[tuple[int, float]]] = {}
        for part in self.parts:
            allowed = 10 ** (-fidelity / 10) * part.count / total
            found.setdefault(part.name, []).append((part.rows, math.sqrt(allowed / part.error)))
        return found

    def update_steps(self, fidelity: float) -> dict[str, list[tuple[int, float]]]:
        """Return the steps of frames that are not key frames, for a fidelity in dB.

        Changes of a matrix are coded in learnt bases, where what is rounded away is no noise. Its
        step lies half-way, in octaves, between that of a key frame and the mean of all matrices: of
        what was tried on a chain of NeRFs, that took the fewest bytes. A tensor of several parts
        has the steps of a key frame.
        """
        steps = self.steps(fidelity)
        single = [part for part in self.parts if len(steps[part.name]) == 1]
        total = sum(part.count for part in single)
        mean = sum(p.count * math.log(steps[p.name][0][1]) for p in single) / max(total, 1)
        for part in single:
            ((rows, step),) = steps[part.name]
            steps[part.name] = [(rows, math.exp((math.log(step) + mean) / 2))]
        return steps


def has_grid(array: Any) -> bool:
    """Whether a tensor can have steps: finite numbers of floating point, not all the same."""
    from nmc_format.dtypes import dtype_of

    values = np.asarray(array)
    if values.ndim == 0 or not values.size or dtype_of(values).name not in QUANTISABLE:
        return False
    exact = values.astype(np.float64)
    return bool(np.isfinite(exact).all()) and float(exact.min()) != float(exact.max())


def cut(array: Any, rows: Sequence[int] | None) -> list[tuple[int, int]]:
    """Return first row and rows of each part.

    Raises
    ------
    ValueError
        If the parts do not add up to the rows of the array.
    """
    count = len(array)
    if rows is None:
        rows = _doubling(count) if count >= _MANY_ROWS else [count]
    if sum(rows) != count:
        raise ValueError(f"the parts have {sum(rows)} rows of {count}")
    firsts = np.cumsum([0, *rows[:-1]]).tolist()
    return list(zip(firsts, rows, strict=True))


def _doubling(count: int) -> list[int]:
    """Return pieces that double up to a twelfth of the rows: levels of a grid lie about so."""
    rows: list[int] = []
    size = max(count >> 9, 1)
    while count:
        size = min(size, count)
        rows.append(size)
        count -= size
        size = min(2 * size, max((count + sum(rows)) // _PIECES, 1))
    return rows


def _are_alike(a: SensitivePart, b: SensitivePart) -> bool:
    octaves = math.log2((a.error / a.count) / (b.error / b.count)) / 2
    return abs(octaves) < _ALIKE


def _error(state: State, name: str, inside: NDArray[np.bool_], distortion: Distortion) -> float:
    """Return the squared error of what is seen for noise in some elements, over squared step."""
    array = np.asarray(state[name])
    noise = np.where(inside, np.random.default_rng(0).uniform(-0.5, 0.5, array.shape), 0)
    exact = array.astype(np.float64)
    step = _FIRST * (float(exact[inside].std()) or 1.0)
    found = 0.0
    for _ in range(_ROUNDS):
        decibels = distortion({**state, name: (exact + step * noise).astype(array.dtype)})
        if math.isnan(decibels):
            raise ValueError(f"the distortion is NaN where {name!r} changes by {step:.3g}")
        error = 10 ** (-decibels / 10)
        if error <= _UNSEEN:
            break
        found = error / step**2
        step *= min(math.sqrt(_ERROR / error), 16.0)
    return found
