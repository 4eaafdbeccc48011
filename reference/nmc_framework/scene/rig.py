"""The embedded scene's cameras: a wall of training views on an arc, held-out views between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nmc_framework.cameras import Camera, look_at

#: What every camera faces: the middle of the room, a little above the floor.
TARGET = (0.05, 0.05, 0.42)
#: The arc's middle: from the open corner of the room, opposite both walls.
AZIMUTH = 225.0
_ARC = 104.0
_DISTANCE = 3.5
_ELEVATIONS = (12.0, 30.0, 46.0)
FIELD_OF_VIEW = 46.0


@dataclass(frozen=True)
class Rig:
    """Cameras that stand still: those to train with, and those kept back to test with."""

    training: tuple[Camera, ...]
    held_out: tuple[Camera, ...]

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """All cameras, the training ones first."""
        return self.training + self.held_out


def orbit_camera(
    azimuth: float,
    elevation: float,
    size: tuple[int, int],
    *,
    distance: float = _DISTANCE,
    name: str = "",
) -> Camera:
    """Return a camera on a sphere about :data:`TARGET`; angles in degrees, size (width, height)."""
    a, e = np.radians([azimuth, elevation])
    towards = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    eye = np.array(TARGET) + distance * towards
    return Camera.from_field_of_view(FIELD_OF_VIEW, *size, look_at(eye, TARGET), name)


def arc_rig(training: int = 16, held_out: int = 3, size: tuple[int, int] = (128, 128)) -> Rig:
    """Build the rig.

    Parameters
    ----------
    training
        How many training cameras; they are dealt out over three rows of the arc.
    held_out
        How many test cameras, spread along the arc between the rows.
    size
        (width, height) in pixels.
    """
    return Rig(_rows(training, size), _between(held_out, size))


def _rows(count: int, size: tuple[int, int]) -> tuple[Camera, ...]:
    cameras: list[Camera] = []
    for row, elevation in enumerate(_ELEVATIONS):
        in_row = len(range(row, count, len(_ELEVATIONS)))
        for azimuth in _spread(in_row, _ARC):
            name = f"train_{len(cameras):02d}"
            cameras.append(orbit_camera(AZIMUTH + azimuth, elevation, size, name=name))
    return tuple(cameras)


def _between(count: int, size: tuple[int, int]) -> tuple[Camera, ...]:
    return tuple(
        orbit_camera(AZIMUTH + azimuth, 18.0 + 14.0 * (i % 2), size, name=f"test_{i:02d}")
        for i, azimuth in enumerate(_spread(count, 0.66 * _ARC))
    )


def _spread(count: int, width: float) -> Sequence[float]:
    if count == 1:
        return [0.0]
    return [float(v) for v in np.linspace(-width / 2, width / 2, count)]
