"""Meets the target of a frame, its bytes or its distance in dB (an encoder's business)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from nmc.coding.state import arrays_of
from nmc.writing.search import DECIBELS_A_BIT, DECIBELS_NEAR, budget, search
from nmc_format.issues import refuse
from nmc_format.manifest.columns import frame_pointer

if TYPE_CHECKING:
    from nmc.coding.encode import CodedFrame
    from nmc.coding.state import Tensor
    from nmc.writing.quantisation import Quantisation
    from nmc.writing.trial import Place

T = TypeVar("T")
Make = Callable[[float], "dict[int, Tensor]"]
"""From a factor on all steps to the state that a decoder will have."""


@dataclass(frozen=True)
class Aimed:
    """A frame that meets a target, or comes as close as it can.

    Attributes
    ----------
    tensors : dict of int to Tensor
        Its state.
    coded : CodedFrame
        Its bytes.
    factor : float
        By what its steps were multiplied.
    missed : str
        How the target was missed; empty where it was met.
    psnr : float or None
        What was measured of it, in dB.
    """

    tensors: dict[int, Tensor]
    coded: CodedFrame
    factor: float
    missed: str = ""
    psnr: float | None = None


def aimed(asked: Quantisation, place: Place, make: Make) -> Aimed:
    """Return the finest frame within the bytes, or the coarsest that is near enough.

    Raises
    ------
    FormatError
        If the caller's function of distortion fails.
    """
    start = math.log2(place.remembered.factor if place.remembered else 1.0)
    if asked.target_bytes is not None:
        return _within_bytes(asked, place, make, start)
    return _near_enough(asked, place, make, start)


def _within_bytes(asked: Quantisation, place: Place, make: Make, start: float) -> Aimed:
    assert asked.target_bytes is not None
    left = None if asked.frames is None else max(asked.frames - place.frame, 1)
    allowed = budget(asked.target_bytes, place.group, place.every, left)

    def excess(at: float) -> tuple[float, Aimed]:
        tensors = make(2.0**at)
        coded = place.encode(tensors)
        return math.log2(coded.size / allowed), Aimed(tensors, coded, 2.0**at)

    found = search(excess, start)
    if found.is_met:
        return found.made
    size = found.made.coded.size
    why = f"it has {size} bytes, more than its {allowed:.0f}: no step is coarse enough for that"
    return Aimed(found.made.tensors, found.made.coded, found.made.factor, why)


def _near_enough(asked: Quantisation, place: Place, make: Make, start: float) -> Aimed:
    assert asked.target_psnr is not None
    target = float(asked.target_psnr)
    original = arrays_of(place.originals, place.rows)

    def excess(at: float) -> tuple[float, tuple[dict[int, Tensor], float]]:
        tensors = make(2.0**-at)
        seen = measured(asked, arrays_of(tensors, place.rows), original, place.frame)
        return (target - seen) / DECIBELS_A_BIT, (tensors, seen)

    found = search(excess, -start, DECIBELS_NEAR / DECIBELS_A_BIT)
    tensors, seen = found.made
    why = f"it comes to {seen:.2f} dB, not to {target:g} dB: finer steps bring no more"
    missed = "" if found.is_met else why
    return Aimed(tensors, place.encode(tensors), 2.0**-found.at, missed, seen)


def measured(
    asked: Quantisation, state: dict[str, Any], original: dict[str, Any], frame: int
) -> float:
    """Return what the caller's function says of a state, in dB; infinity for an equal one.

    Raises
    ------
    FormatError
        If it raises, or returns what is no number.
    """
    distortion = asked.distortion
    assert distortion is not None

    def number() -> float:
        seen = float(distortion(state, original))
        if math.isnan(seen):
            raise _NoNumberError("it returned NaN")
        return seen

    return of_caller("distortion", frame, number)


def of_caller(what: str, frame: int, call: Callable[[], T]) -> T:
    """Return what a function of the caller's returns.

    Raises
    ------
    FormatError
        If it raises anything.
    """
    try:
        return call()
    except Exception as error:  # the code of the caller may raise anything
        raise refuse(
            "input/unsupported",
            pointer=frame_pointer(frame),
            reason=f"the function of {what} failed: {_said(error)}",
            hint="the frames before are kept; mend the function and go on with resume",
        ) from error


class _NoNumberError(Exception):
    """What the caller's function returned is no number; the message says so."""


def _said(error: Exception) -> str:
    if isinstance(error, _NoNumberError):
        return str(error)
    return f"it raised {type(error).__name__}: {error}"
