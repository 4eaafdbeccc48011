"""Viewpoint tracks: where the user's eye is at each frame (clause 5.1, first render mode).

A track is a list of :class:`~nmc_framework.cameras.Viewpoint`. On disk it is CSV with the header
``frame,x,y,z,yaw,pitch,roll``: scene units and degrees in MIV's convention.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras import Viewpoint, look_at
from nmc_framework.whole_files import whole

HEADER = ("frame", "x", "y", "z", "yaw", "pitch", "roll")


class TrackError(ValueError):
    """A viewpoint track that cannot be read, or does not fit the sequence."""


def orbit(
    target: npt.ArrayLike,
    count: int,
    *,
    distance: float,
    azimuths: tuple[float, float],
    elevations: tuple[float, float],
) -> list[Viewpoint]:
    """Return viewpoints that swing once across a range of angles and back, facing ``target``.

    Parameters
    ----------
    target
        (3,) scene units.
    count
        Number of viewpoints; the last joins the first, so that the video can be played in a loop.
    distance
        From the target, scene units.
    azimuths, elevations
        Ranges in degrees; azimuth turns about z from x, elevation from the horizon upwards.
    """
    centre = np.asarray(target, dtype=np.float64)
    track = []
    for index in range(count):
        phase = 2 * math.pi * index / count
        azimuth = math.radians(_between(azimuths, 0.5 - 0.5 * math.cos(phase)))
        elevation = math.radians(_between(elevations, 0.5 - 0.5 * math.cos(2 * phase)))
        towards = np.array(
            [
                math.cos(elevation) * math.cos(azimuth),
                math.cos(elevation) * math.sin(azimuth),
                math.sin(elevation),
            ]
        )
        track.append(Viewpoint.from_camera_to_world(look_at(centre + distance * towards, centre)))
    return track


def write_track(path: Path, track: Sequence[Viewpoint]) -> None:
    """Write a track as CSV; every number reads back to the same bits."""
    with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for index, viewpoint in enumerate(track):
            writer.writerow([index, *(repr(value) for value in astuple(viewpoint))])


def read_track(path: Path, *, frames: int | None = None) -> list[Viewpoint]:
    """Read a track; columns may stand in any order and others are passed over.

    Parameters
    ----------
    path
        CSV with a header that names x, y, z, yaw, pitch and roll.
    frames
        How many viewpoints there must be, where that is known.

    Raises
    ------
    TrackError
        When a column is missing, a value is not a finite number, or the length is not ``frames``.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        require_columns(rows.fieldnames, HEADER[1:], path.name)
        track = [
            Viewpoint(*(number(row[name], path, line, name) for name in HEADER[1:]))
            for line, row in enumerate(rows, start=2)
        ]
    if frames is not None:
        require_length(track, frames, path.name)
    return track


def require_length(track: Sequence[Viewpoint], frames: int, label: str = "the track") -> None:
    """Raise :class:`TrackError` unless ``track`` has one viewpoint a frame."""
    if len(track) != frames:
        raise TrackError(
            f"{label}: {len(track)} viewpoints for {frames} frames; one is needed for each frame"
        )


def require_columns(
    found: Sequence[str] | None, wanted: Sequence[str], label: str
) -> Sequence[str]:
    """Return the columns of a header, or raise :class:`TrackError` that names what it lacks."""
    missing = [name for name in wanted if name not in (found or ())]
    if missing:
        raise TrackError(f"{label}: the header lacks {', '.join(missing)}")
    return found or ()


def number(text: str | None, path: Path, line: int, column: str) -> float:
    """Return a finite number of a CSV field, or raise :class:`TrackError` that names its place."""
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TrackError(f"{path.name}, line {line}: {column} is {text!r}, expected a number")
    return value


def _between(span: tuple[float, float], share: float) -> float:
    return span[0] + (span[1] - span[0]) * share
