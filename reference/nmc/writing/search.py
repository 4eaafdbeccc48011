"""Aims of a lossy frame, and the factor on its steps that meets them: an encoder's business."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

KEY_SHARE = 8
"""A key frame takes the bytes of so many frames at most, and at most half of its group's."""

LONGEST_GROUP = 32
"""Over so many frames bytes are shared out where no key frame ends the group."""

LEAST_SHARE = 1 / 8
"""A frame has this share of the bytes at least, whatever those before took."""

DECIBELS_A_BIT = 20 * math.log10(2)
"""By so much a picture is better where all steps are halved."""

_TRIALS = 12
_NEAR_ENOUGH = 0.03
DECIBELS_NEAR = 0.5
"""A picture that is no more than this above its target is near enough: it takes a rendering."""
_NARROW = 0.02
_FARTHEST = 14.0
_LARGEST_EXCESS = 30.0

T = TypeVar("T")


@dataclass(frozen=True)
class Found(Generic[T]):
    """What a search found.

    Attributes
    ----------
    at : float
        Binary logarithm of the factor.
    made : T
        What it makes.
    is_met : bool
        Whether the aim is met.
    """

    at: float
    made: T
    is_met: bool


def budget(target: int, group: Sequence[int], every: int, left: int | None) -> float:
    """Return the bytes of the next frame, so that those of its group are the target on average.

    A key frame has the bytes of half its group, of :data:`KEY_SHARE` frames at most. The frames
    after it share what the frames before them left, and none has more than the target.

    Parameters
    ----------
    target : int
        Bytes of a frame, on average.
    group : sequence of int
        Bytes of the frames of the group so far; empty for a key frame.
    every : int
        A key frame every so many frames; 0: none.
    left : int or None
        Frames that are still to come, where that is known.
    """
    size = every or LONGEST_GROUP
    if left is not None:
        size = min(size, len(group) + left)
    if not group:
        return target * max(1.0, min(size / 2, KEY_SHARE))
    if len(group) >= size:
        return float(target)
    share = (size * target - sum(group)) / (size - len(group))
    return min(max(share, LEAST_SHARE * target), float(target))


def search(
    excess: Callable[[float], tuple[float, T]], start: float, near: float = _NEAR_ENOUGH
) -> Found[T]:
    """Return the least factor whose excess is 0 or less, after a few trials.

    Parameters
    ----------
    excess : callable
        Of the binary logarithm of a factor: by how many bits the aim is missed, which falls as the
        factor grows, and what was made.
    start : float
        Where to begin.
    near : float
        Bits by which the aim may be passed.
    """
    low: tuple[float, float] | None = None
    best: Found[T] | None = None
    best_excess, nearest = -math.inf, math.inf
    closest: Found[T] | None = None
    at = start
    for trial in range(_TRIALS):
        value, made = excess(at)
        value = min(max(value, -_LARGEST_EXCESS), _LARGEST_EXCESS)
        if value <= 0 and (best is None or at < best.at):
            best, best_excess = Found(at, made, is_met=True), value
        elif value > 0 and (low is None or at > low[0]):
            low = (at, value)
        if value > 0 and value < nearest:
            closest, nearest = Found(at, made, is_met=False), value
        if best is not None and best_excess >= -near:
            break
        following = _next(low, (best.at, best_excess) if best else None, 2.0 ** (trial - 2))
        if following is None:
            break
        at = following
    found = best or closest
    assert found is not None
    return found


def _next(
    low: tuple[float, float] | None, high: tuple[float, float] | None, stride: float
) -> float | None:
    """Return where to try next, between what is too fine and what is coarse enough.

    Where only one of them is known, at least a stride away from it.
    """
    if low is None:
        assert high is not None
        if high[0] <= -_FARTHEST:
            return None
        return max(high[0] + min(1.3 * high[1], -stride), -_FARTHEST)
    if high is None:
        if low[0] >= _FARTHEST:
            return None
        return min(low[0] + max(1.3 * low[1], stride), _FARTHEST)
    width = high[0] - low[0]
    if width < _NARROW:
        return None
    share = low[1] / (low[1] - high[1])
    return low[0] + width * min(max(share, 0.15), 0.85)
