"""Rendering chains: a user's viewpoint track to 6DoF video (clause 5.1, figure 5-1)."""

from nmc_framework.rendering.film import States, render_track
from nmc_framework.rendering.image import render_image
from nmc_framework.rendering.moments import Moment, instants_a_second, is_of_groups, moments
from nmc_framework.rendering.parallel import render_package
from nmc_framework.rendering.spline import KeyPoses, read_keys, spline
from nmc_framework.rendering.trace import TimedTrack, read_eyenavgs
from nmc_framework.rendering.track import (
    TrackError,
    orbit,
    read_track,
    require_length,
    write_track,
)
from nmc_framework.rendering.user import (
    TrackSource,
    orbit_among,
    played,
    user_camera,
    user_track,
)
from nmc_framework.rendering.video import VideoError, write_video

__all__ = [
    "KeyPoses",
    "Moment",
    "States",
    "TimedTrack",
    "TrackError",
    "TrackSource",
    "VideoError",
    "instants_a_second",
    "is_of_groups",
    "moments",
    "orbit",
    "orbit_among",
    "played",
    "read_eyenavgs",
    "read_keys",
    "read_track",
    "render_image",
    "render_package",
    "render_track",
    "require_length",
    "spline",
    "user_camera",
    "user_track",
    "write_track",
    "write_video",
]
