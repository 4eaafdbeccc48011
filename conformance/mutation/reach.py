"""Which lines of the implementation each vector reaches: only those vectors can tell a mutant."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import trial
from processes import Recorder
from subjects import ALONE, BY_TENSORS, CHECKER, DECODER, TRIALS, library

from nmc_conformance.vectors import Vector

_IDLE = 4096
"""Lines of a function after which no new one is looked for in a test."""

IMPORT = "import"
"""In place of a role: what the import of the modules runs."""


@dataclass(frozen=True)
class Reach:
    """What one test reached, on the implementation as it is.

    Attributes
    ----------
    role, vector : str
        The test; or ``IMPORT`` and none, with what is run before any test.
    lines : mapping of str to frozenset of int
        Lines by file.
    seconds : float
        Of a core; what it took, with the tracing.
    """

    role: str
    vector: str
    lines: Mapping[str, frozenset[int]]
    seconds: float


class UnfitError(Exception):
    """The implementation fails a vector before anything is mutated."""


def tests_of(vectors: Sequence[Vector]) -> list[tuple[str, Vector]]:
    """Return every test: each vector in each role that it can judge."""
    tests = [(DECODER, v) for v in vectors]
    tests += [(CHECKER, v) for v in vectors if v.for_checkers]
    good = [v for v in vectors if v.expected.outcome == "accept"]
    tests += [(BY_TENSORS, v) for v in good]
    return tests + [(ALONE, v) for v in good if "hdf5" not in v.requires]


def traced(
    tests: Sequence[tuple[str, Vector]], modules: Sequence[str], roots: Sequence[str], kept: Path
) -> tuple[list[Reach], Recorder]:
    """Return what each test reaches below some folders; in a forked process.

    What the process that reads with the HDF5 library answered is returned beside it. Both are
    written to a file as they are found, and what is in it is not looked for again.

    Raises
    ------
    UnfitError
        If a test fails.
    """
    reaches, recorder = _read(kept)
    done = {(reach.role, reach.vector) for reach in reaches}
    missing = [test for test in tests if (test[0], test[1].id) not in done]
    if not missing:
        return reaches, recorder
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        with os.fdopen(write_end, "w", encoding="utf-8") as pipe, kept.open("ab") as file:
            try:
                for reach in _trace(missing, modules, tuple(roots), recorder):
                    pickle.dump((reach, recorder.news()), file)
                    file.flush()
            except BaseException as error:
                pipe.write(str(error) if isinstance(error, UnfitError) else repr(error))
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "r", encoding="utf-8") as pipe:
        wrong = pipe.read()
    os.waitpid(child, 0)
    if wrong:
        raise UnfitError(wrong)
    return _read(kept)


def _read(kept: Path) -> tuple[list[Reach], Recorder]:
    reaches: list[Reach] = []
    recorder = Recorder()
    if kept.exists():
        with kept.open("rb") as file, suppress(EOFError, pickle.UnpicklingError):
            while True:
                reach, answers = pickle.load(file)  # noqa: S301 - of our own making
                reaches.append(reach)
                recorder.answers.update(answers)
    return reaches, recorder


class _Tracer:
    """Notes the lines that are run, and looks no longer where nothing new comes for long.

    Kernels run the same lines for each word; a line that first comes after thousands of others of
    its function is one that other tests reach, too.
    """

    def __init__(self, roots: tuple[str, ...]) -> None:
        self._roots = roots
        self.seen: dict[CodeType, set[int]] = {}
        self._idle: Counter[CodeType] = Counter()

    def clear(self) -> None:
        self.seen.clear()
        self._idle.clear()

    def lines(self) -> dict[str, frozenset[int]]:
        """Return the lines that were run, by file."""
        found: dict[str, set[int]] = {}
        for code, lines in self.seen.items():
            found.setdefault(code.co_filename, set()).update(lines)
        return {name: frozenset(lines) for name, lines in found.items()}

    def on_call(self, frame: FrameType, event: str, _: Any) -> Any:
        del event
        code = frame.f_code
        if not code.co_filename.startswith(self._roots) or self._idle[code] > _IDLE:
            return None
        self.seen.setdefault(code, set()).add(frame.f_lineno)
        return self._on_line

    def _on_line(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            code = frame.f_code
            lines = self.seen.setdefault(code, set())
            if frame.f_lineno in lines:
                self._idle[code] += 1
                if self._idle[code] > _IDLE:
                    frame.f_trace = None
                    return None
            else:
                lines.add(frame.f_lineno)
                self._idle[code] = 0
        return self._on_line


def _trace(
    tests: Sequence[tuple[str, Vector]],
    modules: Sequence[str],
    roots: tuple[str, ...],
    recorder: Recorder,
) -> Iterator[Reach]:
    tracer = _Tracer(roots)
    sys.settrace(tracer.on_call)
    for module in modules:
        importlib.import_module(module)
    list(trial.judged(tests[:1]))  # what is imported late is imported now
    trial.replay(recorder)
    sys.settrace(None)
    yield Reach(IMPORT, "", tracer.lines(), 0.0)
    for role in TRIALS:
        for test in (t for t in tests if t[0] == role):
            tracer.clear()
            started = time.process_time()
            sys.settrace(tracer.on_call)
            try:
                with library(role != ALONE):
                    (outcome,) = trial.judged([test])
            finally:
                sys.settrace(None)
            if outcome.kills or outcome.notices:
                raise UnfitError(f"{role}, {outcome.vector}: {outcome.judgement.detail}")
            yield Reach(role, outcome.vector, tracer.lines(), time.process_time() - started)
