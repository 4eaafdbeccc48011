"""Reading pictures and depth files that come from strangers: bounds before any pixel is decoded."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Any, Final
from zlib import error as zlib_error

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from nmc_framework.depth.difference import Picture
from nmc_framework.depth.errors import DepthError

#: Formats that are opened; no other decoder of the library sees a stranger's bytes.
FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
#: Most pixels of a picture, and of its longer side.
MOST_PIXELS: Final = 1 << 26
MOST_SIDE: Final = 1 << 15
#: Most bytes of a file that is read whole.
MOST_BYTES: Final = 1 << 28
#: What the library raises on damaged files.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib_error,
)
#: Modes of which the numbers are depths: one channel of up to 16 bits, or of 32.
_DEPTH_MODES = ("L", "I;16", "I;16L", "I;16B", "I")


def read_picture(source: Path | bytes, name: str = "", *, longest: int | None = None) -> Picture:
    """Return a picture, (height, width, 3) uint8, as it is meant to be looked at.

    Turned as its Exif data say, transparent parts over white, the first of several pictures.

    Parameters
    ----------
    source
        A file, or its bytes.
    name
        What errors call it; a file's own name if empty.
    longest
        Reduce it so that no side is longer.

    Raises
    ------
    DepthError
        When it is no picture that can be read, or has too many pixels; nothing was decoded then.
    """
    called = name or (source.name if isinstance(source, Path) else "the picture")

    def pixels(image: Any) -> Picture:
        if longest is not None and image.format == "JPEG" and max(image.size) > longest:
            image.draft("RGB", (longest, longest))
        turned = ImageOps.exif_transpose(image)
        if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
            layer = turned.convert("RGBA")
            turned = Image.new("RGB", layer.size, "white")
            turned.paste(layer, mask=layer.getchannel("A"))
        elif turned.mode.startswith("I") or turned.mode == "F":
            turned = _eight_bits(turned)
        colours = turned.convert("RGB")
        if longest is not None and max(colours.size) > longest:
            colours.thumbnail((longest, longest), Image.Resampling.BILINEAR)
        return np.asarray(colours, np.uint8)

    return np.asarray(_opened(source, called, pixels), np.uint8)


def read_depth_image(path: Path, unit: float) -> npt.NDArray[np.float32]:
    """Return the depth (height, width) float32 in metres of a grey picture; 0 where missing.

    Parameters
    ----------
    path
        A picture of one channel of 8, 16 or 32 bits.
    unit
        Its number for a metre. 0 is missing, and so is the largest number of 16 bits.

    Raises
    ------
    DepthError
        When it is no such picture.
    """

    def depths(image: Any) -> npt.NDArray[np.float32]:
        if image.mode not in _DEPTH_MODES:
            raise DepthError(
                f"{path.name}: a depth picture has one channel of 8 or 16 bits, not {image.mode}"
            )
        numbers = np.asarray(image).astype(np.int64)
        missing = (numbers <= 0) | (numbers >= 65535)
        return np.where(missing, 0, numbers / unit).astype(np.float32)

    return np.asarray(_opened(path, path.name, depths), np.float32)


def _opened(source: Path | bytes, name: str, read: Any) -> Any:
    """Open a picture, refuse what is too large before it is decoded, and read it."""
    data = _bytes(source, name) if isinstance(source, Path) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bounds of ours come first, damage is told below
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MOST_PIXELS or max(width, height) > MOST_SIDE:
                    raise _too_large(name, f"{width}x{height}")
                return read(image)
    except DepthError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(name, "so many") from error
    except _DAMAGED as error:
        known = "PNG, JPEG, WebP, BMP, TIFF and GIF"
        damaged = "it cannot be read: the file is damaged or cut off"
        reason = f"no picture; {known} are read" if _unknown(error) else damaged
        raise DepthError(f"{name}: {reason}") from error


def _too_large(name: str, size: str) -> DepthError:
    return DepthError(
        f"{name}: {size} pixels are more than the {MOST_PIXELS} that are read; make it smaller"
    )


def _unknown(error: BaseException) -> bool:
    from PIL import UnidentifiedImageError

    return isinstance(error, UnidentifiedImageError)


def _bytes(path: Path, name: str) -> bytes:
    try:
        if not path.is_file():
            raise DepthError(f"{name}: there is no such file")
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise DepthError(f"{name}: {size} bytes are more than the {MOST_BYTES} that are read")
        return path.read_bytes()
    except OSError as error:
        raise DepthError(f"{name}: {error.strerror or error}") from error


def _eight_bits(image: Any) -> Any:
    """Bring a picture of 16 bits, of 32 or of real numbers to 8, its range as it is."""
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    most = float(values.max())
    # What has more than 8 bits need not use them: 32 bits may well hold the levels of 8.
    high = (
        65535.0
        if image.mode.startswith("I;")
        else next((top for top in (255.0, 65535.0) if most <= top), most)
    )
    return Image.fromarray(np.clip(values * (255 / high), 0, 255).round().astype(np.uint8))
