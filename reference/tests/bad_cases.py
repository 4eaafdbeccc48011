"""What a case of bad input is: a valid package, one way of damage, all that is found of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nmc_format.package.members import segment_name

FRAMES = 6  # two groups: 0 1 2 and 3 4 5
ALL = frozenset(range(FRAMES))
FIRST, SECOND = frozenset({0, 1, 2}), frozenset({3, 4, 5})
NONE: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Case:
    """One way of damage.

    Attributes
    ----------
    name : str
        What was done.
    source : str
        The package it was done to, of :func:`sources`.
    damage : callable
        Changes the package in place.
    findings : list of (code, place)
        All findings, in any order; ``PKG`` in a place stands for the path of the package.
    healthy : frozenset of int
        Frames that can still be read.
    """

    name: str
    source: str
    damage: Callable[[Path], None]
    findings: list[tuple[str, str]] = field(default_factory=list)
    healthy: frozenset[int] = NONE


CASES: list[Case] = []


def case(*findings: tuple[str, str], on: str = "folder", healthy: frozenset[int] = NONE):
    """Add a case whose name is that of the function."""

    def add(damage: Callable[[Path], None]) -> Callable[[Path], None]:
        CASES.append(Case(damage.__name__, on, damage, list(findings), healthy))
        return damage

    return add


def seg(t: int, at: int | None = None) -> str:
    return segment_name(t) if at is None else f"{segment_name(t)}@{at}"


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x20
    path.write_bytes(bytes(data))
