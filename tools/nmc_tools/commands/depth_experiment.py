"""``nmc depth experiment``: what each part of the network brings, in one table."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmc_tools.commands.depth import HELD_OUT, RoomsOption
from nmc_tools.commands.depth_data import made_up
from nmc_tools.commands.framework import (
    SizeOption,
    framework,
    parse_size,
    require_folder,
    require_marks,
)
from nmc_tools.pictures import write_png
from nmc_tools.terminal import out, print_json, progress_bar, say

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from nmc_tools.experiments.depth_parts import Request
    from nmc_tools.experiments.kept import Kept

#: (width, height) of the pictures, unless said otherwise, and pictures of each room.
_SIZE = (64, 48)
_EACH = 4
#: Rows and columns of the picture that a film is made of.
_FILMED = (480, 640)
#: Pictures on the sheet.
_SHOWN = 4


def experiment(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the results; what is there is kept.")
    ] = Path("out/depth-parts"),
    rooms: RoomsOption = 120,
    held_out: Annotated[int, typer.Option(min=1, help="Rooms to judge by.")] = 20,
    iterations: Annotated[int, typer.Option(min=1, help="Of each training.")] = 500,
    size: SizeOption = None,
    width: Annotated[int, typer.Option(min=1, max=512, help="Channels of the first block.")] = 8,
    seeds: Annotated[int, typer.Option(min=1, max=99, help="Trainings of each; means.")] = 1,
    into: Annotated[
        Path | None,
        typer.Option("--into", help="Put the table between the marks of a Markdown file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all rows as JSON.")] = False,
) -> None:
    """Train the network without each of its parts, and compare: one table, on made-up rooms.

    Leaves the table (.md, .json) and a sheet of pictures with the depth that the first variants
    say (.png). Every result is kept: an interrupted run goes on with the same command.

    Examples
    --------
      nmc depth experiment

      nmc depth experiment --seeds 3 --into BENCHMARKS.md

      nmc depth experiment --rooms 6 --iterations 20 -o out/quick
    """
    require_marks(into, "depth-parts")
    require_folder(output)
    wanted = parse_size(size) or _SIZE
    with framework(output, output):
        from nmc_tools.bench.published import machine, put_into
        from nmc_tools.experiments.depth_parts import (
            VARIANTS,
            Request,
            compared,
            film_told,
            focus_told,
            table,
            trained_variant,
        )
        from nmc_tools.experiments.kept import Kept

        shape = (wanted[1], wanted[0])
        request = Request(
            training=made_up(range(rooms), _EACH, shape, 0),
            judges=made_up(range(HELD_OUT, HELD_OUT + held_out), _EACH, shape, 0),
            data={"rooms": rooms, "held_out": held_out, "each": _EACH},
            size=shape,
            iterations=iterations,
            seeds=seeds,
            options={"width": width},
        )
        with progress_bar("depth parts", "trainings", kept=f"in {output}", resume="") as bar:
            kept = Kept(output / "kept")
            rows = list(compared(request, kept, bar))
        told = (
            f"{rooms} made-up rooms of {_EACH} pictures of {wanted[0]}x{wanted[1]}, {iterations} "
            f"iterations of 8 pictures, {width} channels, judged by {held_out} other rooms; "
            f"{'one training' if seeds == 1 else f'means of {seeds} trainings'} each; "
            f"{machine(['torch'])}.\n\n"
            f"Of the rooms' pictures: {focus_told(request.judges, shape)}.\n\n"
        )
        told += film_told(
            _large(request), trained_variant(request, next(iter(VARIANTS)), 0, kept), kept
        )
        text = table(rows, told)
        (output / "depth-parts.md").write_text(text, encoding="utf-8")
        files = ["depth-parts.md"]
        if not (output / "depth-parts.png").exists():
            _sheet(output / "depth-parts.png", request, kept)
            files.append("depth-parts.png")
        if into is not None:
            put_into(into, "depth-parts", text)
    if as_json:
        print_json([_plain(asdict(row)) for row in rows])
        return
    out.print(text, markup=False)
    say(f"{output}: {', '.join(files)}")


def _sheet(path: Path, request: Request, kept: Kept) -> None:

    from nmc_tools.experiments.depth_parts import VARIANTS, sheet, trained_variant

    first = next(iter(VARIANTS))
    models = {first: trained_variant(request, first, 0, kept)}
    pixels = sheet(models, request.judges[:: max(1, len(request.judges) // _SHOWN)][:_SHOWN])
    write_png(path, pixels)


def _large(request: Request) -> npt.NDArray[np.uint8]:
    """Return a picture of the size that films are timed at."""
    from nmc_framework.depth.pairs import resized_picture

    return resized_picture(request.judges[0].picture, *_FILMED)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose numbers that are none are null, as JSON has it."""
    return {k: None if isinstance(v, float) and v != v else v for k, v in row.items()}  # noqa: PLR0124
