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
from nmc_framework.metrics import (
    MS_SSIM_SIDE,
    SSIM_SIDE,
    MetricError,
    colour_aligned,
    flicker,
    ms_ssim,
    psnr,
    ssim,
    static_flicker,
    unit,
)
from nmc_framework.models import ChainModel
from nmc_framework.rendering import render_image
from nmc_framework.whole_files import whole

Picture = npt.NDArray[np.uint8]
#: A distance of two images, such as :meth:`nmc_framework.evaluation.lpips.Lpips.distance`.
Distance = Callable[[Picture, Picture], float]

#: Column order of the CSV; NaN, an empty field, where a metric does not apply.
METRICS = ("psnr", "psnr_aligned", "ssim", "ms_ssim", "lpips", "flicker", "static_flicker")
#: What a manifest has columns for (clause 5.7).
RECORDED = ("psnr", "ssim", "lpips")


@dataclass(frozen=True)
class ViewScore:
    """One view of one frame: PSNR in dB, SSIM, MS-SSIM, LPIPS, flicker against the frame before.

    ``psnr_aligned`` is the PSNR after the colours were aligned, ``static_flicker`` the change where
    the truth stands still; see :mod:`nmc_framework.metrics`. NaN where a metric does not apply:
    SSIM and MS-SSIM of small images, LPIPS without its weights, flicker of the first frame and of
    one whose predecessor was not scored, PSNR of aligned colours unless it is asked for.
    """

    frame: int
    view: str
    psnr: float
    ssim: float
    ms_ssim: float
    lpips: float
    flicker: float
    static_flicker: float = float("nan")
    psnr_aligned: float = float("nan")


@dataclass
class HeldOut:
    """Scores a chain frame by frame; keeps the last frame's images only.

    ``scores`` grows by one entry a view with every frame that is scored; ``lpips``, where given,
    measures the learned perceptual distance; with ``align`` the PSNR of aligned colours is measured
    too. ``times`` are the instants of the cameras where each has one of its own.
    """

    cameras: Sequence[Camera]
    lpips: Distance | None = None
    align: bool = False
    times: Sequence[float] | None = None
    scores: list[ViewScore] = field(default_factory=list)
    _last: list[tuple[Picture, Picture]] = field(default_factory=list, repr=False)
    _last_frame: int | None = field(default=None, repr=False)

    def score(
        self,
        model: ChainModel,
        frame: int,
        truths: Sequence[Picture],
        *,
        time: float | None = None,
    ) -> list[Picture]:
        """Render every held-out view of ``frame``, score it, and return the images.

        Of a model of a group, ``frame`` is the instant's number in the footage, and ``time`` that
        in the group.

        Raises
        ------
        MetricError
            When a true image is missing or of another size; the frame and camera are named.
        """
        self._require_all(frame, truths)
        times: Sequence[float | None] = self.times or [time] * len(self.cameras)
        views = [
            render_image(model, camera, time=when)
            for camera, when in zip(self.cameras, times, strict=True)
        ]
        return self.score_images(frame, views, truths)

    def _require_all(self, frame: int, truths: Sequence[Picture]) -> None:
        if len(truths) != len(self.cameras):
            raise MetricError(
                f"frame {frame}: {len(truths)} true images for {len(self.cameras)} held-out cameras"
            )

    def score_images(
        self, frame: int, views: list[Picture], truths: Sequence[Picture]
    ) -> list[Picture]:
        """Score what the held-out cameras see of ``frame``, and return it; see :meth:`score`."""
        self._require_all(frame, truths)
        pairs = list(zip(views, truths, strict=True))
        follows = self._last_frame == frame - 1
        for index, (camera, (view, truth)) in enumerate(zip(self.cameras, pairs, strict=True)):
            if view.shape != truth.shape:
                raise MetricError(
                    f"frame {frame}, camera {camera.name!r}: the true image is {truth.shape}, "
                    f"expected {view.shape}"
                )
            before = self._last[index] if follows else None
            score = score_view(
                frame, camera.name, view, truth, before, self.lpips, align=self.align
            )
            self.scores.append(score)
        self._last, self._last_frame = pairs, frame
        return views

    def mean(self, frame: int, metric: str) -> float:
        """Return the mean of a metric over the views of a frame."""
        values = [getattr(score, metric) for score in self.scores if score.frame == frame]
        return float(np.mean(values))

    def means(self, views: Sequence[str] | None = None) -> dict[str, float]:
        """Return the mean of each metric that has numbers, over all frames and ``views``.

        An infinite PSNR has no number. All views are counted where none are named.
        """
        return metric_means([s for s in self.scores if views is None or s.view in views])

    def table(self, metric: str) -> npt.NDArray[np.float64]:
        """Return a metric as (frames, views) float64, the form a manifest takes."""
        values = np.array([getattr(score, metric) for score in self.scores], dtype=np.float64)
        return values.reshape(-1, len(self.cameras))

    def quality(self) -> dict[str, Any]:
        """Return the arguments of :class:`nmc.Quality`: view names and the tables that apply."""
        measured = RECORDED if self.lpips else RECORDED[:2]
        tables = {metric: self.table(metric) for metric in measured}
        return {"views": [camera.name for camera in self.cameras], "metrics": tables}

    def record(
        self,
        frames: Sequence[int],
        count: int,
        views: Sequence[str] | None = None,
        *,
        of: Sequence[int] | None = None,
    ) -> nmc.Quality:
        """Return the manifest's record of a chain of ``count`` frames, NaN except for ``frames``.

        ``frames`` are those that were scored, in their order; ``views`` those to record, all unless
        named. Where a frame is a group, ``of`` says to which frame each scored instant belongs: the
        record has the means of their instants.
        """
        known = self.quality()
        chosen = [k for k, name in enumerate(known["views"]) if views is None or name in views]
        metrics = {}
        for name, table in known["metrics"].items():
            metrics[name] = np.full((count, len(chosen)), np.nan)
            rows = table[:, chosen]
            if of is not None:
                rows = np.stack([rows[np.asarray(of) == frame].mean(axis=0) for frame in frames])
            metrics[name][list(frames)] = rows
        return nmc.Quality(views=[known["views"][k] for k in chosen], metrics=metrics)


def metric_means(scores: Sequence[ViewScore]) -> dict[str, float]:
    """Return the mean of each metric over the scores that have a number for it, where any has."""
    found = {}
    for metric in METRICS:
        values = [getattr(score, metric) for score in scores]
        known = [value for value in values if np.isfinite(value)]
        if known:
            found[metric] = float(np.mean(known))
    return found


def score_view(
    frame: int,
    view: str,
    image: Picture,
    truth: Picture,
    before: tuple[Picture, Picture] | None = None,
    lpips: Distance | None = None,
    *,
    align: bool = False,
) -> ViewScore:
    """Score one rendered image; ``before`` is the last frame's (image, truth) of the view."""
    shortest = min(image.shape[:2])
    changes = (image, before[0], truth, before[1]) if before else None
    return ViewScore(
        frame=frame,
        view=view,
        psnr=psnr(image, truth),
        ssim=ssim(image, truth) if shortest >= SSIM_SIDE else float("nan"),
        ms_ssim=ms_ssim(image, truth) if shortest >= MS_SSIM_SIDE else float("nan"),
        lpips=lpips(image, truth) if lpips else float("nan"),
        flicker=flicker(*changes) if changes else float("nan"),
        static_flicker=static_flicker(*changes) if changes else float("nan"),
        psnr_aligned=psnr(colour_aligned(image, truth), unit(truth)) if align else float("nan"),
    )


def write_scores(path: Path, scores: Sequence[ViewScore]) -> None:
    """Write scores as CSV, one row a frame and view."""
    with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("frame", "view", *METRICS))
        for score in scores:
            values = [getattr(score, metric) for metric in METRICS]
            texts = ["" if np.isnan(value) else f"{value:.6g}" for value in values]
            writer.writerow((score.frame, score.view, *texts))


def read_scores(path: Path) -> list[ViewScore]:
    """Read what :func:`write_scores` wrote; an empty field is NaN."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            ViewScore(
                frame=int(row["frame"]),
                view=row["view"],
                **{metric: float(row[metric] or "nan") for metric in METRICS},
            )
            for row in csv.DictReader(file)
        ]
