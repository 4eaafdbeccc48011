"""``nmc inverse``: from one picture of an object to a textured mesh."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmc_tools.commands import inverse_generator, inverse_renderer
from nmc_tools.commands.framework import (
    framework,
    parse_device,
    refuse_given,
    require_new,
    require_there,
)
from nmc_tools.commands.inverse_options import (
    DeviceOption,
    HeldOutOption,
    SeedOption,
    ViewsArgument,
    opened_model,
    reported,
    require_png,
)
from nmc_tools.commands.shared_options import PlainJsonOption
from nmc_tools.pictures import write_png
from nmc_tools.terminal import counted, print_json, progress_bar, say, size_text

if TYPE_CHECKING:
    from nmc_framework.inverse.learning import Scores

app = typer.Typer(
    help="Inverse graphics: one picture of an object to a mesh, texture and light.",
    no_args_is_help=True,
)

FAMILY = "inverse_graphics"

ForceOption = Annotated[bool, typer.Option("--force", help="Replace the package if it is there.")]

for _command in ("generator", "adapt", "sample", "layers", "multiview"):
    app.command(_command)(getattr(inverse_generator, _command))
app.command("import")(inverse_generator.imported)
for _command in ("renderer", "swap"):
    app.command(_command)(getattr(inverse_renderer, _command))


@app.callback()
def _group() -> None:
    """Inverse graphics: one picture of an object to a mesh, texture and light."""


@app.command("objects")
def objects(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that is made.")],
    count: Annotated[int, typer.Option(min=1, help="Cars.")] = 220,
    viewpoints: Annotated[int, typer.Option(min=1, max=360, help="That all cars share.")] = 12,
    size: Annotated[int, typer.Option(help="Pixels of the pictures' sides.")] = 64,
    seed: SeedOption = 0,
) -> None:
    """Film synthetic cars from viewpoints that all share, with exact masks.

    Shape, paint and background of each car are drawn apart. The folder holds a picture a car and
    viewpoint, whose alpha channel is the mask, and views.json with one annotation a viewpoint: the
    bin of 30 degrees that its azimuth falls into. The true viewpoints stand beside it, to compare
    with; no training looks at them.

    Examples
    --------
      nmc inverse objects -o cars

      nmc inverse objects -o few --count 24 --viewpoints 6 --size 32
    """
    require_new(output, force=False)
    with framework(output, output):
        from nmc_framework.inverse.multiview import filmed_cars, write_views

        with progress_bar(f"filming {output.name}", "cars") as shown:
            views = filmed_cars(count, viewpoints, size, seed, report=shown)
        write_views(output, views)
    say(f"{output}: {count} cars from {viewpoints} viewpoints, {size}x{size}")


@app.command("train")
def train(
    folder: ViewsArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Package that is made.")],
    held_out: HeldOutOption = 20,
    single_view: Annotated[
        bool,
        typer.Option(
            "--single-view", help="Take each picture for an object of its own, to compare with."
        ),
    ] = False,
    iterations: Annotated[int, typer.Option(min=1, help="Of training.")] = 4000,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="How long it may take, instead of --iterations.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Objects a batch, two views of each.")] = 16,
    lpips: Annotated[
        Path | None,
        typer.Option(
            metavar="VGG16.pth",
            help="Weights of VGG16 by torchvision's names, for the perceptual loss. Without them "
            "differences of gradients at three scales stand in for it.",
        ),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    force: ForceOption = False,
    as_json: PlainJsonOption = False,
) -> None:
    """Train a network from pictures to meshes on a multi-view set, and score held-out objects.

    Each object is shown from one viewpoint, and what the network makes of it has to fit from
    another one too; cameras begin at their bins and are refined on the way.

    Examples
    --------
      nmc inverse train cars -o cars.nmc

      nmc inverse train cars -o cars.nmc --seconds 600 --json

      nmc inverse train cars -o single.nmc --single-view
    """
    require_there([folder, *([lpips] if lpips else [])])
    require_new(output, force=force)
    with framework(folder, output):
        from nmc_framework.evaluation.lpips import read_lpips
        from nmc_framework.inverse.learning import ViewPairs, scored
        from nmc_framework.inverse.multiview import read_views
        from nmc_framework.inverse.network import InverseGraphics
        from nmc_framework.inverse.packages import write_package
        from nmc_framework.training import Schedule, train_on

        device = parse_device(device)
        training, testing = read_views(folder).split(held_out)
        model = InverseGraphics.build(
            {"size": training.size, "viewpoints": len(training.annotated)}, seed=seed
        ).to(device)
        assert isinstance(model, InverseGraphics)
        model.begin_at(training.first_poses())
        if lpips is not None:
            model.judges.append(read_lpips("vgg", lpips, None).to(device))
        pairs = ViewPairs(training, single=single_view)
        schedule = Schedule(first=iterations, first_seconds=seconds, rays=batch, seed=seed)
        began = time.monotonic()
        with progress_bar(f"training {output.name}", "iterations") as shown:
            frame = train_on(model, pairs, schedule, frame=0, report=reported(shown))
        took = time.monotonic() - began
        write_package(output, model, [frame], overwrite=force)
        scores = scored(model, testing)
    record = {"package": str(output), "iterations": frame.iterations, "seconds": took}
    _tell_scores(scores, record, len(testing), as_json=as_json)


@app.command("evaluate")
def evaluate(
    package: Annotated[Path, typer.Argument(metavar="NETWORK.nmc", help="Of 'nmc inverse train'.")],
    folder: ViewsArgument,
    held_out: HeldOutOption = 20,
    another: Annotated[
        bool,
        typer.Option(
            "--another", help="The set is another one: all its objects count, from its viewpoints."
        ),
    ] = False,
    device: DeviceOption = "cpu",
    as_json: PlainJsonOption = False,
) -> None:
    """Score a network by the masks of objects that it did not learn from.

    Each picture of an object is shown to it, and its mesh compared with the masks of all
    viewpoints: intersection over union.

    Examples
    --------
      nmc inverse evaluate cars.nmc cars --json

      nmc inverse evaluate of-generator.nmc cars --another
    """
    require_there([package, folder])
    with framework(package):
        from nmc_framework.inverse.learning import require_fitting, scored
        from nmc_framework.inverse.multiview import read_views
        from nmc_framework.inverse.network import InverseGraphics

        model = opened_model(package, InverseGraphics, device)
        views = read_views(folder)
        testing = views if another else views.split(held_out)[1]
        require_fitting(model, testing)
        if another:
            model.begin_at(testing.first_poses())
        scores = scored(model, testing)
    _tell_scores(scores, {"package": str(package)}, len(testing), as_json=as_json)


def evaluated_inverse(
    package: Path, folder: Path, others: dict[str, Any], device: str, as_json: bool
) -> bool:
    """Score a network from pictures to meshes as ``nmc evaluate`` is asked to; whether it is one.

    ``others`` are options by name that have no meaning here: one that has a value is refused.
    """
    import nmc

    with nmc.open(package) as sequence:
        if str(sequence.family) != FAMILY:
            return False
    refuse_given(others, "the package makes meshes of pictures, and has no cameras")
    evaluate(package, folder, another=False, device=device, as_json=as_json)
    return True


@app.command("reconstruct")
def reconstruct(
    package: Annotated[Path, typer.Argument(metavar="NETWORK.nmc", help="Of 'nmc inverse train'.")],
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="Of one object.")],
    output: Annotated[
        list[Path],
        typer.Option("--output", "-o", help="A mesh, .obj or .glb, or a film, .mp4; repeatable."),
    ],
    size: Annotated[int, typer.Option(min=16, max=2048, help="Pixels of the film's sides.")] = 256,
    device: DeviceOption = "cpu",
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> None:
    """Make a textured mesh, or a film of it that turns, from one picture.

    The picture is cut to a square about its middle and scaled to the network's size. A mesh as .obj
    has a .mtl and a .png beside it; a .glb has all in it.

    Examples
    --------
      nmc inverse reconstruct cars.nmc cars/object_00219/view_01.png -o car.glb -o car.mp4
    """
    for path in output:
        if path.suffix.lower() not in {".obj", ".glb", ".mp4"}:
            raise typer.BadParameter("write .obj, .glb or .mp4", param_hint="--output")
    require_there([package, picture])
    beside = [
        p.with_suffix(end) for p in output if p.suffix.lower() == ".obj" for end in (".mtl", ".png")
    ]
    for path in [*output, *beside]:
        require_new(path, force=force)
    with framework(picture):
        from nmc_framework.inverse.mesh_files import write_mesh
        from nmc_framework.inverse.network import InverseGraphics
        from nmc_framework.inverse.reconstruction import found_in, mesh_of, open_picture, turned
        from nmc_framework.rendering import write_video

        model = opened_model(package, InverseGraphics, device)
        found = found_in(model, open_picture(picture, int(model.configuration["size"])))
        mesh = mesh_of(model, found)
        for path in output:
            if path.suffix.lower() == ".mp4":
                path.parent.mkdir(parents=True, exist_ok=True)
                write_video(path, turned(model, found, size=size), 24)
                files = [path]
            else:
                files = write_mesh(path, mesh)
            for file in files:
                say(f"{file}: {size_text(file.stat().st_size)}")


@app.command("show")
def show(
    package: Annotated[Path, typer.Argument(metavar="NETWORK.nmc", help="Of 'nmc inverse train'.")],
    folder: ViewsArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture, .png.")],
    beside: Annotated[
        Path | None,
        typer.Option(metavar="OTHER.nmc", help="Another network, such as one of single views."),
    ] = None,
    objects: Annotated[
        str, typer.Option(metavar="A,B,…", help="Objects of the set, counted from 0.")
    ] = "0",
    shown: Annotated[int, typer.Option(min=0, help="The viewpoint the network is shown.")] = 1,
    scale: Annotated[int, typer.Option(min=1, max=16, help="Times as large.")] = 2,
    device: DeviceOption = "cpu",
    force: ForceOption = False,
) -> None:
    """Show what a network makes of one picture, beside the truth from all viewpoints.

    Three rows an object, or two without --beside: the pictures of the set, what the network sees
    from the same viewpoints, what the other one sees. The first column is the picture shown.

    Examples
    --------
      nmc inverse show cars.nmc cars -o seen.png --beside single.nmc --objects 200,210
    """
    require_png(output)
    require_there([package, folder, *([beside] if beside else [])])
    require_new(output, force=force)
    with framework(folder, output):
        import numpy as np

        from nmc_framework.inverse.multiview import read_views
        from nmc_framework.inverse.network import InverseGraphics
        from nmc_framework.inverse.pictures import grid
        from nmc_framework.inverse.reconstruction import seen_from_all

        views = read_views(folder)
        numbers = [part.strip() for part in objects.split(",")]
        if not all(number.isdecimal() and int(number) < len(views) for number in numbers):
            reason = f"{objects!r}; write objects from 0 to {len(views) - 1} with commas"
            raise typer.BadParameter(reason, param_hint="--objects")
        if shown >= len(views.annotated):
            reason = f"the set has viewpoints 0 to {len(views.annotated) - 1}"
            raise typer.BadParameter(reason, param_hint="--shown")
        packages = [path for path in (package, beside) if path is not None]
        models = [opened_model(path, InverseGraphics, device) for path in packages]
        rows = []
        for number in map(int, numbers):
            own = views.pictures[number]
            rows.append(np.concatenate([own[shown : shown + 1], own]))
            for model in models:
                seen = seen_from_all(model, views, number, shown)
                rows.append(np.concatenate([np.full_like(own[:1], 255), seen]))
        sheet = np.repeat(np.repeat(grid(rows), scale, axis=0), scale, axis=1)
        output.parent.mkdir(parents=True, exist_ok=True)
        write_png(output, sheet)
    say(f"{output}: {counted(len(numbers), 'object')}, {counted(len(models), 'network')}")


def _tell_scores(scores: Scores, more: dict[str, Any], objects: int, *, as_json: bool) -> None:
    """Say how well held-out objects fit."""
    if as_json:
        print_json(more | {"held_out_objects": objects} | asdict(scores))
        return
    took = (
        f", {more['iterations']} iterations in {more['seconds']:.0f} s" if "seconds" in more else ""
    )
    say(
        f"{more['package']}: IoU of {objects} held-out objects {scores.same:.3f} from the "
        f"picture's viewpoint, {scores.other:.3f} from the others, {scores.worst:.3f} from the "
        f"worst; colours off by {scores.colour:.3f}{took}"
    )
    if scores.cameras is not None:
        refined, before = scores.cameras
        say(f"viewpoints: {refined:.1f} degrees from the true ones; {before:.1f} by their bins")
