"""``nmc sr train``: the small video and the chain of networks that enlarges it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nmc
from nmc_framework.capture import CaptureError
from nmc_framework.models.chained import ModelError
from nmc_framework.super_resolution.coding import Codec, code_video
from nmc_framework.super_resolution.criteria import require_patches
from nmc_framework.super_resolution.enlarging import LOW_RESOLUTION
from nmc_framework.super_resolution.footage import Footage, look_through
from nmc_framework.super_resolution.resampling import reduced
from nmc_framework.super_resolution.scenes import FrameChoice, Scene, learned_scenes, scenes_of
from nmc_framework.super_resolution.self_transfer import (
    FineTuning,
    fine_tune,
    require_judged,
    require_learnable,
)
from nmc_framework.super_resolution.upscaler import Upscaler
from nmc_framework.training import Progress

Report = Callable[..., None]


@dataclass(frozen=True)
class Wanted:
    """What a transmission is made of.

    ``video`` is the original, or, where ``original`` is False, the small video itself; ``low`` a
    small video that the sender coded already. ``quality`` is that of the lossy coder, None keeps
    every bit. ``key_at_cuts`` of None makes scenes after a cut key frames, but where only the last
    layers learn: those before them would be sent again. ``beside`` leaves the small video beside
    the package, in place of in it.
    """

    video: Path
    output: Path
    original: bool = True
    low: Path | None = None
    codec: Codec = "h264"
    factor: int = 23
    frames: FrameChoice = field(default_factory=FrameChoice)
    clip: float | None = 10.0
    by_cuts: bool = True
    key_at_cuts: bool | None = None
    quality: float | None = None
    size: tuple[int, int] | None = None
    limit: int | None = None
    beside: bool = False
    resume: bool = False
    force: bool = False


def small_video_of(output: Path) -> Path:
    """Return where a small video lies that is made: beside its package, at the end or for good."""
    return output.with_suffix(".low.mp4")


def transmit(wanted: Wanted, model: Upscaler, tuning: FineTuning, report: Report) -> dict[str, Any]:
    """Make the small video and the package; return what is worth telling of them as JSON values.

    Raises
    ------
    CaptureError
        If a video cannot be read, or they do not go together.
    ModelError
        If the network does not fit.
    TrainingError
        If a loss is not finite; the frames before are kept.
    """
    tuning.schedule(model)  # refuses what cannot be, before anything is written
    video = look_through(wanted.video, size=wanted.size, limit=wanted.limit)
    scenes = learned_scenes(
        video, scenes_of(video, seconds=wanted.clip, by_cuts=wanted.by_cuts), wanted.frames
    )
    # Of the pictures that are learned from; where the small video is the goal, of its halves.
    least = min(video.size) // model.scale
    require_patches(tuning.criterion, min(tuning.patch, least), model.scale)
    if tuning.by_niqe:
        grown = 1 if wanted.original else model.scale
        require_judged((video.size[0] * grown, video.size[1] * grown))
    low, original = _small(wanted, video, model.scale)
    quantisation = None if wanted.quality is None else nmc.Quantisation(quality=wanted.quality)
    done = 0

    def tell(at: Progress) -> None:
        report(
            (at.frame - 1) * at.iterations + at.iteration,
            len(scenes) * at.iterations,
            note=f"scene {at.frame}, loss {at.loss:.4f}",
        )

    seconds = 0.0
    with nmc.Writer(
        wanted.output,
        timescale=low.timescale,
        key_every=0,
        quantisation=quantisation,
        resume=wanted.resume,
        overwrite=wanted.force,
        media=() if wanted.beside else [_medium(low, [scene for scene, _ in scenes])],
        **model.in_package(),
    ) as writer:
        for frame in fine_tune(
            writer,
            model,
            scenes,
            low,
            original,
            tuning,
            key_at_cuts=tuning.last is None if wanted.key_at_cuts is None else wanted.key_at_cuts,
            report=tell,
        ):
            done += 1
            seconds += frame.seconds
            report(
                done * frame.iterations,
                len(scenes) * frame.iterations,
                f"scene {frame.index} of {len(scenes)}, loss {frame.loss:.4f}",
            )
    video_bytes = low.path.stat().st_size
    if not (wanted.beside or wanted.low) and low.path == small_video_of(wanted.output):
        low.path.unlink()
    with nmc.open(wanted.output) as sequence:
        sizes = [frame.segment_length for frame in sequence.frames]
    return {
        "pictures": len(video),
        "scenes": [[scene.first, scene.end] for scene, _ in scenes],
        "learned": [len(numbers) for _, numbers in scenes],
        "seconds": seconds,
        "low": {
            "path": str(low.path),
            "bytes": video_bytes,
            "size": list(low.size),
        },
        "frames": sizes,
        "bytes": wanted.output.stat().st_size,
    }


def _medium(low: Footage, scenes: Sequence[Scene]) -> nmc.Media:
    """Return the small video as a package carries it: frame 1 is the network of the first scene.

    Its map goes by time, as a player does that is told where its video stands and no picture's
    number.
    """
    ticks = [low.moments[scene.first].ticks for scene in scenes]
    served: dict[int, int | None] = {at: index for index, at in enumerate(ticks, start=1)}
    return nmc.Media(low.path, role=LOW_RESOLUTION, map=served, timescale=low.timescale)


def _small(wanted: Wanted, video: Footage, scale: int) -> tuple[Footage, Footage | None]:
    """Return the small video, and the original where there is one."""
    if not wanted.original:
        if wanted.low is not None:
            raise CaptureError("without the original, the video itself is the small one")
        require_learnable(video, scale)
        return video, None
    if wanted.low is not None:
        return _fitting(look_through(wanted.low, limit=wanted.limit), video, scale), video
    path = small_video_of(wanted.output)
    if not (wanted.resume and path.exists()):
        code_video(
            path,
            (reduced(picture[None], scale)[0] for picture in video.pictures()),
            [moment.ticks for moment in video.moments],
            video.timescale,
            codec=wanted.codec,
            factor=wanted.factor,
        )
    return _fitting(look_through(path), video, scale), video


def _fitting(low: Footage, video: Footage, scale: int) -> Footage:
    if len(low) != len(video):
        raise CaptureError(
            f"{low.path.name} has {len(low)} pictures and {video.path.name} {len(video)}: the "
            "small video is to be made of the original, picture by picture"
        )
    for side, own in zip(low.size, video.size, strict=True):
        if not side * scale - 2 * scale < own <= side * scale:
            raise ModelError(
                f"{low.path.name} is {low.size[0]}x{low.size[1]}, and {video.path.name} "
                f"{video.size[0]}x{video.size[1]}: that is not {scale} times as large"
            )
    return low
