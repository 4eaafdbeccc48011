"""``nmc train``: frames and cameras to a chain of models (clauses 5.2 and 5.3)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmc.writing.writer import DEFAULT_KEY_EVERY
from nmc_tools.commands.footage import Footage, HeldOutOption, SceneOption, open_footage
from nmc_tools.commands.framework import (
    SizeOption,
    framework,
    package_cameras,
    parse_device,
    parse_size,
)
from nmc_tools.commands.shared_options import EffortOption, ForceOption
from nmc_tools.terminal import print_json, progress_bar, refuse_input, say, size_text

if TYPE_CHECKING:
    from nmc_framework.evaluation import HeldOut
    from nmc_framework.evaluation.board import Board
    from nmc_framework.models import ChainModel
    from nmc_framework.training import CheckpointFolder, Progress, Schedule, Store, TrainedFrame
    from nmc_tools.progress import Report


def train(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The package, or the folder of checkpoints.")
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FRAMES", help="A folder of pictures; nmc capture makes one."),
    ] = None,
    scene: SceneOption = None,
    cameras: Annotated[
        Path | None, typer.Option(help="Camera file; else cameras.json in the folder.")
    ] = None,
    held_out: HeldOutOption = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Train only so many frames.")] = None,
    size: SizeOption = None,
    family: Annotated[
        str, typer.Option(help="Model family: hash_grid, nerf_mlp, voxel_grid, or a plug-in's.")
    ] = "hash_grid",
    configuration: Annotated[
        Path | None, typer.Option(help="JSON file with options of the model.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=JSON", help="One option of the model; repeatable."),
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=0, help="For frame 0; else by the size of the pictures.")
    ] = None,
    later: Annotated[int, typer.Option(min=0, help="Iterations for each later frame.")] = 70,
    rays: Annotated[int, typer.Option(min=1, help="Rays a batch of frame 0.")] = 1024,
    later_rays: Annotated[
        int | None, typer.Option(min=1, help="Of later frames; else 2.5 times those of frame 0.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="For frame 0 instead, such as 90s or 2m.")
    ] = None,
    later_budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="For each later frame instead, such as 5s.")
    ] = None,
    colour: Annotated[
        Literal["auto", "on", "off"],
        typer.Option(help="Learn each camera's exposure and white balance; auto: where they vary."),
    ] = "auto",
    exclude_layers: Annotated[
        str | None, typer.Option(metavar="N,N…", help="Layers by number; negative from the end.")
    ] = None,
    exclude_front: Annotated[int | None, typer.Option(min=0, help="The first so many.")] = None,
    exclude_back: Annotated[int | None, typer.Option(min=0, help="The last so many.")] = None,
    exclude_like: Annotated[str | None, typer.Option(help="Layers whose name matches.")] = None,
    exclude_auto: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Each frame its own: those the loss misses least, such as 0.1."
        ),
    ] = None,
    reading: Annotated[
        Literal["table", "code"],
        typer.Option(help="Excluded layers are frozen (table 5-1), or alone learn (table 5-2)."),
    ] = "table",
    seed: Annotated[int, typer.Option(min=0, help="All that is random follows from it.")] = 0,
    as_: Annotated[
        Literal["package", "checkpoints"],
        typer.Option("--as", help="One package, or a folder with one safetensors file a frame."),
    ] = "package",
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write loss, PSNR, step size, held-out views there."),
    ] = None,
    key_every: Annotated[
        int, typer.Option(min=0, help="A key frame every so many frames; 0: the first only.")
    ] = DEFAULT_KEY_EVERY,
    effort: EffortOption = "strong",
    fps: Annotated[int | None, typer.Option(min=1, help="Frames a second; else measured.")] = None,
    device: Annotated[str, typer.Option(help="Torch device, such as cpu or cuda:0.")] = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interruption.")] = False,
    force: ForceOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a record of each frame.")] = False,
) -> None:
    """Train one model a frame, each from the one before, into a package or a folder.

    Each frame is on disk before the next begins; after a kill the same command with --resume
    makes what an uninterrupted run would have made.

    Examples
    --------
      nmc train --scene -o scene.nmc --frames 5

      nmc train frames/ -o room.nmc --held-out cam_3 --exclude-layers 6,7 --seed 1

      nmc train frames/ -o room.nmc --family voxel_grid --set 'cells=[12,24,48]' --resume

      nmc train frames/ -o checkpoints/ --as checkpoints --tensorboard logs/

      nmc train --scene dome -o dome.nmc --frames 5 --exclude-auto 0.1

      nmc train photographs/ -o object.nmc --budget 90s --colour on
    """
    choices = (exclude_layers, exclude_front, exclude_back, exclude_like)
    if sum(choice is not None for choice in (*choices, exclude_auto)) > 1:
        raise typer.BadParameter("choose one of the --exclude options")
    with framework(folder or output):
        from nmc_framework.evaluation.board import Board
        from nmc_framework.models.radiance.fitting import LATER_RAYS
        from nmc_framework.models.radiance.fitting import iterations as fitted
        from nmc_framework.training import AutoFreezing, Schedule

        footage = open_footage(
            folder, scene=scene, cameras=cameras, size=parse_size(size), frames=frames, rate=fps
        )
        rig = footage.split(held_out)
        model = _model(family, configuration, set_, footage, rig[0], seed)
        model = model.to(parse_device(device))
        schedule = Schedule(
            first=fitted(footage.cameras(rig[0])) if iterations is None else iterations,
            later=later,
            rays=rays,
            later_rays=later_rays or round(LATER_RAYS * rays),
            first_seconds=_seconds(budget, "--budget"),
            later_seconds=_seconds(later_budget, "--later-budget"),
            colour=colour,
            reading=reading,
            seed=seed,
        )
        auto = None if exclude_auto is None else AutoFreezing(exclude_auto)
        schedule = replace(schedule, exclude_layers=_excluded(model, *choices), auto=auto)
        _check_freezing(model, schedule)
        with ExitStack() as stack:
            between = max(1, footage.count // 8)
            board = (
                stack.enter_context(Board(tensorboard, schedule, frames_between=between))
                if tensorboard
                else None
            )
            run = _Run(output, footage, rig[0], rig[1], model, schedule, board)
            if as_ == "checkpoints":
                store = _folder(output, model, resume=resume, force=force)
                done = len(store)
                records = run.into(store)
            else:
                done, records = _package(
                    run, output, key_every=key_every, effort=effort, resume=resume, overwrite=force
                )
        sizes = _folder_sizes(store) if as_ == "checkpoints" else _package_sizes(output)
        _summary(output, records, done, footage.rate, sizes, as_json=as_json)


def _package(run: _Run, output: Path, **options: Any) -> tuple[int, list[dict[str, Any]]]:
    """Train into a package; return how many frames it had, and the records of the new ones."""
    import nmc
    from nmc_framework.training import PackageStore

    model = run.model
    with nmc.Writer(
        output,
        **model.in_package(),
        timescale=run.footage.rate,
        **options,
    ) as writer:
        done = len(writer)
        writer.set_cameras(package_cameras(run.footage.rig))
        records = run.into(PackageStore(writer))
        if run.held_out:
            # Frames of an earlier run were not scored in this one: nmc evaluate does it.
            scored = list(range(done, len(writer)))
            writer.set_quality(run.quality.record(scored, len(writer)))
    return done, records


def _folder(output: Path, model: ChainModel, *, resume: bool, force: bool) -> CheckpointFolder:
    """Open the folder; what an earlier run left there is gone on with, or removed, on request."""
    from nmc_framework.training import CheckpointFolder

    if output.is_file():
        refuse_input("host/exists", str(output), "", "checkpoints go into a folder")
    if force and not resume:
        for path in [*output.glob("frame_*.safetensors"), output / "chain.json"]:
            path.unlink(missing_ok=True)
    if (output / "chain.json").exists() and not resume:
        hint = "go on with --resume, or begin again with --force"
        refuse_input("host/exists", str(output), "", hint)
    return CheckpointFolder(output, model)


@dataclass
class _Run:
    """One chain: footage, the names to train on and to hold out, the model and the plan."""

    output: Path
    footage: Footage
    training: list[str]
    held_out: list[str]
    model: ChainModel
    schedule: Schedule
    board: Board | None = None
    quality: HeldOut = field(init=False)

    def __post_init__(self) -> None:
        from nmc_framework.evaluation import HeldOut

        self.quality = HeldOut(self.footage.cameras(self.held_out))

    def into(self, store: Store) -> list[dict[str, Any]]:
        """Train what the store has not got, and return a record of each new frame."""
        from nmc_framework.training import train_into

        views = self.footage.views
        records = []
        with progress_bar(
            f"training {self.output.name}",
            "iterations",
            kept=lambda: f"{len(store)} of {self.footage.count} frames are kept",
            resume="--resume",
        ) as shown:
            for frame in train_into(
                store,
                self.model,
                self.footage.cameras(self.training),
                lambda first: views(self.training, first),
                self.schedule,
                report=self._report(shown),
            ):
                records.append(self._record(frame))
                done, total = self._iterations(frame.index, frame.iterations)
                shown(done, total, self._told(records[-1]))
        return records

    def _iterations(self, frame: int, iteration: int) -> tuple[int, int]:
        """Return how many iterations of the chain are done, and how many it has."""
        plan = self.schedule
        before = plan.first + (frame - 1) * plan.later if frame else 0
        return before + iteration, plan.first + (self.footage.count - 1) * plan.later

    def _told(self, record: dict[str, Any]) -> str:
        """Return the line of a finished frame."""
        quality = f", held out {record['psnr']:.2f} dB" if "psnr" in record else ""
        return (
            f"frame {record['frame'] + 1} of {self.footage.count}, loss {record['loss']:.5f}, "
            f"{record['seconds']:.1f} s{quality}"
        )

    def _report(self, shown: Report) -> Callable[[Progress], None]:
        def report(progress: Progress) -> None:
            done, total = self._iterations(progress.frame, progress.iteration)
            place = f"frame {progress.frame + 1} of {self.footage.count}"
            known = progress.held_out if math.isfinite(progress.held_out) else progress.psnr
            shown(done, total, note=f"{place} loss {progress.loss:.5f} {known:5.2f} dB")
            if self.board:
                self.board.step(progress)

        return report

    def _record(self, frame: TrainedFrame) -> dict[str, Any]:
        record: dict[str, Any] = {
            "frame": frame.index,
            "iterations": frame.iterations,
            "seconds": frame.seconds,
            "loss": frame.loss,
            "frozen_layers": list(frame.freezing.exclude_layers),
        }
        scores, views = {}, {}
        if self.held_out:
            truths = next(islice(self.footage.views(self.held_out, frame.index), 1)).images
            images = self.quality.score(self.model, frame.index, truths)
            views = dict(zip(self.held_out, images, strict=True))
            scores = {m: self.quality.mean(frame.index, m) for m in ("psnr", "ssim")}
        if self.board:
            self.board.frame(frame.index, scores, views)
        return record | scores


def _model(
    family: str,
    path: Path | None,
    settings: list[str] | None,
    footage: Footage,
    training: list[str],
    seed: int,
) -> ChainModel:
    from nmc_framework.models import build
    from nmc_framework.models import family as family_of
    from nmc_framework.models.views import shown

    chosen: dict[str, Any] = {}
    known = family_of(family).defaults()
    chosen |= footage.options(known, training)
    if path is not None:
        try:
            chosen |= dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError) as error:
            raise typer.BadParameter(f"{path} is no JSON object: {error}") from None
    for setting in settings or ():
        name, equals, text = setting.partition("=")
        try:
            chosen[name] = json.loads(text)
        except ValueError:
            equals = ""
        if not equals:
            raise typer.BadParameter(f"{setting!r}; write such as levels=4", param_hint="--set")
    return shown(build(family, chosen, seed=seed))


def _seconds(text: str | None, option: str) -> float | None:
    """Return a time such as 90, 90s, 1.5m or 1h in seconds."""
    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in {"s", "m", "h"} else (text, "s")
    try:
        seconds = float(number) * {"s": 1, "m": 60, "h": 3600}[unit]
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise typer.BadParameter(f"{text!r}; write such as 90s or 2m", param_hint=option)
    return seconds


def _excluded(
    model: ChainModel, numbers: str | None, first: int | None, last: int | None, like: str | None
) -> tuple[int, ...]:
    from nmc_framework.training import back, front, matching

    layers = model.layers()
    if first is not None:
        return front(layers, first)
    if last is not None:
        return back(layers, last)
    if like is not None:
        return matching(model, layers, like)
    try:
        return tuple(int(part) for part in (numbers or "").split(",") if part.strip())
    except ValueError:
        raise typer.BadParameter(f"{numbers!r}: write such as 0,1,-1") from None


def _check_freezing(model: ChainModel, schedule: Schedule) -> None:
    """Refuse a wrong choice now, not after the first frame is trained."""
    from nmc_framework.training import freeze

    freeze(model, model.layers(), schedule.exclude_layers, schedule.reading)


def _package_sizes(output: Path) -> dict[str, int]:
    import nmc

    with nmc.open(output) as sequence:
        raw = sum(frame.state_bytes for frame in sequence.frames)
        return {"frames": len(sequence), "raw_bytes": raw, "bytes": sequence.size}


def _folder_sizes(store: CheckpointFolder) -> dict[str, int]:
    count = len(store)
    raw = count * sum(array.nbytes for array in store[0].values()) if count else 0
    size = sum(path.stat().st_size for path in store.folder.glob("frame_*.safetensors"))
    return {"frames": count, "raw_bytes": raw, "bytes": size}


def _summary(
    output: Path,
    records: list[dict[str, Any]],
    done: int,
    rate: int,
    sizes: dict[str, int],
    *,
    as_json: bool,
) -> None:
    if as_json:
        whole = {"path": str(output), **sizes, "resumed_at": done or None, "rate": rate}
        print_json(whole | {"trained": records})
        return
    scored = [record["psnr"] for record in records if "psnr" in record]
    quality = f", {sum(scored) / len(scored):.2f} dB on held-out views" if scored else ""
    went_on = f" ({done} of them before)" if done else ""
    told = f"{size_text(sizes['raw_bytes'])} of models in {size_text(sizes['bytes'])}"
    say(f"{output}: {sizes['frames']} frames{went_on}, {told}{quality}")
