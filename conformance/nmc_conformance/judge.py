"""Verdicts: what a program made of a vector, beside what it shall make of it (clause 11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmc_conformance import safetensors_file
from nmc_conformance.digests import state_digest
from nmc_conformance.safetensors_file import OutputError
from nmc_conformance.staging import listed
from nmc_conformance.subject import DONE, REJECTED, UNSUPPORTED, USAGE
from nmc_spec import profiles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from nmc_conformance.subject import Answer, Description
    from nmc_conformance.vectors import Vector

PASS, FAIL, CRASH, TIMEOUT = "pass", "fail", "crash", "timeout"
NOT_SUPPORTED, XFAIL, XPASS, BROKEN = "unsupported", "xfail", "xpass", "broken"
VERDICTS = (PASS, FAIL, CRASH, TIMEOUT, NOT_SUPPORTED, XFAIL, XPASS, BROKEN)
"""``broken`` is the verdict on a vector that cannot be used, through no fault of the program."""

GOOD = frozenset({PASS, NOT_SUPPORTED, XFAIL})
"""Verdicts with which a run passes."""

MATCH, MISMATCH, ELSEWHERE, NO_CODE = "match", "mismatch", "elsewhere", "none"
"""Diagnostics: code and place of a finding agree; no code does; the place does not; no report."""

_ENDINGS = {
    "signal": "it ended before it answered, by signal or without an answer ({code})",
    "memory": "it used more memory than the limit",
    "flood": "it printed more than the limit",
    "missing": "it cannot be started",
}


@dataclass(frozen=True)
class Judgement:
    """The verdict on one program and one vector.

    Attributes
    ----------
    verdict : str
        One of ``VERDICTS``.
    detail : str
        Why, for people.
    diagnostics : str or None
        Of a refusal: whether the program named a code that the vector names, at its place. None of
        others.
    """

    verdict: str
    detail: str = ""
    diagnostics: str | None = None


def frame_file(index: int) -> str:
    """Return the name of the file of a frame."""
    return f"frame_{index:08d}.safetensors"


def wrong_frames(vector: Vector, output: Path, *, complete: bool) -> str:
    """Return what is wrong with the files of the frames; empty where nothing is.

    Parameters
    ----------
    vector : Vector
        What was asked for, and what shall come out.
    output : Path
        Folder of the files.
    complete : bool
        Whether every frame that was asked for shall be there.
    """
    digests = vector.expected.state_digests
    wanted = {frame_file(t): t for t in vector.frames}
    for name in listed(output):
        t = wanted.get(name)
        if t is None:
            return f"{name} is not a file that was asked for"
        expected = digests[t] if t < len(digests) else None
        if expected is None:
            return f"{name} was written, though frame {t} shall not be returned"
        try:
            actual = state_digest(safetensors_file.read(output / name))
        except OutputError as error:
            return str(error)
        if actual != expected:
            return f"frame {t} is state {actual[:12]}…, expected {expected[:12]}…"
    if complete:
        missing = sorted(wanted.keys() - set(listed(output)))
        if missing:
            return f"{missing[0]} is missing"
    return ""


def judge_decoder(
    vector: Vector, description: Description, answer: Answer, output: Path
) -> Judgement:
    """Judge a decoder by what it answered and wrote."""
    early = _misbehaviour(answer) or _contradiction(answer)
    if early is not None:
        return early
    code = answer.ending.code
    expected = vector.expected
    if code == UNSUPPORTED:
        return _unsupported(vector, description)
    rejected = code == REJECTED
    diagnostics = _diagnostics(vector, answer) if rejected else None
    if expected.outcome == "accept":
        if rejected:
            named = ", ".join(answer.codes) or _last_line(answer)
            return Judgement(FAIL, f"it rejected a conforming package: {named}")
        return _by_frames(wrong_frames(vector, output, complete=True))
    if not rejected and expected.stage != "check":
        return Judgement(FAIL, "it did not reject the package")
    judgement = _by_frames(wrong_frames(vector, output, complete=not rejected))
    return Judgement(judgement.verdict, judgement.detail, diagnostics)


def judge_checker(vector: Vector, description: Description, answer: Answer) -> Judgement:
    """Judge a checker by what it answered."""
    early = _misbehaviour(answer) or _contradiction(answer)
    if early is not None:
        return early
    if answer.ending.code == UNSUPPORTED:
        if vector.profile in profiles() and vector.profile not in description.profiles:
            return Judgement(FAIL, "a checker gives a verdict on packages of every profile")
        return _unsupported(vector, description)
    if answer.report is None:
        return Judgement(FAIL, "it printed no report")
    rejected = answer.ending.code == REJECTED
    expected = vector.expected
    if expected.outcome == "accept":
        if rejected:
            return Judgement(FAIL, f"errors in a conforming package: {', '.join(answer.codes)}")
        same = set(answer.warnings) == set(expected.warnings)
        return Judgement(PASS, "", (MATCH if same else MISMATCH) if expected.warnings else None)
    if not rejected:
        return Judgement(FAIL, "it found no error")
    return Judgement(PASS, "", _diagnostics(vector, answer))


def _misbehaviour(answer: Answer) -> Judgement | None:
    """Return the verdict where the way it ended settles it."""
    ending = answer.ending
    if ending.kind == "timeout":
        return Judgement(TIMEOUT, f"no answer after {ending.seconds:.1f} s")
    if ending.kind != "exit":
        detail = _ENDINGS[ending.kind].format(code=ending.code)
        return Judgement(CRASH, _with_stderr(detail, answer))
    if ending.code not in {DONE, REJECTED, USAGE, UNSUPPORTED}:
        return Judgement(CRASH, _with_stderr(f"exit code {ending.code}", answer))
    if ending.leftovers:
        return Judgement(FAIL, f"it left {ending.leftovers} processes running")
    if answer.trespass:
        return Judgement(FAIL, f"outside of its folder, {answer.trespass}")
    if ending.code == USAGE:
        return Judgement(FAIL, _with_stderr("it did not understand the request", answer))
    return None


def _contradiction(answer: Answer) -> Judgement | None:
    """Return the verdict where a report that was given is none, or says another thing."""
    if answer.malformed:
        return Judgement(FAIL, f"its report is none by the schema: {answer.malformed[:300]}")
    if answer.report is None or answer.ending.code == UNSUPPORTED:
        return None
    accepted, rejected = answer.report["accepted"], answer.ending.code == REJECTED
    if accepted == bool(answer.codes):
        said = "accepts it and names an error" if accepted else "refuses it and names no error"
        return Judgement(FAIL, f"its report {said}")
    if accepted == rejected:
        said = "accepts" if accepted else "refuses"
        return Judgement(FAIL, f"its report {said} the package, and it ended with {rejected:d}")
    return None


def _unsupported(vector: Vector, description: Description) -> Judgement:
    lacking = description.lacks(vector.profile, vector.level, vector.requires)
    if lacking:
        return Judgement(NOT_SUPPORTED, lacking)
    if vector.expected.or_unsupported:
        return Judgement(PASS)
    return Judgement(FAIL, "it answered 'unsupported', though 'describe' says that it has this")


def _by_frames(wrong: str) -> Judgement:
    return Judgement(FAIL, wrong) if wrong else Judgement(PASS)


def _diagnostics(vector: Vector, answer: Answer) -> str:
    if not answer.codes:
        return NO_CODE
    named = set(answer.codes) & set(vector.expected.codes)
    if not named:
        return MISMATCH
    found = [(f["code"], f["place"]) for f in (answer.report or {}).get("findings", ())]
    for code, place in vector.expected.findings:
        places = [where for name, where in found if name == code]
        if places and not any(places_agree(place, where) for where in places):
            return ELSEWHERE
    return MATCH


def places_agree(expected: Mapping[str, Any], reported: Mapping[str, Any]) -> bool:
    """Whether two places are the same object, and the same row of it where both name one.

    What follows from clauses 5.8 and 11.2: an object can be named as a whole or by row, in the view
    of the frames or by its path in table 5-6. The file ``""`` is the package itself, by whatever
    path it was asked for, or the member that is wrong or missing; offsets are not compared.
    """
    if "file" in expected or "file" in reported:
        wanted, actual = expected.get("file"), reported.get("file")
        return wanted is not None and actual is not None and wanted in {"", actual}
    return _same_object(_object(expected["pointer"]), _object(reported["pointer"]))


def _object(pointer: str) -> tuple[list[str], list[str]]:
    """Return the names of a pointer, and its rows."""
    parts = pointer.replace("/training/", "/frames/", 1).strip("/").split("/")
    return [p for p in parts if not p.isdecimal()], [p for p in parts if p.isdecimal()]


def _same_object(
    expected: tuple[list[str], list[str]], reported: tuple[list[str], list[str]]
) -> bool:
    (names, rows), (others, more) = expected, reported
    whole_row = bool(more) and names[: len(others)] == others
    return (names == others or whole_row) and not (rows and more and rows[0] != more[0])


def _last_line(answer: Answer) -> str:
    lines = answer.ending.stderr.strip().splitlines()
    return lines[-1][:300] if lines else "it did not say why"


def _with_stderr(detail: str, answer: Answer) -> str:
    return f"{detail}: {_last_line(answer)}" if answer.ending.stderr.strip() else detail
