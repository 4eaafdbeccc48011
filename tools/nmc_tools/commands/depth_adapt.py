"""``nmc depth adapt``: a model fine-tuned from room to room, its encoder frozen, as a chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmc_tools.commands.depth import (
    DeviceOption,
    FrameOption,
    LimitOption,
    PackageArgument,
    SeedOption,
    UnitOption,
    opened_model,
    told_iterations,
)
from nmc_tools.commands.depth_data import HELD_OUT_EVERY, read_place
from nmc_tools.commands.framework import framework, parse_device, require_new
from nmc_tools.commands.shared_options import EffortOption, ForceOption, PlainJsonOption
from nmc_tools.terminal import out, print_json, progress_bar, refuse_input, say, size_text

if TYPE_CHECKING:
    from nmc_framework.depth.learning import Room
    from nmc_framework.depth.unet import DepthUnet

#: The first made-up room that a model is adapted to: none that it was trained on, nor judged by.
_FIRST = 2_000_000


def adapt(
    package: PackageArgument,
    sources: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER|MAT]…", help="Rooms, in order; made-up ones if none."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The package to write.")] = Path(
        "adapted.nmc"
    ),
    rooms: Annotated[int, typer.Option(min=1, max=1000, help="Made-up rooms.")] = 3,
    each: Annotated[int, typer.Option(min=2, max=1000, help="Pictures of a made-up room.")] = 20,
    iterations: Annotated[int, typer.Option(min=1, help="Of each room.")] = 100,
    batch: Annotated[int | None, typer.Option(min=1, help="Pictures a batch; else 8.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", min=1e-8, max=1, help="Else 0.0005.")
    ] = None,
    frame: FrameOption = -1,
    unit: UnitOption = None,
    limit: LimitOption = 200,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    effort: EffortOption = "strong",
    force: ForceOption = False,
    as_json: PlainJsonOption = False,
) -> None:
    """Adapt a model from room to room, its encoder frozen: a chain, of which each room is a frame.

    Frame 0 is the model as it was, frame k that of room k, made from frame k - 1. Every fifth
    picture of a room is held out, and tells what the adaptation brought.

    Examples
    --------
      nmc depth adapt depth.nmc -o rooms.nmc

      nmc depth adapt depth.nmc chess/ office/ -o rooms.nmc --iterations 200
    """
    require_new(output, force=force)
    if output.resolve() == package.resolve():
        raise typer.BadParameter("it is the package that is adapted", param_hint="--output")
    with framework((sources or [package])[0], output):
        import nmc
        from nmc_framework.depth import learning
        from nmc_framework.training import Schedule

        model = opened_model(package, frame, parse_device(device))
        found = list(_rooms(model, sources or [], rooms, each, unit, limit, seed))
        schedule = Schedule(
            later=iterations,
            rays=batch or model.batch,
            later_learning_rate=learning_rate,
            seed=seed,
        )
        for room in found:  # what cannot be learned is told before anything is written
            learning.examples_of(model, room.training)
        before = {room.name: _absrel(model, room) for room in found}
        records: list[dict[str, Any]] = []
        with (
            nmc.Writer(
                output,
                **model.in_package(),
                timescale=1,
                key_every=0,
                effort=effort,
                overwrite=force,
            ) as writer,
            progress_bar(f"adapting {output.name}", "iterations") as bar,
        ):
            report = told_iterations(bar, iterations, len(found))
            for room, done in learning.adapt(
                learning.RoomStore(writer), model, found, schedule, report
            ):
                records.append(
                    {
                        "frame": done.index,
                        "room": room.name,
                        "pictures": len(room.training),
                        "held_out": len(room.held_out),
                        "seconds": done.seconds,
                        "absrel_before": before[room.name],
                        "absrel": _absrel(model, room),
                    }
                )
        with nmc.open(output) as sequence:
            for record in records:
                record["bytes"] = sequence.frames[record["frame"]].segment_length
            whole = sequence.frames[0].segment_length
    if as_json:
        print_json({"path": str(output), "bytes": whole, "rooms": records})
        return
    _show(records)
    say(f"{output}: {size_text(output.stat().st_size)}; frame 0 is {size_text(whole)}")


def _rooms(
    model: DepthUnet,
    sources: list[Path],
    rooms: int,
    each: int,
    unit: float | None,
    limit: int,
    seed: int,
) -> Iterator[Room]:
    from nmc_framework.depth.learning import split
    from nmc_framework.depth.sources import open_places
    from nmc_tools.commands.depth_data import made_up

    if not sources:
        for number in range(_FIRST, _FIRST + rooms):
            pairs = made_up([number], each, model.size, seed)
            yield split(pairs[0].room, pairs, HELD_OUT_EVERY)
    names: set[str] = set()
    for source in sources:
        with open_places(source, unit=unit, limit=limit) as places:
            for place in places:
                if place.name in names:
                    refuse_input("input/unreadable", str(source), f"room {place.name} comes twice")
                names.add(place.name)
                yield split(place.name, read_place(place, model.size), HELD_OUT_EVERY)


def _absrel(model: DepthUnet, room: Room) -> float | None:
    """Return the AbsRel of a room's pictures that were held out; None where there are none."""
    from nmc_framework.depth.estimate import judged

    return judged(model.eval(), room.held_out).model.absrel if room.held_out else None


def _show(records: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from nmc_tools.terminal import printable

    table = Table("frame", "room", "pictures", "AbsRel before", "after", "bytes", box=None)
    for record in records:
        scores = ("absrel_before", "absrel")
        texts = ["-" if record[k] is None else f"{record[k]:.3f}" for k in scores]
        name = Text(printable(record["room"]))
        table.add_row(
            str(record["frame"]), name, str(record["pictures"]), *texts, str(record["bytes"])
        )
    out.print(table)
