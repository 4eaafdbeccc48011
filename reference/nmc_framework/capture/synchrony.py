"""Which pictures of several cameras show one instant, and how well they agree (clause 5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nmc_framework.capture.source import CaptureError


@dataclass(frozen=True)
class Instant:
    """One frame: its time in seconds, and which picture each camera contributes."""

    time: float
    pictures: tuple[int, ...]


@dataclass(frozen=True)
class CameraSynchrony:
    """How one camera's pictures fit the frames.

    ``mean_skew`` and ``worst_skew`` are absolute differences to the frames' times in seconds;
    ``unused`` pictures fit no frame; ``missed`` frames were dropped because this camera, perhaps
    among others, has no picture near enough.
    """

    name: str
    pictures: int
    mean_skew: float
    worst_skew: float
    unused: int
    missed: int


@dataclass(frozen=True)
class Synchrony:
    """Frames that every camera saw, and the report on each camera."""

    instants: tuple[Instant, ...]
    cameras: tuple[CameraSynchrony, ...]
    dropped: tuple[float, ...]

    def lines(self) -> list[str]:
        """Return the report, one line a camera."""
        head = f"{len(self.instants)} frames, {len(self.dropped)} dropped"
        return [head] + [
            f"{c.name}: {c.pictures} pictures, skew {1e3 * c.mean_skew:.1f} ms "
            f"(worst {1e3 * c.worst_skew:.1f}), {c.unused} unused, {c.missed} frames missed"
            for c in self.cameras
        ]


def by_time(
    times: Mapping[str, Sequence[float]],
    *,
    reference: str | None = None,
    tolerance: float | None = None,
) -> Synchrony:
    """Match pictures by their time stamps.

    Parameters
    ----------
    times
        Ascending seconds by camera, on one clock.
    reference
        The camera whose pictures are the frames; the first one unless named.
    tolerance
        Largest skew in seconds; half the reference's median interval unless given. A frame for
        which a camera has no picture that near is dropped for all.

    Raises
    ------
    CaptureError
        When a camera has no pictures, or no frame is left; the worst camera is named.
    """
    chosen = _reference(times, reference)
    clock = np.asarray(times[chosen], dtype=np.float64)
    limit = tolerance
    if limit is None:
        limit = 0.5 * float(np.median(np.diff(clock))) if len(clock) > 1 else 0.0
    picks, near = {}, {}
    for name, stamps in times.items():
        picks[name], skew = _nearest(np.asarray(stamps, dtype=np.float64), clock)
        near[name] = skew <= limit
    kept = np.logical_and.reduce(list(near.values()))
    instants = tuple(
        Instant(float(clock[i]), tuple(int(picks[name][i]) for name in times))
        for i in np.flatnonzero(kept)
    )
    report = _report(times, instants, {name: int((~ok).sum()) for name, ok in near.items()})
    result = Synchrony(instants, report, tuple(float(t) for t in clock[~kept]))
    if not instants:
        worst = max(result.cameras, key=lambda camera: camera.missed)
        raise CaptureError(
            f"no frame is seen by all cameras within {1e3 * limit:.1f} ms; camera {worst.name!r} "
            f"misses {worst.missed} of {len(clock)}. Are the clocks the same?"
        )
    return result


def by_index(times: Mapping[str, Sequence[float]], *, reference: str | None = None) -> Synchrony:
    """Match the k-th pictures of all cameras; the times only serve the report."""
    chosen = _reference(times, reference)
    count = min(len(stamps) for stamps in times.values())
    clock = times[chosen]
    instants = tuple(Instant(float(clock[k]), (k,) * len(times)) for k in range(count))
    short = {name: len(clock) - min(len(stamps), len(clock)) for name, stamps in times.items()}
    return Synchrony(instants, _report(times, instants, short), tuple(clock[count:]))


def _reference(times: Mapping[str, Sequence[float]], reference: str | None) -> str:
    if not times:
        raise CaptureError("no cameras")
    for name, stamps in times.items():
        if not len(stamps):
            raise CaptureError(f"camera {name!r} has no pictures")
    if reference is not None and reference not in times:
        raise CaptureError(f"no camera {reference!r}; there are {', '.join(times)}")
    return reference if reference is not None else next(iter(times))


def _nearest(
    stamps: np.ndarray[tuple[int], np.dtype[np.float64]],
    clock: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> tuple[
    np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.float64]]
]:
    """Return for each tick the nearest picture not used by a nearer tick, and its skew."""
    right = np.clip(np.searchsorted(stamps, clock), 0, len(stamps) - 1)
    left = np.maximum(right - 1, 0)
    pick = np.where(np.abs(stamps[left] - clock) <= np.abs(stamps[right] - clock), left, right)
    skew = np.abs(stamps[pick] - clock)
    for index in np.unique(pick):
        rivals = np.flatnonzero(pick == index)
        skew[np.delete(rivals, np.argmin(skew[rivals]))] = np.inf
    return pick, skew


def _report(
    times: Mapping[str, Sequence[float]], instants: Sequence[Instant], missed: Mapping[str, int]
) -> tuple[CameraSynchrony, ...]:
    rows = []
    for column, (name, stamps) in enumerate(times.items()):
        used = [instant.pictures[column] for instant in instants]
        skews = [abs(stamps[k] - i.time) for k, i in zip(used, instants, strict=True)]
        rows.append(
            CameraSynchrony(
                name=name,
                pictures=len(stamps),
                mean_skew=float(np.mean(skews)) if skews else float("nan"),
                worst_skew=float(np.max(skews)) if skews else float("nan"),
                unused=len(stamps) - len(set(used)),
                missed=missed[name],
            )
        )
    return tuple(rows)
