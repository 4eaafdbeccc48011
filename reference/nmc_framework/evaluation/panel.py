"""Setting rendered images side by side with captions, for videos that people look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]

_PAPER = (24, 29, 36)
_TEXT = (225, 231, 238)
#: Height of a caption, pixels.
CAPTION = 22


def captioned(image: Picture, text: str) -> Picture:
    """Return the image with a line of text above it: ``CAPTION`` more rows."""
    band = Image.new("RGB", (image.shape[1], CAPTION), _PAPER)
    ImageDraw.Draw(band).text((6, 5), text, fill=_TEXT, font=ImageFont.load_default(size=11))
    return np.concatenate([np.asarray(band, dtype=np.uint8), image], axis=0)


def beside(images: Sequence[Picture]) -> Picture:
    """Return images side by side, the lower ones filled up with paper."""
    height = max(image.shape[0] for image in images)
    return np.concatenate([_filled(image, height) for image in images], axis=1)


def above(images: Sequence[Picture]) -> Picture:
    """Return images of one width one above the other."""
    return np.concatenate(list(images), axis=0)


def enlarged(image: Picture, width: int, height: int) -> Picture:
    """Return the image at another size, smoothly interpolated."""
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.uint8)


def _filled(image: Picture, height: int) -> Picture:
    missing = np.empty((height - image.shape[0], image.shape[1], 3), np.uint8)
    missing[:] = _PAPER
    return np.concatenate([image, missing], axis=0)
