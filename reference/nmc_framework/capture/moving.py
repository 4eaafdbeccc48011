"""One camera's pictures as clips: a video file, a folder of pictures, or one picture (clause 5.1).

This is the way in of models of pictures, which need no cameras.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from natsort import natsorted

from nmc_framework.capture.frames import reduced
from nmc_framework.capture.source import (
    IMAGES,
    VIDEOS,
    CaptureError,
    ImageSource,
    Picture,
    Source,
    VideoSource,
)
from nmc_framework.frame_rate import measured_rate

#: Pictures a second of a folder, which has no times.
_PICTURES_RATE = 30
#: A clip: (pictures, height, width, 3) uint8.
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class MovingPicture:
    """Pictures of one size: ``count`` of them, ``rate`` a second, each (width, height).

    Open one with :func:`open_moving`.
    """

    source: Source
    count: int
    rate: Fraction
    size: tuple[int, int]

    def clips(self, pictures: int, start: int = 0) -> Iterator[Pixels]:
        """Yield clips of so many pictures from clip ``start`` on; the last one may have fewer.

        Raises
        ------
        CaptureError
            If the source ends early, or a picture has another size than the first.
        """
        images = islice(self._images(), self.count)
        for index, clip in enumerate(iter(lambda: list(islice(images, pictures)), [])):
            if index >= start:
                yield np.stack(clip)

    def _images(self) -> Iterator[Picture]:
        first: tuple[int, ...] = ()
        number = -1
        for number, image in enumerate(self.source.pictures()):
            first = first or image.shape
            if image.shape != first:
                raise CaptureError(
                    f"picture {number} is {image.shape[1]}x{image.shape[0]}, the ones before were "
                    f"{first[1]}x{first[0]}"
                )
            yield image if image.shape[1::-1] == self.size else reduced(image, self.size)
        if number + 1 < self.count:
            raise CaptureError(f"it ends after {number + 1} pictures; {self.count} were announced")


def open_moving(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    limit: int | None = None,
    rate: Fraction | int | None = None,
) -> MovingPicture:
    """Open a video, a folder of pictures in the natural order of their names, or one picture.

    Parameters
    ----------
    path
        What it is shows by the suffix.
    size
        (width, height) to which every picture is reduced by averaging; the pictures' own without.
    limit
        Take at most so many pictures.
    rate
        Pictures a second; else the video's own, or 30.

    Raises
    ------
    CaptureError
        If there are no pictures that can be read.
    """
    source = _source(path)
    times = source.times()
    if not times:
        raise CaptureError(f"{path.name} holds no pictures")
    count = len(times) if limit is None else min(limit, len(times))
    speed = Fraction(rate) if rate else measured_rate(times) or Fraction(_PICTURES_RATE)
    try:
        first = next(iter(source.pictures()), None)
    except ValueError as error:
        raise CaptureError(str(error)) from error
    if first is None:
        raise CaptureError(f"{path.name} holds no pictures")
    own = (int(first.shape[1]), int(first.shape[0]))
    return MovingPicture(source, count, speed, size or own)


def _source(path: Path) -> Source:
    suffix = path.suffix.lower()
    if path.is_dir():
        found = natsorted(p for p in path.iterdir() if p.suffix.lower() in IMAGES)
        if not found:
            inside = sorted(p.name for p in path.iterdir() if p.is_dir())
            hint = f"; its folder {inside[0]!r} may be meant" if inside else ""
            raise CaptureError(f"{path.name} holds no pictures{hint}")
        return _images(path.name, found)
    if suffix in IMAGES:
        return _images(path.stem, [path])
    if suffix in VIDEOS:
        return VideoSource(path.stem, path)
    raise CaptureError(
        f"{path.name} is neither a folder nor of a kind that is read: "
        f"{', '.join(sorted(VIDEOS | IMAGES))}"
    )


def _images(name: str, paths: list[Path]) -> ImageSource:
    times = tuple(k / _PICTURES_RATE for k in range(len(paths)))
    return ImageSource(name, tuple(paths), times, upright=True)
