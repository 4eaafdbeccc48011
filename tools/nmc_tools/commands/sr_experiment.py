"""``nmc sr experiment``: what fine-tuning gains, by its options; and beside H.264 and HEVC."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nmc_tools.commands.framework import (
    framework,
    option,
    parse_size,
    require_folder,
    require_known,
    require_marks,
    require_there,
)
from nmc_tools.terminal import out, print_json, progress_bar, say

#: Rate factor of the pictures that the second network is pre-trained on: that of the small videos.
_CODED = 23


def experiment(
    videos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME[:KIND]=]VIDEO[@WxH]",
            help="A video, what it is called and shows, and what size it is reduced to. A film of "
            "an embedded scene if none is given.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the results; what is there is kept.")
    ] = Path("out/sr"),
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The pre-trained network; else one is made.")
    ] = None,
    variant: Annotated[
        list[str] | None, typer.Option(help="Of the first table; repeatable. All if not given.")
    ] = None,
    sweeps: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Only the first N videos go through all of both tables."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Take so many pictures.")] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Of each scene.")] = 200,
    pretraining: Annotated[
        int, typer.Option(min=1, help="Iterations of the network that is made.")
    ] = 1500,
    learning_rate: Annotated[float | None, typer.Option(min=0, help="Of fine-tuning.")] = None,
    quality: Annotated[float, typer.Option(min=1, max=100, help="Of the lossy coder.")] = 16,
    every: Annotated[int, typer.Option(min=1, help="Score every so many pictures.")] = 4,
    rates: Annotated[
        bool, typer.Option("--rates/--no-rates", help="Whether H.264 and HEVC are measured.")
    ] = True,
    lpips_net: Annotated[str, typer.Option(help="Of the perceptual loss.")] = "vgg",
    lpips_backbone: Annotated[
        Path | None,
        typer.Option(help="That network's weights; with them the perceptual loss is tried too."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Put the tables between its marks super-resolution."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all rows as JSON.")] = False,
) -> None:
    """Fine-tune by every option, and compare the whole transmission with H.264 and HEVC.

    Layers, pictures, augmentation, losses, and how long a network serves: what each gains over the
    pre-trained network, and what its networks cost. Then whole films by x264 and x265 beside small
    ones that are enlarged, at several rate factors. Results are kept: an interrupted run goes on
    with the same command.

    Examples
    --------
      nmc sr experiment --limit 24 --no-rates

      nmc sr experiment "talk:a head=talk.mp4@176x144" bikes.mp4@192x80 --model base.nmc -o out/sr
    """
    require_folder(output)
    named = [_named(text) for text in videos or ()]
    require_marks(into, "super-resolution")
    require_there([path for _, _, path, _ in named])
    require_there([model] if model else [])
    with framework(output, output):
        from nmc_framework.super_resolution.criteria import Perceptual
        from nmc_tools.bench.published import machine, put_into
        from nmc_tools.experiments.results_page import tables, write_results
        from nmc_tools.super_resolution.experiment import VARIANTS, Request, run
        from nmc_tools.super_resolution.gains import table
        from nmc_tools.super_resolution.material import base_network, embedded_film
        from nmc_tools.super_resolution.training import chosen_criterion

        require_known(variant, VARIANTS, "--variant")
        output.mkdir(parents=True, exist_ok=True)
        with option("--lpips-backbone"):
            perceptual: Perceptual | None = None
            if lpips_backbone is not None:
                found_loss = chosen_criterion("perceptual", lpips_net, lpips_backbone)
                assert isinstance(found_loss, Perceptual)
                perceptual = found_loss
        with progress_bar("pre-training", unit="iterations") as bar:
            base = model or base_network(output / "base.nmc", pretraining, bar)
            coded = None
            if model is None:
                coded = base_network(output / "base-coded.nmc", pretraining, bar, coded=_CODED)
        if not named:
            named = [("room", "an embedded scene", embedded_film(output / "room.mp4"), None)]
        request = Request(
            videos={name: path for name, _, path, _ in named},
            base=base,
            folder=output,
            sizes={name: size for name, _, _, size in named},
            kinds={name: kind for name, kind, _, _ in named},
            coded_base=coded,
            limit=limit,
            iterations=iterations,
            learning_rate=learning_rate,
            quality=quality,
            every=every,
            variants=variant or VARIANTS,
            sweeps=sweeps,
            rates=rates,
            perceptual=perceptual,
        )
        where = machine(["torch", "av"])
        with progress_bar("experiments", unit="points", kept=f"in {output}", resume="") as bar:
            found = run(request, bar, where)
        told = (
            f"Measured on {where}. {iterations} iterations a scene, networks at quality "
            f"{quality:g}, one of {every} pictures scored."
        )
        text = table(found.gains, told)
        (output / "gains.md").write_text(text, encoding="utf-8")
        if found.rates is not None:
            write_results(output, found.rates)
            text += "\n" + tables(found.rates)
        if into:
            put_into(into, "super-resolution", text)
    if as_json:
        from dataclasses import asdict

        rows = found.rates.as_json()["rows"] if found.rates else []
        print_json(
            {"machine": where, "gains": [asdict(g) for g in found.gains.gains], "rates": rows}
        )
        return
    out.print(text, markup=False)
    say(f"{output}: gains.md" + (", rates.html" if found.rates else ""))


def _named(text: str) -> tuple[str, str, Path, tuple[int, int] | None]:
    """Return name, kind, path and size of ``[NAME[:KIND]=]VIDEO[@WxH]``."""
    name, equals, rest = text.partition("=")
    if not equals or "/" in name:
        name, rest = "", text
    place, at, size = rest.rpartition("@")
    if not at:
        place, size = rest, ""
    path = Path(place)
    name, _, kind = name.partition(":")
    return name or path.stem, kind, path, parse_size(size or None)
