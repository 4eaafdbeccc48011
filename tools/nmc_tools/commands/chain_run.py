"""One run of ``nmc train``: trains what a store lacks, scores held-out views, tells of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nmc_tools.commands.footage import Footage
from nmc_tools.commands.framework import package_cameras
from nmc_tools.terminal import progress_bar, size_text

if TYPE_CHECKING:
    import nmc
    from nmc_framework.distributed import Material, ViewMaterial
    from nmc_framework.evaluation import HeldOut
    from nmc_framework.evaluation.board import Board
    from nmc_framework.models import ChainModel
    from nmc_framework.training import Course, Progress, Schedule, Store, TrainedFrame
    from nmc_tools.commands.shared_training import Sharing
    from nmc_tools.progress import Report

#: Rays a batch of frame 0, and iterations of a later frame.
RAYS, LATER = 1024, 70


@dataclass(frozen=True, eq=False)
class Subject:
    """What a chain is trained on, before there is a model.

    ``options`` are what the family is told of it; ``iterations`` and ``batch`` what serves it, in
    frame 0 and later; ``run`` makes the run, of an output, a model, a schedule and a board.
    """

    options: dict[str, Any]
    iterations: tuple[int, int]
    batch: tuple[int, int]
    rate: Fraction
    count: int
    clips: bool = field(kw_only=True)
    groups: bool = field(default=False, kw_only=True)
    run: Callable[[Path, Any, Schedule, Board | None], Run]


@dataclass(eq=False)
class Run(ABC):
    """One chain to be trained: where it goes, the model, and the plan."""

    #: What goes before the PSNR of a frame where it is told.
    judged_by: ClassVar[str] = ""

    output: Path
    model: ChainModel
    schedule: Schedule
    board: Board | None
    #: How its groups are trained, where they are trained by themselves.
    sharing: Sharing | None = field(default=None, init=False)

    @property
    def anew(self) -> Sequence[int]:
        """Frames whose weights begin at random."""
        return self.sharing.firsts(self.count) if self.sharing else (0,)

    @abstractmethod
    def material(self, first: int, end: int) -> Material:
        """Return what a group of frames is learned from."""

    def _trained(self, store: Store, report: Callable[[Progress], None]) -> Iterator[TrainedFrame]:
        """Train what the store does not have, here or elsewhere."""
        if self.sharing is None:
            return self.frames(store, report)
        return self.sharing.frames(self, store)

    @property
    @abstractmethod
    def count(self) -> int:
        """Frames of the chain."""

    @property
    @abstractmethod
    def span(self) -> int:
        """Instants, or pictures, that a frame is shown."""

    @property
    def told(self) -> str | None:
        """What the manifest calls the number of instants, or pictures, that a frame has."""
        return None

    @abstractmethod
    def begin(self, writer: nmc.Writer) -> None:
        """Put into the package what is known before it is trained."""

    @abstractmethod
    def end(self, writer: nmc.Writer, done: int) -> None:
        """Put into the package what is known after it, whose first ``done`` frames were there."""

    @abstractmethod
    def frames(self, store: Store, report: Callable[[Progress], None]) -> Iterator[TrainedFrame]:
        """Train what the store does not have, and yield each frame once it is there."""

    @abstractmethod
    def judged(self, frame: TrainedFrame) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the scores of a frame that was just trained, and views of it to look at."""

    def extent(self, frame: TrainedFrame) -> dict[str, Any]:  # noqa: ARG002 - for those that have one
        """Return what a record says more of a frame."""
        return {}

    def into(self, store: Store) -> list[dict[str, Any]]:
        """Train what the store does not have, and return a record of each new frame."""
        from nmc_framework.training import Course

        course = Course(self.schedule, self.count, self.anew)
        records = []
        with progress_bar(
            f"training {self.output.name}",
            "iterations",
            kept=lambda: f"{len(store)} of {self.count} frames are kept",
            resume="--resume",
        ) as shown:
            for frame in self._trained(store, self._reported(shown, course)):
                records.append(self._record(frame))
                shown(*course.after(frame), self._told(records[-1]))
        return records

    def _reported(self, shown: Report, course: Course) -> Callable[[Progress], None]:
        """Return what tells of every iteration."""

        def report(progress: Progress) -> None:
            done, total = course.at(progress)
            place = f"frame {progress.frame + 1} of {self.count}"
            note = f"{place} loss {progress.loss:.5f} {progress.quality:5.2f} dB"
            shown(done, total, note=note)
            if self.board:
                self.board.step(progress, done)

        return report

    def _record(self, frame: TrainedFrame) -> dict[str, Any]:
        record: dict[str, Any] = {
            "frame": frame.index,
            **self.extent(frame),
            "iterations": frame.iterations,
            "seconds": frame.seconds,
            "loss": frame.loss,
            "frozen_layers": list(frame.freezing.exclude_layers),
        }
        if math.isfinite(frame.bits):
            record["estimated_bytes"] = math.ceil(frame.bits / 8)
        scores, views = self.judged(frame)
        if self.board:
            self.board.frame(frame.index, scores, views)
        return record | scores

    def _told(self, record: dict[str, Any]) -> str:
        """Return the line of a finished frame."""
        extents = (
            f", {record[what]} {what}" for what in ("pictures", "instants") if what in record
        )
        pictures = "".join(extents)
        quality = f", {self.judged_by}{record['psnr']:.2f} dB" if "psnr" in record else ""
        size = record.get("estimated_bytes")
        weights = "" if size is None else f", weights about {size_text(size)}"
        return (
            f"frame {record['frame'] + 1} of {self.count}{pictures}, loss {record['loss']:.5f}, "
            f"{record['seconds']:.1f} s{weights}{quality}"
        )


def viewed_subject(
    footage: Footage, kind: type[ChainModel], training: list[str], held_out: list[str]
) -> Subject:
    """Return frames of cameras as what is trained on."""
    from nmc_framework.models.radiance.fitting import iterations
    from nmc_framework.models.views import ViewModel

    def run(output: Path, model: Any, schedule: Schedule, board: Board | None) -> ChainRun:
        return ChainRun(output, model, schedule, board, footage, training, held_out)

    return Subject(
        options=footage.options(kind.defaults(), training),
        iterations=(iterations(footage.cameras(training)), LATER),
        batch=(kind.rays if issubclass(kind, ViewModel) else RAYS, 0),
        rate=footage.rate,
        count=footage.count,
        clips=False,
        run=run,
    )


@dataclass(eq=False)
class ChainRun(Run):
    """One chain of frames of cameras: footage, and the names to train on and to hold out."""

    judged_by: ClassVar[str] = "held out "

    footage: Footage
    training: list[str]
    held_out: list[str]
    quality: HeldOut = field(init=False)

    def __post_init__(self) -> None:
        from nmc_framework.evaluation import HeldOut

        self.quality = HeldOut(self.footage.cameras(self.held_out))

    @property
    def count(self) -> int:
        """Frames of the footage."""
        return self.footage.count

    @property
    def span(self) -> int:
        """A frame is one instant."""
        return 1

    def begin(self, writer: nmc.Writer) -> None:
        """Put the cameras into the package."""
        writer.set_cameras(package_cameras(self.footage.rig))

    def end(self, writer: nmc.Writer, done: int) -> None:
        """Put the scores of held-out views into the package.

        Frames of an earlier run were not scored in this one: ``nmc evaluate`` does it.
        """
        if self.held_out:
            scored = list(range(done, len(writer)))
            writer.set_quality(self.quality.record(scored, len(writer)))

    def frames(self, store: Store, report: Callable[[Progress], None]) -> Iterator[TrainedFrame]:
        """Train what the store does not have, and yield each frame once it is there."""
        from nmc_framework.models.views import shown
        from nmc_framework.training import train_into

        if self.footage.points is not None:
            shown(self.model).start_at(self.footage.points)
        return train_into(
            store,
            self.model,
            self.footage.cameras(self.training),
            lambda first: self.footage.views(self.training, first),
            self.schedule,
            report=report,
        )

    def material(self, first: int, end: int) -> ViewMaterial:
        """Return the views of a group of frames."""
        from nmc_framework.distributed import ViewMaterial

        views = list(islice(self.footage.views(self.training, first), end - first))
        return ViewMaterial(self.footage.cameras(self.training), views, self.footage.points)

    def judged(self, frame: TrainedFrame) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the mean scores of the held-out views, and what is seen in them."""
        if not self.held_out:
            return {}, {}
        # What a camera does to its picture is not the scene's, where both are known.
        read = self.footage.clean or self.footage.read
        truths = next(iter(read(self.held_out, frame.index, frame.index + 1))).images
        images = self.quality.score(self.model, frame.index, truths)
        means = {m: self.quality.mean(frame.index, m) for m in ("psnr", "ssim")}
        scores = {m: value for m, value in means.items() if math.isfinite(value)}
        return scores, dict(zip(self.held_out, images, strict=True))
