"""Head traces at any time.

A trace was recorded at its own times; a video needs one viewpoint at each frame's time. Positions
are interpolated linearly, orientations along the shortest arc (Shoemake 1985).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras import Viewpoint
from nmc_framework.cameras.camera import FloatArray
from nmc_framework.cameras.formats.colmap import quaternion_from_rotation, rotation_from_quaternion
from nmc_framework.cameras.formats.rig_document import OPENGL
from nmc_framework.rendering.track import TrackError

Eye = Literal["left", "right", "centre"]

#: OpenXR's axes (x right, y up, z backward) written in MIV's (x forward, y left, z up).
_MIV_FROM_OPENXR: FloatArray = np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]])

_COLUMNS = (
    "ViewIndex", "PositionX", "PositionY", "PositionZ",
    "QuaternionW", "QuaternionX", "QuaternionY", "QuaternionZ", "timestep",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class TimedTrack:
    """Poses at their times.

    ``times`` (N,) seconds, ascending; ``positions`` (N, 3) scene units; ``quaternions`` (N, 4)
    w, x, y, z: canonical camera axes to a world with z up.
    """

    times: FloatArray
    positions: FloatArray
    quaternions: FloatArray

    def __len__(self) -> int:
        return len(self.times)

    def at(self, times: npt.ArrayLike) -> list[Viewpoint]:
        """Return the viewpoint at each of ``times`` in seconds.

        Raises
        ------
        TrackError
            When a time lies outside the track.
        """
        wanted = np.asarray(times, dtype=np.float64)
        outside = (wanted < self.times[0] - 1e-9) | (wanted > self.times[-1] + 1e-9)
        if outside.any():
            raise TrackError(
                f"the trace lasts from {self.times[0]:g} s to {self.times[-1]:g} s; "
                f"{wanted[outside][0]:g} s is outside"
            )
        after = np.clip(np.searchsorted(self.times, wanted), 1, len(self) - 1)
        span = self.times[after] - self.times[after - 1]
        share = np.clip((wanted - self.times[after - 1]) / span, 0, 1)[:, None]
        position = self.positions[after - 1] * (1 - share) + self.positions[after] * share
        turn = slerp(self.quaternions[after - 1], self.quaternions[after], share[:, 0])
        return [viewpoint(p, q) for p, q in zip(position, turn, strict=True)]


def read_eyenavgs(
    path: Path,
    *,
    eye: Eye = "centre",
    tilt: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
    scale: float = 1.0,
) -> TimedTrack:
    """Read a head trace of EyeNavGS: per eye a position and an OpenXR orientation, milliseconds.

    Parameters
    ----------
    path
        CSV with the columns ViewIndex (0 left, 1 right), Position, Quaternion and timestep.
    eye
        Which eye's poses; ``"centre"`` lies half-way between the two of a frame.
    tilt
        The scene's levelling quaternion (x, y, z, w), as the data set's ``scene_setting.csv`` gives
        it; it turns the recorded world upright.
    scale
        By which positions are multiplied.

    Raises
    ------
    TrackError
        When a column is missing, a number is none, or an eye is missing; the line is named.
    """
    left, right = _eyes(path)
    if eye == "centre":
        # A recording may stop between the two eyes of its last frame.
        if abs(len(left) - len(right)) > 1:
            raise TrackError(f"{path.name}: {len(left)} left and {len(right)} right poses")
        both = min(len(left), len(right))
        left, right = left[:both], right[:both]
    rows = {"left": left, "right": right, "centre": left}[eye]
    if len(rows) < 2:
        raise TrackError(f"{path.name}: fewer than two poses of the {eye} eye")
    positions = rows[:, 1:4] if eye != "centre" else 0.5 * (left[:, 1:4] + right[:, 1:4])
    upright = _MIV_FROM_OPENXR @ rotation_from_quaternion([tilt[3], *tilt[:3]])
    turned = [
        quaternion_from_rotation(upright @ rotation_from_quaternion(q) @ OPENGL[:3, :3])
        for q in rows[:, 4:8]
    ]
    times = (rows[:, 8] - rows[0, 8]) / 1000
    later = np.concatenate([[True], np.diff(np.maximum.accumulate(times)) > 0])
    return TimedTrack(times[later], (scale * positions @ upright.T)[later], np.array(turned)[later])


def slerp(a: FloatArray, b: FloatArray, share: FloatArray) -> FloatArray:
    """Interpolate unit quaternions (N, 4) along the shorter arc; ``share`` (N,) in 0..1."""
    dot = (a * b).sum(axis=1)
    b = np.where(dot[:, None] < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(dot), 0, 1))
    sine = np.sin(angle)
    near = sine < 1e-8
    safe = np.where(near, 1.0, sine)
    first = np.where(near, 1 - share, np.sin((1 - share) * angle) / safe)
    second = np.where(near, share, np.sin(share * angle) / safe)
    mixed = first[:, None] * a + second[:, None] * b
    unit: FloatArray = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return unit


def _eyes(path: Path) -> tuple[FloatArray, FloatArray]:
    found: dict[int, list[list[float]]] = {0: [], 1: []}
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise TrackError(f"{path.name}: the header lacks {', '.join(missing)}")
        for line, row in enumerate(rows, start=2):
            try:
                values = [float(row[name]) for name in _COLUMNS]
                found[int(values[0])].append(values)
            except (KeyError, TypeError, ValueError) as error:
                raise TrackError(f"{path.name}, line {line}: not a pose of an eye") from error
    return (
        np.array(found[0], dtype=np.float64).reshape(-1, len(_COLUMNS)),
        np.array(found[1], dtype=np.float64).reshape(-1, len(_COLUMNS)),
    )


def viewpoint(position: FloatArray, quaternion: FloatArray) -> Viewpoint:
    """Return the viewpoint at a position (3,), turned by a unit quaternion (4,) w, x, y, z."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from_quaternion([float(v) for v in quaternion])
    matrix[:3, 3] = position
    return Viewpoint.from_camera_to_world(matrix)
