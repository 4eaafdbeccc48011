"""``nmc demo``: the whole way on a scene that it makes itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nmc_tools.commands.footage import SceneName
from nmc_tools.commands.framework import RateOption, check_rate, framework, require_folder
from nmc_tools.commands.installation import extra
from nmc_tools.terminal import refuse_input


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory for the results.")
    ] = Path("out/demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Smaller and shorter, for a test.")
    ] = False,
    scene: Annotated[SceneName, typer.Option(help="Which embedded scene.")] = "room",
    frames: Annotated[int | None, typer.Option(min=1, help="Make so many frames.")] = None,
    rate: RateOption = None,
) -> None:
    """Train, pack, check, unpack and render a small moving scene; leaves a video and a plot.

    The cameras of the room are estimated from its videos; those of the other scenes are given.

    Examples
    --------
      nmc demo -o out/demo

      nmc demo --scene dome --frames 3 -o out/dome

      nmc demo --rate 0.1 -o out/small

      nmc demo --scene dome --rate auto -o out/dome
    """
    with extra("framework", "demo"):
        from nmc_tools import demo as way
    require_folder(output)
    with framework(output, output):
        check_rate(rate)
        try:
            way.run(output, quick=quick, frames=frames, scene=scene, rate=rate)
        except way.DemoError as error:
            refuse_input("input/unreadable", str(output), str(error))
