"""One mutant before the suite: a process of its own in which one module is another one.

The process is forked from one that has imported what is not mutated, so that a trial costs
little more than the vectors it takes. The vectors are judged by the suite's own judge; the kernels
of the coder run without their compiler.
"""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import interpreted
import numpy as np
import swap
from processes import Recorder
from subjects import ALONE, BY_TENSORS, TRIALS, ByTensors, InProcess, described, library

from nmc_conformance.judge import GOOD, MISMATCH, PASS, Judgement
from nmc_conformance.staging import Stage
from nmc_conformance.vectors import Vector


@dataclass(frozen=True)
class Mutant:
    """A module and the code that stands in for it.

    Attributes
    ----------
    module : str
        Dotted name.
    path : Path
        Its source.
    code : code
        What is run instead.
    text : str
        Source of what is run instead, for processes that it starts.
    separate : bool
        Whether it changes what such a process does.
    functions : tuple of code or None
        Where only these functions differ and no import calls them: their new code.
    """

    module: str
    path: Path
    code: CodeType
    text: str
    separate: bool = False
    functions: tuple[CodeType, ...] | None = None


class _Loader(SourceFileLoader):
    def __init__(self, module: str, path: Path, code: CodeType) -> None:
        super().__init__(module, str(path))
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return self._code


class _Finder(MetaPathFinder):
    def __init__(self, codes: Mapping[str, tuple[Path, CodeType]]) -> None:
        self._codes = codes

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname not in self._codes:
            return None
        source, code = self._codes[fullname]
        return spec_from_file_location(fullname, source, loader=_Loader(fullname, source, code))


def preload() -> None:
    """Import what no mutant changes."""
    import h5py
    import jsonschema
    import ml_dtypes
    import natsort
    import safetensors
    import typer
    import zstandard

    import nmc_spec

    del h5py, jsonschema, ml_dtypes, natsort, safetensors, typer, zstandard
    nmc_spec.profiles()
    sys.modules[interpreted.NAME] = interpreted.module()
    np.seterr(all="ignore")  # words wrap


@dataclass(frozen=True)
class Ready:
    """The implementation, imported, with nothing of it run.

    Attributes
    ----------
    functions : mapping
        By where their code stands.
    modules : frozenset of str
        What was imported for it.
    """

    functions: Mapping[swap.Place, list[FunctionType]]
    modules: frozenset[str]


def import_all(modules: Iterable[str], tests: Sequence[tuple[str, Vector]]) -> Ready:
    """Import some modules and what some tests import while they run; they run in a fork."""
    before = set(sys.modules)
    for module in [*modules, *_imported_late(tests)]:
        importlib.import_module(module)
    gc.collect()
    ready = Ready(swap.functions(), frozenset(set(sys.modules) - before))
    gc.freeze()  # forks share what is not looked at
    return ready


def _imported_late(tests: Sequence[tuple[str, Vector]]) -> list[str]:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        with os.fdopen(write_end, "w", encoding="ascii") as pipe:
            before = set(sys.modules)
            list(judged(tests))
            found = [name for name in sys.modules if name not in before]
            pipe.write("\n".join(n for n in found if getattr(sys.modules[n], "__spec__", None)))
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "r", encoding="ascii") as pipe:
        names = pipe.read().split()
    os.waitpid(child, 0)
    return names


def stand_in(codes: Mapping[str, tuple[Path, CodeType]]) -> None:
    """Have this process run other code, by module, in place of what its source has."""
    sys.meta_path.insert(0, _Finder(codes))


def install(mutant: Mutant, ready: Ready) -> None:
    """Make this process run the mutant."""
    if mutant.functions is not None and swap.put(mutant.functions, ready.functions):
        return
    for module in ready.modules:
        del sys.modules[module]
    stand_in({mutant.module: (mutant.path, mutant.code)})
    if mutant.separate:
        _put_first(str(_overlay(mutant)))


def _put_first(folder: str) -> None:
    """Have the process that reads with the HDF5 library import from a folder before others."""
    from nmc_format import isolated

    found = isolated.roots_of
    isolated.roots_of = lambda needs: iter([folder, *found(needs)])


def replay(recorder: Recorder) -> None:
    """Ask the process that reads with the HDF5 library no question twice."""
    import nmc_format.manifest.sandbox as room

    room.subprocess = recorder


def _overlay(mutant: Mutant) -> Path:
    """Return a folder with the mutant's package, for a process that it starts."""
    folder = Path(tempfile.mkdtemp(prefix="overlay-"))
    parts = mutant.module.split(".")
    root = mutant.path.parents[len(parts) - 2]
    shutil.copytree(root, folder / parts[0])
    (folder / Path(*parts)).with_suffix(".py").write_text(mutant.text, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Outcome:
    """What a vector made of the process.

    Attributes
    ----------
    role : str
        How it was put.
    vector : str
        Its id.
    judgement : Judgement
        The suite's.
    """

    role: str
    vector: str
    judgement: Judgement

    @property
    def kills(self) -> bool:
        """Whether it shows the mutant by its verdict."""
        return self.judgement.verdict not in GOOD

    @property
    def notices(self) -> bool:
        """Whether it shows the mutant by the code that it reports."""
        return self.judgement.verdict == PASS and self.judgement.diagnostics == MISMATCH


def judged(
    tests: Iterable[tuple[str, Vector]], before: Callable[[], None] = lambda: None
) -> Iterator[Outcome]:
    """Put vectors to the implementation of this process, one after the other."""
    description = described()
    with tempfile.TemporaryDirectory() as home:
        for role, vector in tests:
            before()
            subject = ByTensors() if role == BY_TENSORS else InProcess()
            with Stage(Path(home)) as stage, library(role != ALONE):
                judgement, _ = TRIALS[role](subject, description, vector, stage)
            yield Outcome(role, vector.id, judgement)


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant.

    Attributes
    ----------
    fate : str
        ``"killed"``, ``"noticed"`` (only the reported code differs) or ``"survived"``.
    role, vector, detail : str
        By which test, and what was wrong.
    tests : int
        How many were tried.
    """

    fate: str
    role: str = ""
    vector: str = ""
    detail: str = ""
    tests: int = 0


def face(
    mutant: Mutant,
    tests: Sequence[tuple[str, Vector]],
    ready: Ready,
    recorder: Recorder,
    patience: float,
) -> Verdict:
    """Fork a process with a mutant and put the vectors to it until one kills it.

    Parameters
    ----------
    mutant : Mutant
        What is changed.
    tests : sequence of (role, Vector)
        In the order in which they are tried.
    ready : Ready
        What it is put into, where that will do.
    recorder : Recorder
        Answers of the process that reads with the HDF5 library.
    patience : float
        Seconds that one vector may take.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _live(mutant, tests, ready, recorder, patience, write_end)
    os.close(write_end)
    with os.fdopen(read_end, "r", encoding="utf-8") as pipe:
        lines = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    last = lines[-1].split("\t") if lines else []
    if last and last[0] == "end":
        return Verdict(last[1], last[2], last[3], last[4], int(last[5]))
    role, vector = last[1:3] if last else ("", "")
    how = f"the process ended by status {status}"
    return Verdict("killed", role, vector, how, len(lines))


def _live(
    mutant: Mutant,
    tests: Sequence[tuple[str, Vector]],
    ready: Ready,
    recorder: Recorder,
    patience: float,
    pipe: int,
) -> None:
    """Be the forked process; never returns."""
    code = 1
    home = tempfile.mkdtemp(prefix="mutant-")
    try:
        _limit(home)
        for bell in (signal.SIGPROF, signal.SIGALRM):  # the end, whatever the code is at
            signal.signal(bell, signal.SIG_DFL)
        _wind(patience)
        install(mutant, ready)
        if not mutant.separate:
            replay(recorder)
        verdict = _verdict(tests, patience, pipe)
        _say(pipe, "end", verdict.fate, verdict.role, verdict.vector, verdict.detail, verdict.tests)
        code = 0
    except BaseException as error:
        detail = f"{type(error).__name__}: {error}"
        _say(pipe, "end", "killed", "", "", detail, 0)
        code = 0
    finally:
        shutil.rmtree(home, ignore_errors=True)
        os._exit(code)


def _verdict(tests: Sequence[tuple[str, Vector]], patience: float, pipe: int) -> Verdict:
    noticed = Verdict("survived")
    todo = iter(tests)

    def tick() -> None:
        _wind(patience)
        role, vector = next(todo)
        _say(pipe, "at", role, vector.id)

    for count, outcome in enumerate(judged(tests, tick), 1):
        facts = (outcome.role, outcome.vector, outcome.judgement.detail, count)
        if outcome.kills:
            return Verdict("killed", *facts)
        if outcome.notices and noticed.fate == "survived":
            noticed = Verdict("noticed", *facts)
    return noticed if noticed.fate == "noticed" else Verdict("survived", tests=len(tests))


def _wind(patience: float) -> None:
    """Give so many seconds of a core, and far more on the clock to what waits for ever.

    So a machine that has other work, too, finds out no mutant.
    """
    signal.setitimer(signal.ITIMER_PROF, patience)
    signal.setitimer(signal.ITIMER_REAL, 30 * patience)


def _limit(home: str) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    os.environ["TMPDIR"] = tempfile.tempdir = home
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)


def _say(pipe: int, *words: object) -> None:
    text = "\t".join(" ".join(str(word).split()) for word in words)
    os.write(pipe, f"{text[:4000]}\n".encode(errors="replace"))
