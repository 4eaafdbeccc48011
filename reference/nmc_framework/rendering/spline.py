"""Smooth paths through key poses: where a user's viewpoint track is made rather than recorded.

Positions follow a Catmull-Rom spline (Catmull and Rom 1974), through keys at any times;
orientations turn along the shortest arc from key to key (Shoemake 1985).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras import Viewpoint
from nmc_framework.cameras.camera import FloatArray
from nmc_framework.cameras.formats.colmap import quaternion_from_rotation
from nmc_framework.rendering.trace import slerp, viewpoint
from nmc_framework.rendering.track import TrackError, number, require_columns

_POSE = ("x", "y", "z", "yaw", "pitch", "roll")


@dataclass(frozen=True)
class KeyPoses:
    """Two or more viewpoints that a path goes through; ``times`` in seconds, where they are given.

    Raises
    ------
    TrackError
        When there are fewer than two, or the times do not ascend.
    """

    viewpoints: tuple[Viewpoint, ...]
    times: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.viewpoints) < 2:
            raise TrackError(f"a path needs two key poses, got {len(self.viewpoints)}")
        if self.times is not None:
            if len(self.times) != len(self.viewpoints):
                raise TrackError(f"{len(self.times)} times for {len(self.viewpoints)} key poses")
            early = np.flatnonzero(np.diff(self.times) <= 0)
            if len(early):
                k = int(early[0]) + 1
                raise TrackError(
                    f"key pose {k} is at {self.times[k]:g} s, "
                    f"not after key pose {k - 1} at {self.times[k - 1]:g} s"
                )

    @property
    def seconds(self) -> float | None:
        """How long the path takes, where times are given."""
        return None if self.times is None else self.times[-1] - self.times[0]

    def at(self, times: npt.ArrayLike) -> list[Viewpoint]:
        """Return the viewpoint at each time: seconds, or numbers of keys where they have none.

        Raises
        ------
        TrackError
            When a time lies outside the keys'.
        """
        own = np.arange(len(self.viewpoints), dtype=np.float64)
        clock = own if self.times is None else np.asarray(self.times, dtype=np.float64)
        wanted = np.asarray(times, dtype=np.float64)
        outside = (wanted < clock[0] - 1e-9) | (wanted > clock[-1] + 1e-9)
        if outside.any():
            raise TrackError(
                f"the path lasts from {clock[0]:g} to {clock[-1]:g}; {wanted[outside][0]:g} is "
                "outside"
            )
        matrices = np.array([key.camera_to_world() for key in self.viewpoints])
        places = matrices[:, :3, 3]
        start = np.clip(np.searchsorted(clock, wanted, side="right") - 1, 0, len(clock) - 2)
        span = clock[start + 1] - clock[start]
        share = np.clip((wanted - clock[start]) / span, 0, 1)
        positions = _hermite(places, _velocities(places, clock), start, span, share)
        turns = np.array([quaternion_from_rotation(matrix[:3, :3]) for matrix in matrices])
        turned = slerp(turns[start], turns[start + 1], share)
        return [viewpoint(p, q) for p, q in zip(positions, turned, strict=True)]


def spline(keys: Sequence[Viewpoint] | KeyPoses, count: int) -> list[Viewpoint]:
    """Return ``count`` viewpoints at equal intervals from the first key pose to the last.

    Raises
    ------
    TrackError
        When there are fewer than two key poses, or viewpoints.
    """
    path = keys if isinstance(keys, KeyPoses) else KeyPoses(tuple(keys))
    if count < 2:
        raise TrackError(f"a path needs two viewpoints, got {count}")
    clock = path.times or (0.0, len(path.viewpoints) - 1.0)
    first, last = clock[0], clock[-1]
    return path.at(np.linspace(first, last, count))


def read_keys(path: Path) -> KeyPoses:
    """Read key poses: CSV with x, y, z, yaw, pitch, roll and, where wanted, time in seconds.

    Units and angles are those of :func:`~nmc_framework.rendering.read_track`.

    Raises
    ------
    TrackError
        When a column is missing, a value is not a finite number, there are fewer than two poses, or
        the times do not ascend; the line is named.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        columns = require_columns(rows.fieldnames, _POSE, path.name)
        timed = "time" in columns
        poses, times = [], []
        for line, row in enumerate(rows, start=2):
            poses.append(Viewpoint(*(number(row[name], path, line, name) for name in _POSE)))
            if timed:
                times.append(number(row["time"], path, line, "time"))
    try:
        return KeyPoses(tuple(poses), tuple(times) if timed else None)
    except TrackError as error:
        raise TrackError(f"{path.name}: {error}") from None


def _velocities(places: FloatArray, clock: FloatArray) -> FloatArray:
    """Return the slope at each key: between its neighbours, at the ends to the only one."""
    before = np.maximum(np.arange(len(clock)) - 1, 0)
    after = np.minimum(np.arange(len(clock)) + 1, len(clock) - 1)
    slopes: FloatArray = (places[after] - places[before]) / (clock[after] - clock[before])[:, None]
    return slopes


def _hermite(
    places: FloatArray,
    velocities: FloatArray,
    start: npt.NDArray[np.int64],
    span: FloatArray,
    share: FloatArray,
) -> FloatArray:
    """Return the cubic through both ends of a span with their slopes, at a share of it."""
    u, width = share[:, None], span[:, None]
    a, b = places[start], places[start + 1]
    slope_a, slope_b = width * velocities[start], width * velocities[start + 1]
    found: FloatArray = (
        a * (2 * u**3 - 3 * u**2 + 1)
        + slope_a * (u**3 - 2 * u**2 + u)
        + b * (3 * u**2 - 2 * u**3)
        + slope_b * (u**3 - u**2)
    )
    return found
