"""Results as NDJSON: a header, one line for each vector, a footer (schema ``results``)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from nmc_conformance import PROTOCOL_VERSION
from nmc_conformance.judge import GOOD, MATCH, PASS
from nmc_conformance.schemas import fault
from nmc_spec import FORMAT_VERSIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class ResultsError(Exception):
    """A file holds no results of a finished run."""


@dataclass(frozen=True)
class Result:
    """The verdict on one vector.

    Attributes
    ----------
    vector : str
        Its id.
    verdict, detail, diagnostics
        See :class:`nmc_conformance.judge.Judgement`.
    codes : tuple of str
        Codes that the program named.
    clauses : tuple of str
        Clauses of the vector.
    seconds : float
        Wall time of the program.
    profile : str
        Profile of the vector; empty in results of before suite 2.0.0.
    """

    vector: str
    verdict: str
    detail: str
    diagnostics: str | None
    codes: tuple[str, ...]
    clauses: tuple[str, ...]
    seconds: float
    profile: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the line of the results."""
        return {
            "kind": "result",
            "vector": self.vector,
            "verdict": self.verdict,
            "detail": self.detail,
            "diagnostics": self.diagnostics,
            "codes": list(self.codes),
            "clauses": list(self.clauses),
            "seconds": round(self.seconds, 4),
            "profile": self.profile,
        }


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    role : str
        ``"decoder"``, ``"checker"``, ``"encoder"`` or ``"package"``.
    subject : dict
        What the program said of itself.
    started : str
        Date and time, ISO 8601.
    results : tuple of Result
        In the order of the ids.
    seconds : float
        Wall time of the run.
    suite : str
        Version of the suite.
    limits : dict of str to float
        Of each vector.
    seal : str
        Text that the inputs were sealed with; empty where they were left as they are.
    selection : tuple of str
        Patterns of the vectors that were chosen; empty for a run of the whole suite.
    """

    role: str
    subject: dict[str, Any]
    started: str
    results: tuple[Result, ...]
    seconds: float = 0.0
    suite: str = ""
    limits: dict[str, float] = field(default_factory=dict)
    seal: str = ""
    selection: tuple[str, ...] = ()

    @property
    def counts(self) -> Counter[str]:
        """How often each verdict was given."""
        return Counter(result.verdict for result in self.results)

    @property
    def passed(self) -> bool:
        """Whether every verdict is good, and every profile that the program claims was shown."""
        if not any(result.verdict == PASS for result in self.results) or self.unproven:
            return False
        return all(result.verdict in GOOD for result in self.results)

    @property
    def unproven(self) -> tuple[str, ...]:
        """Profiles that the program claims, and of whose vectors it passed none.

        Where vectors were chosen, and for encoders, for whom not each profile has vectors, only
        the profiles of the vectors that were put to the program are asked for.
        """
        passed = {r.profile for r in self.results if r.verdict == PASS}
        tried = {r.profile for r in self.results}
        partial = bool(self.selection) or self.role == "encoder"
        asked = [p for p in self.subject["profiles"] if p in tried or not partial]
        return tuple(p for p in asked if p not in passed)

    @property
    def diagnostics(self) -> tuple[int, int]:
        """How many refusals name an expected code, of how many."""
        graded = [r.diagnostics for r in self.results if r.diagnostics is not None]
        return graded.count(MATCH), len(graded)


class ResultsWriter:
    """Writes results as they come; without the footer they are no results."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def header(self, run: Run, vectors: int) -> None:
        """Write the first line."""
        self._line(
            {
                "kind": "header",
                "protocol": PROTOCOL_VERSION,
                "format_version": FORMAT_VERSIONS[-1],
                "suite": run.suite,
                "role": run.role,
                "subject": run.subject,
                "started": run.started,
                "vectors": vectors,
                "limits": run.limits,
                "seal": run.seal,
                "selection": list(run.selection),
            }
        )

    def result(self, result: Result) -> None:
        """Write the line of one vector."""
        self._line(result.to_json())

    def footer(self, run: Run) -> None:
        """Write the last line."""
        match, of = run.diagnostics
        self._line(
            {
                "kind": "footer",
                "passed": run.passed,
                "counts": dict(sorted(run.counts.items())),
                "diagnostics": {"match": match, "of": of},
                "seconds": round(run.seconds, 3),
            }
        )

    def _line(self, value: dict[str, Any]) -> None:
        self._stream.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
        self._stream.flush()


def read(path: Path) -> Run:
    """Read the results of a finished run.

    Raises
    ------
    ResultsError
        If a line breaks the schema, the footer is missing, or vectors are.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: {error}") from None
    for number, line in enumerate(lines, 1):
        if wrong := fault(line, "results"):
            raise ResultsError(f"{path}, line {number}: {wrong}")
    kinds = [line["kind"] for line in lines]
    if kinds[:1] != ["header"] or kinds[-1:] != ["footer"]:
        raise ResultsError(f"{path}: without header and footer these are no results; run it again")
    head, *middle, foot = lines
    if any(line["kind"] != "result" for line in middle) or len(middle) != head["vectors"]:
        raise ResultsError(f"{path}: {len(middle)} results of {head['vectors']}; run it again")
    return Run(
        role=head["role"],
        subject=head["subject"],
        started=head["started"],
        results=_sorted([_result(line) for line in middle]),
        seconds=foot["seconds"],
        suite=head["suite"],
        limits=head["limits"],
        seal=head.get("seal", ""),
        selection=tuple(head.get("selection", ())),
    )


def _result(line: dict[str, Any]) -> Result:
    values = {key: value for key, value in line.items() if key != "kind"}
    values["codes"], values["clauses"] = tuple(line["codes"]), tuple(line["clauses"])
    return Result(**values)


def _sorted(results: Sequence[Result]) -> tuple[Result, ...]:
    return tuple(sorted(results, key=lambda result: result.vector))
