"""Frames of videos turned as their files say that players turn them (ISO/IEC 14496-12, 8.3.2)."""

from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt


def quarters(frame: av.VideoFrame) -> int:
    """Return the quarter turns counterclockwise, 0 to 3; PyAV before 14 does not tell of them."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Return (width, height) of a frame when it is turned."""
    size = frame.width, frame.height
    return size[::-1] if quarters(frame) % 2 else size


def upright(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """Return a frame's picture, (height, width, 3) uint8, turned."""
    return np.ascontiguousarray(np.rot90(as_it_lies(frame), quarters(frame)))


def as_it_lies(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """Return a frame's picture, (height, width, 3) uint8, as the pixels lie in the file."""
    return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
