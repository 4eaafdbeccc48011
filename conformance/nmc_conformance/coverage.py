"""Clauses and codes that the vectors cover, and how a program fares clause by clause."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmc_conformance.judge import GOOD
from nmc_spec import issues

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc_conformance.results import Result
    from nmc_conformance.vectors import Vector

NOT_PROVOKABLE: Mapping[str, str] = {
    "input/unreadable": "is about a checkpoint, not about a package",
    "input/unsupported": "is about what a program can do, not about a package",
    "host/not-found": "is about the file system of the host",
    "host/exists": "is about the file system of the host",
    "host/no-space": "is about the file system of the host",
    "host/failed": "is about the file system of the host",
    "host/more-findings": "is about the length of a report, which each checker bounds for itself",
}
"""Codes that no package can provoke, with the reason."""

WITHOUT_VECTORS: Mapping[str, str] = {
    "2.1": "says how the documents that the text names are to be read",
    "7.4": "is about writers; the packages that they make are judged by the other clauses",
    "9.4": "is about programs that freeze the layers of a model",
}
"""Clauses that say *shall*, and that no package can break, with the reason."""


@dataclass(frozen=True)
class Coverage:
    """What the vectors touch.

    Attributes
    ----------
    by_clause : mapping of str to tuple of str
        Ids of the vectors of each clause.
    codes : frozenset of str
        Codes that a refusal or a warning of a vector names first.
    missing_codes : tuple of str
        Codes of the catalogue that no vector names first, and that a file can provoke.
    """

    by_clause: Mapping[str, tuple[str, ...]]
    codes: frozenset[str]
    missing_codes: tuple[str, ...]


def coverage(vectors: Sequence[Vector]) -> Coverage:
    """Return what some vectors cover."""
    by_clause: dict[str, list[str]] = defaultdict(list)
    codes: set[str] = set()
    for vector in vectors:
        for clause in vector.clauses:
            by_clause[clause].append(vector.id)
        codes.update(vector.expected.codes[:1])
        codes.update(vector.expected.warnings)
    missing = tuple(c for c in issues() if c not in codes and c not in NOT_PROVOKABLE)
    ordered = sorted(by_clause, key=clause_order)
    return Coverage({c: tuple(by_clause[c]) for c in ordered}, frozenset(codes), missing)


def clause_order(clause: str) -> tuple[int, tuple[int, ...], str]:
    """Return a key that sorts clauses as the text has them: 4.2 before 10.1 before annexes."""
    head, *rest = clause.split(".")
    number = int(head) if head.isdigit() else 100 + ord(head[0])
    return number, tuple(int(part) for part in rest), clause


def by_clause(results: Sequence[Result]) -> dict[str, tuple[int, int]]:
    """Return for each clause how many verdicts are good, of how many."""
    good: dict[str, int] = defaultdict(int)
    count: dict[str, int] = defaultdict(int)
    for result in results:
        for clause in result.clauses:
            count[clause] += 1
            good[clause] += result.verdict in GOOD
    return {clause: (good[clause], count[clause]) for clause in sorted(count, key=clause_order)}
