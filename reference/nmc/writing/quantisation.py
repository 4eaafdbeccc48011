"""What of a state is quantised, and how finely (chapter 12)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Step = float | Sequence[tuple[int, float]]
"""One step for a tensor, or rows and step for each of its parts."""

QUALITIES = (1, 100)
"""Lowest and highest quality."""

POINTS_A_BIT = 8
"""So many points of quality halve the step."""

_NUMBERS = (float, int, np.floating, np.integer)
_LONGEST_TEXT = 1000


@dataclass(frozen=True)
class Quantisation:
    """How tensors are quantised: one of ``step``, ``quality`` and ``max_error``.

    Integers, truth values, constants, tensors of few elements and those with NaN or infinity keep
    every bit.

    Parameters
    ----------
    step : float, or mapping of str to float or sequence of (int, float)
        Distance between neighbouring reconstruction points: for all tensors, or by name. A tensor
        may be cut along its first dimension into parts, given as rows and step. A tensor without a
        step keeps every bit; without names, so do those that are small or one value throughout.
    quality : float
        1 to 100: the step of a tensor is the root mean square of its elements in the key frame
        times 2^(-quality / 8).
    max_error : float, or mapping of str to float
        No element is farther from its original: for all tensors, or by name. Where an element type
        is too coarse for that, the tensor keeps every bit.
    dependent : bool
        Use dependent quantisation (clause 12.4.5) in key frames.
    transform : bool
        Use learnt bases for matrices (clause 12.5).
    rate : float
        Weight of a bit in the choice of symbols, in squared steps; 0 rounds to the nearest. Above
        0, small changes are put off: an error that has a direction, and is seen more than noise.

    Raises
    ------
    ValueError
        If none or several of the first three are given, or a number is out of its range.
    """

    step: float | Mapping[str, Step] | None = None
    quality: float | None = None
    max_error: float | Mapping[str, float] | None = None
    dependent: bool = True
    transform: bool = True
    rate: float = 0.0

    def __post_init__(self) -> None:
        ways = {"step": self.step, "quality": self.quality, "max_error": self.max_error}
        given = [name for name, value in ways.items() if value is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"give one of step, quality and max_error; here is {found}")
        for name, step in _by_name("step", self.step):
            for value in [step] if isinstance(step, _NUMBERS) else _steps(name, step):
                _check_positive(f"the step of {name!r}", value)
        for name, error in _by_name("max_error", self.max_error):
            _check_positive(f"the largest error of {name!r}", error)
        low, high = QUALITIES
        quality = self.quality
        if quality is not None and not (_is_number(quality) and low <= quality <= high):
            raise ValueError(f"quality is {quality!r}; it is a number from {low} to {high}")
        if not (math.isfinite(self.rate) and self.rate >= 0):
            raise ValueError(f"rate is {self.rate!r}; it is a number of at least 0")

    def steps_of(self, name: str, rows: int) -> Sequence[tuple[int, float]] | None:
        """Return rows and step of each part of a tensor; None where it has no step of its own.

        Raises
        ------
        ValueError
            If the parts do not add up to the rows of the tensor.
        """
        step = self.step.get(name) if isinstance(self.step, Mapping) else self.step
        if step is None:
            return None
        if isinstance(step, _NUMBERS):
            return [(rows, float(step))]
        if sum(n for n, _ in step) != rows or any(n < 1 for n, _ in step):
            raise ValueError(f"the parts of {name!r} have {sum(n for n, _ in step)} rows of {rows}")
        return [(n, float(s)) for n, s in step]

    def error_of(self, name: str) -> float | None:
        """Return the largest error that is allowed in a tensor; None where no limit is set."""
        error = self.max_error.get(name) if isinstance(self.max_error, Mapping) else self.max_error
        return None if error is None else float(error)

    @property
    def text(self) -> str:
        """What says the same settings the same way; a long one is a digest."""
        said = {
            name: _plain(value)
            for name, value in vars(self).items()
            if value is not None and not callable(value)
        }
        text = json.dumps(said, sort_keys=True)
        if len(text) <= _LONGEST_TEXT:
            return text
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _by_name(whole: str, value: Any) -> list[tuple[str, Any]]:
    if value is None:
        return []
    return list(value.items()) if isinstance(value, Mapping) else [(whole, value)]


def _steps(name: str, parts: Any) -> list[Any]:
    try:
        return [step for _, step in parts]
    except (TypeError, ValueError):
        raise ValueError(
            f"the step of {name!r} is {parts!r}; it is a number, or rows and step of each part"
        ) from None


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and math.isfinite(value)


def _check_positive(what: str, value: Any) -> None:
    if not (_is_number(value) and value > 0):
        raise ValueError(f"{what} is {value!r}; it is a number above 0")


def _plain(value: Any) -> Any:
    """Return a setting as JSON has it, whatever the types of its numbers."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, _NUMBERS):
        return float(value)
    return [[int(rows), float(step)] for rows, step in value]
