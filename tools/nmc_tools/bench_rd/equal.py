"""Bytes at equal quality: what was trained for rate, beside plain chains coded by NNCodec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc_tools.bench_rd.points import Point

#: Two chains within so many dB are as good as each other.
NEAR = 0.1


@dataclass(frozen=True)
class Equal:
    """One chain that was trained for rate, and the plain one coded to the same quality.

    Attributes
    ----------
    trained : Point
    held_out : float
        Change in dB at which the plain chain was coded: that of the trained one, or as near to it
        as the anchor comes.
    rate : float
        Bytes a frame of the plain chain there, by the anchor.
    """

    trained: Point
    held_out: float
    rate: float

    @property
    def times(self) -> float:
        """How many times as many bytes the plain chain takes."""
        return self.rate / self.trained.rate


def at_equal_quality(points: Sequence[Point], anchor: str) -> list[Equal]:
    """Return what each trained chain saves; nothing where the anchor or the truth is missing.

    Between the anchor's points the logarithm of the bytes is read as a straight line. A chain that
    was trained for rate may be nearer to the truth than the plain one. It is set beside the fewest
    bytes with which the anchor comes within 0.1 dB of its own best then. One that is worse than
    all of the anchor's points is set beside its smallest.
    """
    known = _hull([p for p in points if p.codec == anchor])
    if not known:
        return []
    levels, rates = zip(*known, strict=True)
    most = max(levels[0], levels[-1] - NEAR)
    found = []
    for point in points:
        if point.kind == "trained" and point.held_out is not None:
            at = float(np.clip(point.held_out, levels[0], most))
            found.append(Equal(point, at, float(np.exp(np.interp(at, levels, np.log(rates))))))
    return found


def _hull(points: Sequence[Point]) -> list[tuple[float, float]]:
    """Return held-out change and bytes, both rising strictly."""
    found: list[tuple[float, float]] = []
    known = [(p.rate, p.held_out) for p in points if p.held_out is not None]
    for rate, held_out in sorted(known):
        if not found or (held_out > found[-1][0] and rate > found[-1][1]):
            found.append((held_out, rate))
    return found
