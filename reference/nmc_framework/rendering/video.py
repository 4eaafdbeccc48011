"""Writing images as an H.264 video that plays everywhere (PyAV)."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.video.stream
import numpy as np
import numpy.typing as npt

from nmc_framework.whole_files import whole


class VideoError(ValueError):
    """Images that make no video."""


def write_video(
    path: Path,
    images: Iterable[npt.NDArray[np.uint8]],
    rate: Fraction | int,
    *,
    quality: int = 18,
) -> int:
    """Write images as they come and return how many they were.

    An interrupted video is none: it is written under another name, and has its own when whole.

    Parameters
    ----------
    path
        Ends in ``.mp4``.
    images
        (height, width, 3) uint8, all of one size; odd sizes are padded by repeating the border,
        as 4:2:0 sampling needs even ones.
    rate
        Frames a second.
    quality
        The encoder's constant rate factor: 0 lossless, 18 visually so, 51 worst.

    Raises
    ------
    VideoError
        When there is no image, or one of another size; its number is named.
    """
    with whole(path) as partial:
        count = _written(partial, images, Fraction(rate), quality)
        if not count:
            raise VideoError(f"{path.name}: no images to write")
    return count


def _written(
    path: Path, images: Iterable[npt.NDArray[np.uint8]], rate: Fraction, quality: int
) -> int:
    options = {"crf": str(quality), "preset": "medium", "threads": "1"}
    count = 0
    first: tuple[int, ...] = ()
    with av.open(str(path), "w") as container:
        stream: Any = None
        for image in images:
            if stream is None:
                first = image.shape
                stream = container.add_stream("libx264", rate=rate, options=options)
                stream.height, stream.width = (side + side % 2 for side in first[:2])
                stream.pix_fmt = "yuv420p"
                say_colours(stream.codec_context)
            if image.shape != first:
                raise VideoError(f"image {count} is {image.shape}, the first one was {first}")
            frame = av.VideoFrame.from_ndarray(_even(image), format="rgb24")
            container.mux(stream.encode(frame))
            count += 1
        if stream is not None:
            container.mux(stream.encode(None))
    return count


def say_colours(codec: Any) -> None:
    """Say which YCbCr the frames are made of, BT.601 of limited range: else players guess."""
    codec.colorspace = av.video.reformatter.Colorspace.ITU601
    codec.color_range = av.video.reformatter.ColorRange.MPEG


def _even(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = image.shape[:2]
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
