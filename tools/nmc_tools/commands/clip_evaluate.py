"""``nmc evaluate`` of a chain of clips: each of its pictures against the video's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_tools.commands.clip_render import is_of_clips
from nmc_tools.commands.framework import chosen_frames, framework, means_text, require_there
from nmc_tools.commands.shared_work import clips_on, cluster_on
from nmc_tools.terminal import counted, print_json, progress_bar, say

if TYPE_CHECKING:
    import nmc
    from nmc_framework.capture import MovingPicture
    from nmc_framework.evaluation import ViewScore
    from nmc_framework.evaluation.held_out import Distance


def is_package_of_clips(package: Path) -> bool:
    """Whether a package holds models of clips that can be shown here."""
    import nmc

    with nmc.open(package) as sequence:
        return is_of_clips(sequence)


@dataclass(frozen=True)
class ClipScoring:
    """A package, the video that is true, and how to compare them."""

    package: Path
    video: Path
    frames: str | None
    lpips: Distance | None
    device: str
    on: str | None = None

    def run(self, *, csv: Path | None, plot: Path | None, write: bool, as_json: bool) -> None:
        """Score the package; write, draw and record the scores where that is asked for."""
        import nmc
        from nmc_framework.evaluation import write_scores
        from nmc_framework.evaluation.clip_scores import score_clips
        from nmc_framework.rendering.clips import clip_model

        with nmc.open(self.package) as sequence:
            chosen = chosen_frames(self.frames, len(sequence))
            span, height, width = clip_model(sequence).size
            moving = self._truth((width, height))
            kept = "the package is as it was"
            with (
                cluster_on(self.on, self.device) as cluster,
                progress_bar(f"evaluating {self.package.name}", kept=kept) as progress,
            ):
                elsewhere = None
                if cluster is not None:
                    elsewhere = clips_on(cluster, self.package, chosen, device=self.device)
                clips = _Ascending(moving, span)
                scores = score_clips(
                    sequence,
                    chosen,
                    clips.at,
                    lpips=self.lpips,
                    device=self.device,
                    report=progress,
                    rendered=elsewhere,
                )
            told = _summary(sequence, chosen, scores, width * height)
            if plot is not None:
                _plot(plot, self.package, sequence, chosen, scores, span)
            count = len(sequence)
        if csv is not None:
            write_scores(csv, scores)
        if write:
            _record(self.package, chosen, scores, span, count)
        _report(self.package, told, scores, as_json=as_json)

    def _truth(self, size: tuple[int, int]) -> MovingPicture:
        from nmc_framework.capture import open_moving

        require_there([self.video])
        with framework(self.video):
            return open_moving(self.video, size=size)


class _Ascending:
    """Clips of a video by number; asked for ascending ones only, it is read once."""

    def __init__(self, moving: MovingPicture, span: int) -> None:
        self._clips = enumerate(moving.clips(span))

    def at(self, wanted: int) -> Any:
        for index, pixels in self._clips:
            if index == wanted:
                return pixels
        from nmc_framework.capture import CaptureError

        raise CaptureError(f"the video has no clip {wanted}, as the package has: it is shorter")


def _summary(
    sequence: nmc.ChainSequence, chosen: list[int], scores: list[ViewScore], pixels: int
) -> dict[str, Any]:
    """Return the means, and the bytes of the frames that were scored, in bits a pixel."""
    from nmc_framework.evaluation.held_out import metric_means

    size = sum(sequence.frames[frame].segment_length for frame in chosen)
    return {
        "frames": chosen,
        "pictures": len(scores),
        "bits_per_pixel": 8 * size / max(1, len(scores) * pixels),
        "mean": metric_means(scores),
    }


def _report(package: Path, told: dict[str, Any], scores: list[ViewScore], *, as_json: bool) -> None:
    import math

    from nmc_framework.evaluation.held_out import METRICS

    if as_json:
        rows = {
            metric: [v if math.isfinite(v) else None for v in (getattr(s, metric) for s in scores)]
            for metric in METRICS
        }
        print_json({"path": str(package), **told, "scores": rows})
        return
    head = f"{counted(len(told['frames']), 'frame')}, {counted(told['pictures'], 'picture')}"
    say(f"{package}: {head}: {means_text(told['mean'])}, {told['bits_per_pixel']:.3f} bits a pixel")


def _by_frame(
    chosen: list[int], scores: list[ViewScore], span: int
) -> list[tuple[int, list[ViewScore]]]:
    return [(frame, [s for s in scores if s.frame // span == frame]) for frame in chosen]


def _record(
    package: Path, chosen: list[int], scores: list[ViewScore], span: int, count: int
) -> None:
    """Put the mean of each frame's pictures over what the package recorded before."""
    import numpy as np

    import nmc
    from nmc.writing import amend
    from nmc_framework.evaluation.clip_scores import VIEW
    from nmc_framework.evaluation.held_out import RECORDED, metric_means

    metrics: dict[str, Any] = {}
    for frame, its in _by_frame(chosen, scores, span):
        for metric, mean in metric_means(its).items():
            if metric in RECORDED:
                metrics.setdefault(metric, np.full((count, 1), np.nan))[frame, 0] = mean
    record = nmc.Quality(views=[VIEW], metrics=metrics)
    amend.write_quality(package, amend.merged(amend.quality_in(package), record))


def _plot(
    path: Path,
    package: Path,
    sequence: nmc.ChainSequence,
    chosen: list[int],
    scores: list[ViewScore],
    span: int,
) -> None:
    from nmc_framework.evaluation import ChainPoint, plot_chain
    from nmc_framework.evaluation.held_out import metric_means

    points = []
    for frame, its in _by_frame(chosen, scores, span):
        record = sequence.frames[frame]
        psnr = metric_means(its).get("psnr", 100.0)
        points.append(
            ChainPoint(frame, psnr, record.state_bytes, record.segment_length, record.coding)
        )
    title = f"{package.name}: {counted(len(chosen), 'frame')}"
    plot_chain(path, points, title, quality="PSNR (dB)")
