"""6DoF video: for each frame of a track, that frame's model seen from the user's viewpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras import Camera, Viewpoint
from nmc_framework.models import ChainModel
from nmc_framework.rendering.image import render_image
from nmc_framework.rendering.track import require_length


class States(Protocol):
    """States by frame index: an opened package, or a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Mapping[str, Any]: ...


def render_track(
    model: ChainModel,
    states: States,
    track: Sequence[Viewpoint],
    camera: Camera,
    frames: Sequence[int] | None = None,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Render a user's track, one image a viewpoint.

    Parameters
    ----------
    model
        A model of the states' family and configuration; its weights are overwritten.
    states
        The chain.
    track
        One viewpoint an image.
    camera
        Intrinsics of the images; its pose is not used.
    frames
        Which frame each image shows; without it image t shows frame t.

    Raises
    ------
    TrackError
        When the track is not as long as ``frames``, or as the chain.
    """
    shown = range(len(states)) if frames is None else frames
    require_length(track, len(shown))
    loaded = None
    for frame, viewpoint in zip(shown, track, strict=True):
        if frame != loaded:
            model.load(states[frame])
            loaded = frame
        yield render_image(model, camera.at(viewpoint.camera_to_world()))
