"""Which lines of the implementation each vector reaches: only those vectors can tell a mutant."""

from __future__ import annotations

import functools
import gc
import importlib
import os
import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trial
from marks import Marks
from processes import Recorder
from subjects import ALONE, BY_TENSORS, CHECKER, DECODER, TRIALS

from nmc_conformance.vectors import Vector

_Cache = type(functools.cache(print))

IMPORT = "import"
"""In place of a role: what the import of the modules runs."""


@dataclass(frozen=True)
class Reach:
    """What one test reached, on the implementation as it is.

    Attributes
    ----------
    role, vector : str
        The test; or ``IMPORT`` and none, with what the import runs.
    lines : mapping of str to frozenset of int
        First lines of statements, by file.
    seconds : float
        Of a core; what it took, with the marks.
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
    tests: Sequence[tuple[str, Vector]], sources: Mapping[str, Path], kept: Path
) -> tuple[list[Reach], Recorder]:
    """Return what each test reaches of some modules, by name and source; in a forked process.

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
                for reach in _trace(missing, sources, recorder):
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


def _trace(
    tests: Sequence[tuple[str, Vector]], sources: Mapping[str, Path], recorder: Recorder
) -> Iterator[Reach]:
    marks = Marks(sources)
    trial.stand_in(marks.codes)
    for module in sources:
        importlib.import_module(module)
    yield Reach(IMPORT, "", marks.lines(), 0.0)
    trial.replay(recorder)
    list(trial.judged(tests[:1]))  # what is imported late is imported now
    caches = [
        thing
        for thing in gc.get_objects()
        if isinstance(thing, _Cache) and thing.__module__ in sources
    ]
    for role in TRIALS:
        for test in (t for t in tests if t[0] == role):
            for cache in caches:  # what they keep would be reached by one test alone
                cache.cache_clear()
            marks.clear()
            started = time.process_time()
            (outcome,) = trial.judged([test])
            if outcome.kills or outcome.notices:
                raise UnfitError(f"{role}, {outcome.vector}: {outcome.judgement.detail}")
            yield Reach(role, outcome.vector, marks.lines(), time.process_time() - started)
