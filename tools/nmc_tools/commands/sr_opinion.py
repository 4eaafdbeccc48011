"""``nmc sr mos-sheet``, ``mos``, ``preference-sheet`` and ``preference``: what people think."""

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
    found = _films(films, output)
    require_new(output, force=force)
    with framework(output, output):
        from nmc_framework.super_resolution.footage import look_through
        from nmc_tools.super_resolution.opinion_sheet import write_sheet

        for ways in found.values():
            for path in ways.values():
                look_through(path, limit=1)
        count = write_sheet(output, found, title)
    say(f"{output}: asks about {counted(count, 'film')}")


def _films(films: list[str], output: Path) -> dict[str, dict[str, Path]]:
    """Return videos by film and way, of texts such as ``city/bicubic=c0.mp4``."""
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
    return found


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


def preference_sheet(
    films: Annotated[
        list[str],
        typer.Argument(
            metavar="[FILM/]WAY=FILE",
            help="A video or a picture, how it was made, and of which film; two ways at least.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path(
        "preference.html"
    ),
    title: Annotated[str, typer.Option(help="What the page asks.")] = "Which is better?",
    force: ForceOption = False,
) -> None:
    """Write a page that shows two versions side by side, and asks which is better.

    Every two ways of a film are a pair. All is in the page, in another order and with other sides
    for every person. It sends nothing: each person saves a file of answers, and nmc sr preference
    reads them.

    Examples
    --------
      nmc sr preference-sheet bicubic=b.mp4 fine-tuned=f.mp4

      nmc sr preference-sheet car/single=a.png car/multi-view=b.png -o cars.html
    """
    found = _films(films, output)
    alone = [film for film, ways in found.items() if len(ways) < 2]
    if alone:
        raise typer.BadParameter(f"there is nothing to compare {alone[0]!r} with: name two ways")
    require_new(output, force=force)
    with framework(output, output):
        from nmc_tools.super_resolution.preference_sheet import TYPES, write_preference_sheet

        for path in (path for ways in found.values() for path in ways.values()):
            if path.suffix.lower() not in TYPES:
                hint = f"give one of {', '.join(TYPES)}"
                refuse_input("input/unsupported", str(path), "browsers do not show it", hint)
        count = write_preference_sheet(output, found, title)
    say(f"{output}: asks about {counted(count, 'pair')}")


def preference(
    answers: Annotated[
        list[Path], typer.Argument(metavar="ANSWERS", help="Files that people saved: JSON or CSV.")
    ],
    as_json: PlainJsonOption = False,
) -> None:
    """Say which way people prefer, pair by pair and of all together.

    Of each pair the share of decided answers, its exact interval of 95 % and the sign test; of
    three ways or more also strengths by Bradley and Terry.

    Examples
    --------
      nmc sr preference answers-*.json
    """
    require_there(answers)
    with framework(answers[0]):
        from nmc_framework.super_resolution.preference import preferences, read_choices, strengths

        choices = [each for path in answers for each in read_choices(path)]
        found, strong = preferences(choices), strengths(choices)
    if as_json:
        print_json({"pairs": [vars(each) for each in found], "strengths": strong})
        return
    for each in found:
        decided = each.wins + each.losses
        share = f"{each.wins / decided:.0%}, {each.low:.0%} to {each.high:.0%}" if decided else "-"
        say(
            f"{each.better} over {each.worse}: {each.wins} of {decided} ({share}), "
            f"{each.undecided} undecided, p {each.chance:.2g}; "
            f"{counted(each.people, 'person', 'people')}"
        )
    if len(found) < 2:  # of two ways their share says all
        return
    if strong is not None:
        say(f"strengths: {', '.join(f'{way} {value:.2f}' for way, value in strong.items())}")
    else:
        say("no strengths: some ways always won, or were never compared with others")


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
