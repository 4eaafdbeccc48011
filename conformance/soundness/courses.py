"""One negative vector before the reference with a check off, in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import interpreted
import lenient
import numpy as np
import switches
from switches import BOARD, Check

from nmc_conformance.staging import Stage
from nmc_conformance.vectors import APPLY, Vector

DECODER, CHECKER = "decoder", "checker"
CRASHED = "crash"

_MAX_LEVEL = 4
_MOST_STEPS = 8
_MEMORY = 3 << 30
_SECONDS = 180


@dataclass(frozen=True)
class Refusal:
    """Why a package was refused: a code of the catalogue and its place, or a crash.

    Attributes
    ----------
    code, place : str
        As in the report; ``"crash"`` where the reference had nothing to go on with.
    """

    code: str
    place: str

    def __str__(self) -> str:
        return f"{self.code} at {self.place}"


@dataclass(frozen=True)
class Course:
    """What a vector met in one role, as one check after the other was switched off.

    Attributes
    ----------
    role : str
        ``"decoder"`` or ``"checker"``.
    refusals : tuple of Refusal
        The first one with every check on, the second one with the first check off, and so on.
    accepted : bool
        Whether nothing refused it in the end.
    """

    role: str
    refusals: tuple[Refusal, ...]
    accepted: bool


@dataclass(frozen=True)
class Trial:
    """The courses of a vector, and what a decoder with nearly no checks makes of it.

    Attributes
    ----------
    vector : str
        Its id.
    courses : tuple of Course
        In each role that has to refuse it.
    lenient : str
        Empty where the decoder with nearly no checks returns the states that the digests name;
        else why it does not.
    """

    vector: str
    courses: tuple[Course, ...]
    lenient: str


def prepare() -> None:
    """Have the reference imported with its switches and without compiled kernels."""
    switches.install()
    sys.modules[interpreted.NAME] = interpreted.module()
    np.seterr(all="ignore")  # words wrap
    np.empty = np.zeros  # what is not filled, with a check off, is the same in each run
    import nmc
    from nmc_tools.commands import codec

    for name in nmc.__all__:  # loaded once here, and not in each process that is forked
        getattr(nmc, name)
    del codec
    switches.read_here()


def tried(vector: Vector, home: Path) -> Trial:
    """Put a vector to the reference in a process that is forked from this one."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _live(vector, home, write_end)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    if not said:
        gone = Course(DECODER, (Refusal(CRASHED, "the process ended"),), accepted=False)
        return Trial(vector.id, (gone,), gone.refusals[0].place)
    made = json.loads(said)
    courses = tuple(
        Course(c["role"], tuple(Refusal(**r) for r in c["refusals"]), c["accepted"])
        for c in made["courses"]
    )
    return Trial(vector.id, courses, made["lenient"])


def _live(vector: Vector, home: Path, pipe: int) -> None:
    """Be the forked process; never returns."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.setitimer(signal.ITIMER_PROF, _SECONDS)  # of the processor: others may use it, too
    try:
        courses = tuple(_course(vector, role, home) for role in roles(vector))
        made = Trial(vector.id, courses, _leniently(vector, home))
        with os.fdopen(pipe, "wb") as file:
            file.write(json.dumps(asdict(made)).encode())
    finally:
        os._exit(0)


def roles(vector: Vector) -> list[str]:
    """Return the roles in which the reference has to refuse a vector."""
    decoder = [DECODER] if vector.expected.stage != "check" else []
    return decoder + ([CHECKER] if vector.for_checkers else [])


def _course(vector: Vector, role: str, home: Path) -> Course:
    off: list[Check] = []
    refusals: list[Refusal] = []
    while len(refusals) < _MOST_STEPS:
        with Stage(home) as stage:
            stage.put(vector)
            refusal, check = _asked(vector, role, stage, off)
        if refusal is None:
            return Course(role, tuple(refusals), accepted=True)
        refusals.append(refusal)
        if check is None or check in off:
            break
        off.append(check)
    return Course(role, tuple(refusals), accepted=False)


def _asked(
    vector: Vector, role: str, stage: Stage, off: list[Check]
) -> tuple[Refusal | None, Check | None]:
    """Return why the reference refuses an input, and which check it was."""
    BOARD.begin(off)
    try:
        findings = _REQUESTS[role](vector, stage)
    except Exception as error:
        return Refusal(CRASHED, f"{type(error).__name__}: {error}"[:200]), None
    for finding in findings:
        if finding.severity == "error":
            place = str(finding.place).replace(f"{stage.input}", "input.nmc")
            return Refusal(finding.code, place), BOARD.origin_of(finding)
    return None, None


def _decoded(vector: Vector, stage: Stage) -> Any:
    from nmc_tools.commands import codec

    level = _MAX_LEVEL if vector.max_level is None else vector.max_level
    if vector.request == APPLY:
        return codec.run_apply(stage.input, list(vector.frames), stage.output, level)[1].findings
    keys = codec.keys_of(vector.signed_by)
    secret = bytes.fromhex(vector.key) or None
    frames = list(vector.frames)
    _, report = codec.run_decode(stage.input, frames, stage.output, level, keys, secret)
    return report.findings


def _checked(_vector: Vector, stage: Stage) -> Any:
    import nmc

    return nmc.check(stage.input, max_level=_MAX_LEVEL).findings


_REQUESTS: dict[str, Callable[[Vector, Stage], Any]] = {DECODER: _decoded, CHECKER: _checked}


def _leniently(vector: Vector, home: Path) -> str:
    with Stage(home) as stage:
        stage.put(vector)
        return lenient.decode(stage.input, vector.frames)[:200]
