"""What of a state is quantised, and how finely (chapter 12)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nmc_format.manifest.frame_table import MOST_REFINEMENTS

if TYPE_CHECKING:
    from nmc.writing.curvature import Curvature

Step = float | Sequence[tuple[int, float]]
"""One step for a tensor, or rows and step for each of its parts."""

Key = TypeVar("Key")

Distortion = Callable[[dict[str, Any], dict[str, Any]], float]
"""Of a decoded and an original state, by name: how near they are, in dB."""

QUALITIES = (1, 100)
"""Lowest and highest quality."""

FIRST_QUALITY = 50.0
"""Where the search for a target begins."""

POINTS_A_BIT = 8
"""So many points of quality halve the step."""

_NUMBERS = (float, int, np.floating, np.integer)
_LONGEST_TEXT = 1000
_MOST_BITS = 12


@dataclass(frozen=True)
class Quantisation:
    """How tensors are quantised: by ``step``, ``quality`` or ``max_error``, or to meet a target.

    A target multiplies all steps of a frame by one factor; ``step`` or ``quality`` say how the
    steps are to each other then. Without them they are as at quality 50; for a target in dB they
    are measured at the first frame, by two calls of ``distortion`` for each part of a tensor.

    Integers, truth values, constants, tensors of few elements and those with NaN or infinity keep
    every bit.

    Parameters
    ----------
    step : float, or mapping of str to float or sequence of (int, float)
        Distance between neighbouring reconstruction points: for all tensors, or by name. A tensor
        may be cut along its first dimension into parts, given as rows and step. A tensor without a
        step keeps every bit; without names, so do those that are small or one value throughout.
    update_step : as step
        Steps of frames that are not key frames, where they are others. They are taken to the
        nearest power of two of those of the key frame, and are not much finer.
    quality : float
        1 to 100: the step of a tensor is the root mean square of its elements in the key frame
        times 2^(-quality / 8), on average. It is coarser in tensors of many elements, each of which
        matters less, and finer in those of few, where bits cost little (spec/decisions/0097).
    max_error : float, or mapping of str to float
        No element is farther from its original: for all tensors, or by name. Where an element type
        is too coarse for that, the tensor keeps every bit.
    target_bytes : int
        Bytes of a frame, on average over the frames from one key frame to the next. A key frame
        takes those of half its group, of 8 frames at most; the others share the rest.
    target_psnr : float
        What ``distortion`` is to return of each frame at least, in dB. It is given here, or to the
        writer.
    distortion : callable or None
        Called with two states, of arrays by name: the decoded and the original one. Returns how
        near they are, in dB; more is nearer. Each frame declares it (clause 5.4.6), also where it
        is no target.
    refinements : sequence of int
        Further states of each frame, each nearer to the original than the one before: by how many
        powers of two its steps are finer (clause 12.7). What is asked for otherwise, such as a
        target, is for the base. At most 8.
    frames : int or None
        Frames of the whole sequence, where that is known: its last group may be short.
    dependent : bool
        Use dependent quantisation (clause 12.4.5) in key frames; not with effort ``"fast"``.
    transform : bool
        Use learnt bases for matrices (clause 12.5); not with effort ``"fast"``.
    rate : float
        Weight of a bit in the choice of symbols, in squared steps; 0 rounds to the nearest. Above
        0, small changes are put off: an error that has a direction, and is seen more than noise.
    curvature : Curvature, callable or None
        How much is seen of errors; not with ``max_error``. Or called with each original state, of
        arrays by name, and returns that: what cameras see changes from frame to frame.

    Raises
    ------
    ValueError
        If what is given does not go together, or a number is out of its range.
    """

    step: float | Mapping[str, Step] | None = None
    update_step: float | Mapping[str, Step] | None = None
    quality: float | None = None
    max_error: float | Mapping[str, float] | None = None
    target_bytes: int | None = None
    target_psnr: float | None = None
    distortion: Distortion | None = None
    refinements: Sequence[int] = ()
    frames: int | None = None
    dependent: bool = True
    transform: bool = True
    rate: float = 0.0
    curvature: Curvature | Callable[[dict[str, Any]], Curvature] | None = None

    def __post_init__(self) -> None:
        self._check_together()
        object.__setattr__(self, "refinements", tuple(self.refinements))
        self._check_refinements()
        for name, step in _by_name("step", self.step):
            for value in [step] if isinstance(step, _NUMBERS) else _steps(name, step):
                _check_positive(f"the step of {name!r}", value)
        for name, step in _by_name("update_step", self.update_step):
            for value in [step] if isinstance(step, _NUMBERS) else _steps(name, step):
                _check_positive(f"the update step of {name!r}", value)
        for name, error in _by_name("max_error", self.max_error):
            _check_positive(f"the largest error of {name!r}", error)
        low, high = QUALITIES
        quality = self.quality
        if quality is not None and not (_is_number(quality) and low <= quality <= high):
            raise ValueError(f"quality is {quality!r}; it is a number from {low} to {high}")
        if self.target_bytes is not None:
            _check_positive("target_bytes", self.target_bytes)
        if self.target_psnr is not None and not _is_number(self.target_psnr):
            raise ValueError(f"target_psnr is {self.target_psnr!r}; it is a number of dB")
        if not (math.isfinite(self.rate) and self.rate >= 0):
            raise ValueError(f"rate is {self.rate!r}; it is a number of at least 0")

    def _check_refinements(self) -> None:
        found = self.refinements
        if len(found) > MOST_REFINEMENTS:
            raise ValueError(f"{len(found)} refinements; {MOST_REFINEMENTS} are the most")
        for bits in found:
            if type(bits) is not int or not 1 <= bits <= _MOST_BITS:
                raise ValueError(
                    f"a refinement is {bits!r}; it is a whole number of bits from 1 to {_MOST_BITS}"
                )

    def _check_together(self) -> None:
        if self.update_step is not None and self.step is None:
            raise ValueError("update_step goes with step")
        ways = ("step", "quality", "max_error")
        given = [name for name in ways if getattr(self, name) is not None]
        targets = [n for n in ("target_bytes", "target_psnr") if getattr(self, n) is not None]
        if len(given) > 1 or not given + targets:
            found = " and ".join(given) or "none"
            raise ValueError(
                f"give one of step, quality and max_error, or a target; here is {found}"
            )
        if len(targets) > 1 or (targets and "max_error" in given):
            raise ValueError(f"give one of {' and '.join([*given, *targets])}")
        if self.curvature is not None and self.max_error is not None:
            raise ValueError("curvature does not go with max_error: each error is bounded there")

    @property
    def has_target(self) -> bool:
        """Whether steps are searched for."""
        return self.target_bytes is not None or self.target_psnr is not None

    @property
    def is_measured(self) -> bool:
        """Whether ``distortion`` says how the steps are to each other."""
        return self.target_psnr is not None and self.step is None and self.quality is None

    @property
    def relative(self) -> float | None:
        """The quality that gives steps, if no steps are given."""
        if self.quality is None and self.step is None and self.has_target:
            return FIRST_QUALITY
        return self.quality

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

    def of_frame(self, effort: str, *, key: bool) -> Quantisation:
        """Return what a frame is quantised by; the least effort has no tools that learn."""
        step = self.step if key or self.update_step is None else self.update_step
        learns = effort != "fast"
        return replace(
            self,
            step=step,
            update_step=None,
            dependent=self.dependent and learns,
            transform=self.transform and learns,
        )

    @property
    def text(self) -> str:
        """What says the same settings the same way; a long one is a digest."""
        said = {
            name: _plain(value)
            for name, value in vars(self).items()
            if value is not None
            and name not in ("distortion", "frames", "curvature")
            and (name != "refinements" or value)
        }
        if callable(self.curvature):
            said["curvature"] = "measured of each frame"
        elif self.curvature is not None:
            said["curvature"] = self.curvature.digest
        text = json.dumps(said, sort_keys=True)
        if len(text) <= _LONGEST_TEXT:
            return text
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def proportions(sizes: Mapping[Key, tuple[float, int]]) -> dict[Key, float]:
    """Return what the steps of tensors are multiples of, where nothing says how they are seen.

    An error that is as large beside its tensor is taken to be as much seen in each tensor, however
    many elements it has. The fewest bits for it go with steps in proportion to the root mean square
    times the square root of the count (:mod:`nmc.writing.sensitivity`). They are scaled so that
    they take as many bits as multiples of the root mean squares alone.

    Parameters
    ----------
    sizes : mapping of any to (float, int)
        Root mean square and number of the elements of each tensor.
    """
    total = sum(count for size, count in sizes.values() if size > 0)
    octaves = sum(count * math.log2(count) for size, count in sizes.values() if size > 0)
    mean = octaves / max(total, 1)
    return {
        key: size * 2 ** ((math.log2(count) - mean) / 2) if size > 0 else 0.0
        for key, (size, count) in sizes.items()
    }


def steps_of_quality(state: Mapping[str, Any], quality: float) -> dict[str, float]:
    """Return the step of each tensor of a state, of arrays by name, at a quality.

    Tensors without a number that is finite and not 0 have none.
    """
    sizes = {}
    for name, array in state.items():
        values = np.asarray(array)
        if values.dtype.kind not in "fV" or not values.size:
            continue
        exact = values.astype(np.float64)
        size = float(np.sqrt(np.mean(exact**2))) if np.isfinite(exact).all() else 0.0
        if size > 0:
            sizes[name] = (size, values.size)
    share = 2 ** (-quality / POINTS_A_BIT)
    return {name: step * share for name, step in proportions(sizes).items()}


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
    if all(isinstance(inner, _NUMBERS) for inner in value):
        return [int(inner) for inner in value]
    return [[int(rows), float(step)] for rows, step in value]
