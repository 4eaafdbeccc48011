"""A network of many pictures: what every chain begins with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from natsort import natsorted
from PIL import Image

from nmc_framework.capture import CaptureError
from nmc_framework.capture.source import IMAGES
from nmc_framework.super_resolution.coding import as_decoded
from nmc_framework.super_resolution.criteria import Criterion
from nmc_framework.super_resolution.patches import PATCH, PatchPairs
from nmc_framework.super_resolution.resampling import Pictures, reduced
from nmc_framework.super_resolution.upscaler import Upscaler
from nmc_framework.training import Progress, Schedule, TrainedFrame, train_on

#: The shortest side in pixels, of the small picture, that anything is learned from.
LEAST_SIDE = 8
#: Most pixels of a picture that are held; larger ones are cut to their middle.
_MOST_PIXELS = 1 << 24


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures to learn from, and what was left out and why."""

    pictures: Sequence[Pictures]
    names: Sequence[str]
    left_out: Sequence[str] = ()


def read_gallery(folder: Path, scale: int) -> Gallery:
    """Read the pictures of a folder and its folders.

    Parameters
    ----------
    folder
        Its pictures are those with the suffixes of
        :data:`~nmc_framework.capture.source.IMAGES`.
    scale
        By which they are to be made small; sides are cut to multiples of it.

    Raises
    ------
    CaptureError
        If nothing can be learned from them: there are none, or they are too small, or each is of
        one colour.
    """
    paths = natsorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGES and p.is_file())
    if not paths:
        raise CaptureError(
            f"{folder.name} holds no pictures; they end in {', '.join(sorted(IMAGES))}"
        )
    pictures, names, left_out = [], [], []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            picture = _read(path, scale)
        except (OSError, ValueError, Image.DecompressionBombError):
            left_out.append(f"{name} cannot be read")
            continue
        height, width = picture.shape[:2]
        if min(height, width) < LEAST_SIDE * scale:
            left_out.append(f"{name} is {width}x{height}, and too small")
        elif not picture.std(axis=(0, 1)).any():
            left_out.append(f"{name} is of one colour")
        else:
            pictures.append(picture)
            names.append(name)
    if not pictures:
        raise CaptureError(
            f"nothing can be learned from the pictures of {folder.name}: {'; '.join(left_out[:3])}"
            f"; give pictures of at least {LEAST_SIDE * scale} pixels a side"
        )
    return Gallery(pictures, names, left_out)


def _read(path: Path, scale: int) -> Pictures:
    with Image.open(path) as opened:
        width, height = opened.size
        box = (0, 0, width, height)
        if width * height > _MOST_PIXELS:
            side = int(_MOST_PIXELS**0.5)
            left, top = max(0, (width - side) // 2), max(0, (height - side) // 2)
            box = (left, top, min(width, left + side), min(height, top + side))
        picture = np.asarray(opened.crop(box).convert("RGB"), dtype=np.uint8)
    return multiple(picture, scale)


def multiple(picture: Pictures, scale: int) -> Pictures:
    """Return a picture (height, width, 3) without what its sides have above multiples."""
    height, width = (side - side % scale for side in picture.shape[:2])
    return picture[:height, :width]


def pre_train(
    model: Upscaler,
    gallery: Gallery,
    criterion: Criterion,
    *,
    iterations: int,
    batch: int = 16,
    patch: int = PATCH,
    augment: bool = True,
    learning_rate: float | None = None,
    seed: int = 0,
    coded: int | None = None,
    report: Callable[[Progress], None] | None = None,
) -> TrainedFrame:
    """Train a network on pictures that are made small by the bicubic filter.

    With ``coded`` the small pictures are coded by H.264 with that rate factor, and learned from as
    they are decoded: a receiver has no others.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    high = [multiple(each, model.scale) for each in gallery.pictures]
    low = [reduced(each[None], model.scale)[0] for each in high]
    if coded is not None:
        low = [as_decoded(each, "h264", coded) for each in low]
    pairs = PatchPairs(low, high, criterion, patch=patch, augment=augment)
    schedule = Schedule(
        first=iterations, rays=batch, learning_rate=learning_rate, final_share=0.05, seed=seed
    )
    return train_on(model, pairs, schedule, frame=0, report=report)
