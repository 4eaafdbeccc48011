"""Preferences: which of two that lie side by side people find better, as figures.

Of each pair of ways there is the share of answers that one was preferred in, with the exact
interval of Clopper and Pearson 1934, and the sign test. Of all ways together there are strengths
(Bradley and Terry 1952): one of strength a is preferred to one of strength b in a / (a + b) of the
cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from nmc_framework.super_resolution.opinion import OpinionError, answered

Verdict = Literal["first", "second", "none"]
VERDICTS: tuple[Verdict, ...] = ("first", "second", "none")
COLUMNS = ("person", "film", "first", "second", "chosen")
#: What each end of an interval of 95 % leaves out.
_TAIL = 0.025
#: Halvings of an interval, and rounds of the strengths: both go beyond what is printed.
_HALVINGS, _ROUNDS = 50, 2000


@dataclass(frozen=True)
class Choice:
    """Which of two ways to make a film one person finds better; ``"none"``: neither."""

    person: str
    film: str
    first: str
    second: str
    chosen: Verdict


@dataclass(frozen=True)
class Preference:
    """How often one way was preferred to another.

    Parameters
    ----------
    better, worse
        The ways; ``better`` won at least as often.
    wins, losses, undecided
        Answers for ``better``, for ``worse``, and for neither.
    people
        Who answered.
    low, high
        The exact interval of 95 % of the share of wins among decided answers.
    chance
        That answers are as far apart or farther where nobody prefers anything (sign test, two
        sides); undecided ones do not count.
    """

    better: str
    worse: str
    wins: int
    losses: int
    undecided: int
    people: int
    low: float
    high: float
    chance: float


def read_choices(path: Path) -> list[Choice]:
    """Read the choices of people: JSON as the sheet saves it, or CSV with the same columns.

    Raises
    ------
    OpinionError
        If it is neither, or a choice lacks a column, or is none.
    """
    return [_choice(place, row) for place, row in answered(path, COLUMNS)]


def _choice(place: str, row: Mapping[str, Any]) -> Choice:
    person, film, first, second, chosen = (str(row[name]) for name in COLUMNS)
    if chosen not in VERDICTS:
        raise OpinionError(f"{place}: chosen is {', '.join(VERDICTS)}, not {chosen!r}")
    if first == second:
        raise OpinionError(f"{place}: it compares {first!r} with itself")
    known: Verdict = next(each for each in VERDICTS if each == chosen)
    return Choice(person, film, first, second, known)


def counted_once(choices: Iterable[Choice]) -> list[Choice]:
    """Return choices with the ways of each in one order; who chooses twice counts with the last."""
    last: dict[tuple[str, str, str, str], Choice] = {}
    other: dict[Verdict, Verdict] = {"first": "second", "second": "first", "none": "none"}
    for each in choices:
        one, two, chosen = each.first, each.second, each.chosen
        if two < one:
            one, two, chosen = two, one, other[chosen]
        last[each.person, each.film, one, two] = Choice(each.person, each.film, one, two, chosen)
    return list(last.values())


def preferences(choices: Iterable[Choice]) -> list[Preference]:
    """Return what people prefer, pair by pair, in the order in which pairs first occur."""
    pairs: dict[tuple[str, str], list[Choice]] = {}
    for each in counted_once(choices):
        pairs.setdefault((each.first, each.second), []).append(each)
    return [_preference(*ways, given) for ways, given in pairs.items()]


def _preference(one: str, two: str, given: Sequence[Choice]) -> Preference:
    wins, losses, undecided = (sum(each.chosen == v for each in given) for v in VERDICTS)
    if losses > wins:
        one, two, wins, losses = two, one, losses, wins
    low, high = exact_interval(wins, wins + losses)
    people = len({each.person for each in given})
    chance = sign_test(wins, losses)
    return Preference(one, two, wins, losses, undecided, people, low, high, chance)


def sign_test(wins: int, losses: int) -> float:
    """Return the chance, two-sided, of counts as uneven as these where both are as likely."""
    count = wins + losses
    return min(1.0, 2 * _at_least(max(wins, losses), count, 0.5)) if count else 1.0


def exact_interval(wins: int, count: int) -> tuple[float, float]:
    """Return the interval of 95 % of a share (Clopper and Pearson): 0 to 1 of no answers."""
    low = _where(lambda p: _at_least(wins, count, p) >= _TAIL) if wins else 0.0
    high = _where(lambda p: _at_least(wins + 1, count, p) > 1 - _TAIL) if wins < count else 1.0
    return low, high


def _where(true: Callable[[float], bool]) -> float:
    """Return the place in 0..1 from which on something that grows is true."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if true(middle) else (middle, high)
    return (low + high) / 2


def _at_least(wins: int, count: int, share: float) -> float:
    """Return the chance of so many wins or more of ``count``, each with chance ``share``."""
    if wins <= 0:
        return 1.0
    if wins > count or share <= 0:
        return 0.0
    if share >= 1:
        return 1.0
    whole, a, b = math.lgamma(count + 1), math.log(share), math.log1p(-share)
    terms = (
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(count - k + 1) + k * a + (count - k) * b)
        for k in range(wins, count + 1)
    )
    return min(1.0, math.fsum(terms))


def strengths(choices: Iterable[Choice]) -> dict[str, float] | None:
    """Return the strength of each way, strongest first, that add up to 1 (Bradley and Terry).

    An undecided answer is half a win of both. By the iteration of Hunter 2004. None where answers
    say no finite strengths: some ways never lost to the others, or were never compared with them.
    """
    won: dict[tuple[str, str], float] = {}
    for each in counted_once(choices):
        share = {"first": 1.0, "second": 0.0, "none": 0.5}[each.chosen]
        for key, more in (
            ((each.first, each.second), share),
            ((each.second, each.first), 1 - share),
        ):
            won[key] = won.get(key, 0.0) + more
    ways = sorted({way for pair in won for way in pair})
    if not ways or not _all_reached(ways, won):
        return None
    strength = dict.fromkeys(ways, 1 / len(ways))
    pairs = list(combinations(ways, 2))
    for _ in range(_ROUNDS):
        below = dict.fromkeys(ways, 0.0)
        for a, b in pairs:
            compared = won.get((a, b), 0.0) + won.get((b, a), 0.0)
            for way in (a, b):
                below[way] += compared / (strength[a] + strength[b])
        wins = {way: sum(n for (a, _), n in won.items() if a == way) for way in ways}
        strength = {way: wins[way] / below[way] for way in ways}
        total = sum(strength.values())
        strength = {way: value / total for way, value in strength.items()}
    return dict(sorted(strength.items(), key=lambda item: -item[1]))


def _all_reached(ways: Sequence[str], won: Mapping[tuple[str, str], float]) -> bool:
    """Whether each way beats each other one, if by way of others (Ford 1957)."""

    def reached(forwards: bool) -> set[str]:
        found, next_ones = {ways[0]}, [ways[0]]
        while next_ones:
            here = next_ones.pop()
            for (a, b), wins in won.items():
                start, end = (a, b) if forwards else (b, a)
                if wins > 0 and start == here and end not in found:
                    found.add(end)
                    next_ones.append(end)
        return found

    return len(ways) == len(reached(True)) == len(reached(False))
