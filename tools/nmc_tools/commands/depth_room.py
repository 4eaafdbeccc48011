"""``nmc depth room``: a picture of a made-up room, to try the other commands with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nmc_tools.commands.depth import HELD_OUT, SeedOption
from nmc_tools.commands.framework import SizeOption, framework, parse_size, require_new
from nmc_tools.commands.shared_options import ForceOption
from nmc_tools.pictures import write_png
from nmc_tools.terminal import refuse_input, say


def room(
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write, .png.")],
    number: Annotated[
        int, typer.Option(min=0, help="Of the room; 1000000 and above are never trained on.")
    ] = HELD_OUT,
    size: SizeOption = None,
    depth: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the true depth too: 16 bits, in millimetres."),
    ] = None,
    seed: SeedOption = 0,
    force: ForceOption = False,
) -> None:
    """Draw a made-up room: a picture without data, and its exact depth.

    Examples
    --------
      nmc depth room -o room.png

      nmc depth room -o room.png --number 1000007 --size 640x480 --depth room.depth.png
    """
    files = [output, *([depth] if depth else [])]
    for path in files:
        if path.suffix.lower() != ".png":
            refuse_input(
                "input/unsupported", str(path), "a picture is written as .png", "name it so"
            )
        require_new(path, force=force)
    wanted = parse_size(size) or (320, 240)
    with framework(output, output):
        import numpy as np

        from nmc_framework.depth.rooms import made_room, photographs

        pair = next(photographs(made_room(number, seed), 1, wanted, seed, supersampling=2))
        millimetres = np.clip(np.rint(pair.depth * 1000), 0, 65535).astype(np.uint16)
        for path, pixels in zip(files, (pair.picture, millimetres), strict=False):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, pixels)
    seen = pair.depth[pair.depth > 0]
    say(f"{output}: room {number}, {seen.min():.2f} to {seen.max():.2f} m away")
