"""``nmc inverse renderer`` and ``swap``: codes of camera, shape, texture and background."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nmc_tools.commands.framework import framework, require_new, require_there
from nmc_tools.commands.inverse_options import (
    BatchOption,
    DeviceOption,
    ForceOption,
    GeneratorArgument,
    HeldOutOption,
    IterationsOption,
    PackageOption,
    PictureOption,
    SecondsOption,
    SeedOption,
    ViewsArgument,
    opened_model,
    reported,
    require_png,
)
from nmc_tools.commands.shared_options import PlainJsonOption
from nmc_tools.pictures import write_png
from nmc_tools.terminal import print_json, progress_bar, say

NetworkArgument = Annotated[
    Path, typer.Argument(metavar="NETWORK.nmc", help="Of 'nmc inverse train', on the same set.")
]


def renderer(
    folder: ViewsArgument,
    network: NetworkArgument,
    package: GeneratorArgument,
    output: PackageOption,
    held_out: HeldOutOption = 20,
    iterations: IterationsOption = 3000,
    seconds: SecondsOption = None,
    batch: BatchOption = 16,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    force: ForceOption = False,
    as_json: PlainJsonOption = False,
) -> None:
    """Train codes of camera, shape, texture and background for a generator (StyleGAN-R).

    Shape and texture are what the network makes of one view of an object, the background is that
    view without the object; camera and picture are those of another view. The generator is
    fine-tuned along with them. Held-out objects are scored from viewpoints not shown.

    Examples
    --------
      nmc inverse renderer cars network.nmc generator.nmc -o renderer.nmc
    """
    require_there([folder, network, package])
    require_new(output, force=force)
    with framework(folder, output):
        from nmc_framework.inverse.generator import StyleGenerator
        from nmc_framework.inverse.multiview import read_views
        from nmc_framework.inverse.network import InverseGraphics
        from nmc_framework.inverse.packages import write_package
        from nmc_framework.inverse.renderer import RenderedViews, fidelity, renderer_of
        from nmc_framework.training import Schedule, train_on

        training, testing = read_views(folder).split(held_out)
        shapes = opened_model(network, InverseGraphics, device)
        generator = opened_model(package, StyleGenerator, device)
        model = renderer_of(generator, shapes, seed=seed).to(device)
        schedule = Schedule(first=iterations, first_seconds=seconds, rays=batch, seed=seed)
        examples = RenderedViews(training, shapes, generator.size)
        with progress_bar(f"training {output.name}", "iterations") as shown:
            frame = train_on(model, examples, schedule, frame=0, report=reported(shown))
        write_package(output, model, [frame], overwrite=force)
        psnr = fidelity(model, RenderedViews(testing, shapes, generator.size))
    told = {"package": str(output), "iterations": frame.iterations, "seconds": frame.seconds}
    if as_json:
        print_json(told | {"psnr": psnr, "held_out_objects": held_out})
        return
    say(
        f"{output}: {held_out} held-out objects from viewpoints not shown {psnr:.2f} dB, "
        f"{frame.iterations} iterations in {frame.seconds:.0f} s"
    )


def swap(
    package: Annotated[
        Path, typer.Argument(metavar="RENDERER.nmc", help="Of 'nmc inverse renderer'.")
    ],
    folder: ViewsArgument,
    network: NetworkArgument,
    output: PictureOption,
    objects: Annotated[
        str, typer.Option(metavar="A,B,C", help="Three objects of the set, counted from 0.")
    ] = "0,1,2",
    viewpoint: Annotated[int, typer.Option(min=0, help="Of the set.")] = 1,
    scale: Annotated[int, typer.Option(min=1, max=16, help="Times as large.")] = 3,
    device: DeviceOption = "cpu",
    force: ForceOption = False,
) -> None:
    """Exchange shape, texture and background between three objects, and show it.

    Columns: the objects as they are shown; all with the shape of A; with the texture of B; with
    the background of C. Before them stand the pictures of the set.

    Examples
    --------
      nmc inverse swap renderer.nmc cars network.nmc -o swap.png --objects 200,203,207
    """
    require_png(output)
    require_there([package, folder, network])
    require_new(output, force=force)
    with framework(folder, output):
        import numpy as np

        from nmc_framework.inverse.multiview import read_views
        from nmc_framework.inverse.network import InverseGraphics
        from nmc_framework.inverse.pictures import grid, scaled
        from nmc_framework.inverse.renderer import RenderedViews, StyleRenderer, swaps

        views = read_views(folder)
        chosen = _objects(objects, len(views))
        if viewpoint >= len(views.annotated):
            reason = f"the set has viewpoints 0 to {len(views.annotated) - 1}"
            raise typer.BadParameter(reason, param_hint="--viewpoint")
        model = opened_model(package, StyleRenderer, device)
        shapes = opened_model(network, InverseGraphics, device)
        size = model.generator.size
        some = views.part(chosen)
        rows = swaps(model, RenderedViews(some, shapes, size), range(len(chosen)), viewpoint)
        true = scaled(some.pictures[:, viewpoint], size)
        sheet = grid([np.concatenate([true[k : k + 1], row]) for k, row in enumerate(rows)])
        sheet = np.repeat(np.repeat(sheet, scale, axis=0), scale, axis=1)
        output.parent.mkdir(parents=True, exist_ok=True)
        write_png(output, sheet)
    say(
        f"{output}: the set's pictures, as shown, shape of {chosen[0]}, texture of {chosen[1]}, "
        f"background of {chosen[2]}"
    )


def _objects(text: str, count: int) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part.isdecimal() and int(part) < count for part in parts):
        raise typer.BadParameter(
            f"{text!r}; write three objects from 0 to {count - 1}, such as 0,1,2",
            param_hint="--objects",
        )
    return [int(part) for part in parts]
