"""``nmc inverse generator``, ``adapt``, ``sample``, ``layers``, ``multiview``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmc_tools.commands.framework import framework, parse_device, require_new, require_there
from nmc_tools.commands.inverse_options import (
    BatchOption,
    DeviceOption,
    ForceOption,
    FrameOption,
    GeneratorArgument,
    IterationsOption,
    PackageOption,
    PictureOption,
    PicturesArgument,
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

if TYPE_CHECKING:
    from nmc_framework.inverse.annotator import Annotator
    from nmc_framework.inverse.multiview import MultiView

#: Iterations in which viewpoints and masks are learned.
ANNOTATED = 400
#: The usual generator by the side of its pictures: maps' sides, layers at each, and channels.
SIZES: dict[int, dict[str, list[int]]] = {
    32: {"sides": [4, 8, 16, 32], "layers": [1, 3, 6, 5], "channels": [64, 64, 40, 24]},
    64: {"sides": [4, 8, 16, 32, 64], "layers": [1, 3, 4, 4, 3], "channels": [96, 96, 64, 40, 24]},
}


def generator(
    folder: PicturesArgument,
    output: PackageOption,
    size: Annotated[int, typer.Option(help="Pixels of the pictures' sides, 32 or 64.")] = 64,
    iterations: IterationsOption = 6000,
    seconds: SecondsOption = None,
    batch: BatchOption = 16,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    force: ForceOption = False,
    as_json: PlainJsonOption = False,
) -> None:
    """Train a generator of 16 modulated layers on pictures, against a discriminator.

    StyleGAN2 at a small size: it takes minutes to hours on a CPU. Any folder of pictures does; they
    are cut to squares about their middles. What is written is the moving average of its weights.

    Examples
    --------
      nmc inverse generator cars -o generator.nmc --size 32

      nmc inverse generator photos/ -o generator.nmc --seconds 3600
    """
    if size not in SIZES:
        raise typer.BadParameter("take 32 or 64", param_hint="--size")
    require_there([folder])
    require_new(output, force=force)
    with framework(folder, output):
        from nmc_framework.inverse.generator import StyleGenerator
        from nmc_framework.inverse.packages import write_package
        from nmc_framework.inverse.pictures import PictureSet, read_pictures
        from nmc_framework.training import Schedule, train_on

        there = parse_device(device)
        pictures = PictureSet(read_pictures(folder, size))
        model = StyleGenerator.build(SIZES[size], seed=seed).to(there)
        schedule = Schedule(first=iterations, first_seconds=seconds, rays=batch, seed=seed)
        with progress_bar(f"training {output.name}", "iterations") as shown:
            frame = train_on(model, pictures, schedule, frame=0, report=reported(shown))
        write_package(output, model, [frame], overwrite=force)
    told = {"package": str(output), "iterations": frame.iterations, "seconds": frame.seconds}
    if as_json:
        print_json(told)
        return
    say(
        f"{output}: a generator of {size}x{size}, {frame.iterations} iterations of {batch} "
        f"pictures in {frame.seconds:.0f} s"
    )


def imported(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Of StyleGAN2: .pkl, .pt or .safetensors.")
    ],
    output: PackageOption,
    force: ForceOption = False,
) -> None:
    """Put the generator of a StyleGAN2 checkpoint into a package.

    Networks of stylegan2-ada-pytorch (.pkl, or their state) and checkpoints of stylegan2-pytorch
    (.pt) are read without executing anything in them; the average of the weights is taken.

    Examples
    --------
      nmc inverse import network-snapshot.pkl -o generator.nmc
    """
    require_there([checkpoint])
    require_new(output, force=force)
    with framework(checkpoint, output):
        from nmc_framework.inverse.packages import write_state
        from nmc_framework.inverse.stylegan2_names import generator_of

        model = generator_of(_state(checkpoint))
        write_state(output, model, overwrite=force)
    say(f"{output}: a generator of {model.size}x{model.size}, {model.codes} layers")


def _state(checkpoint: Path) -> dict[str, Any]:
    """Return the tensors of the generator's part of a checkpoint; all where it has no parts."""
    from nmc_framework.inverse.stylegan2_names import PARTS
    from nmc_tools.checkpoints import CheckpointError, read

    for part in PARTS:
        try:
            return dict(read(checkpoint, key=part).state)
        except CheckpointError:
            continue
    return dict(read(checkpoint).state)


def adapt(
    package: GeneratorArgument,
    folder: PicturesArgument,
    output: PackageOption,
    learn: Annotated[
        str, typer.Option(metavar="A-B", help="The layers that learn, from 1 on; all else is kept.")
    ] = "1-4",
    iterations: IterationsOption = 600,
    seconds: SecondsOption = None,
    batch: BatchOption = 16,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    force: ForceOption = False,
) -> None:
    """Fine-tune some layers of a generator on other pictures: a further frame of its chain.

    Layers 1 to 4 decide the viewpoint, later ones what is seen. All others are frozen, so that the
    frame holds no more than what was learned: 'nmc inspect' says what a viewpoint or a texture
    costs. The first third of the time only a new discriminator learns.

    Examples
    --------
      nmc inverse adapt generator.nmc from-above/ -o variants.nmc --learn 1-4

      nmc inverse adapt variants.nmc repainted/ -o both.nmc --learn 13-16
    """
    require_there([package, folder])
    require_new(output, force=force)
    with framework(package, output):
        from nmc_framework.inverse.generator import StyleGenerator
        from nmc_framework.inverse.packages import extended
        from nmc_framework.inverse.pictures import PictureSet, read_pictures
        from nmc_framework.training import Schedule, train_on

        model = opened_model(package, StyleGenerator, device)
        frozen = _frozen(learn, model.codes)
        pictures = PictureSet(read_pictures(folder, model.size))
        with extended(package, output, model, overwrite=force) as store:
            index = len(store)
            schedule = Schedule(
                later=iterations,
                later_seconds=seconds,
                rays=batch,
                exclude_layers=frozen,
                hold=0.0,
                seed=seed,
            )
            with progress_bar(f"training {output.name}", "iterations") as shown:
                frame = train_on(model, pictures, schedule, frame=index, report=reported(shown))
            store.append(frame)
    say(f"{output}: frame {index}, layers {learn} learned in {frame.seconds:.0f} s")


def sample(
    package: GeneratorArgument,
    output: PictureOption,
    frame: FrameOption = -1,
    rows: Annotated[int, typer.Option(min=1, max=64, help="Objects.")] = 6,
    columns: Annotated[int, typer.Option(min=1, max=64, help="Viewpoints.")] = 8,
    layers: Annotated[
        str, typer.Option(metavar="A-B", help="Layers whose codes are those of the column.")
    ] = "1-4",
    truncation: Annotated[float, typer.Option(min=0, max=1.5, help="0: the mean picture.")] = 0.8,
    scale: Annotated[int, typer.Option(min=1, max=16, help="Times as large.")] = 2,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    force: ForceOption = False,
) -> None:
    """Show a generator: each column has one code in some layers, each row one in all others.

    With the layers of the viewpoint, a column is a viewpoint and a row an object; with others, such
    as 5-16, a column is an object and a row a viewpoint.

    Examples
    --------
      nmc inverse sample generator.nmc -o viewpoints.png

      nmc inverse sample generator.nmc -o paints.png --layers 9-16 --seed 3
    """
    require_png(output)
    require_there([package])
    require_new(output, force=force)
    with framework(package, output):
        import numpy as np
        import torch

        from nmc_framework.inverse.generator import StyleGenerator
        from nmc_framework.inverse.layer_groups import made
        from nmc_framework.inverse.pictures import grid

        model = opened_model(package, StyleGenerator, device, frame)
        first, last = _range(layers, model.codes)
        random = torch.Generator().manual_seed(seed)
        objects = model.drawn(rows, random, truncation=truncation)
        viewpoints = model.drawn(columns, random, truncation=truncation)
        codes = objects[:, None].repeat(1, columns, 1, 1)
        codes[:, :, first - 1 : last] = viewpoints[None, :, first - 1 : last]
        pictures = made(model, codes.flatten(0, 1)).reshape(rows, columns, *[model.size] * 2, 3)
        pictures = np.repeat(np.repeat(pictures, scale, axis=2), scale, axis=3)
        output.parent.mkdir(parents=True, exist_ok=True)
        write_png(output, grid(list(pictures)))
    say(f"{output}: {rows} rows, {columns} columns; columns share layers {first} to {last}")


def layers(
    package: GeneratorArgument,
    folder: ViewsArgument,
    network: Annotated[Path, typer.Argument(metavar="NETWORK.nmc", help="Of 'nmc inverse train'.")],
    frame: FrameOption = -1,
    pairs: Annotated[int, typer.Option(min=2, help="Of pictures.")] = 96,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    as_json: PlainJsonOption = False,
) -> None:
    """Measure how much of viewpoint, shape and colour each group of four layers changes.

    The codes of a group are exchanged between pictures, and what changes is told, with its share of
    what changes when all codes are exchanged. Viewpoints and masks are told by a small network that
    learns from the multi-view set, shapes by the network of inverse graphics.

    Examples
    --------
      nmc inverse layers generator.nmc cars network.nmc --json
    """
    require_there([package, folder, network])
    with framework(package):
        from nmc_framework.inverse.generator import StyleGenerator
        from nmc_framework.inverse.layer_groups import effects
        from nmc_framework.inverse.multiview import read_views
        from nmc_framework.inverse.network import InverseGraphics

        model = opened_model(package, StyleGenerator, device, frame)
        annotator, told = _annotator(read_views(folder), model.size, seed, device)
        shapes = opened_model(network, InverseGraphics, device)
        found = effects(model, annotator, shapes, pairs=pairs, seed=seed)
    if as_json:
        print_json({"annotator": told, "groups": [asdict(effect) for effect in found]})
        return
    say(_told(told))
    say("layers  viewpoint    shape        colour       background")
    for effect in found:
        numbers = (effect.shape, effect.colour, effect.background)
        cells = [f"{effect.viewpoint[0]:5.1f}° {effect.viewpoint[1]:4.0%}"]
        cells += [f"{value:.3f} {share:5.0%}" for value, share in numbers]
        say(f"{effect.first:2d}-{effect.last:<2d}   " + "  ".join(cells))


def multiview(
    package: GeneratorArgument,
    folder: ViewsArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that is made.")],
    count: Annotated[int, typer.Option(min=1, help="Objects.")] = 200,
    viewpoints: Annotated[int, typer.Option(min=2, max=64, help="That all share.")] = 12,
    bins: Annotated[
        str | None,
        typer.Option(
            metavar="B,B,…",
            help="The bin of each viewpoint, 0 to 11, as you see it; else as it is found.",
        ),
    ] = None,
    frame: FrameOption = -1,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    as_json: PlainJsonOption = False,
) -> None:
    """Make a multi-view set of a generator: a viewpoint is one code of layers 1 to 4, for all.

    One annotation a viewpoint serves all objects. Masks are told by a small network that learns
    from VIEWS; objects with a bad mask in a view are left out, as in the paper.

    Examples
    --------
      nmc inverse multiview generator.nmc cars -o made --count 200

      nmc inverse train made -o of-generator.nmc
    """
    require_there([package, folder])
    require_new(output, force=False)
    named = _bins(bins, viewpoints)
    with framework(package, output):
        from nmc_framework.inverse.generator import StyleGenerator
        from nmc_framework.inverse.layer_groups import generated_views
        from nmc_framework.inverse.multiview import read_views, write_views

        model = opened_model(package, StyleGenerator, device, frame)
        annotator, told = _annotator(read_views(folder), model.size, seed, device)
        views, agreement = generated_views(
            model, annotator, count, viewpoints, seed, annotated=named
        )
        write_views(output, views)
    if as_json:
        print_json({"annotator": told} | asdict(agreement) | {"bins": list(views.annotated)})
        return
    say(_told(told))
    say(
        f"{output}: {agreement.kept} of {agreement.made} objects from {viewpoints} viewpoints, "
        f"azimuths of one viewpoint {agreement.spread:.1f} degrees apart"
    )


def _annotator(
    views: MultiView, size: int, seed: int, device: str
) -> tuple[Annotator, dict[str, Any]]:
    """Return what tells viewpoints and masks, and how well it does on objects held out."""
    from nmc_framework.inverse.annotator import trained_annotator, turned_by

    held = max(1, len(views) // 10)
    training, testing = views.split(held)
    annotator = trained_annotator(training, size, iterations=ANNOTATED, seed=seed, device=device)
    from nmc_framework.inverse.pictures import scaled

    flat = testing.pictures.reshape(-1, views.size, views.size, 3)
    said = annotator.annotate(scaled(flat, size))
    truth = views.first_poses()[:, 0].tolist() * held
    off = turned_by(said.azimuths, truth)
    return annotator, {"held_out_objects": held, "azimuth_off": float(off.mean())}


def _told(told: dict[str, Any]) -> str:
    return (
        f"viewpoints are told to {told['azimuth_off']:.1f} degrees on {told['held_out_objects']} "
        "held-out objects"
    )


def _range(text: str, codes: int) -> tuple[int, int]:
    """Return the first and last layer, counted from 1, of ``A-B`` or ``A``."""
    first, _, last = text.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal()):
        raise typer.BadParameter(f"{text!r}; write such as 1-4")
    found = int(first), int(last or first)
    if not 1 <= found[0] <= found[1] <= codes:
        raise typer.BadParameter(f"{text!r}: the generator has layers 1 to {codes}")
    return found


def _frozen(learn: str, codes: int) -> tuple[int, ...]:
    """Return the layers of the model that are frozen where ``learn`` learns; 0 is the mapping."""
    first, last = _range(learn, codes)
    return tuple(k for k in range(codes + 1) if not first <= k <= last)


def _bins(text: str | None, viewpoints: int) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != viewpoints or not all(p.strip().isdecimal() and int(p) < 12 for p in parts):
        raise typer.BadParameter(
            f"{text!r}; write {viewpoints} bins from 0 to 11 with commas", param_hint="--bins"
        )
    return tuple(int(part) for part in parts)
