"""Pictures that a generator learns from: of a multi-view set, or of any folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nmc_framework.inverse.multiview import MOST_PIXELS, ObjectsError, Pixels, read_views
from nmc_framework.inverse.reconstruction import open_picture

#: Endings of pictures that a folder is searched for.
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
#: As many pictures a generator needs at least; it would learn fewer by heart.
LEAST = 16


class PictureSet:
    """Pictures for a generator, as :class:`~nmc_framework.training.Examples`.

    Parameters
    ----------
    pictures
        (N, size, size, 3) uint8.
    """

    def __init__(self, pictures: Pixels) -> None:
        if len(pictures) < LEAST:
            raise ObjectsError(
                f"a generator needs {LEAST} pictures at least, not {len(pictures)}; add some"
            )
        self._pictures = torch.from_numpy(np.ascontiguousarray(pictures))

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        focus: float | None = None,  # noqa: ARG002 - frames have pictures of their own
    ) -> Tensor:
        """Draw pictures (count, 3, size, size) in -1..1, with replacement."""
        chosen = torch.randint(len(self._pictures), (count,), generator=generator)
        return self._pictures[chosen].permute(0, 3, 1, 2).float() / 127.5 - 1

    def kept_back(self, seed: int) -> None:  # noqa: ARG002 - nothing judges a generator by loss
        """Return nothing."""
        return


def read_pictures(folder: Path, size: int) -> Pixels:
    """Return all pictures of a multi-view set, or below a folder, (N, size, size, 3) uint8.

    Raises
    ------
    ObjectsError
        When there are too few or too many, or one cannot be used; it is named.
    """
    if (folder / "views.json").is_file():
        views = read_views(folder)
        return scaled(views.pictures.reshape(-1, views.size, views.size, 3), size)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if len(paths) < LEAST:
        raise ObjectsError(
            f"{folder.name} has {len(paths)} pictures ({' '.join(ENDINGS)}); a generator needs "
            f"{LEAST} at least"
        )
    if len(paths) * size * size > MOST_PIXELS:
        raise ObjectsError(f"{folder.name} has {len(paths)} pictures: too many; take some of them")
    return np.stack([open_picture(path, size) for path in paths])


def scaled(pictures: Pixels, size: int) -> Pixels:
    """Return pictures (N, side, side, 3) with sides of ``size`` pixels."""
    if pictures.shape[1] == size:
        return pictures
    return np.stack(
        [
            np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))
            if picture.shape[0] > size
            else np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))
            for picture in pictures
        ]
    )


def as_bytes(images: Tensor) -> Pixels:
    """Return pictures (N, 3, size, size) in -1..1 as (N, size, size, 3) uint8."""
    values = images.detach().clamp(-1, 1).add(1).mul(127.5).round().byte()
    return np.asarray(values.permute(0, 2, 3, 1).cpu().numpy())


def grid(rows: list[Pixels], *, gap: int = 2) -> Pixels:
    """Return rows of pictures (K, height, width, 3) as one picture, on white."""
    height, width = rows[0].shape[1:3]
    columns = max(len(row) for row in rows)
    sheet = np.full(
        (len(rows) * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8
    )
    for i, row in enumerate(rows):
        for k, picture in enumerate(row):
            top, left = gap + i * (height + gap), gap + k * (width + gap)
            sheet[top : top + height, left : left + width] = picture
    return sheet
