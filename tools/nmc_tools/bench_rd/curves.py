"""Curves of rate over distortion, and how one codec's lies to another's: the BD-rate.

Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33 (2001): the mean
difference of the logarithms of the rates over the range of PSNR that both curves share, here with
the piecewise cubic Hermite interpolation of the JCT-VC common test conditions. The package
``bjontegaard`` calculates it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nmc_tools.bench_rd.points import Point

_METHOD = "pchip"
#: A curve with fewer points is none.
_FEWEST = 3

Rate = Callable[["Point"], float]


@dataclass(frozen=True)
class Curve:
    """Distortion ``fidelity`` in dB and ``rate`` in bytes, both rising strictly."""

    fidelity: tuple[float, ...]
    rate: tuple[float, ...]

    @property
    def is_one(self) -> bool:
        """Whether there are points enough to interpolate between."""
        return len(self.rate) >= _FEWEST

    def rate_at(self, fidelity: float) -> float | None:
        """Return the interpolated rate at a fidelity in dB; None beyond the measured points."""
        from scipy.interpolate import PchipInterpolator

        if not self.is_one or not self.fidelity[0] <= fidelity <= self.fidelity[-1]:
            return None
        log_rate = PchipInterpolator(self.fidelity, np.log10(self.rate))(fidelity)
        return float(10**log_rate)


@dataclass(frozen=True)
class Difference:
    """A BD-rate in percent (negative: fewer bytes), and the range in dB that it was taken over."""

    percent: float
    lower: float
    upper: float


def curve(points: Iterable[Point], rate: Rate) -> Curve:
    """Return the curve of some points: those that another has fewer bytes *and* more dB of go.

    Points without loss have no place on a curve.
    """
    found: list[tuple[float, float]] = []
    lossy = [(rate(p), p.fidelity) for p in points if p.fidelity is not None]
    for size, quality in sorted(lossy):
        if size > 0 and (not found or (quality > found[-1][1] and size > found[-1][0])):
            found.append((size, quality))
    return Curve(tuple(q for _, q in found), tuple(size for size, _ in found))


def bd_rate(anchor: Curve, test: Curve) -> Difference | None:
    """Return the BD-rate of ``test`` against ``anchor``; None where they share no range."""
    if not anchor.is_one or not test.is_one:
        return None
    lower = max(anchor.fidelity[0], test.fidelity[0])
    upper = min(anchor.fidelity[-1], test.fidelity[-1])
    if upper <= lower:
        return None
    import bjontegaard

    percent = bjontegaard.bd_rate(
        anchor.rate,
        anchor.fidelity,
        test.rate,
        test.fidelity,
        method=_METHOD,
        require_matching_points=False,
        min_overlap=0,
    )
    return Difference(float(percent), lower, upper)


def by_codec(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Return the points of each codec, in order."""
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(point.codec, []).append(point)
    return found
