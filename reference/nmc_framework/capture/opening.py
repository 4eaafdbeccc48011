"""Sources from what a user names: files or a folder, and the times their pictures were taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nmc_framework.capture.finding import find_sources
from nmc_framework.capture.source import CaptureError, Source, VideoSource, read_stamps


def open_sources(
    paths: Sequence[Path], *, rate: float = 30.0, stamps: Path | None = None
) -> list[Source]:
    """Return one source a camera.

    Parameters
    ----------
    paths
        Video files, or folders that :func:`~nmc_framework.capture.find_sources` knows.
    rate
        Frames a second, for images, which have no times of their own.
    stamps
        When the pictures of videos were really taken; see
        :func:`~nmc_framework.capture.read_stamps`.

    Raises
    ------
    CaptureError
        When a path is not there, or ``stamps`` lacks a camera; it is named.
    """
    sources: list[Source] = []
    for path in paths:
        if not path.exists():
            raise CaptureError(f"{path}: there is no such file or directory")
        sources += find_sources(path, rate) if path.is_dir() else [VideoSource(path.stem, path)]
    if stamps is None:
        return sources
    times = read_stamps(stamps)
    stamped: list[Source] = []
    for source in sources:
        # Tools name a camera by its number alone, and its video cam_<number>.
        key = source.name if source.name in times else source.name.rpartition("_")[2]
        if key not in times or not isinstance(source, VideoSource):
            raise CaptureError(f"{stamps.name} has no times of a video {source.name!r}")
        stamped.append(replace(source, stamps=times[key]))
    return stamped


def picture_sizes(sources: Sequence[Source]) -> dict[str, tuple[int, int]]:
    """Return (width, height) of each source's first picture, by name.

    Raises
    ------
    CaptureError
        When a source has no pictures.
    """
    sizes = {}
    for source in sources:
        first = next(source.pictures(), None)
        if first is None:
            raise CaptureError(f"camera {source.name!r} has no pictures")
        sizes[source.name] = (first.shape[1], first.shape[0])
    return sizes
