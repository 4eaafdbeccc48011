"""``nmc sr mos-sheet`` and ``nmc sr mos``: asking people, and what they answered."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from nmc_tools.commands.framework import framework, require_new, require_there
from nmc_tools.commands.shared_options import ForceOption, PlainJsonOption
from nmc_tools.terminal import counted, print_json, refuse_input, say, size_text

#: A page with more in it is slow to open.
_LARGEST = 64_000_000


def mos_sheet(
    films: Annotated[
        list[str],
        typer.Argument(
            metavar="[FILM/]WAY=VIDEO",
            help="A video, how it was made, and of which film; such as city/bicubic=c0.mp4.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path(
        "mos.html"
    ),
    title: Annotated[str, typer.Option(help="Of the page.")] = "How good is the picture?",
    force: ForceOption = False,
) -> None:
    """Write a page that shows films without saying how they were made, and asks for a score.

    The films are in the page, in another order for every person. It sends nothing: each person
    saves a file of answers, and nmc sr mos reads them.

    Examples
    --------
      nmc sr mos-sheet bicubic=b.mp4 pre-trained=p.mp4 fine-tuned=f.mp4 original=film.mp4
    """
    found: dict[str, dict[str, Path]] = {}
    for text in films:
        name, equals, place = text.partition("=")
        film, slash, way = name.rpartition("/")
        if not (equals and way and place):
            raise typer.BadParameter(f"{text!r}: write such as bicubic=b.mp4")
        ways = found.setdefault(film if slash else "film", {})
        if way in ways:
            raise typer.BadParameter(f"there are two videos of {name!r}")
        ways[way] = Path(place)
    paths = [path for ways in found.values() for path in ways.values()]
    require_there(paths)
    size = sum(path.stat().st_size for path in paths)
    if size > _LARGEST:
        refuse_input(
            "input/unsupported", str(output), f"the videos are {size_text(size)}, all in one page",
            f"cut or shrink them to {size_text(_LARGEST)} in all",
        )  # fmt: skip
    require_new(output, force=force)
    with framework(output, output):
        from nmc_framework.super_resolution.footage import look_through
        from nmc_tools.super_resolution.opinion_sheet import write_sheet

        for path in paths:
            look_through(path, limit=1)
        count = write_sheet(output, found, title)
    say(f"{output}: asks about {counted(count, 'film')}")


def mos(
    answers: Annotated[
        list[Path], typer.Argument(metavar="ANSWERS", help="Files that people saved: JSON or CSV.")
    ],
    as_json: PlainJsonOption = False,
) -> None:
    """Say what people think of each way: mean opinion score, and its interval of 95 %.

    Examples
    --------
      nmc sr mos answers-*.json
    """
    require_there(answers)
    with framework(answers[0]):
        from nmc_framework.super_resolution.opinion import opinions, read_answers

        found = opinions([each for path in answers for each in read_answers(path)])
    if as_json:
        print_json([{k: _plain(v) for k, v in vars(each).items()} for each in found])
        return
    for each in found:
        sure = "" if math.isnan(each.interval) else f" ± {each.interval:.2f}"
        given = counted(each.answers, "answer")
        people = counted(each.people, "person", "people")
        say(f"{each.way}: {each.mean:.2f}{sure}, {given} of {people}")


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
