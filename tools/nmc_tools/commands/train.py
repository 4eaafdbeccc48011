"""``nmc train``: frames and cameras to a chain of models (clauses 5.2 and 5.3)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmc.writing.writer import DEFAULT_KEY_EVERY
from nmc_tools.commands.chain_run import Run
from nmc_tools.commands.footage import HeldOutOption, SceneOption
from nmc_tools.commands.framework import (
    RateOption,
    SizeOption,
    check_rate,
    framework,
    option,
    parse_size,
)
from nmc_tools.commands.shared_options import EffortOption, ForceOption, FpsOption, parse_rate
from nmc_tools.commands.shared_training import Sharing
from nmc_tools.commands.shared_work import OnOption, cluster_on, devices_on
from nmc_tools.commands.train_served import ServeTokenOption, host_and_port, served_beside
from nmc_tools.commands.train_subject import built_model, family_kind, opened_subject
from nmc_tools.commands.train_summary import folder_sizes, package_sizes, train_summary
from nmc_tools.terminal import refuse_input

if TYPE_CHECKING:
    from nmc_framework.models import ChainModel
    from nmc_framework.training import CheckpointFolder, Schedule


def train(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The package, or the folder of checkpoints.")
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FRAMES",
            help="A folder of pictures, as nmc capture makes one; or a video, for its pictures.",
        ),
    ] = None,
    scene: SceneOption = None,
    cameras: Annotated[
        Path | None, typer.Option(help="Camera file; else cameras.json in the folder.")
    ] = None,
    held_out: HeldOutOption = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Train only so many frames.")] = None,
    size: SizeOption = None,
    family: Annotated[
        str,
        typer.Option("--family", "--model", help="Model family; nmc models lists them."),
    ] = "hash_grid",
    clip: Annotated[
        int | None,
        typer.Option(
            "--clip",
            "--group",
            min=1,
            help="Pictures of a video, or frames of all cameras, that one model holds; else usual.",
        ),
    ] = None,
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
    later: Annotated[
        int | None,
        typer.Option(min=0, help="For each later frame; else as usual, twice as many for --rate."),
    ] = None,
    most_later: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="For one that falls short of the frame before; else --later, or 4 times as usual.",
        ),
    ] = None,
    rays: Annotated[
        int | None,
        typer.Option(min=1, help="Rays, or pixels, a batch of frame 0; else 1024, or as usual."),
    ] = None,
    later_rays: Annotated[
        int | None, typer.Option(min=1, help="Of later frames; else 2.5 times those of frame 0.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="For frame 0 at most, in place of iterations: 90s or 2m."
        ),
    ] = None,
    later_budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="For each later frame at most, such as 5s.")
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
    hold: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Later frames give back their smallest moves, up to this share; 0: none.",
        ),
    ] = 0.003,
    rate: RateOption = None,
    bits: Annotated[
        int | None,
        typer.Option(min=2, max=14, help="Train with weights of so many bits, such as 8 or 7."),
    ] = None,
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
        int, typer.Option(min=0, help="Frames from key frame to key frame; 0: only the first.")
    ] = DEFAULT_KEY_EVERY,
    effort: EffortOption = "strong",
    fps: FpsOption = None,
    anew: Annotated[
        bool,
        typer.Option(
            "--anew", help="Key frames begin from random weights: groups need nothing of another."
        ),
    ] = False,
    on: OnOption = None,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT", help="Serve the package while it grows; port 0: a free one."
        ),
    ] = None,
    serve_token: ServeTokenOption = None,
    device: Annotated[str, typer.Option(help="Torch device, such as cpu or cuda:0.")] = "cpu",
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Products in bfloat16, on CUDA: faster, less exact.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue after an interruption.")
    ] = False,
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

      nmc train --scene -o small.nmc --frames 20 --rate 0.1 --key-every 10

      nmc train film.mp4 -o film.nmc --family ffnerv --bits 8

      nmc train film.mp4 -o film.nmc --family siren --size 128x72 --clip 16

      nmc train frames/ -o moving.nmc --family mixvoxels --group 8

      nmc train photographs/ -o object.nmc --budget 90s --colour on

      nmc train frames/ -o room.nmc --key-every 10 --on ray    (groups of 10 frames at a time)

      nmc train --scene -o live.nmc --serve 8080    (others read http://127.0.0.1:8080/live.nmc)
    """
    if serve is not None and as_ != "package":
        raise typer.BadParameter("a package is served, not checkpoints", param_hint="--serve")
    if mixed and not device.startswith("cuda"):
        reason = f"it is for CUDA, and the device is {device}: give --device cuda, or leave it out"
        raise typer.BadParameter(reason, param_hint="--mixed")
    if bits is not None and rate is not None:
        raise typer.BadParameter("give one of --bits and --rate", param_hint="--bits")
    place = None if serve is None else host_and_port(serve)
    if (anew or on is not None) and not key_every:
        reason = "there is one group, which nothing shares: give the frames of a group"
        raise typer.BadParameter(reason, param_hint="--key-every")
    choices = (_numbers(exclude_layers), exclude_front, exclude_back, exclude_like)
    if sum(choice is not None for choice in (*choices, exclude_auto)) > 1:
        raise typer.BadParameter("choose one of the --exclude options")
    with framework(folder or output):
        from nmc_framework.evaluation.board import Board
        from nmc_framework.models.radiance.fitting import LATER_RAYS, MOST_LATER
        from nmc_framework.training import AutoFreezing, LayerChoice, Schedule
        from nmc_framework.training.rate import TIMES

        subject = opened_subject(
            family_kind(family),
            folder,
            scene=scene,
            cameras=cameras,
            held_out=held_out,
            colour=None if colour == "auto" else colour,
            clip=clip,
            size=parse_size(size),
            frames=frames,
            rate=parse_rate(fps),
        )
        model = built_model(family, configuration, set_, subject.options, seed)
        model = model.to(devices_on(on, device)[0])
        price = check_rate(rate, key_every)
        times = TIMES if price else 1
        batch = rays or subject.batch[0]
        if most_later is None and later is None and not (price or bits):
            most_later = MOST_LATER * subject.iterations[1]
        schedule = Schedule(
            first=times * subject.iterations[0] if iterations is None else iterations,
            later=times * subject.iterations[1] if later is None else later,
            most_later=most_later,
            rays=batch,
            later_rays=later_rays or subject.batch[1] or round(LATER_RAYS * batch),
            first_seconds=_seconds(budget, "--budget"),
            later_seconds=_seconds(later_budget, "--later-budget"),
            colour="off" if subject.clips or subject.groups else colour,
            reading=reading,
            rate=price,
            bits=bits,
            precision="mixed" if mixed else "single",
            seed=seed,
        )
        with option(_exclude_option(*choices)):
            auto = None if exclude_auto is None else AutoFreezing(exclude_auto)
            schedule = replace(schedule, exclude_layers=LayerChoice(*choices).of(model), auto=auto)
            _check_freezing(model, schedule)
        with option("--hold"):
            schedule = replace(schedule, hold=hold)
        with ExitStack() as stack:
            between = max(1, subject.count // 8)
            board = (
                stack.enter_context(Board(tensorboard, frames_between=between))
                if tensorboard
                else None
            )
            if place is not None:
                stack.enter_context(served_beside(output, *place, serve_token or ()))
            run = subject.run(output, model, schedule, board)
            if anew or on is not None:
                cluster = stack.enter_context(cluster_on(on, device))
                run.sharing = Sharing(cluster, key_every, seed, device, resume=resume)
            if as_ == "checkpoints":
                store = _folder(output, model, resume=resume, force=force)
                done = len(store)
                records = run.into(store)
            else:
                done, records = _package(
                    run,
                    output,
                    rate=subject.rate,
                    profile="lossy" if price or bits else "main",
                    key_every=key_every,
                    effort=effort,
                    resume=resume,
                    overwrite=force,
                )
        sizes = folder_sizes(store) if as_ == "checkpoints" else package_sizes(output)
        train_summary(output, records, done, subject, sizes, as_json=as_json)


def _package(
    run: Run, output: Path, *, rate: Fraction, **options: Any
) -> tuple[int, list[dict[str, Any]]]:
    """Train into a package; return how many frames it had, and the records of the new ones."""
    import nmc
    from nmc_framework.training import PackageStore

    options |= run.model.in_package()
    with nmc.Writer(output, timescale=rate.numerator, **options) as writer:
        done = len(writer)
        run.begin(writer)
        span = run.span * rate.denominator
        store = PackageStore(writer, span=span, told=run.told, anew=run.anew)
        records = run.into(store)
        run.end(writer, done)
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


def _numbers(text: str | None) -> tuple[int, ...] | None:
    try:
        return text if text is None else tuple(int(p) for p in text.split(",") if p.strip())
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: write such as 0,1,-1", param_hint="--exclude-layers"
        ) from None


def _exclude_option(*choices: object) -> str:
    """Return the name of the option that says what is frozen."""
    names = ("--exclude-layers", "--exclude-front", "--exclude-back", "--exclude-like")
    given = (name for name, choice in zip(names, choices, strict=True) if choice is not None)
    return next(given, "--exclude-auto")


def _check_freezing(model: ChainModel, schedule: Schedule) -> None:
    """Refuse a wrong choice now, not after the first frame is trained."""
    from nmc_framework.training import freeze

    freeze(model, model.layers(), schedule.exclude_layers, schedule.reading)
