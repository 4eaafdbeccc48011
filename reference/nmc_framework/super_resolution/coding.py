"""The small video of a transmission: coded pictures with the times of the original (PyAV)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from nmc_framework.capture import CaptureError
from nmc_framework.rendering.video import say_colours
from nmc_framework.super_resolution.resampling import Pictures
from nmc_framework.whole_files import whole

Codec = Literal["h264", "hevc", "av1"]
#: FFmpeg's encoders of each, and the options that make them repeatable. Some of x264's AVX-512 code
#: gives other bits for the same pictures now and then; code that any processor agrees on does not.
_ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": (
        "libx264",
        {"preset": "slow", "threads": "1", "x264-params": "cpu-independent=1"},
    ),
    "hevc": ("libx265", {"preset": "slow", "x265-params": "log-level=none:info=0:pools=1"}),
    "av1": ("libsvtav1", {"preset": "6", "svtav1-params": "lp=1"}),
}
CODECS: tuple[Codec, ...] = ("h264", "hevc", "av1")


def code_video(
    path: Path,
    pictures: Iterable[Pictures],
    ticks: Iterable[int],
    timescale: int,
    *,
    codec: Codec = "h264",
    factor: int = 23,
    chroma: str = "yuv420p",
) -> int:
    """Code pictures into ``.mp4`` with their own times; return how many they were.

    It has its name when it is whole. Odd sizes are made even by repeating the border.

    Parameters
    ----------
    path
        Ends in ``.mp4``; what is there is replaced.
    pictures
        (height, width, 3) uint8, all of one size.
    ticks
        When each is shown.
    timescale
        Ticks a second.
    codec
        H.264, HEVC or AV1.
    factor
        The encoder's constant rate factor.
    chroma
        FFmpeg's name of how colours are sampled.

    Raises
    ------
    CaptureError
        If there are no pictures, or this FFmpeg has no such encoder.
    """
    name, options = _ENCODERS[codec]
    try:
        with whole(path) as partial:
            count = _coded(partial, pictures, ticks, timescale, name, options, factor, chroma)
            if not count:
                raise CaptureError(f"{path.name}: there are no pictures to code")
    except av.FFmpegError as error:
        raise CaptureError(
            f"{name} cannot code these pictures at rate factor {factor} ({error.strerror}): choose "
            "another codec, rate factor or size"
        ) from error
    return count


def _coded(
    path: Path,
    pictures: Iterable[Pictures],
    ticks: Iterable[int],
    timescale: int,
    encoder: str,
    options: dict[str, str],
    factor: int,
    chroma: str,
) -> int:
    count = 0
    base = Fraction(1, timescale)
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = None
        for picture, time in zip(pictures, ticks, strict=False):
            if stream is None:
                try:
                    stream = container.add_stream(encoder, options=options | {"crf": str(factor)})
                except (av.FFmpegError, ValueError) as error:
                    raise CaptureError(f"this FFmpeg has no encoder {encoder}") from error
                stream.height, stream.width = (side + side % 2 for side in picture.shape[:2])
                stream.pix_fmt = chroma
                say_colours(stream.codec_context)
                stream.time_base = stream.codec_context.time_base = base
                if encoder == "libx265":
                    stream.codec_context.codec_tag = "hvc1"
            frame = av.VideoFrame.from_ndarray(_even(picture), format="rgb24")
            frame.pts, frame.time_base = time, base
            container.mux(stream.encode(frame))
            count += 1
        if stream is not None:
            container.mux(stream.encode(None))
    return count


def as_decoded(picture: Pictures, codec: Codec, factor: int) -> Pictures:
    """Return a picture (height, width, 3) uint8 as a receiver has it who decodes it.

    Raises
    ------
    CaptureError
        If this FFmpeg cannot code it.
    """
    height, width = picture.shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.mp4"
        code_video(path, [picture], [0], 1, codec=codec, factor=factor)
        with av.open(str(path)) as container:
            [frame] = container.decode(video=0)
    return np.asarray(frame.to_ndarray(format="rgb24")[:height, :width], np.uint8)


def _even(picture: Pictures) -> Pictures:
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
