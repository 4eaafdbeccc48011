"""Multi-view video in: the first box of figure 5-1 (clause 5.1)."""

from nmc_framework.capture.finding import find_sources
from nmc_framework.capture.frames import intervals, read_frames, synchronise
from nmc_framework.capture.moving import MovingPicture, open_moving
from nmc_framework.capture.opening import background_of, open_sources, picture_sizes, turned_to
from nmc_framework.capture.source import (
    CaptureError,
    ImageSource,
    Source,
    VideoSource,
    read_stamps,
)
from nmc_framework.capture.synchrony import CameraSynchrony, Instant, Synchrony, by_index, by_time

__all__ = [
    "CameraSynchrony",
    "CaptureError",
    "ImageSource",
    "Instant",
    "MovingPicture",
    "Source",
    "Synchrony",
    "VideoSource",
    "background_of",
    "by_index",
    "by_time",
    "find_sources",
    "intervals",
    "open_moving",
    "open_sources",
    "picture_sizes",
    "read_frames",
    "read_stamps",
    "synchronise",
    "turned_to",
]
