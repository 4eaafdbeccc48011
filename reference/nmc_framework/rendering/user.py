"""What a user sees of a chain: viewpoints, frames, camera (clause 5.1, first render mode)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np

from nmc_framework.cameras import Camera, Viewpoint
from nmc_framework.cameras.layout import layout
from nmc_framework.rendering.spline import read_keys, spline
from nmc_framework.rendering.trace import Eye, read_eyenavgs
from nmc_framework.rendering.track import TrackError, orbit, read_track

#: What an image shows: a frame, or an instant of one.
Shown = TypeVar("Shown")

_SIZE = (256, 256)
_FIELD_OF_VIEW = 46.0


@dataclass(frozen=True)
class TrackSource:
    """Where a track comes from: a file, key poses, or, without either, an orbit.

    Parameters
    ----------
    file
        A track, or a head trace of EyeNavGS; told from its header.
    keys
        Key poses of a spline.
    anchor
        The name of the camera at which a trace begins; it is moved there.
    eye, scale
        Of a trace; see :func:`~nmc_framework.rendering.read_eyenavgs`.
    """

    file: Path | None = None
    keys: Path | None = None
    anchor: str | None = None
    eye: Eye = "centre"
    scale: float = 1.0

    def images(self, rate: Fraction) -> int | None:
        """Return how many images the track says it has; None where it has none of its own.

        Raises
        ------
        TrackError
            When the key poses cannot be read.
        """
        if self.keys is None:
            return None
        seconds = read_keys(_file(self.keys)).seconds
        return None if seconds is None else max(2, round(seconds * float(rate)) + 1)


def user_track(
    source: TrackSource, count: int, cameras: Sequence[Camera], rate: Fraction | int
) -> list[Viewpoint]:
    """Return ``count`` viewpoints.

    Parameters
    ----------
    source
        Where they come from.
    count
        How many images there are to be.
    cameras
        Of the package: an orbit swings within the angles they cover, about what they face.
    rate
        Images a second, by which a head trace is sampled.

    Raises
    ------
    TrackError
        When a file is missing, is not a track, or has another length; when a trace is too short, no
        camera has the anchor's name, or there are none to orbit among.
    """
    if source.keys is not None:
        return spline(read_keys(_file(source.keys)), count)
    if source.file is None:
        return orbit_among(cameras, count)
    path = _file(source.file)
    try:
        with path.open(encoding="utf-8-sig") as file:
            recorded = "ViewIndex" in file.readline()
        if not recorded:
            return read_track(path, frames=count)
    except UnicodeDecodeError as error:
        raise TrackError(f"{path.name} is not a CSV file: {error}") from error
    trace = read_eyenavgs(path, eye=source.eye, scale=source.scale)
    try:
        track = trace.at(np.arange(count) / float(rate))
    except TrackError as error:
        raise TrackError(
            f"{path.name} is too short for {count} images at {float(rate):.5g} a second: {error}"
        ) from None
    return track if source.anchor is None else _anchored(track, source.anchor, cameras)


def orbit_among(cameras: Sequence[Camera], count: int) -> list[Viewpoint]:
    """Return an orbit about what cameras face, within the angles they cover.

    Raises
    ------
    TrackError
        When there are no cameras.
    """
    if not cameras:
        raise TrackError("the package has no cameras to orbit among; give a --track in a file")
    rig = layout(cameras)
    azimuths, elevations = np.array([rig.angles(camera) for camera in cameras]).T
    # Azimuths relative to the first camera's, so that no range is cut at 180 degrees.
    azimuths = azimuths[0] + (azimuths - azimuths[0] + 180) % 360 - 180
    level = rig.levelled()
    track = orbit(
        level @ rig.target,
        count,
        distance=rig.distance,
        azimuths=(float(azimuths.min()), float(azimuths.max())),
        elevations=(float(elevations.min()), float(elevations.max())),
    )
    back = np.eye(4)
    back[:3, :3] = level.T
    return [Viewpoint.from_camera_to_world(back @ v.camera_to_world()) for v in track]


def played(frames: Sequence[Shown], length: int | None) -> list[Shown]:
    """Return which frame each of ``length`` images shows: the frames once, or to and fro."""
    if length is None:
        return list(frames)
    to_and_fro = [*frames, *frames[-2:0:-1]]
    return [to_and_fro[i % len(to_and_fro)] for i in range(length)]


def user_camera(
    cameras: Sequence[Camera], size: tuple[int, int] | None, degrees: float | None
) -> Camera:
    """Return the images' intrinsics: as asked, else those of the first camera.

    Parameters
    ----------
    cameras
        Of the package; may be empty.
    size
        (width, height) in pixels.
    degrees
        Horizontal field of view.
    """
    if size is None:
        size = (cameras[0].width, cameras[0].height) if cameras else _SIZE
    if degrees is None:
        degrees = _FIELD_OF_VIEW
        if cameras:
            degrees = float(np.degrees(2 * np.arctan(0.5 * cameras[0].width / cameras[0].fx)))
    return Camera.from_field_of_view(degrees, *size, np.eye(4), "user")


def _anchored(track: list[Viewpoint], name: str, cameras: Sequence[Camera]) -> list[Viewpoint]:
    named = [camera for camera in cameras if camera.name == name]
    if not named:
        found = ", ".join(camera.name for camera in cameras) or "none"
        raise TrackError(f"no camera {name!r} in the package; there are {found}")
    poses = [each.camera_to_world() for each in track]
    move = named[0].camera_to_world @ np.linalg.inv(poses[0])
    return [Viewpoint.from_camera_to_world(move @ pose) for pose in poses]


def _file(path: Path) -> Path:
    if not path.is_file():
        raise TrackError(f"{path}: no such track; give a CSV file, or orbit")
    return path
