"""``nmc sr film`` and ``nmc sr demo``: a film of an embedded scene, and the whole way on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nmc_tools.commands.framework import (
    ShareOption,
    SizeOption,
    framework,
    parse_size,
    require_folder,
    require_new,
)
from nmc_tools.commands.shared_options import ForceOption
from nmc_tools.commands.sr_apply import enlarge_into, score_networks
from nmc_tools.terminal import counted, progress_bar, say, size_text


def film(
    output: Annotated[Path, typer.Option("--output", "-o", help="The video to write, .mp4.")],
    pictures: Annotated[int, typer.Option(min=2, max=10_000, help="How many.")] = 24,
    size: SizeOption = None,
    force: ForceOption = False,
) -> None:
    """Film an embedded scene by two cameras, one after the other: a video to try others with.

    Examples
    --------
      nmc sr film -o film.mp4

      nmc sr film -o film.mp4 --pictures 60 --size 192x144
    """
    if output.suffix.lower() != ".mp4":
        raise typer.BadParameter("a film is written as .mp4", param_hint="--output")
    require_new(output, force=force)
    wanted = parse_size(size) or (128, 96)
    with framework(output, output):
        from nmc_tools.super_resolution.material import film_scene

        output.parent.mkdir(parents=True, exist_ok=True)
        film_scene(output, pictures, wanted)
    say(f"{output}: {counted(pictures, 'picture')}, {size_text(output.stat().st_size)}")


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = Path(
        "out/sr-demo"
    ),
    share: ShareOption = 1.0,
) -> None:
    """Go the whole way on a film of an embedded scene: no data is needed.

    Leaves the film, the pre-trained network, the package, the enlarged film and a picture of what
    each way shows.

    Examples
    --------
      nmc sr demo -o out/sr-demo
    """
    require_folder(output)
    output.mkdir(parents=True, exist_ok=True)
    with framework(output, output):
        from nmc_tools.super_resolution.demonstration import demonstrate

        with (
            progress_bar("pre-training", unit="iterations") as first,
            progress_bar("fine-tuning", unit="iterations") as later,
        ):
            told = demonstrate(output, share, first, later)
    package = Path(told["package"])
    scenes = counted(len(told["scenes"]), "scene")
    say(f"{package}: {scenes}, {size_text(package.stat().st_size)} with the small video")
    enlarge_into(package, None, output / "large.mp4", force=True)
    with framework(package):
        score_networks(package, Path(told["film"]), sheet=output / "compared.png")
