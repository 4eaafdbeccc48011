"""Where one camera's pictures come from: a video file or a folder of images (clause 5.1)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt

from nmc_framework.capture.picture_files import read_picture
from nmc_framework.capture.turning import as_it_lies, upright

Picture = npt.NDArray[np.uint8]

#: Suffixes, in lower case, of files that are taken for pictures and for videos.
IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
VIDEOS = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".y4m"})


class CaptureError(ValueError):
    """Footage that cannot be read or brought together; names the camera and the picture."""


class Source(Protocol):
    """One camera's pictures in the order of their times."""

    @property
    def name(self) -> str:
        """What reports call the camera."""

    def times(self) -> tuple[float, ...]:
        """Return when each picture was taken, in seconds, ascending."""

    def pictures(self) -> Iterator[Picture]:
        """Yield every picture, (height, width, 3) uint8, one at a time."""


@dataclass(frozen=True)
class VideoSource:
    """A video file; its own time stamps count unless ``stamps`` are given for its pictures.

    ``upright``: turned as the file says that a player is to turn it, as phones that are held
    upright do.
    """

    name: str
    path: Path
    stamps: tuple[float, ...] | None = None
    upright: bool = True

    def times(self) -> tuple[float, ...]:
        """Return the presentation times; read from the packets, nothing is decoded.

        Pictures that are in the file and not of the film have none: those that an edit list cuts
        off, and those before the first that can be decoded.
        """
        if self.stamps is not None:
            return _ascending(self.name, self.stamps)
        ticks, base = self._ticks
        if base is None or not ticks:
            raise CaptureError(f"camera {self.name!r}: {self.path.name} has no time stamps")
        return _ascending(self.name, [float(tick * base) for tick in ticks])

    def pictures(self) -> Iterator[Picture]:
        """Decode the file from its beginning.

        Raises
        ------
        CaptureError
            If it cannot be decoded; at the first picture that is missing, as all others would have
            the times of others from there on.
        """
        ticks, base = self._ticks
        expected = iter(ticks)
        for frame in self._frames():
            if ticks and frame.pts is not None:
                if frame.pts < ticks[0]:
                    continue
                self._require(next(expected, None), frame.pts, base)
            yield upright(frame) if self.upright else as_it_lies(frame)
        self._require(next(expected, None), None, base)

    def _frames(self) -> Iterator[av.VideoFrame]:
        try:
            with av.open(str(self.path)) as container:
                container.streams.video[0].thread_type = "AUTO"
                yield from container.decode(video=0)
        except (av.FFmpegError, IndexError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CaptureError(
                f"camera {self.name!r}: {self.path.name} does not decode ({reason}): convert it, "
                "or cut it before it is damaged"
            ) from error

    @cached_property
    def _ticks(self) -> tuple[list[int], Fraction | None]:
        """Return when pictures are shown, ascending, in ticks, and the seconds of a tick."""
        try:
            with av.open(str(self.path)) as container:
                stream = container.streams.video[0]
                packets = [
                    (packet.pts, packet.is_keyframe)
                    for packet in container.demux(stream)
                    if packet.pts is not None and not packet.is_discard
                ]
                base = stream.time_base
        except (av.FFmpegError, IndexError) as error:
            raise CaptureError(f"{self.path.name} is not a video that can be read") from error
        first = next((tick for tick, is_key in packets if is_key), None)
        return sorted(tick for tick, _ in packets if first is None or tick >= first), base

    def _require(self, expected: int | None, tick: int | None, base: Fraction | None) -> None:
        if expected is not None and expected != tick and base is not None:
            raise CaptureError(
                f"camera {self.name!r}: the picture at {float(expected * base):.3f} s of "
                f"{self.path.name} does not decode: cut the video there, or convert it"
            )


@dataclass(frozen=True)
class ImageSource:
    """Image files, each with its time in seconds; ``upright``: turned as their Exif data say."""

    name: str
    paths: tuple[Path, ...]
    stamps: tuple[float, ...]
    upright: bool = False

    def times(self) -> tuple[float, ...]:
        """Return the given times."""
        if len(self.stamps) != len(self.paths):
            raise CaptureError(
                f"camera {self.name!r}: {len(self.stamps)} times for {len(self.paths)} images"
            )
        return _ascending(self.name, self.stamps)

    def pictures(self) -> Iterator[Picture]:
        """Read the files one by one."""
        for path in self.paths:
            try:
                yield read_picture(path, upright=self.upright)
            except OSError as error:
                raise CaptureError(f"camera {self.name!r}: {path.name}: {error}") from error


def read_stamps(
    path: Path, *, camera: str = "cam_id", time: str = "frame_time"
) -> dict[str, tuple[float, ...]]:
    """Read the times at which pictures were really taken: CSV, one row a camera and picture.

    Parameters
    ----------
    path
        CSV with a header.
    camera, time
        Names of the columns with the camera's name and the seconds.

    Returns
    -------
    dict
        Times by camera, ascending.

    Raises
    ------
    CaptureError
        When a column is missing or a time is not a number; the line is named.
    """
    found: dict[str, list[float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        missing = [column for column in (camera, time) if column not in (rows.fieldnames or ())]
        if missing:
            raise CaptureError(f"{path.name}: the header lacks {', '.join(missing)}")
        for line, row in enumerate(rows, start=2):
            try:
                found.setdefault(row[camera], []).append(float(row[time]))
            except (TypeError, ValueError) as error:
                raise CaptureError(
                    f"{path.name}, line {line}: {time} is {row[time]!r}, expected seconds"
                ) from error
    return {name: tuple(sorted(times)) for name, times in found.items()}


def _ascending(name: str, times: Sequence[float]) -> tuple[float, ...]:
    values = np.asarray(times, dtype=np.float64)
    if not np.isfinite(values).all():
        raise CaptureError(f"camera {name!r}: a time stamp is not a finite number")
    early = np.flatnonzero(np.diff(values) <= 0)
    if len(early):
        index = int(early[0]) + 1
        raise CaptureError(
            f"camera {name!r}: picture {index} is at {values[index]:g} s, "
            f"not after picture {index - 1} at {values[index - 1]:g} s"
        )
    return tuple(float(value) for value in values)
