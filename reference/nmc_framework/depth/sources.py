"""Where pictures with depth come from: folders, NYU Depth V2's .mat; read one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from nmc_framework.depth.errors import DepthError
from nmc_framework.depth.layouts import room_folders
from nmc_framework.depth.nyu import open_nyu
from nmc_framework.depth.pairs import Pair


class _Pairs(Protocol):
    def __len__(self) -> int: ...

    def pair(self, index: int) -> Pair:
        """Read one."""


@dataclass(frozen=True, eq=False)
class Place:
    """A room of a source: its name, and which pictures of what are taken."""

    name: str
    pictures: _Pairs
    chosen: Sequence[int]

    def __len__(self) -> int:
        return len(self.chosen)

    def pairs(self) -> Iterator[Pair]:
        """Read the pictures that are taken, one at a time."""
        return (self.pictures.pair(index) for index in self.chosen)


@contextmanager
def open_places(
    path: Path, *, unit: float | None = None, limit: int | None = None
) -> Iterator[list[Place]]:
    """Open a folder, or a .mat of NYU Depth V2; yield its rooms.

    Parameters
    ----------
    path
        Where they lie; layouts are told from the names of files, see
        :mod:`nmc_framework.depth.layouts`.
    unit
        The number for a metre in depth pictures, in place of the layout's.
    limit
        Take so many pictures of a room at most, evenly spaced.

    Raises
    ------
    DepthError
        When there are none.
    """
    if path.suffix.lower() == ".mat":
        with open_nyu(path) as pictures:
            found: dict[str, list[int]] = {}
            for index, scene in enumerate(pictures.scenes):
                found.setdefault(scene or path.stem, []).append(index)
            yield [Place(name, pictures, _spread(chosen, limit)) for name, chosen in found.items()]
        return
    if path.is_file():
        raise DepthError(f"{path.name}: give a folder of pictures with depth, or a .mat of NYU")
    yield [
        Place(room.name, room, _spread(range(len(room)), limit))
        for room in room_folders(path, unit)
    ]


def _spread(indices: Sequence[int], limit: int | None) -> Sequence[int]:
    """Return so many of them at most, evenly spaced."""
    if limit is None or len(indices) <= limit:
        return indices
    chosen = np.linspace(0, len(indices) - 1, limit).round().astype(int)
    return [indices[k] for k in dict.fromkeys(chosen.tolist())]
