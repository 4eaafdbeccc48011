"""Scoring chains of clips: each picture against the true one (clause 5.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
import numpy.typing as npt

import nmc
from nmc_framework.evaluation.held_out import Distance, ViewScore, score_view
from nmc_framework.metrics import MetricError, psnr
from nmc_framework.models.pictures import ClipModel
from nmc_framework.rendering.clips import Shown, clip_model, clip_pictures, package_pictures

Pixels = npt.NDArray[np.uint8]
#: What the one view is called that a video has.
VIEW = "picture"


def clip_psnr(model: ClipModel, pixels: Pixels) -> float:
    """Return the mean PSNR in dB of a model's pictures against (pictures, height, width, 3)."""
    return pictures_psnr(clip_pictures(model), pixels)


def pictures_psnr(pictures: Iterable[Pixels], truths: Iterable[Pixels]) -> float:
    """Return the mean PSNR in dB of pictures against as many true ones."""
    scores = [psnr(seen, true) for seen, true in zip(pictures, truths, strict=True)]
    # A perfect picture has no number; 100 dB is beyond what 8 bits can tell.
    return float(np.mean(np.minimum(scores, 100.0)))


def score_clips(
    sequence: nmc.ChainSequence,
    frames: Sequence[int],
    truths: Callable[[int], Pixels],
    *,
    lpips: Distance | None = None,
    device: str = "cpu",
    report: Callable[[int, int], None] | None = None,
    rendered: Shown | None = None,
) -> list[ViewScore]:
    """Score the pictures of a package of clips.

    Parameters
    ----------
    sequence
        An opened package.
    frames
        Of the package, ascending.
    truths
        Gives the true pictures (pictures, height, width, 3) uint8 of a frame.
    lpips
        Where given, measures the learned perceptual distance.
    device
        Torch's name of where to render.
    report
        Told how many frames are done, of how many.
    rendered
        The pictures of these frames, where they are rendered elsewhere.

    Returns
    -------
    list of ViewScore
        Their ``frame`` counts pictures of the video.

    Raises
    ------
    MetricError
        When a true picture is missing or of another size; it is named.
    """
    scores: list[ViewScore] = []
    model = clip_model(sequence, device if rendered is None else "cpu")
    span = model.size[0]
    shown = rendered or package_pictures(sequence, model, frames)
    before: tuple[Pixels, Pixels] | None = None
    last = -2
    for done, (frame, pictures) in enumerate(groupby(shown, key=itemgetter(0))):
        if report:
            report(done, len(frames))
        pixels = truths(frame)
        for _, number, picture in pictures:
            index = frame * span + number
            if number >= len(pixels):
                raise MetricError(f"picture {index} has no true one: the video is shorter")
            true = pixels[number]
            if picture.shape != true.shape:
                raise MetricError(
                    f"picture {index}: the true one is {true.shape[1]}x{true.shape[0]}, "
                    f"expected {picture.shape[1]}x{picture.shape[0]}"
                )
            follows = before if last == index - 1 else None
            scores.append(score_view(index, VIEW, picture, true, follows, lpips))
            before, last = (picture, true), index
    if report:
        report(len(frames), len(frames))
    return scores
