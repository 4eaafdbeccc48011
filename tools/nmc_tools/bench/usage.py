"""What packages take beside bytes: threads, memory, one tensor of many, the start of a program.

``python -m nmc_tools.bench.usage WAY CODING WORDS FOLDER`` is the part that measures
memory, in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc_tools.bench.timing import best_seconds, peak_memory, restart_peak

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from nmc.coding.arithmetic import Effort
    from nmc.coding.encode import Entropy

CODINGS: dict[str, tuple[Entropy, Effort]] = {
    "plain": ("none", "fast"),
    "zstd": ("zstd", "fast"),
    "nmc fast": ("nmc", "fast"),
    "nmc strong": ("nmc", "strong"),
    "nmc max": ("nmc", "max"),
}
"""How packages are coded, by the names of the tables."""
_ALONE = "nmc max"
"""What no two threads share."""
TENSORS = 16
_FRAMES = 4
_GROUPS = 4
_LARGER = 4
"""Times as many words has a frame that threads share."""


def _states(words: int, frames: int) -> list[dict[str, np.ndarray[Any, Any]]]:
    """Return a chain of equal tensors, each a little moved in each frame."""
    rng = np.random.default_rng(6)
    shape = (TENSORS, words // TENSORS)
    first = rng.standard_normal(shape, dtype="f4")
    made = []
    for t in range(frames):
        moved = first + np.float32(1e-3 * t) * rng.standard_normal(shape, dtype="f4")
        made.append({f"layer.{i}": np.ascontiguousarray(part) for i, part in enumerate(moved)})
    return made


def _write(
    path: Path, states: list[Any], coding: str, key_every: int = 0, threads: int = 1
) -> None:
    entropy, effort = CODINGS[coding]
    options: dict[str, Any] = {"key_every": key_every, "overwrite": True, "threads": threads}
    with nmc.Writer(path, entropy=entropy, effort=effort, **options) as writer:
        for state in states:
            writer.append(state)


def measure_threads(words: int) -> dict[str, dict[int, float]]:
    """Return the seconds of checking, writing and reading, by coding and way, and by threads.

    What is checked has four groups; what is written and read has one, of large frames, so that
    threads share the work within a frame. The programs ``nmc pack`` and ``nmc unpack`` are measured
    with their start, on what is checked.
    """
    numbers = sorted({1, 2, min(os.cpu_count() or 1, _GROUPS)})
    many, large = _states(words, _GROUPS * _FRAMES), _states(_LARGER * words, 2)
    seconds: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.nmc"
        for coding in CODINGS:
            if coding == _ALONE:
                continue
            _write(path, many, coding, key_every=_FRAMES)
            ways: dict[str, Callable[[int], object]] = {
                "check": partial(_check, path),
                "pack": partial(_write, path, large, coding, 0),
                "open": partial(_read, path),
            }
            for way, of in ways.items():
                seconds[f"{way}, {coding}"] = {n: best_seconds(partial(of, n)) for n in numbers}
        for way, program in _programs(Path(folder), many).items():
            seconds[way] = {n: best_seconds(partial(program, n)) for n in numbers}
    return seconds


def _programs(folder: Path, states: list[Any]) -> dict[str, Callable[[int], None]]:
    """Return the programs that pack checkpoints and unpack a package, in so many threads."""
    from nmc_tools import checkpoints

    run, package, coding = folder / "run", folder / "programs.nmc", "nmc fast"
    run.mkdir()
    for t, state in enumerate(states):
        checkpoints.write(run / f"frame_{t:04}.safetensors", state, to="safetensors")
    _write(package, states, coding, key_every=_FRAMES)
    made, frames = folder / "packed.nmc", folder / "frames"
    pack = ["pack", str(run), "-o", str(made), "--effort", CODINGS[coding][1], "--force"]
    unpack = ["unpack", str(package), "-o", str(frames), "--force"]
    return {
        f"`nmc {command[0]}`, {coding}": partial(_run_program, command)
        for command in (pack, unpack)
    }


def _run_program(command: list[str], threads: int) -> None:
    program = [sys.executable, "-P", "-c", "from nmc_tools.cli import main; main()"]
    _run([*program, *command, "--jobs", str(threads)])


def _check(path: Path, threads: int) -> None:
    nmc.check(path, threads=threads)


def _read(path: Path, threads: int = 1) -> None:
    """Read all frames."""
    with nmc.open(path, threads=threads) as sequence:
        for t in range(len(sequence)):
            sequence[t]


def measure_one_tensor(words: int) -> dict[str, dict[str, float]]:
    """Return the seconds of reading a late frame, and of one of its sixteen tensors alone."""
    states = _states(words, _FRAMES)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.nmc"
        for coding in CODINGS:
            _write(path, states, coding)

            def state() -> None:
                with nmc.open(path) as sequence:
                    sequence.state(_FRAMES - 1)

            def tensor() -> None:
                with nmc.open(path) as sequence:
                    sequence.tensor(_FRAMES - 1, "layer.7")

            seconds[coding] = {"state": best_seconds(state), "tensor": best_seconds(tensor)}
    return seconds


def measure_memory(
    words: int, codings: Collection[str] = tuple(CODINGS)
) -> dict[str, dict[str, float]]:
    """Return what writing and reading take at peak, in states, beside the caller's own."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for coding in codings:
            found[coding] = {}
            for way in ("writing", "reading"):
                command = [sys.executable, "-P", "-m", "nmc_tools.bench.usage"]
                done = subprocess.run(  # noqa: S603 - our own interpreter and module
                    [*command, way, coding, str(words), folder],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                found[coding][way] = json.loads(done.stdout) / (4 * words)
    return found


def _memory(way: str, coding: str, words: int, folder: Path) -> int:
    """Write or read a chain whose caller has one state at a time; return the bytes at peak."""
    path = folder / "chain.nmc"
    small = folder / "small.nmc"
    _write(small, _states(1 << 14, 2), coding)  # what is compiled or loaded is not part of it
    with nmc.open(small) as sequence:
        sequence.state(1)
    if way == "reading":
        resident = restart_peak()
        _read(path)
        return peak_memory() - resident
    state = _states(words, 1)[0]
    rng = np.random.default_rng(7)
    noise = np.float32(1e-3) * rng.standard_normal(words // TENSORS, dtype="f4")
    resident = restart_peak()
    entropy, effort = CODINGS[coding]
    with nmc.Writer(path, entropy=entropy, effort=effort, overwrite=True) as writer:
        for _ in range(_FRAMES):
            writer.append(state)
            for tensor in state.values():
                np.add(tensor, noise, out=tensor)
    return peak_memory() - resident


def measure_start(folder: Path) -> dict[str, float]:
    """Return the seconds of starting a program, and of its first and second small package.

    Parameters
    ----------
    folder : Path
        An empty folder, in which compiled kernels are kept.
    """
    python = [sys.executable, "-P", "-c"]
    code = (
        "import sys, nmc, numpy as np\n"
        "a = np.random.default_rng(0).standard_normal((64, 64), 'f4')\n"
        "with nmc.Writer(sys.argv[1], effort=sys.argv[2], overwrite=True) as w:\n"
        "    w.append({'a': a}); w.append({'a': a * np.float32(1.001)})\n"
    )
    seconds = {
        "python -c pass": best_seconds(lambda: _run([*python, "pass"])),
        "import numpy": best_seconds(lambda: _run([*python, "import numpy"])),
        "import nmc": best_seconds(lambda: _run([*python, "import nmc"])),
        "nmc --version": best_seconds(
            lambda: _run([*python, "from nmc_tools.cli import main; main()", "--version"])
        ),
    }
    for effort in ("fast", "strong"):
        places = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "TMPDIR")
        kept = dict.fromkeys(places, str(folder / effort))
        (folder / effort).mkdir()
        command = [*python, code, str(folder / "small.nmc"), effort]
        for time_of in ("first", "second"):
            start = time.perf_counter()
            _run(command, kept)
            seconds[f"{time_of} package, {effort}"] = time.perf_counter() - start
    return seconds


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    subprocess.run(  # noqa: S603 - our own interpreter
        command, check=True, capture_output=True, env={**os.environ, **(environment or {})}
    )


if __name__ == "__main__":
    _, way, coding, words, folder = sys.argv
    print(json.dumps(_memory(way, coding, int(words), Path(folder))))
