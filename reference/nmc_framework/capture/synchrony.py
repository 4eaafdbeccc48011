"""Which pictures of several cameras show one instant, and how well they agree (clause 5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nmc_framework.capture.source import CaptureError
from nmc_framework.counting import counted
from nmc_framework.frame_rate import measured_rate

#: Rates that differ by a larger share are other rates, not other clocks.
_OTHER_RATE = 0.01
#: Rates that come to less than so many pictures over the footage cannot be told from jitter.
_TOLD_APART = 0.5
#: An interval so many times the usual one has lost a picture.
_GAP = 1.6


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
    among others, has no picture near enough. ``rate`` is pictures a second, gaps filled, NaN of
    one picture; ``gaps`` the intervals in which it lost pictures.
    """

    name: str
    pictures: int
    mean_skew: float
    worst_skew: float
    unused: int
    missed: int
    rate: float = float("nan")
    gaps: int = 0


@dataclass(frozen=True)
class Synchrony:
    """Frames that every camera saw, and the report on each camera.

    ``skipped`` are frames that all saw and that were not asked for.
    """

    instants: tuple[Instant, ...]
    cameras: tuple[CameraSynchrony, ...]
    dropped: tuple[float, ...]
    skipped: int = 0

    def lines(self) -> list[str]:
        """Return the report, one line a camera."""
        head = f"{counted(len(self.instants), 'frame')}, {len(self.dropped)} dropped"
        return [head] + [
            f"{c.name}: {counted(c.pictures, 'picture')}, skew {1e3 * c.mean_skew:.1f} ms "
            f"(worst {1e3 * c.worst_skew:.1f}), {c.unused} unused, "
            f"{counted(c.missed, 'frame')} missed"
            for c in self.cameras
        ]

    def warnings(self) -> list[str]:
        """Return what whoever trains with these frames should know, a line each."""
        found = []
        rates = {c.name: c.rate for c in self.cameras if c.rate == c.rate}
        if _apart(self.cameras):
            told = ", ".join(f"{name} {rate:.4g}" for name, rate in rates.items())
            found.append(f"the cameras have other frame rates: {told} pictures a second")
        if self.dropped:
            total = len(self.instants) + self.skipped + len(self.dropped)
            worst = max(self.cameras, key=lambda camera: camera.missed)
            found.append(
                f"{len(self.dropped)} of {total} frames are dropped, the first at "
                f"{self.dropped[0]:.3f} s: camera {worst.name!r} has no picture for {worst.missed}"
            )
        lossy = [f"{c.name} {c.gaps}" for c in self.cameras if c.gaps]
        if lossy:
            found.append(f"pictures are missing within the footage, by camera: {', '.join(lossy)}")
        times = np.array([instant.time for instant in self.instants])
        steps = np.diff(times)
        usual = float(np.median(steps)) if len(steps) > 1 else np.inf
        holes = np.flatnonzero(steps > _GAP * usual)
        if len(holes):
            found.append(
                f"frames are not evenly apart: {len(holes)} gaps, the first after frame {holes[0]} "
                f"of {steps[holes[0]]:.3f} s; played at an even rate, the scene jumps there"
            )
        return found

    def every(self, step: int) -> Synchrony:
        """Return every so many of the frames; the reports on the cameras stay."""
        taken = self.instants[::step]
        skipped = self.skipped + len(self.instants) - len(taken)
        return replace(self, instants=taken, skipped=skipped)


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
        limit = half_interval(times[chosen])
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


def half_interval(stamps: Sequence[float]) -> float:
    """Return half the median interval in seconds; 0 of a single picture."""
    return 0.5 * float(np.median(np.diff(stamps))) if len(stamps) > 1 else 0.0


def until(
    times: Mapping[str, Sequence[float]], found: Synchrony, count: int, *, by: str
) -> dict[str, tuple[float, ...]]:
    """Return the times as far as the first ``count`` frames of ``found`` reach.

    Matched again these give just those frames, and a report that is about them alone.
    """
    last = found.instants[min(count, len(found.instants)) - 1]
    if by == "index":
        return {name: tuple(stamps[: max(last.pictures) + 1]) for name, stamps in times.items()}
    ends = dict(zip(times, last.pictures, strict=True))
    return {name: tuple(stamps[: ends[name] + 1]) for name, stamps in times.items()}


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
                rate=_rate(stamps),
                gaps=_gaps(stamps),
            )
        )
    return tuple(rows)


def _rate(stamps: Sequence[float]) -> float:
    """Return pictures a second, those that are missing counted; files may tell whole ms only."""
    rate = measured_rate(stamps)
    return float("nan") if rate is None else float(rate)


def _apart(cameras: Sequence[CameraSynchrony]) -> bool:
    """Return whether cameras have other rates, and not one whose few times are told unevenly."""
    timed = [camera for camera in cameras if camera.rate == camera.rate]
    if not timed:
        return False
    slow, fast = min(c.rate for c in timed), max(c.rate for c in timed)
    lasted = min((c.pictures - 1) / c.rate for c in timed)
    return fast > (1 + _OTHER_RATE) * slow and (fast - slow) * lasted >= _TOLD_APART


def _gaps(stamps: Sequence[float]) -> int:
    steps = np.diff(stamps)
    return int((steps > _GAP * np.median(steps)).sum()) if len(steps) > 1 else 0
