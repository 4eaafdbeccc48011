"""What ``nmc depth`` learns from and judges by: made-up rooms, or pictures with depth of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_tools.terminal import note, progress_bar

if TYPE_CHECKING:
    from nmc_framework.depth.pairs import Pair
    from nmc_framework.depth.sources import Place

#: Every so many-th picture is held out where there is one room only.
HELD_OUT_EVERY = 5


def made_up(rooms: Sequence[int], each: int, size: tuple[int, int], seed: int) -> list[Pair]:
    """Return pictures of made-up rooms; ``size`` is rows and columns."""
    from nmc_framework.depth.rooms import photographed

    if not rooms:
        return []
    with progress_bar("making rooms", "rooms") as bar:
        return photographed(rooms, each, (size[1], size[0]), seed, report=bar)


def taken(
    source: Path, held_out: int, size: tuple[int, int], unit: float | None, limit: int
) -> tuple[list[Pair], list[Pair]]:
    """Return pictures to learn from and pictures to judge by, at the size of a model.

    The last ``held_out`` rooms judge, but at most a fifth of all; of one room every fifth picture.
    """
    from nmc_framework.depth.learning import split
    from nmc_framework.depth.sources import open_places

    with open_places(source, unit=unit, limit=limit) as places:
        by_room = [read_place(place, size) for place in places]
    if len(by_room) == 1:
        room = split(places[0].name, by_room[0], HELD_OUT_EVERY if held_out else 0)
        return list(room.training), list(room.held_out)
    count = min(held_out, max(1, len(by_room) // HELD_OUT_EVERY)) if held_out else 0
    learned, judges = by_room[: len(by_room) - count], by_room[len(by_room) - count :]
    return [p for room in learned for p in room], [p for room in judges for p in room]


def read_place(place: Place, size: tuple[int, int]) -> list[Pair]:
    """Read the pictures of a room at the size of a model, and tell how far it is."""
    pairs = []
    with progress_bar(f"reading {place.name}", "pictures") as bar:
        for done, pair in enumerate(place.pairs(), start=1):
            pairs.append(pair.resized(*size))
            bar(done, len(place))
    return pairs


@contextmanager
def everything(source: Path, unit: float | None, limit: int) -> Iterator[Iterator[Pair]]:
    """Open a source; yield all its pictures, at their own size, one at a time."""
    from nmc_framework.depth.sources import open_places

    with open_places(source, unit=unit, limit=limit) as places:
        if len(places) > 1:
            note(f"{source}: {len(places)} rooms")
        yield (pair for place in places for pair in place.pairs())
