"""Runs a program over the vectors, several at a time, and gathers the verdicts."""

from __future__ import annotations

import queue
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from nmc_conformance.judge import (
    BROKEN,
    FAIL,
    GOOD,
    NOT_SUPPORTED,
    PASS,
    XFAIL,
    XPASS,
    Judgement,
    judge_checker,
    judge_decoder,
)
from nmc_conformance.process import Limits
from nmc_conformance.results import Result
from nmc_conformance.staging import Stage
from nmc_conformance.subject import Answer, Description, PersistentSubject, Subject, SubjectError
from nmc_conformance.vectors import APPLY, Suite, Vector

Trial: TypeAlias = Callable[[Subject, Description, Vector, Stage], tuple[Judgement, Answer | None]]
"""Puts one vector to a program, on a fresh stage."""

WARM_UP = 10
"""How many times the limit of a vector a request may take while a program warms up."""

SERVE = "serve"
"""Feature of a program that has the persistent mode."""


@dataclass(frozen=True)
class Plan:
    """How a run is setting.

    Attributes
    ----------
    command : str
        The program under test.
    limits : Limits
        For each vector.
    jobs : int
        Vectors at a time.
    persistent : bool or None
        Use the persistent mode; None where the program has it.
    expected_failures : mapping of str to str
        By vector id, the reason why it is known to fail.
    seal : str
        Text that inputs are sealed again with, which decides their order too; where it is empty,
        they stay as they are.
    """

    command: str
    limits: Limits = field(default_factory=Limits)
    jobs: int = 2
    persistent: bool | None = None
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    seal: str = ""


@dataclass(frozen=True)
class _Setting:
    """What is the same for every vector of a run; see :func:`run`."""

    plan: Plan
    description: Description
    trial: Trial
    parent: Path
    warm_up: Sequence[Vector]

    @property
    def persistent(self) -> bool:
        """Whether one process is put all vectors."""
        wanted = self.plan.persistent
        return SERVE in self.description.features if wanted is None else wanted

    def subject(self) -> Subject:
        """Return the program, not started yet."""
        if not self.persistent:
            return Subject(self.plan.command, self.plan.limits)
        return PersistentSubject(self.plan.command, self.plan.limits, self.parent)


@contextmanager
def home() -> Iterator[Path]:
    """Yield a folder for everything that a run puts on disk."""
    with tempfile.TemporaryDirectory(prefix="nmc-conformance-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def describe(plan: Plan, parent: Path) -> Description:
    """Ask a program what it has.

    Raises
    ------
    SubjectError
        If it cannot be started or does not know the protocol.
    """
    with Stage(parent) as stage:
        stage.seal()
        return Subject(plan.command, plan.limits).describe(stage)


def decoder_trial(
    subject: Subject, description: Description, vector: Vector, stage: Stage
) -> tuple[Judgement, Answer | None]:
    """Put one vector to a decoder; what it does not know of it is not asked about."""
    if (vector.signed_by or vector.key or vector.request == APPLY) and (
        lacking := description.lacks(vector.profile, vector.level, vector.requires)
    ):
        return Judgement(NOT_SUPPORTED, lacking), None
    vector = stage.put(vector)
    if vector.request == APPLY:
        answer = subject.apply(stage, vector.frames, vector.max_level)
    else:
        answer = subject.decode(
            stage, vector.frames, vector.max_level, vector.signed_by, vector.key
        )
    return judge_decoder(vector, description, answer, stage.output), answer


def checker_trial(
    subject: Subject, description: Description, vector: Vector, stage: Stage
) -> tuple[Judgement, Answer | None]:
    """Put one vector to a checker."""
    vector = stage.put(vector)
    answer = subject.check(stage)
    return judge_checker(vector, description, answer), answer


def warm_up_of(vectors: Sequence[Vector], description: Description) -> tuple[Vector, ...]:
    """Return what a program is put before its first vector: one package of each profile it has.

    Those of most clauses, so that what a program compiles or caches at first use is there.
    """
    made = []
    for profile in sorted(description.profiles):
        mine = [
            v
            for v in vectors
            if v.profile == profile
            and v.expected.outcome == "accept"
            and not description.lacks(v.profile, v.level, v.requires)
        ]
        made += sorted(mine, key=lambda v: (-len(v.clauses), v.id))[:2]
    return tuple(made)


def run(
    suite: Suite,
    plan: Plan,
    description: Description,
    trial: Trial,
    parent: Path,
    warm_up: Sequence[Vector] = (),
) -> Iterator[Result]:
    """Yield the verdict on each vector, as it is found.

    Vectors that are broken are reported too; one that fails stops nothing.

    Parameters
    ----------
    suite : Suite
        The vectors.
    plan : Plan
        The program, and how it is run.
    description : Description
        What the program says of itself.
    trial : callable
        What is done with each vector.
    parent : Path
        Folder for the stages.
    warm_up : sequence of Vector
        Put to the program first, with a longer limit; what comes of it is not judged.
    """
    setting = _Setting(plan, description, trial, parent, warm_up)
    for name, reason in suite.broken.items():
        yield Result(name, BROKEN, reason, None, (), (), 0.0)
    todo: queue.SimpleQueue[Vector] = queue.SimpleQueue()
    for vector in _shuffled(suite.vectors, plan.seal):
        todo.put(vector)
    done: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
    if not setting.persistent:
        _warm(setting.subject(), setting)
    workers = [
        threading.Thread(target=_work, args=(todo, done, setting), daemon=True)
        for _ in range(max(1, min(plan.jobs, len(suite.vectors))))
    ]
    for worker in workers:
        worker.start()
    ended = 0
    while ended < len(workers):
        result = done.get()
        if result is None:
            ended += 1
        else:
            yield result
    for worker in workers:
        worker.join()


def _work(
    todo: queue.SimpleQueue[Vector],
    done: queue.SimpleQueue[Result | None],
    setting: _Setting,
) -> None:
    """Take vectors until there are none; the last answer waits for the end of the program."""
    subject = setting.subject()
    last: Result | None = None
    try:
        if isinstance(subject, PersistentSubject):
            _warm(subject, setting)
        while True:
            try:
                vector = todo.get_nowait()
            except queue.Empty:
                break
            result = _one(subject, setting, vector)
            if last is not None:
                done.put(last)
            last = result
        if last is not None:
            left = subject.close()
            if left and last.verdict == PASS:
                last = replace(last, verdict=FAIL, detail=f"it left {left} processes running")
            done.put(last)
    finally:
        subject.close()
        done.put(None)


def _shuffled(vectors: Sequence[Vector], seal: str) -> list[Vector]:
    """Return vectors in an order that follows from the seal, so that none is known by its turn."""
    order = list(vectors)
    if seal:
        random.Random(seal).shuffle(order)  # noqa: S311 - no secret
    return order


_WARMING = threading.Lock()
"""One process warms up at a time: what it leaves on the disk serves the next one."""


def _warm(subject: Subject, setting: _Setting) -> None:
    """Put packages to a program that nobody judges, so that its caches are warm for the vectors."""
    limits = setting.plan.limits
    subject.limits = replace(limits, seconds=WARM_UP * limits.seconds)
    with _WARMING:
        for vector in setting.warm_up:
            with suppress(OSError, SubjectError), Stage(setting.parent, setting.plan.seal) as stage:
                setting.trial(subject, setting.description, vector, stage)
    subject.limits = limits


def _one(subject: Subject, setting: _Setting, vector: Vector) -> Result:
    started = time.monotonic()
    answer: Answer | None = None
    try:
        with Stage(setting.parent, setting.plan.seal) as stage:
            judgement, answer = setting.trial(subject, setting.description, vector, stage)
    except (OSError, SubjectError) as error:
        judgement = Judgement(BROKEN, f"{type(error).__name__}: {error}")
    reason = setting.plan.expected_failures.get(vector.id)
    if reason is not None:
        judgement = _expected_to_fail(judgement, reason)
    return Result(
        vector=vector.id,
        verdict=judgement.verdict,
        detail=judgement.detail,
        diagnostics=judgement.diagnostics,
        codes=() if answer is None else answer.codes,
        clauses=vector.clauses,
        seconds=time.monotonic() - started,
        profile=vector.profile,
    )


def _expected_to_fail(judgement: Judgement, reason: str) -> Judgement:
    if judgement.verdict == PASS:
        return Judgement(XPASS, f"expected to fail ({reason}), and passes: take it off the list")
    if judgement.verdict in GOOD or judgement.verdict == BROKEN:
        return judgement
    return Judgement(XFAIL, f"{reason} ({judgement.detail})", judgement.diagnostics)


def read_expected_failures(path: Path) -> dict[str, str]:
    """Read a list of expected failures: on each line an id, a space and the reason.

    Raises
    ------
    ValueError
        If a line has no reason.
    """
    made: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        name, _, reason = text.partition(" ")
        if not reason.strip():
            raise ValueError(f"{path}, line {number}: {name} has no reason")
        made[name] = reason.strip()
    return made


def select_for_checker(vectors: Sequence[Vector]) -> tuple[Vector, ...]:
    """Return the vectors that a checker can be judged by: those without a limit or a demand."""
    return tuple(v for v in vectors if v.for_checkers)
