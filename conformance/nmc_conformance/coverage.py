"""Requirements, clauses and codes that the vectors cover, and how a program fares in each."""

from __future__ import annotations

import fnmatch
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmc_conformance.encoder import is_for_encoders
from nmc_conformance.judge import GOOD
from nmc_spec import issues, requirements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from nmc_conformance.results import Result
    from nmc_conformance.vectors import Vector

NOT_PROVOKABLE: Mapping[str, str] = {
    "input/unreadable": "is about a checkpoint, not about a package",
    "input/unsupported": "is about what a program can do, not about a package",
    "host/not-found": "is about the file system of the host",
    "host/exists": "is about the file system of the host",
    "host/no-space": "is about the file system of the host",
    "host/broken-link": "is about the file system of the host",
    "host/denied": "is about the file system of the host",
    "host/path": "is about the file system of the host",
    "host/device": "is about the file system of the host",
    "host/changed": "is about the file system of the host",
    "host/not-verified": "is about the libraries of the host",
    "host/not-decrypted": "is about a key that a checker is not given",
    "host/connection": "is about the connection to a server",
    "host/server": "is about a server",
    "host/no-memory": "is about the memory of the host",
    "host/failed": "is about the file system of the host",
    "host/more-findings": "is about the length of a report, which each checker bounds for itself",
}
"""Codes that no package can provoke, with the reason."""

VECTORS, ENCODER, RUNNER, EXEMPT = "vectors", "encoder", "runner", "exempt"
"""How a requirement is tested (schema ``clauses``)."""


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
    requirements : mapping of str to tuple of str
        By the identifier of each *shall*, the ids of the vectors that test it.
    missing_requirements : tuple of str
        Those that should be tested by vectors, and of which a pattern matches none.
    """

    by_clause: Mapping[str, tuple[str, ...]]
    codes: frozenset[str]
    missing_codes: tuple[str, ...]
    requirements: Mapping[str, tuple[str, ...]]
    missing_requirements: tuple[str, ...]

    @property
    def ways(self) -> Counter[str]:
        """How many requirements are tested in which way; a missing one in none."""
        found = requirements().values()
        return Counter(r.tested for r in found if r.id not in self.missing_requirements)

    def to_json(self) -> dict[str, Any]:
        """Return what is covered, and what is not with the reason."""
        known = requirements()
        return {
            "clauses": {clause: len(ids) for clause, ids in self.by_clause.items()},
            "requirements": {
                "count": len(known),
                **{way: self.ways[way] for way in (VECTORS, ENCODER, RUNNER, EXEMPT)},
                "missing": list(self.missing_requirements),
                "by_runner": {r.id: r.reason for r in known.values() if r.tested == RUNNER},
                "exempt_because": {r.id: r.reason for r in known.values() if r.tested == EXEMPT},
            },
            "codes": sorted(self.codes),
            "missing_codes": list(self.missing_codes),
            "codes_exempt_because": dict(NOT_PROVOKABLE),
        }

    def summary(self) -> list[str]:
        """Return the figures in two lines."""
        ways, count = self.ways, len(requirements())
        codes = len(self.codes & issues().keys())
        first = (
            f"requirements: {count - len(self.missing_requirements)} of {count}; "
            f"{ways[VECTORS]} by vectors, {ways[ENCODER]} by encoder tests, "
            f"{ways[RUNNER]} by the runner, {ways[EXEMPT]} exempt"
        )
        second = f"codes: {codes} of {codes + len(self.missing_codes)} by vectors"
        return [first, f"{second}, {len(NOT_PROVOKABLE)} exempt"]


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
    tested, untested = _by_requirement(vectors)
    return Coverage(
        {c: tuple(by_clause[c]) for c in ordered}, frozenset(codes), missing, tested, untested
    )


def _by_requirement(
    vectors: Sequence[Vector],
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return the vectors of each requirement, and the requirements with a pattern of none."""
    every = [vector.id for vector in vectors]
    for_encoders = [vector.id for vector in vectors if is_for_encoders(vector)]
    tested: dict[str, tuple[str, ...]] = {}
    missing = []
    for name, requirement in requirements().items():
        ids = for_encoders if requirement.tested == ENCODER else every
        found = [fnmatch.filter(ids, pattern) for pattern in requirement.vectors]
        tested[name] = tuple(sorted({vector for some in found for vector in some}))
        if not all(found):
            missing.append(name)
    return tested, tuple(missing)


def by_requirement(results: Sequence[Result]) -> dict[str, tuple[int, int]]:
    """Return for each requirement that vectors test how many verdicts are good, of how many."""
    good = {result.vector: result.verdict in GOOD for result in results}
    made = {}
    for name, requirement in requirements().items():
        if requirement.tested in {VECTORS, ENCODER}:
            found = {v for pattern in requirement.vectors for v in fnmatch.filter(good, pattern)}
            made[name] = sum(good[v] for v in found), len(found)
    return made


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
