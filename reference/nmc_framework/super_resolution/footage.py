"""A video's pictures with their times and kinds; decoded forward, one at a time (PyAV).

Times are those of the file, in ticks of its own time base, so that a video whose frame rate varies
keeps its times all the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from nmc_framework.capture import CaptureError
from nmc_framework.capture.turning import upright, upright_size
from nmc_framework.super_resolution.resampling import Pictures
from nmc_framework.super_resolution.scenes import CutDetector

#: Most ticks a second that a package counts in; a finer time base is taken to microseconds.
_MOST_TICKS = 1_000_000


@dataclass(frozen=True)
class Moment:
    """One picture of a video: when it is shown, and how it was coded.

    ``ticks`` count from the first picture; ``intra`` says that it is an I-frame; ``cut`` that a
    scene begins with it.
    """

    ticks: int
    intra: bool
    cut: bool


@dataclass(frozen=True)
class Footage:
    """A video that was looked through once: its moments, its size and how fast its ticks are.

    Open one with :func:`look_through`. ``size`` is (width, height) that pictures are shown at,
    ``own`` the one that they have in the file; ``timescale`` are ticks a second.
    """

    path: Path
    moments: tuple[Moment, ...]
    size: tuple[int, int]
    own: tuple[int, int]
    timescale: int

    def __len__(self) -> int:
        return len(self.moments)

    @property
    def rate(self) -> Fraction:
        """Pictures a second, on average."""
        if len(self.moments) < 2:
            return Fraction(30)
        passed = self.moments[-1].ticks - self.moments[0].ticks
        return Fraction((len(self.moments) - 1) * self.timescale, max(1, passed))

    @property
    def steady(self) -> bool:
        """Whether all pictures are shown for about as long."""
        ticks = np.diff([moment.ticks for moment in self.moments])
        return bool(len(ticks) == 0 or ticks.max() - ticks.min() <= max(1, 0.02 * ticks.mean()))

    def pictures(self) -> Iterator[Pictures]:
        """Yield every picture, (height, width, 3) uint8, in the order of their times.

        Raises
        ------
        CaptureError
            If the file changed since it was looked through.
        """
        for frame in _all_frames(self):
            yield _picture(frame, self.size)

    def chosen(self, indices: Sequence[int]) -> list[Pictures]:
        """Return pictures by number, ascending."""
        return Onward(self).chosen(indices)


class Onward:
    """Reads a video's pictures by number; decodes it once where the numbers ascend."""

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        self._frames: Iterator[Any] = iter(())
        self._next = len(footage)

    def chosen(self, indices: Sequence[int]) -> list[Pictures]:
        """Return pictures, (height, width, 3) uint8 each, by number, ascending.

        Raises
        ------
        CaptureError
            If the file changed since it was looked through.
        """
        found = []
        for wanted in sorted(set(indices)):
            if wanted < self._next:
                self._frames, self._next = _all_frames(self._footage), 0
            frame = next(islice(self._frames, wanted - self._next, None))
            self._next = wanted + 1
            found.append(_picture(frame, self._footage.size))
        return found


def look_through(
    path: Path, *, size: tuple[int, int] | None = None, limit: int | None = None
) -> Footage:
    """Decode a video once, and note of each picture its time, its kind and whether a scene begins.

    Parameters
    ----------
    path
        Any video that FFmpeg reads.
    size
        (width, height) to which pictures are made smaller, by the bicubic filter.
    limit
        Take at most so many pictures.

    Raises
    ------
    CaptureError
        If it cannot be read, has no pictures or times, or its pictures change their size.
    """
    with _opened(path) as container:
        stream = container.streams.video[0]
        base = stream.time_base
    if base is None:
        raise CaptureError(f"{path.name} has no time base: wrap it into .mp4 or .mkv first")
    timescale = min(base.denominator, _MOST_TICKS)
    moments: list[Moment] = []
    first: int | None = None
    own = (0, 0)
    cuts: CutDetector | None = None
    for frame in _frames(path, None):
        if cuts is None:
            own = upright_size(frame)
            cuts = CutDetector(frame)
        if frame.pts is None:
            raise CaptureError(
                f"{path.name}: picture {len(moments)} has no time: wrap the video into .mp4 or "
                ".mkv first"
            )
        first = frame.pts if first is None else first
        ticks = round((frame.pts - first) * base * timescale)
        if moments and ticks <= moments[-1].ticks:
            raise CaptureError(
                f"{path.name}: picture {len(moments)} is shown no later than the one before; "
                "encode the video again"
            )
        cut = cuts.begins(frame)
        moments.append(Moment(ticks, frame.pict_type == av.video.frame.PictureType.I, cut))
        if limit is not None and len(moments) == limit:
            break
    if not moments:
        raise CaptureError(f"{path.name} has no pictures that can be decoded")
    if size is not None and (size[0] > own[0] or size[1] > own[1]):
        raise CaptureError(
            f"{path.name} is {own[0]}x{own[1]}: it cannot be made larger, to {size[0]}x{size[1]}"
        )
    return Footage(path, tuple(moments), size or own, own, timescale)


def _opened(path: Path) -> Any:
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or "FFmpeg cannot read it"
        raise CaptureError(f"{path.name} is not a video that can be read: {reason}") from error
    if not container.streams.video:
        container.close()
        raise CaptureError(f"{path.name} has no video in it")
    return container


def _frames(path: Path, size: tuple[int, int] | None) -> Iterator[Any]:
    """Yield a video's frames as decoded, all of one size."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        try:
            for number, frame in enumerate(container.decode(stream)):
                own = upright_size(frame)
                size = size or own
                if own != size:
                    raise CaptureError(
                        f"{path.name}: picture {number} is {own[0]}x{own[1]}, the ones before are "
                        f"{size[0]}x{size[1]}; cut the video there, or encode it anew at one size"
                    )
                yield frame
        except av.FFmpegError as error:
            raise CaptureError(f"{path.name} cannot be decoded: {error.strerror}") from error


def _all_frames(footage: Footage) -> Iterator[Any]:
    """Yield the frames of the moments that a video had when it was looked through."""
    count, expected = 0, len(footage)
    for frame in _frames(footage.path, footage.own):
        if count == expected:
            break
        yield frame
        count += 1
    if count < expected:
        raise CaptureError(
            f"{footage.path.name} ends after {count} pictures, and had {expected} before"
        )


def _picture(frame: Any, size: tuple[int, int]) -> Pictures:
    image = upright(frame)
    if image.shape[1::-1] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC), np.uint8)
