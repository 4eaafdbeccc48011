"""From synchronised sources to frames of views, one at a time (clause 5.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import islice, pairwise

import numpy as np
from PIL import Image

from nmc_framework.capture.source import CaptureError, Picture, Source
from nmc_framework.capture.synchrony import (
    Synchrony,
    by_index,
    by_time,
    half_interval,
    until,
)
from nmc_framework.training.pixels import FrameViews


def synchronise(
    sources: Sequence[Source],
    *,
    by: str = "time",
    reference: str | None = None,
    tolerance: float | None = None,
    every: int = 1,
    limit: int | None = None,
) -> Synchrony:
    """Match the pictures of sources ``by`` ``"time"`` or ``"index"``; see those functions.

    Of the frames every so many are taken, and at most ``limit`` of these; the report is about the
    footage as far as they reach.
    """
    names = [source.name for source in sources]
    if len(set(names)) != len(names):
        raise CaptureError(f"two cameras have one name: {', '.join(sorted(names))}")
    times = {source.name: source.times() for source in sources}
    match by:
        case "index":
            matched = partial(by_index, reference=reference)
        case "time":
            chosen = reference or next(iter(times), None)
            # Of all the footage, whatever part of it is taken.
            limit_s = half_interval(times.get(chosen or "", ())) if tolerance is None else tolerance
            matched = partial(by_time, reference=reference, tolerance=limit_s)
        case _:
            raise CaptureError(f"frames are matched by 'time' or 'index', not by {by!r}")
    found = matched(times)
    if limit is not None and len(found.instants[::every]) > limit:
        found = matched(until(times, found, (limit - 1) * every + 1, by=by))
    return found.every(every)


def read_frames(
    sources: Sequence[Source],
    synchrony: Synchrony,
    *,
    every: int = 1,
    start: int = 0,
    limit: int | None = None,
    size: tuple[int, int] | None = None,
) -> Iterator[FrameViews]:
    """Yield frames; each source is read once from its beginning, one picture in memory.

    Parameters
    ----------
    sources
        In the order that ``synchrony`` was made with.
    synchrony
        Which pictures belong together.
    every, limit
        Take every so many frames, and at most so many of these.
    start
        Begin with the frame of this index, counted among those taken.
    size
        (width, height) to which every picture is reduced by averaging; the pictures' own without.

    Raises
    ------
    CaptureError
        When a source ends early or changes its size; the camera and picture are named.
    """
    chosen = synchrony.instants[::every][:limit]
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(_Reader(source, size))) for source in sources]
        for index, instant in islice(enumerate(chosen), start, None):
            images = [
                reader.picture(wanted)
                for reader, wanted in zip(readers, instant.pictures, strict=True)
            ]
            yield FrameViews(index, instant.time, images)


class _Reader:
    """Reads one source forward; asked for ascending pictures only."""

    def __init__(self, source: Source, size: tuple[int, int] | None) -> None:
        self._source = source
        self._size = size
        self._pictures = source.pictures()
        self._next = 0
        self._shape: tuple[int, ...] | None = None

    def picture(self, wanted: int) -> Picture:
        while True:
            try:
                image = next(self._pictures)
            except StopIteration:
                raise CaptureError(
                    f"camera {self._source.name!r} ends after {self._next} pictures; "
                    f"picture {wanted} was announced"
                ) from None
            self._next += 1
            if self._next > wanted:
                break
        if self._shape is not None and image.shape != self._shape:
            raise CaptureError(
                f"camera {self._source.name!r}: picture {wanted} is "
                f"{image.shape[1]}x{image.shape[0]}, the ones before were "
                f"{self._shape[1]}x{self._shape[0]}"
            )
        self._shape = image.shape
        return image if self._size is None else reduced(image, self._size)

    def close(self) -> None:
        close = getattr(self._pictures, "close", None)
        if close is not None:
            close()


def reduced(image: Picture, size: tuple[int, int]) -> Picture:
    """Return the picture at another size (width, height), by averaging."""
    resized = Image.fromarray(image).resize(size, Image.Resampling.BOX)
    return np.asarray(resized, dtype=np.uint8)


def intervals(synchrony: Synchrony) -> list[float]:
    """Return the seconds between successive frames."""
    return [b.time - a.time for a, b in pairwise(synchrony.instants)]
