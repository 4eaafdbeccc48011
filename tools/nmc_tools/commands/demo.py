"""``nmc demo``: the whole way on a scene that it makes itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nmc_tools.terminal import refuse_input


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory for the results.")
    ] = Path("out/demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Smaller and shorter, for a test.")
    ] = False,
) -> None:
    """Train, pack, check, unpack and render a small moving scene; leaves a video and a plot.

    Examples
    --------
      nmc demo -o out/demo
    """
    try:
        from nmc_tools import demo as room
    except ModuleNotFoundError as error:
        refuse_input(
            "input/unsupported",
            "demo",
            f"it needs {error.name}",
            "pip install 'neural-model-chain[framework]'",
        )
    room.run(output, quick=quick)
