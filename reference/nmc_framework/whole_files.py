"""Files that have their names once they are whole: one whose writing was interrupted is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield the name to write a file by, with its suffix; it is ``path`` after the block.

    After an exception nothing is there but what was there before.
    """
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes."""
    with whole(path) as partial:
        partial.write_bytes(data)


def write_picture(path: Path, pixels: Any) -> None:
    """Write (height, width) or (height, width, 3) pixels, uint8, as the name's suffix says."""
    from PIL import Image

    with whole(path) as partial:
        Image.fromarray(pixels).save(partial)
