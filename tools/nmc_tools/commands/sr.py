"""``nmc sr``: super-resolution of video by networks that are fine-tuned on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from nmc_tools.commands.framework import (
    SizeOption,
    framework,
    option,
    parse_device,
    parse_size,
    require_known,
    require_new,
    require_there,
)
from nmc_tools.commands.shared_options import ForceOption
from nmc_tools.commands.sr_apply import DeviceOption
from nmc_tools.commands.sr_apply import apply as _apply
from nmc_tools.commands.sr_apply import evaluate as _evaluate
from nmc_tools.commands.sr_demo import demo, film
from nmc_tools.commands.sr_experiment import experiment as _experiment
from nmc_tools.commands.sr_opinion import mos, mos_sheet, preference, preference_sheet
from nmc_tools.terminal import counted, note, print_json, progress_bar, say, size_text

app = typer.Typer(
    help="Enlarge videos by networks that are fine-tuned on them.", no_args_is_help=True
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")]
SeedOption = Annotated[int, typer.Option(help="All that is random follows from it.")]
BatchOption = Annotated[int, typer.Option(min=1, max=4096, help="Patches an iteration.")]
PatchOption = Annotated[
    int, typer.Option(min=4, max=1024, help="Side in pixels of the small pictures' patches.")
]
AugmentOption = Annotated[
    bool, typer.Option("--augment/--no-augment", help="Whether patches are turned and mirrored.")
]
LossOption = Annotated[
    str, typer.Option(help="l1, l2, or perceptual, which needs --lpips-backbone.")
]
NetOption = Annotated[
    Literal["alex", "vgg", "squeeze"] | None,
    typer.Option(help="Of the perceptual loss; vgg if left out."),
]
BackboneOption = Annotated[
    Path | None, typer.Option(help="That network's weights; yours to supply.")
]


@app.callback()
def _group() -> None:
    """Enlarge videos by networks that are fine-tuned on them."""


@app.command("pretrain")
def pretrain(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            help="Pictures, in folders of it too. Without one: those that scikit-image brings, "
            "else pictures of the embedded scenes.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The package of one frame to write.")
    ] = Path("pretrained.nmc"),
    family: Annotated[str, typer.Option(help="edsr or vdsr.")] = "edsr",
    scale: Annotated[int, typer.Option(min=2, max=4, help="2, 3 or 4.")] = 2,
    size: Annotated[
        str, typer.Option(help="Of the network: tiny, small, medium, or baseline as published.")
    ] = "small",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of the family; repeatable."),
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="By default 2000, minutes of a core if small.")
    ] = None,
    batch: BatchOption = 16,
    patch: PatchOption = 32,
    augment: AugmentOption = True,
    loss: LossOption = "l1",
    lpips_net: NetOption = None,
    lpips_backbone: BackboneOption = None,
    coded: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=51,
            metavar="CRF",
            help="Code the small pictures by H.264, and learn from what is decoded.",
        ),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a network on pictures: what the chain of a video begins with.

    Examples
    --------
      nmc sr pretrain -o base.nmc

      nmc sr pretrain -o coded.nmc --coded 23

      nmc sr pretrain photographs/ -o base.nmc --scale 3 --size medium --iterations 20000
    """
    require_there([folder] if folder else [])
    require_new(output, force=force)
    place = folder or "the pictures"
    with framework(place, output):
        from nmc_tools.super_resolution.pretraining import pretrained
        from nmc_tools.super_resolution.training import chosen_criterion, network

        device = parse_device(device)
        with option("--set" if settings else "--family"):
            model = network(family, scale, size, settings, seed).to(device)
        with option("--loss"):
            criterion = chosen_criterion(loss, lpips_net, lpips_backbone, device)
        with progress_bar(f"pre-training {output.name}", unit="iterations") as progress:
            told = pretrained(
                model,
                folder,
                output,
                criterion=criterion,
                iterations=iterations or model.iterations[0],
                batch=batch,
                patch=patch,
                augment=augment,
                seed=seed,
                coded=coded,
                report=progress,
                force=force,
            )
    if as_json:
        print_json(told)
        return
    for each in told["left_out"]:
        note(f"left out: {each}")
    say(
        f"{output}: {family} x{scale}, {told['weights']:,} weights, "
        f"{counted(told['pictures'], 'picture')} of {told['source']}, {told['seconds']:.0f} s; "
        f"{told['psnr']:.2f} dB of them, bicubic {told['bicubic']:.2f}; "
        f"{size_text(told['bytes'])}"
    )


@app.command("train")
def train(
    video: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEO", help="The original, or with --without-original the small video."
        ),
    ],
    model: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="The network to begin with: a package of nmc sr pretrain, or a checkpoint of "
            "EDSR-PyTorch.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The package to write.")] = Path(
        "film.nmc"
    ),
    without_original: Annotated[
        bool,
        typer.Option(
            "--without-original",
            help="Learn from the small video alone: it is the goal, its bicubic half the input.",
        ),
    ] = False,
    low: Annotated[
        Path | None, typer.Option(help="A small video of the original that is coded already.")
    ] = None,
    codec: Annotated[
        str | None, typer.Option(help="Of the small video: h264, hevc or av1; else h264.")
    ] = None,
    crf: Annotated[
        int | None, typer.Option(min=0, max=63, help="Its constant rate factor; else 23.")
    ] = None,
    frames: Annotated[
        str, typer.Option(help="Pictures to learn from: all, iframes, or so many such as 2/s.")
    ] = "all",
    clip: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="A network for about so long.")
    ] = 10.0,
    cuts: Annotated[
        bool, typer.Option("--cuts/--no-cuts", help="Whether scenes begin where the video cuts.")
    ] = True,
    key_at_cuts: Annotated[
        bool | None,
        typer.Option(
            "--key-at-cuts/--no-key-at-cuts",
            help="Whether networks of scenes after a cut are key frames. By default they are, "
            "unless --last is given: the layers before would be sent again.",
        ),
    ] = None,
    last: Annotated[
        int | None, typer.Option(metavar="K", min=1, help="Only the last K layers learn.")
    ] = None,
    quality: Annotated[
        float | None,
        typer.Option(min=1, max=100, help="Code the networks with loss; 20 is small."),
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Of each scene.")] = 300,
    batch: BatchOption = 16,
    patch: PatchOption = 32,
    augment: Annotated[
        bool | None,
        typer.Option(
            "--augment/--no-augment",
            help="Whether patches are turned and mirrored. By default without the original alone.",
        ),
    ] = None,
    loss: LossOption = "l1",
    lpips_net: NetOption = None,
    lpips_backbone: BackboneOption = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=0, help="Its peak; by default the family's.")
    ] = None,
    by_niqe: Annotated[
        bool,
        typer.Option(
            "--by-niqe", help="Keep of each scene the iteration that looks most natural by NIQE."
        ),
    ] = False,
    beside: Annotated[
        bool, typer.Option("--beside", help="Leave the small video beside the package, not in it.")
    ] = False,
    size: SizeOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take so many pictures.")] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run.")
    ] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a network on a video, scene by scene, into a package with the small video.

    Examples
    --------
      nmc sr train film.mp4 --model base.nmc -o film.nmc --quality 24

      nmc sr train small.mp4 --model edsr_baseline_x2.pt --without-original -o small.nmc --by-niqe

      nmc sr train film.mp4 --model base.nmc -o last.nmc --last 3 --frames iframes
    """
    require_there([video, model, *([low] if low else [])])
    wanted_size = parse_size(size)
    made = {"--codec": codec, "--crf": crf}
    if without_original:
        _refuse(
            made | {"--low": low, "--size": size}, "VIDEO is the small video, and is left as it is"
        )
    if low is not None:
        _refuse(made, "--low is coded already")
    if not resume:
        require_new(output, force=force)
    with framework(video, output):
        from nmc_framework.super_resolution.coding import CODECS
        from nmc_framework.super_resolution.scenes import FrameChoice
        from nmc_framework.super_resolution.self_transfer import FineTuning
        from nmc_tools.super_resolution.training import chosen_criterion, read_network
        from nmc_tools.super_resolution.transmission import Wanted, transmit

        device = parse_device(device)
        require_known([codec or "h264"], CODECS, "--codec")
        with option("--frames"):
            choice = FrameChoice.named(frames)
        with option("--model"):
            network = read_network(model).to(device)
        with option("--loss"):
            criterion = chosen_criterion(loss, lpips_net, lpips_backbone, device)
        tuning = FineTuning(
            criterion=criterion,
            iterations=iterations,
            batch=batch,
            patch=patch,
            augment=without_original if augment is None else augment,
            last=last,
            learning_rate=learning_rate,
            seed=seed,
            by_niqe=by_niqe,
        )
        wanted = Wanted(
            video=video,
            output=output,
            original=not without_original,
            low=low,
            codec=codec or "h264",  # type: ignore[arg-type]
            factor=23 if crf is None else crf,
            frames=choice,
            clip=clip,
            by_cuts=cuts,
            key_at_cuts=key_at_cuts,
            quality=quality,
            beside=beside,
            size=wanted_size,
            limit=limit,
            resume=resume,
            force=force,
        )
        with progress_bar(
            f"fine-tuning {output.name}",
            unit="iterations",
            kept="finished scenes are kept",
            resume="--resume",
        ) as progress:
            told = transmit(wanted, network, tuning, progress)
    if as_json:
        print_json(told)
        return
    scenes = counted(len(told["scenes"]), "scene")
    say(
        f"{output}: {scenes} of {counted(told['pictures'], 'picture')}, "
        f"{told['seconds']:.0f} s; networks {size_text(sum(told['frames']))}, "
        f"small video {size_text(told['low']['bytes'])}"
    )


def _refuse(options: Mapping[str, object], reason: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(reason, param_hint=name)


app.command("film")(film)
app.command("demo")(demo)
app.command("apply")(_apply)
app.command("evaluate")(_evaluate)
app.command("experiment")(_experiment)
app.command("mos-sheet")(mos_sheet)
app.command("mos")(mos)
app.command("preference-sheet")(preference_sheet)
app.command("preference")(preference)
