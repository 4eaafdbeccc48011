"""Sources from what a user names: files or a folder, and the times their pictures were taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nmc_framework.cameras.formats import RigDocument
from nmc_framework.capture.finding import find_sources
from nmc_framework.capture.picture_files import BEHIND, is_transparent, picture_size
from nmc_framework.capture.source import (
    CaptureError,
    ImageSource,
    Source,
    VideoSource,
    read_stamps,
)

#: About so many cameras tell whether pictures are transparent.
_ASKED = 5


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
    return {source.name: first_size(source) for source in sources}


def turned_to(sources: Sequence[Source], rig: RigDocument) -> list[Source]:
    """Return sources of which those are upright whose cameras are of the upright pictures.

    Some programs turn photographs as their Exif data say, and videos as their files do; others
    take the pixels as they lie: a camera's size tells which.

    Raises
    ------
    CaptureError
        When the first picture of a source cannot be read.
    """
    sizes = {Path(c.name).stem: (c.width, c.height) for c in rig.cameras}
    sizes |= {c.name: (c.width, c.height) for c in rig.cameras}
    found: list[Source] = []
    for source in sources:
        wanted = sizes.get(source.name)
        if isinstance(source, ImageSource) and source.paths and wanted is not None:
            turn = first_size(source) != wanted == first_size(replace(source, upright=True))
            found.append(replace(source, upright=turn))
        elif isinstance(source, VideoSource) and wanted is not None:
            lies = first_size(source) != wanted == first_size(replace(source, upright=False))
            found.append(replace(source, upright=False) if lies else source)
        else:
            found.append(source)
    return found


def first_size(source: Source) -> tuple[int, int]:
    """Return (width, height) of a source's first picture, of a file's head alone where it can.

    Raises
    ------
    CaptureError
        When there is none, or it cannot be read.
    """
    if isinstance(source, ImageSource) and source.paths:
        path = source.paths[0]
        try:
            return picture_size(path, upright=source.upright)
        except OSError as error:
            raise CaptureError(f"camera {source.name!r}: {path.name}: {error}") from error
    first = next(source.pictures(), None)
    if first is None:
        raise CaptureError(f"camera {source.name!r} has no pictures")
    return first.shape[1], first.shape[0]


def background_of(sources: Sequence[Source]) -> tuple[float, ...] | None:
    """Return the colour, 0..1, behind what pictures show, if they are transparent there; or None.

    Some of the cameras are asked: nobody cuts out the pictures of half of them.
    """
    asked = sources[:: max(1, len(sources) // _ASKED)]
    seen = all(
        isinstance(source, ImageSource) and source.paths and is_transparent(source.paths[0])
        for source in asked
    )
    return BEHIND if asked and seen else None
