"""The receiver's side: pictures of the small video, enlarged by the network of their scene."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

import numpy as np

import nmc
from nmc_framework.models import build
from nmc_framework.models.chained import ModelError
from nmc_framework.super_resolution.footage import Footage
from nmc_framework.super_resolution.resampling import Pictures, bicubic
from nmc_framework.super_resolution.upscaler import Upscaler, upscaling

#: The role of a medium (clause 16.1.2) that is the small video.
LOW_RESOLUTION = "low-resolution"
#: Pictures that are enlarged at a time.
_TOGETHER = 8


def network_of(sequence: nmc.ChainSequence) -> Upscaler:
    """Return the network of a package, with weights of no frame yet.

    Raises
    ------
    ModelError
        If the package holds no networks that enlarge pictures.
    """
    return upscaling(build(str(sequence.family), sequence.configuration))


def shown_size(sequence: nmc.ChainSequence) -> tuple[int, int] | None:
    """Return the size (width, height) of the original, where the package says it.

    Raises
    ------
    ModelError
        If what it says is no size.
    """
    for frame in sequence.frames[1:2]:
        found = (frame.extras or {}).get("size")
        if found is None:
            return None
        if not (
            isinstance(found, list)
            and len(found) == 2
            and all(isinstance(side, int) and side > 0 for side in found)
        ):
            raise ModelError(
                f"the package says that its pictures are {found!r}: that is not a size"
            )
        return int(found[0]), int(found[1])
    return None


def carried(sequence: nmc.ChainSequence) -> nmc.Medium | None:
    """Return the small video that a package carries (clause 16); None where it carries none."""
    return next((m for m in sequence.media.values() if m.role == LOW_RESOLUTION), None)


def frames_of(sequence: nmc.ChainSequence, low: Footage) -> list[int]:
    """Return the frame that enlarges each picture of the small video.

    That is what the map of the medium says (clause 16.2); pictures that it says nothing of are
    enlarged by the network as it was pre-trained. Without a map it goes by the frames' times.
    """
    medium = carried(sequence)
    if medium is not None and medium.map is not None:
        served = medium.map
        scale = Fraction(served.timescale, low.timescale)
        places = (
            int(moment.ticks * scale) if served.timescale else number
            for number, moment in enumerate(low.moments)
        )
        return [served.frame_at(place) or 0 for place in places]
    times = [frame.presentation_time for frame in sequence.frames]
    ticks = Fraction(sequence.manifest.timescale, low.timescale)
    return [max(0, bisect_right(times, moment.ticks * ticks) - 1) for moment in low.moments]


def enlarged_film(
    sequence: nmc.ChainSequence,
    low: Footage,
    *,
    frame: int | None = None,
    size: tuple[int, int] | None = None,
    device: str = "cpu",
) -> Iterator[Pictures]:
    """Yield the pictures (height, width, 3) uint8 of a small video, enlarged.

    Parameters
    ----------
    sequence
        An opened package of networks.
    low
        The small video.
    frame
        The frame that enlarges all of them, such as 0 for the network as it was pre-trained; by
        default each picture is enlarged by that of its scene.
    size
        (width, height) that they are cut to; by default what the package says, or as they are.
    device
        Torch device that enlarges.

    Raises
    ------
    ModelError
        If the package holds other models, or the small video does not fit what it says.
    """
    model = network_of(sequence).to(device)
    width, height = cut_size(low, model.scale, size or shown_size(sequence))
    frames = [frame] * len(low) if frame is not None else frames_of(sequence, low)
    loaded = -1
    pictures = low.pictures()
    for number, together in _runs(frames):
        if number != loaded:
            model.load(sequence[number])
            loaded = number
        for large in model.enlarge(np.stack(list(islice(pictures, together)))):
            yield large[:height, :width]


def bicubic_film(low: Footage, scale: int, size: tuple[int, int] | None) -> Iterator[Pictures]:
    """Yield the pictures of a small video, enlarged by the bicubic filter alone."""
    width, height = cut_size(low, scale, size)
    for picture in low.pictures():
        yield bicubic(picture[None], scale)[0][:height, :width]


def cut_size(low: Footage, scale: int, size: tuple[int, int] | None) -> tuple[int, int]:
    """Return the size (width, height) that enlarged pictures are cut to.

    Raises
    ------
    ModelError
        If they are smaller than that, or by more than an encoder and rounding add.
    """
    whole = low.size[0] * scale, low.size[1] * scale
    if size is None:
        return whole
    # Rounding up adds less than the scale, and making the small side even the scale once more.
    if not all(side - 2 * scale < want <= side for side, want in zip(whole, size, strict=True)):
        raise ModelError(
            f"{low.path.name} is {low.size[0]}x{low.size[1]}, {scale} times as large "
            f"{whole[0]}x{whole[1]}: that is not the video of {size[0]}x{size[1]} that the package "
            "was made of"
        )
    return size


def _runs(frames: list[int]) -> Iterator[tuple[int, int]]:
    """Yield frames, and how many pictures that follow one another each enlarges at once."""
    begin = 0
    for end in range(1, len(frames) + 1):
        ended = end == len(frames) or frames[end] != frames[begin]
        if ended or end - begin == _TOGETHER:
            yield frames[begin], end - begin
            begin = end
