"""One run of ``nmc train`` on a video or on pictures: a model of each clip, from the one before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nmc_tools.commands.chain_run import Subject, reported
from nmc_tools.commands.framework import framework, require_there
from nmc_tools.terminal import progress_bar, size_text

if TYPE_CHECKING:
    import nmc
    from nmc_framework.capture import MovingPicture
    from nmc_framework.evaluation.board import Board
    from nmc_framework.models.pictures import ClipModel
    from nmc_framework.training import Schedule, Store, TrainedFrame


@dataclass(frozen=True, eq=False)
class ClipRun:
    """One chain of clips: the video, the model and the plan."""

    output: Path
    moving: MovingPicture
    model: ClipModel
    schedule: Schedule
    board: Board | None = None

    @property
    def span(self) -> int:
        """Pictures of a frame of the package."""
        return self.model.size[0]

    @property
    def count(self) -> int:
        """Clips of the video."""
        return math.ceil(self.moving.count / self.span)

    def begin(self, writer: nmc.Writer) -> None:
        """Say nothing: there are no cameras."""

    def end(self, writer: nmc.Writer, done: int) -> None:
        """Say nothing: ``nmc evaluate`` scores pictures."""

    def into(self, store: Store) -> list[dict[str, Any]]:
        """Train what the store does not have, and return a record of each new frame."""
        from nmc_framework.training import train_clips

        records = []
        with progress_bar(
            f"training {self.output.name}",
            "iterations",
            kept=lambda: f"{len(store)} of {self.count} frames are kept",
            resume="--resume",
        ) as shown:
            for frame in train_clips(
                store,
                self.model,
                lambda first: self.moving.clips(self.span, first),
                self.schedule,
                rate=self.moving.rate,
                report=reported(self.schedule, self.count, shown, self.board),
            ):
                records.append(self._record(frame))
                before = self.schedule.iterations_before
                done = before(frame.index) + frame.iterations
                shown(done, before(self.count), self._told(records[-1]))
        return records

    def _told(self, record: dict[str, Any]) -> str:
        size = record.get("estimated_bytes")
        weights = "" if size is None else f", weights about {size_text(size)}"
        return (
            f"frame {record['frame'] + 1} of {self.count}, {record['pictures']} pictures, "
            f"loss {record['loss']:.5f}, {record['seconds']:.1f} s{weights}, "
            f"{record['psnr']:.2f} dB"
        )

    def _record(self, frame: TrainedFrame) -> dict[str, Any]:
        from nmc_framework.evaluation.pictures import clip_psnr

        pixels = next(iter(self.moving.clips(self.span, frame.index)))
        record: dict[str, Any] = {
            "frame": frame.index,
            "pictures": len(pixels),
            "iterations": frame.iterations,
            "seconds": frame.seconds,
            "loss": frame.loss,
            "frozen_layers": list(frame.freezing.exclude_layers),
            "psnr": clip_psnr(self.model, pixels),
        }
        if math.isfinite(frame.bits):
            record["estimated_bytes"] = math.ceil(frame.bits / 8)
        if self.board:
            self.board.frame(frame.index, {"psnr": record["psnr"]}, {})
        return record


def clip_subject(
    kind: type[ClipModel],
    source: Path | None,
    *,
    refused: Mapping[str, object],
    clip: int | None,
    size: tuple[int, int] | None,
    frames: int | None,
    rate: int | None,
) -> Subject:
    """Open what a model of pictures is trained on.

    ``refused`` are values of options that have no meaning here, by name; one that was given is
    refused.
    """
    for name, value in refused.items():
        if value:
            raise typer.BadParameter(
                f"{kind.family} is a model of pictures, which has no cameras", param_hint=name
            )
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
        run=lambda output, model, schedule, board: ClipRun(output, moving, model, schedule, board),
    )
