"""Folders of pictures with depth as others lay them out: 7-Scenes, TUM, ICL-NUIM, NYU, ScanNet.

========== ============================================================ ==================
layout     files                                                        number for a metre
========== ============================================================ ==================
7-scenes   ``frame-000000.color.png`` and ``frame-000000.depth.png``    1000
tum        lists ``rgb.txt`` and ``depth.txt``, or ``associations.txt`` 5000
icl        ``scene_00_0000.png`` and ``scene_00_0000.depth``, text      100
nyu-train  ``1.jpg`` and ``1.png`` of 8 bits                            25.5
nyu-test   ``00000_colors.png`` and ``00000_depth.png``                 1000
folders    ``color`` or ``rgb`` and ``depth``, files of one stem        1000
========== ============================================================ ==================

0 is missing depth, and so is 65535. The depths of ``icl`` are distances along rays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from natsort import natsorted

from nmc_framework.depth.errors import DepthError
from nmc_framework.depth.pairs import DepthMap, Pair
from nmc_framework.depth.pictures import MOST_PIXELS, read_depth_image, read_picture

#: Most files of a room, and how deep rooms may lie in a folder.
_MOST_FILES, _DEEPEST = 200_000, 3
#: Pictures and depths of TUM belong together if their times, in seconds, are so near.
_TOGETHER: Final = 0.02
#: ICL-NUIM's camera: focal lengths and principal point in pixels of 640 x 480.
_ICL: Final = (481.2, 480.0, 319.5, 239.5)
_ICL_SIZE: Final = (480, 640)
_IMAGES = (".png", ".jpg", ".jpeg", ".ppm", ".bmp")
#: Most bytes of a list of files.
_LONGEST_LIST = 1 << 26
#: Most bytes of distances as text: 32 letters for each of 640 x 480.
_LONGEST_DEPTH = 32 * 640 * 480


@dataclass(frozen=True)
class RoomFolder:
    """Pictures with depth of one place: the name, the layout, files by twos, numbers a metre."""

    name: str
    layout: str
    files: tuple[tuple[Path, Path], ...]
    unit: float

    def __len__(self) -> int:
        return len(self.files)

    def pair(self, index: int) -> Pair:
        """Read a picture and its depth.

        Raises
        ------
        DepthError
            When a file is missing, damaged or too large, or the two differ in aspect.
        """
        picture_path, depth_path = self.files[index]
        picture = read_picture(picture_path)
        if self.layout == "icl":
            depth = _icl_depth(depth_path, self.unit)
        else:
            depth = read_depth_image(depth_path, self.unit)
        name = f"{self.name}/{picture_path.name}"
        return Pair(picture, _like(depth, picture.shape[:2], name), name, self.name)


def room_folders(folder: Path, unit: float | None = None) -> list[RoomFolder]:
    """Return the places whose pictures lie in a folder, or in folders in it.

    ``unit`` is the number for a metre, in place of the layout's own.

    Raises
    ------
    DepthError
        When there are none.
    """
    if not folder.is_dir():
        raise DepthError(f"{folder.name}: there is no such folder")
    if unit is not None and not (np.isfinite(unit) and unit > 0):
        raise DepthError(f"the number for a metre is above 0, not {unit}")
    try:
        found = list(_rooms(folder, unit, 0, folder.resolve().name))
    except OSError as error:
        raise DepthError(f"{folder.name}: {error.strerror or error}") from error
    if not found:
        raise DepthError(
            f"{folder.name}: no pictures with depth in a layout that is known: 7-Scenes, TUM, "
            "ICL-NUIM, NYU, or folders rgb and depth"
        )
    return found


def _rooms(folder: Path, unit: float | None, deep: int, name: str) -> Iterator[RoomFolder]:
    for layout, (listed, usual) in _LAYOUTS.items():
        files = listed(folder)
        if files:
            yield RoomFolder(name, layout, tuple(files), unit or usual)
            return
    if deep < _DEEPEST:
        inner = (path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
        for path in natsorted(inner, key=lambda p: p.name):
            yield from _rooms(path, unit, deep + 1, f"{name}/{path.name}")


def _stems(folder: Path, endings: Iterable[str]) -> dict[str, Path]:
    """Return the files of a folder with such endings, by what goes before these."""
    found: dict[str, Path] = {}
    for count, path in enumerate(folder.iterdir()):
        if count >= _MOST_FILES:
            raise DepthError(f"{folder.name}: more than {_MOST_FILES} files")
        lower = path.name.lower()
        for ending in endings:
            if lower.endswith(ending):
                found[path.name[: -len(ending)]] = path
    return found


def _both(one: dict[str, Path], other: dict[str, Path]) -> list[tuple[Path, Path]]:
    return [(one[stem], other[stem]) for stem in natsorted(one.keys() & other.keys())]


def _seven_scenes(folder: Path) -> list[tuple[Path, Path]]:
    pictures = _stems(folder, [f".color{ending}" for ending in _IMAGES])
    return _both(pictures, _stems(folder, [".depth.png", ".depth.pgm"]))


def _nyu_test(folder: Path) -> list[tuple[Path, Path]]:
    return _both(_stems(folder, ["_colors.png"]), _stems(folder, ["_depth.png"]))


def _nyu_train(folder: Path) -> list[tuple[Path, Path]]:
    return _both(_stems(folder, [".jpg"]), _stems(folder, [".png"]))


def _icl(folder: Path) -> list[tuple[Path, Path]]:
    return _both(_stems(folder, [".png"]), _stems(folder, [".depth"]))


def _folders(folder: Path) -> list[tuple[Path, Path]]:
    depth = folder / "depth"
    for name in ("color", "rgb", "image"):
        if (folder / name).is_dir() and depth.is_dir():
            return _both(_stems(folder / name, _IMAGES), _stems(depth, [".png", ".pgm"]))
    return []


def _tum(folder: Path) -> list[tuple[Path, Path]]:
    """Read the lists: one of both, or one of each, whose times are compared."""
    for name in ("associations.txt", "association.txt", "associated.txt"):
        if (folder / name).is_file():
            return _associated(folder, folder / name)
    rgb, depth = folder / "rgb.txt", folder / "depth.txt"
    if not (rgb.is_file() and depth.is_file()):
        return []
    pictures, depths = _timed(folder, rgb), _timed(folder, depth)
    times = np.array([time for time, _ in depths])
    found = []
    for time, picture in pictures:
        nearest = int(np.argmin(np.abs(times - time))) if len(times) else -1
        if nearest >= 0 and abs(times[nearest] - time) <= _TOGETHER:
            found.append((picture, depths[nearest][1]))
    if not found:
        raise DepthError(
            f"{folder.name}: no picture of rgb.txt was taken within {_TOGETHER:g} s of a depth "
            "picture of depth.txt"
        )
    return found


def _rows(path: Path, fields: int) -> Iterator[list[str]]:
    if path.stat().st_size > _LONGEST_LIST:
        raise DepthError(
            f"{path.name}: more than {_LONGEST_LIST} bytes, which no list of files has"
        )
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        parts = text.split()
        if len(parts) < fields:
            raise DepthError(f"{path.name}, line {number}: expected {fields} words, as TUM has")
        yield parts


def _timed(folder: Path, path: Path) -> list[tuple[float, Path]]:
    return [(_time(parts[0], path), _within(folder, parts[1], path)) for parts in _rows(path, 2)]


def _associated(folder: Path, path: Path) -> list[tuple[Path, Path]]:
    """Return files by twos, whichever goes first: that of a depth says so in its path."""
    found = []
    for parts in _rows(path, 4):
        one, other = (_within(folder, parts[k], path) for k in (1, 3))
        found.append((other, one) if "depth" in parts[1].lower() else (one, other))
    return found


def _time(text: str, path: Path) -> float:
    try:
        found = float(text)
    except ValueError:
        found = np.nan
    if not np.isfinite(found):
        raise DepthError(f"{path.name}: {text[:40]!r} is not a time in seconds")
    return found


def _within(folder: Path, name: str, path: Path) -> Path:
    """Return a file that a list names, which has to lie in the list's folder."""
    found = (folder / name).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise DepthError(f"{path.name}: {name[:80]!r} lies outside of the folder")
    return found


def _icl_depth(path: Path, unit: float) -> DepthMap:
    """Read distances along rays, one a pixel, as text; return depths along the axis in metres."""
    try:
        size = path.stat().st_size
        if size > _LONGEST_DEPTH:
            raise DepthError(f"{path.name}: {size} bytes are more than distances of pixels take")
        numbers = np.array(path.read_text("ascii").split(), np.float64)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise DepthError(f"{path.name}: no list of distances, one a pixel") from error
    rows, columns = _ICL_SIZE
    if len(numbers) != rows * columns:
        raise DepthError(
            f"{path.name}: {len(numbers)} distances, expected {rows * columns} of "
            f"{columns}x{rows} pixels"
        )
    fx, fy, cx, cy = _ICL
    x = (np.arange(columns) - cx) / fx
    y = (np.arange(rows) - cy) / fy
    slant = np.sqrt(1 + x[None] ** 2 + y[:, None] ** 2)
    depth = numbers.reshape(rows, columns) / slant / unit
    return np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32)


def _like(depth: DepthMap, size: tuple[int, ...], name: str) -> DepthMap:
    """Bring a depth map to a picture's size: by the nearest, as depths are not mixed."""
    if depth.shape == size:
        return depth
    height, width = size
    if abs(depth.shape[1] * height - depth.shape[0] * width) > max(size) or min(size) < 1:
        raise DepthError(
            f"{name}: the picture is {width}x{height}, its depth "
            f"{depth.shape[1]}x{depth.shape[0]}: of another aspect"
        )
    if height * width > MOST_PIXELS:
        raise DepthError(f"{name}: too many pixels")
    y = ((np.arange(height) + 0.5) * depth.shape[0] / height).astype(np.int64)
    x = ((np.arange(width) + 0.5) * depth.shape[1] / width).astype(np.int64)
    return np.asarray(depth[y[:, None], x[None]], np.float32)


_LAYOUTS: Final[dict[str, tuple[Callable[[Path], list[tuple[Path, Path]]], float]]] = {
    "7-scenes": (_seven_scenes, 1000.0),
    "tum": (_tum, 5000.0),
    "icl": (_icl, 100.0),
    "nyu-test": (_nyu_test, 1000.0),
    "folders": (_folders, 1000.0),
    "nyu-train": (_nyu_train, 25.5),
}
