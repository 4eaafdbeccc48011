"""Pictures as files: there as a whole, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any


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

    partial = path.with_name(f".partial-{path.name}")
    try:
        Image.fromarray(pixels).save(partial, format="PNG")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
