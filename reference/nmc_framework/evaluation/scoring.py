"""Scoring a package view by view, and leaving what people look at as it goes (clause 5.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import nmc
from nmc_framework.evaluation.chain_plot import ChainPoint
from nmc_framework.evaluation.gallery import Gallery, film_frame
from nmc_framework.evaluation.held_out import HeldOut
from nmc_framework.models import build
from nmc_framework.rendering import Moment, instants_a_second, write_video

Picture = npt.NDArray[np.uint8]
#: Gives the true pictures of a frame, in the order of the cameras that are scored.
Truths = Callable[[int], Sequence[Picture]]


@dataclass
class Scoring:
    """What scoring a package takes, and where its pictures go.

    Parameters
    ----------
    quality
        Holds the cameras that are scored, and takes the scores.
    frames
        Of the package, ascending.
    moments
        The instants that these show, where they are groups.
    device
        Torch's name of it.
    gallery
        Takes a picture of each view and frame.
    film
        An ``.mp4`` of truth and rendering of ``film_view``, played frame by frame.
    rendered
        Gives the images of each frame, in the order of the cameras, where others render them.
    """

    quality: HeldOut
    frames: Sequence[int]
    device: str = "cpu"
    gallery: Gallery | None = None
    film: Path | None = None
    film_view: int = 0
    moments: Sequence[Moment] = ()
    rendered: Iterator[list[Picture]] | None = None
    points: list[ChainPoint] = field(default_factory=list)

    def run(
        self, sequence: nmc.ChainSequence, truths: Truths, report: Callable[[int, int], None]
    ) -> None:
        """Score every frame; ``report`` is told how many are done, of how many.

        Raises
        ------
        MetricError
            When a true picture is missing or of another size.
        ModelError
            When the package's family cannot be built, or a state is another architecture's.
        """
        scored = self._frames(sequence, truths, report)
        if self.film is None or max(len(self.frames), len(self.moments)) < 2:
            for _ in scored:
                pass
            return
        write_video(self.film, scored, instants_a_second(sequence))

    def _frames(
        self, sequence: nmc.ChainSequence, truths: Truths, report: Callable[[int, int], None]
    ) -> Iterator[Picture]:
        """Score frame after frame; yield that of the film."""
        seen = self.rendered
        model: Any = None
        if seen is None:
            model = build(sequence.family, sequence.configuration).to(self.device)
        shown = self.moments or [Moment(frame, frame, None) for frame in self.frames]
        loaded = None
        means: list[float] = []
        for done, (number, frame, time) in enumerate(shown, start=1):
            if frame != loaded:
                if seen is None:
                    model.load(sequence[frame])
                loaded, means = frame, []
            true = truths(number)
            if seen is None:
                images = self.quality.score(model, number, true, time=time)
            else:
                images = self.quality.score_images(number, next(seen), true)
            scores = self.quality.scores[-len(images) :]
            if self.gallery:
                for score, image, truth in zip(scores, images, true, strict=True):
                    self.gallery.add(number, score.view, image, truth, score.psnr)
            means.append(self.quality.mean(number, "psnr"))
            if done == len(shown) or shown[done].frame != frame:
                self.points.append(_point(sequence, frame, float(np.mean(means))))
            filmed = scores[self.film_view]
            text = f"{filmed.view}, frame {number}: {filmed.psnr:.1f} dB"
            yield film_frame(images[self.film_view], true[self.film_view], text)
            report(done, len(shown))


def _point(sequence: nmc.ChainSequence, frame: int, psnr: float) -> ChainPoint:
    record = sequence.frames[frame]
    return ChainPoint(frame, psnr, record.state_bytes, record.segment_length, record.coding)
