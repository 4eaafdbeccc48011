"""Pictures as files: there as a whole, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nmc_framework.whole_files import whole


def write_png(path: Path, pixels: Any) -> None:
    """Write a picture as PNG, which appears under its name when it is complete.

    Parameters
    ----------
    path : Path
        The file; one that is there is replaced.
    pixels : array of shape (height, width) or (height, width, 3)
        8 bits a channel, or 16 bits of one.

    Raises
    ------
    OSError
        If it cannot be written. What was there before is there still.
    """
    from PIL import Image

    with whole(path) as partial:
        Image.fromarray(pixels).save(partial, format="PNG")
