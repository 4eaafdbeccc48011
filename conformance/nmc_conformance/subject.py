"""Programs under test as the protocol has them: one call for each request, or persistent."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_conformance.process import Ending, Limits, Program, run
from nmc_conformance.schemas import fault
from nmc_spec import levels as nmc_spec_levels
from nmc_spec import profiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc_conformance.staging import Stage

DONE, REJECTED, USAGE, UNSUPPORTED = range(4)
"""Exit codes of the protocol."""


class SubjectError(Exception):
    """A program cannot be used at all; says why."""


@dataclass(frozen=True)
class Description:
    """What a program says of itself.

    Attributes
    ----------
    name, version : str
        Whose results these are.
    profiles, levels, features
        What it has.
    """

    name: str
    version: str
    profiles: frozenset[str]
    levels: frozenset[int]
    features: frozenset[str]

    def lacks(self, profile: str, level: int, requires: Sequence[str]) -> str:
        """Return the first thing that it says it lacks; empty where it has everything."""
        if profile not in self.profiles:
            return f"profile {profile}"
        if level not in self.levels:
            return f"level {level}"
        return next((f"feature {name}" for name in requires if name not in self.features), "")

    def to_json(self) -> dict[str, Any]:
        """Return it as the results hold it."""
        return {
            "name": self.name,
            "version": self.version,
            "profiles": sorted(self.profiles),
            "levels": sorted(self.levels),
            "features": sorted(self.features),
        }


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Attributes
    ----------
    ending : Ending
        How the program ended; its code is the exit code of the protocol.
    report : dict or None
        The report, where there is one by its schema.
    trespass : str
        What the program did outside of its folder.
    malformed : str
        How a report that it gave breaks the schema; empty where it does not, or gave none.
    """

    ending: Ending
    report: dict[str, Any] | None = None
    trespass: str = ""
    malformed: str = ""

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the errors that the report names."""
        return self._codes("error")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Codes of the warnings that the report names."""
        return self._codes("warning")

    def _codes(self, severity: str) -> tuple[str, ...]:
        findings = (self.report or {}).get("findings", ())
        return tuple(f["code"] for f in findings if f["severity"] == severity)


def checked_report(value: Any) -> dict[str, Any] | None:
    """Return a report that keeps its schema, or None."""
    return None if value is None or fault(value, "report") else dict(value)


def _with_report(ending: Ending, value: Any, trespass: str) -> Answer:
    """Return an answer with what a program gave as its report; None where it gave none."""
    wrong = "" if value is None else fault(value, "report")
    return Answer(ending, checked_report(value), trespass, wrong)


def parse_description(value: Any) -> Description:
    """Return what a program says of itself.

    A decoder of a level is one of each lower level, and a decoder of a profile is one of each
    profile that it contains (clause 11.1.2). A program that names less, or what this version does
    not have, could leave out the vectors that it fails.

    Raises
    ------
    SubjectError
        If it is not a description, or one of no class of clause 11.1.2.
    """
    if wrong := fault(value, "description"):
        raise SubjectError(f"'describe' printed no description of the protocol: {wrong}")
    made = Description(
        name=value["name"],
        version=value["version"],
        profiles=frozenset(value["profiles"]),
        levels=frozenset(value["levels"]),
        features=frozenset(value.get("features", ())),
    )
    known, levels = profiles(), sorted(level.level for level in nmc_spec_levels())
    strange = sorted(made.profiles - known.keys())
    if strange or not made.profiles:
        raise SubjectError(
            f"'describe' names {f'the profile {strange[0]}' if strange else 'no profile'}; "
            f"there are {' and '.join(known)}"
        )
    for name in sorted(made.profiles):
        whole = {*known[name].codings, *known[name].modes}
        parts = {n for n, p in known.items() if {*p.codings, *p.modes} <= whole}
        if missing := sorted(parts - made.profiles):
            raise SubjectError(f"'describe' names {name} and not {missing[0]}, a part of it")
    if not made.levels or made.levels != frozenset(levels[: len(made.levels)]):
        raise SubjectError(
            f"'describe' names the levels {sorted(made.levels)}; there are {levels}, "
            "and who has a level has each lower one"
        )
    return made


@dataclass
class Subject:
    """A program that is started for each request.

    Attributes
    ----------
    command : str
        As the user gave it, split as a shell splits words.
    limits : Limits
        For each request.
    """

    command: str
    limits: Limits = field(default_factory=Limits)

    @property
    def words(self) -> list[str]:
        """Program and arguments, each file by its absolute path."""
        words = shlex.split(self.command)
        if not words:
            raise SubjectError("the command is empty")
        program, *rest = words
        named = "/" in program and Path(program).exists()
        return [
            str(Path(program).absolute())
            if named
            else program,  # a bare name is looked for on PATH
            *(str(Path(w).absolute()) if Path(w).exists() else w for w in rest),
        ]

    def describe(self, stage: Stage) -> Description:
        """Ask what the program has.

        Raises
        ------
        SubjectError
            If it cannot be started, or says nothing by the protocol.
        """
        ending = self._run(stage, "describe")
        if ending.kind != "exit" or ending.code != DONE:
            reason = ending.stderr.strip()[-300:]
            raise SubjectError(f"'{self.command} describe' failed ({ending.kind}): {reason}")
        return parse_description(_json(ending.stdout))

    def decode(
        self,
        stage: Stage,
        frames: Sequence[int],
        max_level: int | None,
        signed_by: Sequence[str] = (),
        key: str = "",
    ) -> Answer:
        """Ask for frames of the input of a stage."""
        more = ["--signed-by", ",".join(signed_by)] if signed_by else []
        more += ["--key", key] if key else []
        return self._states(stage, "decode", frames, max_level, *more)

    def apply(self, stage: Stage, frames: Sequence[int], max_level: int | None) -> Answer:
        """Ask for the states of the messages in the input of a stage."""
        return self._states(stage, "apply", frames, max_level)

    def _states(
        self, stage: Stage, what: str, frames: Sequence[int], max_level: int | None, *more: str
    ) -> Answer:
        words = [what, "--input", str(stage.input), "--frames", ",".join(map(str, frames))]
        words += ["--output", str(stage.output), "--report", str(stage.report)]
        if max_level is not None:
            words += ["--max-level", str(max_level)]
        ending = self._run(stage, *words, *more)
        return _with_report(ending, _report_of(stage), stage.trespass())

    def check(self, stage: Stage) -> Answer:
        """Ask for a check of the input of a stage."""
        ending = self._run(stage, "check", "--json", str(stage.input))
        return _with_report(ending, _json(ending.stdout), stage.trespass())

    def encode(self, stage: Stage, source: Path, options: dict[str, Any]) -> Answer:
        """Ask for a package of the states in a folder, at ``output/made.nmc``."""
        wishes = stage.work / "options.json"
        wishes.write_text(json.dumps(options), encoding="utf-8")
        stage.seal()
        words = ["encode", "--input", str(source), "--output", str(stage.output / "made.nmc")]
        ending = self._run(stage, *words, "--options", str(wishes))
        return Answer(ending, None, stage.trespass())

    def close(self) -> int:
        """End the program; return how many processes it left running."""
        return 0

    def _run(self, stage: Stage, *arguments: str) -> Ending:
        environment = {"TMPDIR": str(stage.scratch)}
        return run([*self.words, *arguments], stage.work, self.limits, environment)


class PersistentSubject(Subject):
    """A program that is started once and answers requests, a line each (``serve``)."""

    def __init__(self, command: str, limits: Limits, home: Path) -> None:
        super().__init__(command, limits)
        self._home = home
        self._program: Program | None = None

    def describe(self, stage: Stage) -> Description:  # noqa: ARG002 - it has a home of its own
        """Ask what the program has."""
        ending = self._ask({"do": "describe"})
        answer = _json(ending.stdout)
        if ending.kind != "exit" or not isinstance(answer, dict):
            raise SubjectError(f"'{self.command} serve' failed ({ending.kind}): {ending.stderr}")
        return parse_description(answer.get("description"))

    def decode(
        self,
        stage: Stage,
        frames: Sequence[int],
        max_level: int | None,
        signed_by: Sequence[str] = (),
        key: str = "",
    ) -> Answer:
        """Ask for frames of the input of a stage."""
        more: dict[str, Any] = {"signed_by": list(signed_by)} if signed_by else {}
        if key:
            more["key"] = key
        return self._frames(stage, "decode", frames, max_level, more)

    def apply(self, stage: Stage, frames: Sequence[int], max_level: int | None) -> Answer:
        """Ask for the states of the messages in the input of a stage."""
        return self._frames(stage, "apply", frames, max_level, {})

    def _frames(
        self,
        stage: Stage,
        what: str,
        frames: Sequence[int],
        max_level: int | None,
        more: Mapping[str, Any],
    ) -> Answer:
        request: dict[str, Any] = {
            "do": what,
            "input": str(stage.input),
            "frames": list(frames),
            "output": str(stage.output),
        }
        if max_level is not None:
            request["max_level"] = max_level
        return self._answer(stage, {**request, **more})

    def check(self, stage: Stage) -> Answer:
        """Ask for a check of the input of a stage."""
        return self._answer(stage, {"do": "check", "input": str(stage.input)})

    def encode(self, stage: Stage, source: Path, options: dict[str, Any]) -> Answer:
        """Ask for a package of the states in a folder, at ``output/made.nmc``."""
        made = str(stage.output / "made.nmc")
        request = {"do": "encode", "input": str(source), "output": made, "options": options}
        return self._answer(stage, request)

    def _answer(self, stage: Stage, request: dict[str, Any]) -> Answer:
        ending = self._ask(request)
        if ending.kind != "exit":
            return Answer(ending, None, stage.trespass())
        answer = _json(ending.stdout)
        code = answer.get("exit") if isinstance(answer, dict) else None
        if not isinstance(code, int) or isinstance(code, bool):
            return Answer(Ending("signal", stderr="the answer has no exit code"))
        ending = Ending("exit", code, b"", str(answer.get("message", "")), ending.seconds)
        return _with_report(ending, answer.get("report"), stage.trespass())

    def _ask(self, request: dict[str, Any]) -> Ending:
        if self._program is None:
            try:
                self._program = Program(
                    [*self.words, "serve"], self._home, self.limits, {}, stdin=True
                )
            except OSError as error:
                raise SubjectError(f"{self.command}: {error.strerror}") from None
        line = (json.dumps(request) + "\n").encode()
        ending = self._program.ask(line, self.limits.seconds)
        if ending.kind != "exit":
            self._program = None
        return ending

    def close(self) -> int:
        """End the program; return how many processes it left running."""
        if self._program is None:
            return 0
        ending = self._program.hang_up()
        self._program = None
        return ending.leftovers


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


_MAX_REPORT_BYTES = 1 << 20


def _report_of(stage: Stage) -> Any:
    """Return what a program wrote as its report; None where it wrote none."""
    path = stage.report
    if not path.is_symlink() and not path.exists():
        return None
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_REPORT_BYTES:
        return "no regular file of at most a MiB"
    return _json(path.read_bytes()) or "no JSON object"
