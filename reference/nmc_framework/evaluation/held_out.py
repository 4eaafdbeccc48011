"""The test-set render mode: held-out cameras against the truth, per frame and view (clause 5.1)."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import nmc
from nmc_framework.cameras import Camera
from nmc_framework.metrics import MetricError, flicker, ms_ssim, psnr, ssim
from nmc_framework.models import ChainModel
from nmc_framework.rendering import render_image

Picture = npt.NDArray[np.uint8]
#: A distance of two images, such as :meth:`nmc_framework.evaluation.lpips.Lpips.distance`.
Distance = Callable[[Picture, Picture], float]

#: Column order of the CSV; NaN, an empty field, where a metric does not apply.
METRICS = ("psnr", "ssim", "ms_ssim", "lpips", "flicker")
#: What a manifest has columns for (clause 5.7).
_RECORDED = ("psnr", "ssim", "lpips")


@dataclass(frozen=True)
class ViewScore:
    """One view of one frame: PSNR in dB, SSIM, MS-SSIM, LPIPS, flicker against the frame before.

    NaN where a metric does not apply: MS-SSIM of small images, LPIPS without its weights, flicker
    of the first frame and of one whose predecessor was not scored.
    """

    frame: int
    view: str
    psnr: float
    ssim: float
    ms_ssim: float
    lpips: float
    flicker: float


@dataclass
class HeldOut:
    """Scores a chain frame by frame; keeps the last frame's images only.

    ``scores`` grows by one entry a view with every frame that is scored; ``lpips``, where given,
    measures the learned perceptual distance.
    """

    cameras: Sequence[Camera]
    lpips: Distance | None = None
    scores: list[ViewScore] = field(default_factory=list)
    _last: list[tuple[Picture, Picture]] = field(default_factory=list, repr=False)
    _last_frame: int | None = field(default=None, repr=False)

    def score(self, model: ChainModel, frame: int, truths: Sequence[Picture]) -> list[Picture]:
        """Render every held-out view of ``frame``, score it, and return the images.

        Raises
        ------
        MetricError
            When a true image is missing or of another size; the frame and camera are named.
        """
        if len(truths) != len(self.cameras):
            raise MetricError(
                f"frame {frame}: {len(truths)} true images for {len(self.cameras)} held-out cameras"
            )
        views = [render_image(model, camera) for camera in self.cameras]
        pairs = list(zip(views, truths, strict=True))
        follows = self._last_frame == frame - 1
        for index, (camera, (view, truth)) in enumerate(zip(self.cameras, pairs, strict=True)):
            if view.shape != truth.shape:
                raise MetricError(
                    f"frame {frame}, camera {camera.name!r}: the true image is {truth.shape}, "
                    f"expected {view.shape}"
                )
            before = self._last[index] if follows else None
            score = score_view(frame, camera.name, view, truth, before, self.lpips)
            self.scores.append(score)
        self._last, self._last_frame = pairs, frame
        return views

    def mean(self, frame: int, metric: str) -> float:
        """Return the mean of a metric over the views of a frame."""
        values = [getattr(score, metric) for score in self.scores if score.frame == frame]
        return float(np.mean(values))

    def table(self, metric: str) -> npt.NDArray[np.float64]:
        """Return a metric as (frames, views) float64, the form a manifest takes."""
        values = np.array([getattr(score, metric) for score in self.scores], dtype=np.float64)
        return values.reshape(-1, len(self.cameras))

    def quality(self) -> dict[str, Any]:
        """Return the arguments of :class:`nmc.Quality`: view names and the tables that apply."""
        measured = _RECORDED if self.lpips else _RECORDED[:2]
        tables = {metric: self.table(metric) for metric in measured}
        return {"views": [camera.name for camera in self.cameras], "metrics": tables}

    def record(self, frames: Sequence[int], count: int) -> nmc.Quality:
        """Return the manifest's record of a chain of ``count`` frames, NaN but for ``frames``.

        ``frames`` are those that were scored, in their order.
        """
        known = self.quality()
        metrics = {}
        for name, table in known["metrics"].items():
            metrics[name] = np.full((count, len(self.cameras)), np.nan)
            metrics[name][list(frames)] = table
        return nmc.Quality(views=known["views"], metrics=metrics)


def score_view(
    frame: int,
    view: str,
    image: Picture,
    truth: Picture,
    before: tuple[Picture, Picture] | None = None,
    lpips: Distance | None = None,
) -> ViewScore:
    """Score one rendered image; ``before`` is the last frame's (image, truth) of the view."""
    large = min(image.shape[:2]) >= 176
    return ViewScore(
        frame=frame,
        view=view,
        psnr=psnr(image, truth),
        ssim=ssim(image, truth),
        ms_ssim=ms_ssim(image, truth) if large else float("nan"),
        lpips=lpips(image, truth) if lpips else float("nan"),
        flicker=flicker(image, before[0], truth, before[1]) if before else float("nan"),
    )


def write_scores(path: Path, scores: Sequence[ViewScore]) -> None:
    """Write scores as CSV, one row a frame and view."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("frame", "view", *METRICS))
        for score in scores:
            values = [getattr(score, metric) for metric in METRICS]
            texts = ["" if np.isnan(value) else f"{value:.6g}" for value in values]
            writer.writerow((score.frame, score.view, *texts))
