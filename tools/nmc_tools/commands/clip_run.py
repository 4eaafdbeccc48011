"""One run of ``nmc train`` on a video or on pictures: a model of each clip, from the one before."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nmc_tools.commands.chain_run import Run, Subject
from nmc_tools.commands.framework import framework, refuse_given, require_there

if TYPE_CHECKING:
    import nmc
    from nmc_framework.capture import MovingPicture
    from nmc_framework.capture.moving import Pixels
    from nmc_framework.distributed import ClipMaterial
    from nmc_framework.models.pictures import ClipModel
    from nmc_framework.training import Progress, Store, TrainedFrame


@dataclass(eq=False)
class ClipRun(Run):
    """One chain of clips of a video."""

    model: ClipModel
    moving: MovingPicture
    clip: Pixels = field(init=False)

    @property
    def count(self) -> int:
        """Clips of the video."""
        return math.ceil(self.moving.count / self.span)

    @property
    def span(self) -> int:
        """Pictures of a frame of the package."""
        return self.model.size[0]

    @property
    def told(self) -> str:
        """What the manifest calls the number of pictures of a frame."""
        return "pictures"

    def begin(self, writer: nmc.Writer) -> None:
        """Say nothing: there are no cameras."""

    def end(self, writer: nmc.Writer, done: int) -> None:
        """Say nothing: ``nmc evaluate`` scores pictures."""

    def frames(self, store: Store, report: Callable[[Progress], None]) -> Iterator[TrainedFrame]:
        """Train what the store does not have, and yield each frame once it is there."""
        from nmc_framework.training import train_clips

        rate = self.moving.rate
        return train_clips(store, self.model, self._clips, self.schedule, rate=rate, report=report)

    def _clips(self, first: int) -> Iterator[Pixels]:
        """Yield the clips, and keep the one that is trained, to judge its model by."""
        for clip in self.moving.clips(self.span, first):
            self.clip = clip
            yield clip

    def material(self, first: int, end: int) -> ClipMaterial:
        """Return the clips of a group of frames."""
        from nmc_framework.distributed import ClipMaterial

        clips = list(islice(self.moving.clips(self.span, first), end - first))
        times = [float(k * self.span / self.moving.rate) for k in range(first, end)]
        return ClipMaterial(clips, times)

    def extent(self, frame: TrainedFrame) -> dict[str, Any]:
        """Return how many pictures the clip has."""
        if self.sharing is not None:
            self.clip = next(self.moving.clips(self.span, frame.index))
        return {"pictures": len(self.clip)}

    def judged(self, frame: TrainedFrame) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ARG002
        """Return the PSNR of the clip's pictures."""
        from nmc_framework.evaluation.clip_scores import clip_psnr

        return {"psnr": clip_psnr(self.model, self.clip)}, {}


def clip_subject(
    kind: type[ClipModel],
    source: Path | None,
    *,
    refused: Mapping[str, object],
    clip: int | None,
    size: tuple[int, int] | None,
    frames: int | None,
    rate: Fraction | None,
) -> Subject:
    """Open what a model of pictures is trained on.

    ``refused`` are values of options that have no meaning here, by name; one that was given is
    refused.
    """
    refuse_given(refused, f"{kind.family} is a model of pictures, which has no cameras")
    if source is None:
        raise typer.BadParameter("give a video, or a folder of pictures", param_hint="FRAMES")
    require_there([source])
    with framework(source):
        from nmc_framework.capture import open_moving

        moving = open_moving(source, size=size, rate=rate)
    if clip is not None and clip > moving.count:
        raise typer.BadParameter(
            f"{source.name} has {moving.count} pictures: give --clip {moving.count} or less",
            param_hint="--clip",
        )
    span = clip or min(kind.usual, moving.count)
    count = moving.count if frames is None else min(moving.count, frames * span)
    moving = replace(moving, count=count)
    width, height = moving.size
    known = {"width": width, "height": height, "pictures": span}
    return Subject(
        options=known,
        iterations=kind.iterations,
        batch=(kind.batch, kind.batch),
        rate=moving.rate,
        count=math.ceil(count / span),
        clips=True,
        run=lambda output, model, schedule, board: ClipRun(output, model, schedule, board, moving),
    )
