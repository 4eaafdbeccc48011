"""Which cameras and frames a folder of videos or pictures holds, told from its names (clause 5.1).

Pictures come as a flat folder (one instant), as one folder a camera, or as one folder a frame;
cameras and frames may both have numbers for names. What is what, names such as ``cam_a`` and
``frame_0001`` say; of bare numbers, the ones padded with zeros to four digits and more are frames.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from natsort import natsorted

from nmc_framework.capture.source import (
    IMAGES,
    VIDEOS,
    CaptureError,
    ImageSource,
    Source,
    VideoSource,
)

#: Folders in which data sets keep their pictures, and such as hold none to train with.
_HOLDERS = ("images", "ims", "rgb", "input", "imgs", "frames", "videos", "hdimgs", "train")
_ASIDE = frozenset({"masks", "mask", "seg", "depth", "depths", "sparse", "colmap", "dense"})
_DEEPEST = 3
_FRAME = re.compile(r"^(frames?|time|timestep|t|f)[_-]?\d+$", re.IGNORECASE)
_CAMERA = re.compile(
    r"^((cam|camera|view|viewpoint|vp|kinect|hd|gopro)[_-]?[0-9a-z]+([_-][0-9a-z]+)*|[cv]\d+)$",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(\d+)$")
_PADDED = 4
#: Pictures of different cameras go together by their numbers where all cameras together have at
#: most so many times the numbers of one: what is missing here and there does not shift the others.
_MORE = 1.5

Groups = Mapping[Path, Sequence[Path]]


def find_sources(folder: Path, rate: float = 30.0) -> list[Source]:
    """Recognise what a folder holds, and return one source a camera, in natural order of names.

    Known are: one video file a camera; one sub-folder of pictures a camera; one sub-folder a frame,
    in which every picture is named after its camera; pictures in the folder itself, each named
    after its camera, which show one instant; and any of these in a sub-folder such as ``images``.
    Pictures whose names end in numbers are of the frames of these numbers, so that one that is
    missing does not shift the others.

    Parameters
    ----------
    folder
        The footage.
    rate
        Frames a second, for images, which have no times of their own.

    Raises
    ------
    CaptureError
        When the folder holds nothing of the kind.
    """
    found = _search(folder, rate, _DEEPEST)
    if not found:
        raise CaptureError(f"{folder.name}: no video files, no pictures and no folders of images")
    return found


def _search(folder: Path, rate: float, depth: int) -> list[Source]:
    inside = natsorted(folder.iterdir())
    videos = [p for p in inside if p.suffix.lower() in VIDEOS and p.is_file()]
    if videos:
        return [VideoSource(path.stem, path) for path in videos]
    folders = [p for p in inside if p.is_dir() and p.name.lower() not in _ASIDE]
    groups = {sub: _pictures(sub) for sub in folders}
    groups = {sub: pictures for sub, pictures in groups.items() if pictures}
    holder = next((p for name in _HOLDERS for p in folders if p.name.lower() == name), None)
    if holder is not None and not any(_CAMERA.match(p.name) for p in groups) and depth:
        return _search(holder, rate, depth - 1)
    if groups:
        return _by_frame(groups, rate) if _is_by_frame(groups) else _by_camera(groups, rate)
    return [ImageSource(path.stem, (path,), (0.0,)) for path in _pictures(folder)]


def _pictures(folder: Path) -> list[Path]:
    return natsorted(
        p for p in folder.iterdir() if p.suffix.lower() in IMAGES and not p.name.startswith(".")
    )


def _is_by_frame(groups: Groups) -> bool:
    """Return whether sub-folders are frames, and what is in them cameras."""
    folders = [sub.name for sub in groups]
    stems = [path.stem for pictures in groups.values() for path in pictures]
    if all(map(_FRAME.match, folders)) or all(map(_CAMERA.match, stems)):
        return True
    if all(map(_CAMERA.match, folders)) or all(map(_FRAME.match, stems)):
        return False
    if all(map(str.isdigit, stems)):
        # Numbers in folders of numbers: frames are padded, or more of one length than cameras are.
        padded = [all(len(name) >= _PADDED for name in names) for names in (folders, stems)]
        return all(map(str.isdigit, folders)) and padded[0] and not padded[1]
    first = sorted(path.stem for path in next(iter(groups.values())))
    return len(groups) > 1 and all(sorted(p.stem for p in g) == first for g in groups.values())


def _by_frame(groups: Groups, rate: float) -> list[Source]:
    numbers = _numbers([sub.name for sub in groups]) or list(range(len(groups)))
    first = min(numbers)
    found: dict[str, list[tuple[float, Path]]] = {}
    for number, pictures in zip(numbers, groups.values(), strict=True):
        for path in pictures:
            found.setdefault(path.stem, []).append(((number - first) / rate, path))
    return [
        ImageSource(name, tuple(path for _, path in rows), tuple(time for time, _ in rows))
        for name, rows in natsorted(found.items())
    ]


def _by_camera(groups: Groups, rate: float) -> list[Source]:
    numbers = [_numbers([path.stem for path in pictures]) for pictures in groups.values()]
    known = [n for n in numbers if n is not None]
    first = 0
    if len(known) == len(numbers) and _go_together(known):
        first = min(min(n) for n in known)
    else:
        known = [list(range(len(pictures))) for pictures in groups.values()]
    return [
        ImageSource(sub.name, tuple(pictures), tuple((k - first) / rate for k in counted))
        for (sub, pictures), counted in zip(groups.items(), known, strict=True)
    ]


def _numbers(names: Sequence[str]) -> list[int] | None:
    """Return the numbers that names end in, where all do, after one and the same beginning."""
    found = [_NUMBER.search(name) for name in names]
    heads = {name[: m.start()] if m else None for name, m in zip(names, found, strict=True)}
    if len(heads) != 1 or None in heads:
        return None
    numbers = [int(m[1]) for m in found if m]
    ascending = all(a < b for a, b in pairwise(numbers))
    return numbers if ascending and max(numbers) < 2**53 else None


def _go_together(numbers: Sequence[Sequence[int]]) -> bool:
    """Return whether cameras count frames alike: few more numbers are anybody's than one has."""
    known = set[int]().union(*numbers)
    return len(known) <= _MORE * max(len(each) for each in numbers)
