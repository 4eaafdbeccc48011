"""Small videos for the tests of super-resolution: made here, in a second."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw


def picture(index: int, size: tuple[int, int] = (64, 48), scene: int = 0) -> np.ndarray:
    """A grid, stripes and a disc that moves; another scene has other colours and stripes."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    wave = np.sin((x * (0.9 + 0.4 * scene) + 0.1 * index) + 0.7 * y * (1 - 2 * scene))
    bright = 160 - 110 * scene
    base = np.stack([bright + 45 * wave, bright + 40 * np.cos(0.6 * y), bright + x / 2], axis=-1)
    image = Image.fromarray(base.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    left = 4 + 2 * index % max(1, width - 24)
    draw.ellipse((left, 8, left + 18, 26), fill=(240, 230 - 200 * scene, 60))
    draw.line((0, height - 1, width - 1, index), fill=(20, 20, 20), width=1)
    return np.asarray(image)


def write_film(
    path: Path,
    *,
    size: tuple[int, int] = (64, 48),
    count: int = 12,
    cut: int | None = None,
    ticks: list[int] | None = None,
    group: int = 250,
    quality: int = 4,
) -> Path:
    """A film of ``count`` pictures; from ``cut`` on it is another scene; ``ticks`` of 1/30 s."""
    options = {"crf": str(quality), "g": str(group), "threads": "1", "preset": "ultrafast"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
        stream.codec_context.time_base = Fraction(1, 30)
        for index in range(count):
            scene = int(cut is not None and index >= cut)
            frame = av.VideoFrame.from_ndarray(picture(index, size, scene), format="rgb24")
            frame.pts, frame.time_base = (ticks[index] if ticks else index), Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_pictures(folder: Path, count: int = 3, size: tuple[int, int] = (60, 44)) -> Path:
    """A folder of pictures."""
    folder.mkdir()
    for index in range(count):
        Image.fromarray(picture(3 * index, size, index % 2)).save(folder / f"{index}.png")
    return folder
