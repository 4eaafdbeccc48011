"""Which lines of the implementation each vector reaches: only those vectors can tell a mutant."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import trial
from processes import Recorder
from subjects import ALONE, BY_TENSORS, CHECKER, DECODER, TRIALS, library

from nmc_conformance.vectors import Vector

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
        What it took, with the tracing.
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
    tests: Sequence[tuple[str, Vector]], modules: Sequence[str], roots: Sequence[str]
) -> tuple[list[Reach], Recorder]:
    """Return what each test reaches below some folders; in a forked process.

    What the process that reads with the HDF5 library answered is returned beside it.

    Raises
    ------
    UnfitError
        If a test fails.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        with os.fdopen(write_end, "wb") as pipe:
            try:
                recorder = Recorder()
                pickle.dump((list(_trace(tests, modules, tuple(roots), recorder)), recorder), pipe)
            except BaseException as error:
                pickle.dump(
                    error if isinstance(error, UnfitError) else UnfitError(repr(error)), pipe
                )
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        made: Any = pickle.load(pipe)  # noqa: S301 - of our own process
    os.waitpid(child, 0)
    if isinstance(made, UnfitError):
        raise made
    reaches, recorder = made
    return reaches, recorder


def _trace(
    tests: Sequence[tuple[str, Vector]],
    modules: Sequence[str],
    roots: tuple[str, ...],
    recorder: Recorder,
) -> Iterator[Reach]:
    seen: dict[str, set[int]] = {}

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            seen.setdefault(frame.f_code.co_filename, set()).add(frame.f_lineno)
        return on_line

    def on_call(frame: FrameType, event: str, _: Any) -> Any:
        del event
        if not frame.f_code.co_filename.startswith(roots):
            return None
        seen.setdefault(frame.f_code.co_filename, set()).add(frame.f_lineno)
        return on_line

    sys.settrace(on_call)
    for module in modules:
        importlib.import_module(module)
    list(trial.judged(tests[:1]))  # what is imported late is imported now
    trial.replay(recorder)
    sys.settrace(None)
    yield Reach(IMPORT, "", {name: frozenset(found) for name, found in seen.items()}, 0.0)
    for role in TRIALS:
        for test in (t for t in tests if t[0] == role):
            seen.clear()
            started = time.monotonic()
            sys.settrace(on_call)
            try:
                with library(role != ALONE):
                    (outcome,) = trial.judged([test])
            finally:
                sys.settrace(None)
            if outcome.kills or outcome.notices:
                raise UnfitError(f"{role}, {outcome.vector}: {outcome.judgement.detail}")
            lines = {name: frozenset(found) for name, found in seen.items()}
            yield Reach(role, outcome.vector, lines, time.monotonic() - started)
