"""The fewest bytes that cost so much of the quality: aims are halved until one is near enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nmc_tools.bench_rd.points import Point

#: How near to what may be lost against the truth is near enough, in dB.
NEAR = 0.02
#: Aims in dB between which it is looked for, and how often they are halved.
_AIMS, _ROUNDS = (34.0, 54.0), 8


def is_met(points: Iterable[Point], loss: float) -> bool:
    """Whether one of some points loses just as much as is allowed, and not more."""
    return any(_meets(point, loss) for point in points)


def looked_for(
    measure: Callable[[float], Point], known: Iterable[Point] = (), *, loss: float
) -> None:
    """Measure aims until one loses just as much as is allowed.

    Parameters
    ----------
    measure
        From an aim in dB, a multiple of a quarter, to its point.
    loss
        What may be lost against the truth, in dB.
    known
        Points that are there; the aim is looked for between theirs.
    """
    low, high = _AIMS
    for point in known:
        aim = _aim(point)
        if aim is None or point.held_out is None:
            continue
        if point.held_out < -loss:
            low = max(low, aim)
        else:
            high = min(high, aim)
    for _ in range(_ROUNDS):
        aim = round(4 * (low + high) / 2) / 4
        if not low < aim < high:
            return
        point = measure(aim)
        if point.held_out is None or _meets(point, loss):
            return
        if point.held_out < -loss:
            low = aim
        else:
            high = aim


def _meets(point: Point, loss: float) -> bool:
    return point.held_out is not None and -loss <= point.held_out <= -loss + NEAR


def _aim(point: Point) -> float | None:
    words = point.setting.split()
    return float(words[1]) if words[0] == "aim" else None
