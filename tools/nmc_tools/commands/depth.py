"""``nmc depth``: depth from one picture; training, scores, and adaptation from room to room."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmc_tools.commands.framework import (
    SizeOption,
    framework,
    option,
    parse_device,
    parse_size,
    refuse_given,
    require_new,
)
from nmc_tools.commands.shared_options import EffortOption, ForceOption, PlainJsonOption
from nmc_tools.terminal import (
    counted,
    print_json,
    progress_bar,
    refuse_input,
    say,
    size_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import nmc
    from nmc_framework.depth.estimate import Judged
    from nmc_framework.depth.unet import DepthUnet
    from nmc_framework.training import Progress

app = typer.Typer(
    help="Depth from one picture: train, evaluate, apply, adapt from room to room, serve.",
    no_args_is_help=True,
)

FAMILY = "depth_unet"
#: What packages mean that were trained before the option was there.
_UNSAID = {"focus": "variance"}
#: Made-up rooms with such a number and above are never trained on.
HELD_OUT = 1_000_000

SourceArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="FOLDER|MAT",
        help="Pictures with depth: 7-Scenes, TUM, ICL-NUIM, NYU folders, or NYU Depth V2's .mat. "
        "Made-up rooms if left out.",
    ),
]
PackageArgument = Annotated[
    Path, typer.Argument(metavar="PKG", help="A package that nmc depth train or adapt made.")
]
UnitOption = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER", help="What depth pictures have for a metre, such as 1000 or 5000."
    ),
]
LimitOption = Annotated[int, typer.Option(min=1, help="Pictures of a room at most, evenly spaced.")]
RoomsOption = Annotated[int, typer.Option(min=1, max=HELD_OUT, help="Made-up rooms.")]
EachOption = Annotated[int, typer.Option(min=1, max=1000, help="Pictures of a made-up room.")]
SeedOption = Annotated[int, typer.Option(min=0, help="All that is random follows from it.")]
DeviceOption = Annotated[str, typer.Option(help="Torch device, such as cpu or cuda:0.")]
FrameOption = Annotated[
    int, typer.Option("--frame", help="Of the package; -1: the last, 0: before any room.")
]


@app.callback()
def _group() -> None:
    """Depth from one picture."""


@app.command("train")
def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="The package to write.")],
    source: SourceArgument = None,
    rooms: RoomsOption = 240,
    each: EachOption = 4,
    held_out: Annotated[
        int, typer.Option(min=0, help="Rooms that are not trained on, and judge the model.")
    ] = 20,
    size: SizeOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=JSON", help="One option of the model; repeatable."),
    ] = None,
    iterations: Annotated[int | None, typer.Option(min=0, help="Else as usual.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Pictures a batch; else 8.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", min=1e-8, max=1, help="Of Adam; else 0.001.")
    ] = None,
    unit: UnitOption = None,
    limit: LimitOption = 200,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    effort: EffortOption = "strong",
    force: ForceOption = False,
    as_json: PlainJsonOption = False,
) -> None:
    """Train a U-Net that says the depth of a picture, into a package of one frame.

    Without pictures it learns from made-up rooms, whose depth is exact. Of other people's data
    whole rooms are held out where there are several, else every fifth picture.

    Examples
    --------
      nmc depth train -o depth.nmc

      nmc depth train nyu_depth_v2_labeled.mat -o nyu.nmc --size 160x120 --limit 4

      nmc depth train -o small.nmc --rooms 12 --iterations 60 --size 64x48 --set width=8
    """
    require_new(output, force=force)
    with framework(source or output, output):
        import nmc
        from nmc_framework.depth.learning import train_depth
        from nmc_framework.training import Schedule
        from nmc_tools.commands.depth_data import made_up, taken
        from nmc_tools.commands.train_subject import built_model

        output.parent.mkdir(parents=True, exist_ok=True)  # now, not when all is trained
        known = {} if (wanted := parse_size(size)) is None else _sized(wanted)
        model: Any = built_model(FAMILY, None, set_, known, seed)
        model = model.to(parse_device(device))
        with option("--batch"):
            schedule = Schedule(
                first=model.iterations[0] if iterations is None else iterations,
                rays=batch or model.batch,
                learning_rate=learning_rate,
                seed=seed,
            )
        if source is None:
            pairs = made_up(range(rooms), each, model.size, seed)
            judges = made_up(range(HELD_OUT, HELD_OUT + held_out), each, model.size, seed)
            told = f"{counted(rooms, 'made-up room')}, {counted(len(pairs), 'picture')}"
        else:
            pairs, judges = taken(source, held_out, model.size, unit, limit)
            told = f"{counted(len(pairs), 'picture')} of {source.name}"
        say(f"training on {told}; {counted(len(judges), 'picture')} held out")
        with progress_bar(f"training {output.name}", "iterations") as bar:
            frame = train_depth(model, pairs, schedule, told_iterations(bar, schedule.first))
        scores = _judged(model, judges) if judges else None
        with nmc.Writer(
            output, **model.in_package(), profile="main", effort=effort, overwrite=force
        ) as writer:
            writer.append(
                frame.state,
                presentation_time=0,
                requires_grad=frame.freezing.requires_grad,
                iterations=frame.iterations,
                seconds=frame.seconds,
                trained_from_previous=False,
                extras=_extras(told, scores),
            )
    if as_json:
        whole: dict[str, Any] = {"path": str(output), "bytes": output.stat().st_size}
        whole |= {"iterations": frame.iterations, "seconds": frame.seconds, "loss": frame.loss}
        print_json(whole | ({"held_out": judged_json(scores)} if scores else {}))
        return
    size_told = size_text(output.stat().st_size)
    say(f"{output}: {size_told}, loss {frame.loss:.3f}, {frame.seconds:.0f} s")
    if scores is not None:
        print_judged(scores)


@app.command("evaluate")
def evaluate(
    package: PackageArgument,
    source: SourceArgument = None,
    rooms: RoomsOption = 20,
    each: EachOption = 4,
    frame: FrameOption = -1,
    unit: UnitOption = None,
    limit: LimitOption = 200,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    as_json: PlainJsonOption = False,
) -> None:
    """Score the depth that a model says: AbsRel, RMSE, log10, δ, beside predicting the mean.

    Without pictures it is judged by made-up rooms that no training takes. "Aligned" is after the
    prediction was multiplied by the ratio of the medians: one number a picture that one picture
    cannot tell, if the camera is another one.

    Examples
    --------
      nmc depth evaluate depth.nmc

      nmc depth evaluate depth.nmc chess/ --json

      nmc depth evaluate adapted.nmc chess/ --frame 1
    """
    with framework(source or package):
        from nmc_tools.commands.depth_data import everything, made_up

        model = opened_model(package, frame, parse_device(device))
        if source is None:
            pairs = made_up(range(HELD_OUT, HELD_OUT + rooms), each, model.size, seed)
            scores = _judged(model, pairs)
        else:
            with everything(source, unit, limit) as found:
                scores = _judged(model, found)
    if as_json:
        print_json({"path": str(package), "frame": frame, **judged_json(scores)})
        return
    print_judged(scores)


def evaluated_depth(
    package: Path, folder: Path, others: dict[str, Any], device: str, as_json: bool
) -> bool:
    """Score a package of depth as ``nmc evaluate`` is asked to; whether it is one.

    ``others`` are options by name that have no meaning here: one that has a value is refused.
    """
    import nmc

    with nmc.open(package) as sequence:
        if str(sequence.family) != FAMILY:
            return False
    refuse_given(others, "the package says the depth of pictures, and has no cameras")
    evaluate(package, folder, frame=-1, unit=None, limit=200, device=device, as_json=as_json)
    return True


def refuse_depth(sequence: nmc.ChainSequence, package: Path) -> None:
    """Refuse to render a package that needs a picture to look at."""
    if str(sequence.family) == FAMILY:
        reason = "it says the depth of a picture, and there is none to look at"
        refuse_input(
            "input/unsupported", str(package), reason, "nmc depth apply PKG PICTURE --film"
        )


def opened_model(package: Path, frame: int, device: str) -> DepthUnet:
    """Return the model of a frame of a package, in evaluation mode."""
    import nmc
    from nmc_framework.depth.estimate import depth_model
    from nmc_framework.models import build

    with framework(package), nmc.open(package) as sequence:
        _require_frame(sequence, frame)
        family = str(sequence.family)
        unsaid = _UNSAID if family == FAMILY else {}
        model = depth_model(build(family, {**unsaid, **sequence.configuration}))
        model.load(sequence[frame % len(sequence)])
    return model.to(device).eval()


def _require_frame(sequence: nmc.ChainSequence, frame: int) -> None:
    if not -len(sequence) <= frame < len(sequence):
        reason = f"the package has {counted(len(sequence), 'frame')}, no frame {frame}"
        raise typer.BadParameter(reason, param_hint="--frame")


def _sized(size: tuple[int, int]) -> dict[str, int]:
    return {"columns": size[0], "rows": size[1]}


def told_iterations(bar: Any, each: int, frames: int = 1) -> Callable[[Progress], None]:
    """Return what tells a bar of every iteration; frames of a chain are counted from 1."""

    def report(progress: Progress) -> None:
        done = progress.iteration + each * max(0, progress.frame - 1)
        bar(done, each * frames, note=f"loss {progress.loss:.3f}")

    return report


def _judged(model: DepthUnet, pairs: Any) -> Judged:
    from nmc_framework.depth.estimate import judged

    model.eval()
    return judged(model, pairs)


def _extras(told: str, scores: Judged | None) -> dict[str, Any]:
    found: dict[str, Any] = {"trained_on": told}
    if scores is not None:
        found["held_out"] = {"pictures": scores.pictures, **scores.model.as_json()}
    return found


def judged_json(scores: Judged) -> dict[str, Any]:
    """Return scores as JSON."""
    from nmc_framework.depth.metrics import better

    return {
        "pictures": scores.pictures,
        "without_depth": scores.empty,
        "model": scores.model.as_json(),
        "aligned": scores.aligned.as_json(),
        "mean_depth": scores.mean and scores.mean.as_json(),
        "better_than_mean": scores.mean and better(scores.model, scores.mean),
        "losses": scores.losses,
    }


def print_judged(scores: Judged) -> None:
    """Print scores as a table for people."""
    from rich.table import Table

    from nmc_framework.depth.metrics import better
    from nmc_tools.terminal import out

    table = Table("", "AbsRel", "RMSE (m)", "log10", "δ<1.25", "δ<1.25²", "δ<1.25³", box=None)
    for name, score in (
        ("model", scores.model),
        ("aligned", scores.aligned),
        ("mean depth", scores.mean),
    ):
        if score is not None:
            values = [f"{value:.3f}" for value in score.as_json().values()]
            table.add_row(name, *values)
    out.print(table)
    told = counted(scores.pictures, "picture")
    lost = f", {scores.empty} without depth" if scores.empty else ""
    gain = ""
    if scores.mean is not None:
        share = better(scores.model, scores.mean)
        gain = (
            f"; AbsRel {abs(share):.1%} {'better' if share >= 0 else 'worse'} than the mean depth"
        )
    say(f"{told}{lost}{gain}")
    terms = ", ".join(f"{name} {value:.3f}" for name, value in scores.losses.items())
    say(f"losses: {terms}")
