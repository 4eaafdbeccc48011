"""The pictures of a rig as structure from motion takes them, checked, one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmc_framework.capture.picture_files import read_picture
from nmc_framework.sfm.sfm_options import SfmError

Picture = npt.NDArray[np.uint8]
Images = Mapping[str, Sequence[Path | Picture]]

_FEWEST = 2


@dataclass(frozen=True, eq=False)
class View:
    """One picture, (height, width, 3) uint8: whose, of which frame, and its pixels' digest."""

    camera: str
    frame: int
    image: Picture
    digest: str


def require_images(images: Images) -> int:
    """Return how many frames there are.

    Raises
    ------
    SfmError
        When there are fewer than two cameras, a camera has no pictures or not as many as the
        others, or a file is missing.
    """
    if len(images) < _FEWEST:
        given = ", ".join(images) or "none"
        raise SfmError(f"structure from motion needs two cameras at least; given: {given}")
    first = next(iter(images))
    count = len(images[first])
    for name, pictures in images.items():
        if not len(pictures):
            raise SfmError(f"camera {name!r} has no pictures")
        if len(pictures) != count:
            raise SfmError(
                f"camera {name!r} has {len(pictures)} pictures, {first!r} has {count}: "
                "every camera has to see every frame"
            )
        for place in pictures:
            if isinstance(place, Path) and not place.is_file():
                raise SfmError(f"camera {name!r}: there is no file {place}")
    return count


def views(images: Images) -> Iterator[View]:
    """Read every picture, camera by camera and frame by frame.

    Raises
    ------
    SfmError
        When a file is not an image, or the pictures of one camera differ in size.
    """
    for name, pictures in images.items():
        size: tuple[int, ...] | None = None
        for frame, place in enumerate(pictures):
            image = _read(name, frame, place)
            if size is not None and image.shape != size:
                raise SfmError(
                    f"camera {name!r}: its picture of frame {frame} is "
                    f"{image.shape[1]}x{image.shape[0]}, the ones before are {size[1]}x{size[0]}"
                )
            size = image.shape
            yield View(name, frame, image, _digest(image))


def _read(camera: str, frame: int, place: Path | Picture) -> Picture:
    if not isinstance(place, Path):
        image = np.ascontiguousarray(place)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise SfmError(
                f"camera {camera!r}, frame {frame}: a picture is (height, width, 3) uint8, "
                f"not {image.shape} {image.dtype}"
            )
        return image
    try:
        return read_picture(place)
    except OSError as error:
        raise SfmError(f"camera {camera!r}, frame {frame}: {place.name}: {error}") from error


def _digest(image: Picture) -> str:
    digest = hashlib.sha256(str(image.shape).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()
