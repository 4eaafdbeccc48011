"""Mean opinion scores: what people answered, as figures (ITU-T P.910 and P.913).

A person gives each film 1 (bad) to 5 (excellent), without knowing how it was made. Of each way to
make films there is a mean, and an interval in which the mean of many people lies with 95 %.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The scale of absolute category rating, and its words.
WORDS = {1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "excellent"}
#: Answers of one person that are too many for a sheet; a file with more is none.
_MOST = 100_000
#: 97.5 % points of Student's t for 1 to 30 degrees of freedom; above, of the normal distribution.
_STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_NORMAL = 1.960


class OpinionError(ValueError):
    """Answers that cannot be read or counted; names the file and the answer."""


@dataclass(frozen=True)
class Answer:
    """What one person thinks of one film: ``score`` is 1 to 5, ``way`` how the film was made."""

    person: str
    film: str
    way: str
    score: int


@dataclass(frozen=True)
class Opinion:
    """What people think of a way to make films.

    ``interval`` is the half width of the interval of 95 % about the mean, NaN of one answer.
    """

    way: str
    answers: int
    people: int
    mean: float
    spread: float
    interval: float


def read_answers(path: Path) -> list[Answer]:
    """Read the answers of people: JSON as the sheet saves it, or CSV with the same columns.

    Raises
    ------
    OpinionError
        If it is neither, or an answer lacks a column or is no score of 1 to 5.
    """
    return [
        _answer(place, row) for place, row in answered(path, ("person", "film", "way", "score"))
    ]


def answered(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return the answers of a file as they stand there, each with its place in words.

    Raises
    ------
    OpinionError
        If it holds none, or one lacks a column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = (
            list(csv.DictReader(text.splitlines()))
            if path.suffix.lower() == ".csv"
            else json.loads(text)
        )
    except (OSError, ValueError, csv.Error) as error:
        raise OpinionError(f"{path.name} holds no answers that can be read: {error}") from error
    rows = rows.get("answers") if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not rows or len(rows) > _MOST:
        raise OpinionError(f"{path.name} holds no answers: save them from the sheet as JSON or CSV")
    found = []
    for number, row in enumerate(rows, start=1):
        place = f"{path.name}, answer {number}"
        if not isinstance(row, dict):
            raise OpinionError(f"{place}: it is not a row of {', '.join(columns)}")
        missing = [name for name in columns if row.get(name) in (None, "")]
        if missing:
            raise OpinionError(f"{place}: it lacks {', '.join(missing)}")
        found.append((place, row))
    return found


def _answer(place: str, row: Mapping[str, Any]) -> Answer:
    try:
        score = float(row["score"])
    except (TypeError, ValueError):
        score = math.nan
    if score not in WORDS:
        raise OpinionError(f"{place}: a score is 1, 2, 3, 4 or 5, not {row['score']!r}")
    return Answer(str(row["person"]), str(row["film"]), str(row["way"]), int(score))


def opinions(answers: Iterable[Answer]) -> list[Opinion]:
    """Return what people think of each way, best first.

    A person who scores a film of a way twice counts with the last answer.
    """
    last = {(each.person, each.film, each.way): each for each in answers}
    ways: dict[str, list[Answer]] = {}
    for each in last.values():
        ways.setdefault(each.way, []).append(each)
    found = [_opinion(way, given) for way, given in ways.items()]
    return sorted(found, key=lambda opinion: -opinion.mean)


def _opinion(way: str, given: Sequence[Answer]) -> Opinion:
    scores = [each.score for each in given]
    count = len(scores)
    mean = sum(scores) / count
    people = len({each.person for each in given})
    if count < 2:
        return Opinion(way, count, people, mean, math.nan, math.nan)
    spread = math.sqrt(sum((score - mean) ** 2 for score in scores) / (count - 1))
    free = count - 1
    point = _STUDENT[free - 1] if free <= len(_STUDENT) else _NORMAL
    return Opinion(way, count, people, mean, spread, point * spread / math.sqrt(count))
