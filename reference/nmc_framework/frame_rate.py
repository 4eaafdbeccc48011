"""Frames a second as exact fractions: of times that were measured, of a package, of a text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from statistics import median, median_low
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import nmc

#: A clock that differs from a usual rate by less is that rate: 29.97 is 1/1000 from 30.
_SAME = 5e-4
#: Seconds to which files tell times: a millisecond, in those that tell them worst.
_TOLD = 1e-3
#: The largest denominator of a rate, or of an interval, that is no usual one.
_FINEST = 1000
#: Frames a second where nothing says how many, and the most that are played.
_USUAL, _MOST = 30, 1000
_RATE = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,6})?)(?:/(0*[1-9][0-9]{0,6}))?", re.ASCII)


def measured_rate(times: Sequence[float]) -> Fraction | None:
    """Return frames a second by the times of frames, in seconds; None where they say nothing.

    A whole number, or 1000/1001 of one (29.97 is 30000/1001), where the times are as near to it as
    clocks and files keep them. Frames that are missing count as if they were there.
    """
    steps = [after - before for before, after in pairwise(times)]
    usual = median(steps) if steps else 0.0
    if usual <= 0:
        return None
    lasted = times[-1] - times[0]
    rate = sum(max(1, round(step / usual)) for step in steps) / lasted
    whole = max(1, round(rate))
    usual_ones = (Fraction(whole), Fraction(1000 * whole, 1001))
    near = min(usual_ones, key=lambda known: abs(rate / known - 1))
    if abs(rate / near - 1) <= _SAME + _TOLD / lasted:
        return near
    if rate < 1:
        return 1 / Fraction(1 / rate).limit_denominator(_FINEST)
    return Fraction(rate).limit_denominator(_FINEST)


def package_rate(sequence: nmc.ChainSequence, span: int = 1) -> Fraction:
    """Return the frames a second at which a package is played evenly, at most 1000.

    ``span`` is how many instants, or pictures, a frame of the package shows: then it is those. By
    the median of what lies between presentation times (clause 5.4.4). Where there is one frame, a
    tick is taken for an instant, or 1001 ticks of 30000 a second and its like.
    """
    scale = sequence.manifest.timescale
    times = [int(time) for time in sequence.manifest.frames.presentation_time]
    steps = [after - before for before, after in pairwise(times)]
    if steps:
        return min(Fraction(span * scale, median_low(steps)), Fraction(_MOST))
    rate = Fraction(scale, 1 if scale <= _MOST else 1001)
    return rate if rate <= _MOST else Fraction(_USUAL)


def read_rate(text: str) -> Fraction:
    """Return the rate that a text such as 30, 29.97 or 30000/1001 means; 29.97 is 30000/1001.

    Raises
    ------
    ValueError
        If it is none of a thousandth to a million frames a second.
    """
    parts = _RATE.fullmatch(text)
    given = Fraction(parts[1]) / int(parts[2] or 1) if parts else Fraction(0)
    if not Fraction(1, 1000) <= given <= 1_000_000:
        raise ValueError(f"{text!r} is no rate; write such as 30, 29.97 or 30000/1001")
    film = Fraction(1000 * round(given), 1001)
    if given.denominator != 1 and "/" not in text and abs(given - film) < Fraction(1, 100):
        return film
    return given.limit_denominator(_FINEST + 1)


def plain(rate: Fraction) -> int | float:
    """Return a rate as JSON has numbers: whole where it is."""
    return int(rate) if rate.denominator == 1 else round(float(rate), 6)
