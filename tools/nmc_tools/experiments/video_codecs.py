"""x264 and x265 through PyAV, without a container: the bytes are those of the bitstream alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

X264, X265 = "libx264", "libx265"
_DECODERS = {X264: "h264", X265: "hevc"}
#: Of smaller pictures x265's assembly writes beyond the ends, which ends the process.
_SMALL = 128


def coded(
    pictures: Sequence[Picture],
    library: str,
    *,
    pixels: str,
    given: str,
    rate: int,
    options: dict[str, str],
) -> tuple[int, Picture]:
    """Return the bytes of a film's bitstream, and the pictures that are decoded from it.

    Parameters
    ----------
    pictures
        As PyAV takes them in the format ``given``, such as (height, width, 3) uint8 of "rgb24";
        they are decoded to it as well.
    library
        :data:`X264` or :data:`X265`.
    pixels
        The format that is coded, such as "yuv444p".
    rate
        Pictures a second.
    options
        Of the library.
    """
    import av

    frames = [av.VideoFrame.from_ndarray(picture, format=given) for picture in pictures]
    encoder: Any = av.CodecContext.create(library, "w")
    encoder.width, encoder.height, encoder.pix_fmt = frames[0].width, frames[0].height, pixels
    encoder.time_base, encoder.framerate = Fraction(1, rate), Fraction(rate)
    encoder.options = options | {"threads": "1"}
    if library == X265:
        careful = ":no-asm=1" if min(frames[0].width, frames[0].height) < _SMALL else ""
        given_params = options.get("x265-params", "")
        params = f"log-level=none:info=0:pools=1{careful}:{given_params}".rstrip(":")
        encoder.options = encoder.options | {"x265-params": params}
    packets = []
    for number, frame in enumerate(frames):
        converted = frame.reformat(format=pixels)
        converted.pts, converted.time_base = number, Fraction(1, rate)
        packets += encoder.encode(converted)
    packets += encoder.encode(None)
    stream = [bytes(packet) for packet in packets]
    decoder: Any = av.CodecContext.create(_DECODERS[library], "r")
    shown = [f for data in stream for f in decoder.decode(av.Packet(data))]
    shown += decoder.decode(None)
    size = sum(len(data) if library == X265 else _without_notes(data) for data in stream)
    return size, np.stack([frame.to_ndarray(format=given) for frame in shown])


def _without_notes(packet: bytes) -> int:
    """Return the bytes of H.264 without what x264 says of itself (units of type 6, 7.3.1)."""
    units = re.split(rb"\x00\x00\x00?\x01", packet)[1:]
    return sum(len(unit) + 3 for unit in units if unit and unit[0] & 31 != 6)
