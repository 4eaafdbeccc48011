"""``nmc sr evaluate``: bicubic, pre-trained and fine-tuned pictures beside the original."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

import nmc
from nmc_framework.capture import CaptureError
from nmc_framework.evaluation.held_out import Distance
from nmc_framework.metrics import MetricError
from nmc_framework.super_resolution.enlarging import (
    bicubic_film,
    enlarged_film,
    network_of,
    shown_size,
)
from nmc_framework.super_resolution.footage import Footage
from nmc_framework.super_resolution.luma import luma_ms_ssim, luma_psnr, luma_ssim
from nmc_framework.super_resolution.niqe import niqe
from nmc_framework.super_resolution.resampling import Pictures

#: Metrics by name, each with the texts that tables and lines have of it.
METRICS = {
    "psnr": ("PSNR", "{:.2f} dB"),
    "ssim": ("SSIM", "SSIM {:.4f}"),
    "ms_ssim": ("MS-SSIM", "MS-SSIM {:.4f}"),
    "lpips": ("LPIPS", "LPIPS {:.4f}"),
    "niqe": ("NIQE", "NIQE {:.3f}"),
}


#: Seconds by which times of the same picture may differ: containers round them.
_SAME_TIME = 0.002
#: PSNR in dB below which pictures are taken to be of two films: those that have nothing to do with
#: one another have 8 to 14, a coded film enlarged by the filter more than 20.
_UNLIKE = 16.0


@dataclass
class Scores:
    """What a way to enlarge has reached: each metric of each picture that was measured.

    ``shown`` is the picture that was asked for, to be looked at.
    """

    name: str
    of: dict[str, list[float]] = field(default_factory=dict)
    shown: Pictures | None = None

    def add(self, values: dict[str, float]) -> None:
        """Take over the metrics of one picture."""
        for metric, value in values.items():
            self.of.setdefault(metric, []).append(value)

    def means(self) -> dict[str, float]:
        """Return the mean of each metric that could be measured."""
        found = {}
        for metric, values in self.of.items():
            known = [value for value in values if math.isfinite(value)]
            if known:
                found[metric] = float(np.mean(known))
        return found


def score_picture(
    picture: Pictures, truth: Pictures | None, border: int, lpips: Distance | None = None
) -> dict[str, float]:
    """Return the metrics of one picture; those that it is too small for are left out."""
    found = {}
    if truth is not None:
        found = {
            "psnr": luma_psnr(picture, truth, border),
            "ssim": luma_ssim(picture, truth, border),
            "ms_ssim": luma_ms_ssim(picture, truth, border),
        }
        if lpips is not None:
            found["lpips"] = lpips(picture, truth)
    try:
        found["niqe"] = niqe(picture)
    except MetricError:
        found["niqe"] = math.nan
    return found


def evaluate(
    package: Path,
    low: Footage,
    original: Footage | None,
    *,
    every: int = 1,
    keep: int | None = None,
    lpips: Distance | None = None,
    device: str = "cpu",
    report: Callable[[int, int], None] | None = None,
) -> list[Scores]:
    """Score the bicubic filter, the network as pre-trained, and those of the scenes.

    Parameters
    ----------
    package
        Of networks.
    low
        The small video.
    original
        What it was made of; without it NIQE alone is measured.
    every
        Score every so many pictures.
    keep
        The picture, by number, that each way is to show.
    lpips
        Where given, measures the learned perceptual distance.
    device
        Torch device that enlarges.
    report
        Told how many pictures are done.

    Raises
    ------
    CaptureError
        If the original has fewer pictures than the small video.
    """
    if original is not None and len(original) < len(low):
        raise CaptureError(
            f"{original.path.name} has {len(original)} pictures, and the small video {len(low)}: "
            "give the film that it was made of"
        )
    with nmc.open(package) as sequence:
        scale = network_of(sequence).scale
        size = original.size if original is not None else shown_size(sequence)
        ways: list[tuple[str, Iterator[Pictures]]] = [
            ("bicubic", bicubic_film(low, scale, size)),
            ("pre-trained", enlarged_film(sequence, low, frame=0, size=size, device=device)),
        ]
        if len(sequence) > 1:
            ways.append(("fine-tuned", enlarged_film(sequence, low, size=size, device=device)))
        return _scored(ways, low, original, scale, every, keep, lpips, report)


def _scored(
    ways: Sequence[tuple[str, Iterator[Pictures]]],
    low: Footage,
    original: Footage | None,
    border: int,
    every: int,
    keep: int | None,
    lpips: Distance | None,
    report: Callable[[int, int], None] | None,
) -> list[Scores]:
    found = []
    for done, (name, film) in enumerate(ways):
        scores = Scores(name)
        truths = original.pictures() if original is not None else iter(())
        for number, picture in enumerate(film):
            truth = next(truths) if original is not None else None
            if number == keep:
                scores.shown = picture
            if number % every == 0:
                scores.add(score_picture(picture, truth, border, lpips))
            if report:
                report(done * len(low) + number + 1, len(ways) * len(low))
        found.append(scores)
    return found


def doubts(low: Footage, original: Footage, found: Sequence[Scores]) -> list[str]:
    """Return what speaks against an original being the film that a small video was made of.

    Parameters
    ----------
    low
        The small video.
    original
        With one picture more than it, if the file goes on.
    found
        What was scored.
    """
    told = []
    name, count = original.path.name, len(low)
    if len(original) > count:
        told.append(f"{name} goes on after picture {count}: only the first {count} are scored")
    mine, theirs = (
        [float(Fraction(moment.ticks, film.timescale)) for moment in film.moments[:count]]
        for film in (low, original)
    )
    if not np.allclose(mine, theirs, rtol=0, atol=_SAME_TIME):
        told.append(f"{name} shows its pictures at other times than the small video")
    likeness = next(scores for scores in found if scores.name == "bicubic").means().get("psnr")
    if likeness is not None and likeness < _UNLIKE:
        told.append(f"{name} has little in common with the small video: is it another film?")
    return told


def line(scores: Scores) -> str:
    """Return the means in one line for people."""
    means = scores.means()
    return ", ".join(text.format(means[m]) for m, (_, text) in METRICS.items() if m in means)
