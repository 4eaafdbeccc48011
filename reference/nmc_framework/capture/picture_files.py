"""Picture files of any kind as eight bits of red, green and blue.

What differs from kind to kind is settled here: grey pictures of sixteen bits lose their lower eight
and not their upper ones, what is transparent is seen before white, as by the readers of NeRF's
synthetic scenes, and a picture that its Exif data turn is turned where somebody wants it upright.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Picture = npt.NDArray[np.uint8]

#: What transparent pixels are seen before, 0..1.
BEHIND: Final = (1.0, 1.0, 1.0)
_OPAQUE = 255
#: Pillow's modes of grey with sixteen bits, and with more, whose range nobody knows.
_SIXTEEN, _UNKNOWN = frozenset({"I;16", "I;16L", "I;16B", "I;16N"}), frozenset({"I", "F"})
#: The Exif tag of the orientation (Exif 2.32, section 4.6.4), and those that exchange the sides.
_ORIENTATION, _TURNED = 0x0112, frozenset({5, 6, 7, 8})


class PictureError(OSError):
    """A file that is no picture, or one of a kind that is not read."""


def read_picture(path: Path, *, upright: bool = False) -> Picture:
    """Read a picture, (height, width, 3) uint8; ``upright``: turned as its Exif data say.

    Raises
    ------
    PictureError
        When the file cannot be read as a picture of eight or sixteen bits.
    """
    try:
        with Image.open(path) as file:
            return _pixels(ImageOps.exif_transpose(file) if upright else file)
    except PictureError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(str(error)) from error


def picture_size(path: Path, *, upright: bool = False) -> tuple[int, int]:
    """Return (width, height) of a picture, by the head of the file; see :func:`read_picture`."""
    try:
        with Image.open(path) as file:
            width, height = file.size
            turned = upright and file.getexif().get(_ORIENTATION) in _TURNED
            return (height, width) if turned else (width, height)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(str(error)) from error


def is_transparent(path: Path) -> bool:
    """Return whether a picture has transparent pixels; no file that is unreadable has."""
    try:
        with Image.open(path) as file:
            if not file.has_transparency_data:
                return False
            return bool(np.asarray(file.convert("RGBA").getchannel("A")).min() < _OPAQUE)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _pixels(file: Image.Image) -> Picture:
    if file.mode in _SIXTEEN:
        grey = (np.asarray(file).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if file.mode in _UNKNOWN:
        raise PictureError(
            "its pixels are not whole numbers of eight or sixteen bits: convert it to such as PNG"
        )
    if not file.has_transparency_data:
        return np.asarray(file.convert("RGB"), dtype=np.uint8)
    behind = Image.new("RGBA", file.size, tuple(round(255 * value) for value in BEHIND))
    seen = Image.alpha_composite(behind, file.convert("RGBA"))
    return np.asarray(seen.convert("RGB"), dtype=np.uint8)
