"""One run of ``nmc train`` on groups of frames of cameras: a model each, from the one before."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import typer

from nmc_tools.commands.chain_run import Run, Subject
from nmc_tools.commands.footage import Footage
from nmc_tools.commands.framework import package_cameras

if TYPE_CHECKING:
    import nmc
    from nmc_framework.distributed import InstantsMaterial
    from nmc_framework.evaluation import HeldOut
    from nmc_framework.evaluation.board import Board
    from nmc_framework.models.dynamic import GroupModel
    from nmc_framework.training import FrameViews, Progress, Schedule, Store, TrainedFrame


@dataclass(eq=False)
class GroupRun(Run):
    """One chain of groups of frames of cameras."""

    judged_by: ClassVar[str] = "held out "

    model: GroupModel
    footage: Footage
    training: list[str]
    held_out: list[str]
    quality: HeldOut = field(init=False)

    def __post_init__(self) -> None:
        from nmc_framework.evaluation import HeldOut

        self.quality = HeldOut(self.footage.cameras(self.held_out), times=self._when(self.held_out))

    def _when(self, names: list[str]) -> list[float] | None:
        """Return the instants of cameras that have one each."""
        return self.footage.instants(names)

    @property
    def count(self) -> int:
        """Groups of the footage."""
        return 1 if self.footage.times else math.ceil(self.footage.count / self.span)

    @property
    def span(self) -> int:
        """Instants of a frame of the package."""
        return self.model.instants

    @property
    def told(self) -> str:
        """What the manifest calls the number of instants of a frame."""
        return "instants"

    def begin(self, writer: nmc.Writer) -> None:
        """Put the cameras into the package."""
        writer.set_cameras(package_cameras(self.footage.rig))

    def end(self, writer: nmc.Writer, done: int) -> None:
        """Put the scores of held-out views into the package, means over each group's instants."""
        if self.held_out and self.quality.scores:
            numbers = list(dict.fromkeys(score.frame for score in self.quality.scores))
            of = [number // self.span for number in numbers]
            frames = list(range(done, len(writer)))
            writer.set_quality(self.quality.record(frames, len(writer), of=of))

    def frames(self, store: Store, report: Callable[[Progress], None]) -> Iterator[TrainedFrame]:
        """Train what the store does not have, and yield each frame once it is there."""
        from nmc_framework.training import train_groups

        return train_groups(
            store,
            self.model,
            self.footage.cameras(self.training),
            self._groups,
            self.schedule,
            rate=self.footage.rate,
            when=self._when(self.training),
            report=report,
        )

    def _groups(self, first: int) -> Iterator[list[FrameViews]]:
        if self.footage.times:
            yield from ([views] for views in self.footage.views(self.training, first))
            return
        views = self.footage.views(self.training, first * self.span)
        while group := list(islice(views, self.span)):
            yield group

    def material(self, first: int, end: int) -> InstantsMaterial:
        """Return the instants of some frames."""
        from nmc_framework.distributed import InstantsMaterial

        instants = list(islice(self._groups(first), end - first))
        times = [float(k * self.span / self.footage.rate) for k in range(first, end)]
        return InstantsMaterial(self.footage.cameras(self.training), instants, times)

    def extent(self, frame: TrainedFrame) -> dict[str, Any]:
        """Return how many instants the group has."""
        return {"instants": int(frame.state["length"])}

    def judged(self, frame: TrainedFrame) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the mean scores of the held-out views over the group, and the last ones seen."""
        if not self.held_out:
            return {}, {}
        first, count = frame.index * self.span, int(frame.state["length"])
        if self.footage.times:
            first, count = 0, 1
        truths = islice(self.footage.views(self.held_out, first), count)
        images: list[Any] = []
        for time, views in enumerate(truths):
            images = self.quality.score(self.model, first + time, views.images, time=float(time))
        found: dict[str, list[float]] = {"psnr": [], "ssim": []}
        for number in range(first, first + count):
            for metric, values in found.items():
                values.append(self.quality.mean(number, metric))
        means = {metric: sum(values) / len(values) for metric, values in found.items()}
        scores = {metric: value for metric, value in means.items() if math.isfinite(value)}
        return scores, dict(zip(self.held_out, images, strict=True))


def grouped_subject(
    footage: Footage,
    kind: type[GroupModel],
    training: list[str],
    held_out: list[str],
    span: int | None,
) -> Subject:
    """Return groups of frames of cameras as what is trained on, of ``span`` instants if named."""
    from nmc_framework.models.dynamic.group import INSTANTS

    if footage.times:
        return _timed_subject(footage, kind, training, held_out, span)
    if span is not None and span > footage.count:
        known = f"there are {footage.count} frames: give --group {footage.count} or less"
        raise typer.BadParameter(known, param_hint="--group")
    instants = span or min(INSTANTS["instants"], footage.count)
    return _subject(footage, kind, training, held_out, instants)


def _timed_subject(
    footage: Footage,
    kind: type[GroupModel],
    training: list[str],
    held_out: list[str],
    span: int | None,
) -> Subject:
    """Return pictures that each have a time of their own as what is trained on: one group."""
    if span is not None:
        reason = "every picture has a time of its own: they are one group"
        raise typer.BadParameter(reason, param_hint="--group")
    if kind.watches_pixels:
        reason = f"{kind.family} learns what moves from cameras that stand still; try dnerf"
        raise typer.BadParameter(reason, param_hint="--family")
    return _subject(footage, kind, training, held_out, len(set(footage.times.values())))


def _subject(
    footage: Footage,
    kind: type[GroupModel],
    training: list[str],
    held_out: list[str],
    instants: int,
) -> Subject:
    from nmc_framework.models.radiance.fitting import iterations
    from nmc_tools.commands.chain_run import LATER

    first, later = kind.times

    def run(output: Path, model: Any, schedule: Schedule, board: Board | None) -> GroupRun:
        return GroupRun(output, model, schedule, board, footage, training, held_out)

    usual = round(first * iterations(footage.cameras(training)))
    return Subject(
        options=footage.options(kind.defaults(), training) | {"instants": instants},
        iterations=(usual, round(later * LATER)),
        batch=(kind.rays, kind.rays),
        rate=footage.rate,
        count=1 if footage.times else math.ceil(footage.count / instants),
        clips=False,
        groups=True,
        run=run,
    )
