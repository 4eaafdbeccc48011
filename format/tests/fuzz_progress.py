"""How far a long fuzzing run is: kept in a file, so that it goes on where it stopped.

``python format/tests/fuzz_progress.py FOLDER [--into FILE]`` makes a table of what was run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 5.0
"""Between two lines of progress, and two notes."""


@dataclass
class Tally:
    """What came of the cases so far.

    Attributes
    ----------
    done : int
        Cases, which come in the same order each time.
    codes : Counter of str
        What became of them.
    faults : list of str
        Those of which came what may not come, in words.
    """

    done: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, code: str, fault: str = "") -> None:
        """Count a case; one with a fault has no code."""
        self.done += 1
        if fault:
            self.faults.append(fault)
        else:
            self.codes[code] += 1


class Run:
    """A run that says how far it is, and notes it.

    Parameters
    ----------
    title : str
        What is done, as the table has it.
    total : int
        Cases.
    note : Path or None
        The file to go on from, and to keep up; None begins, and keeps nothing.
    mark : str
        What the cases depend on: a note of other cases is left aside.
    """

    def __init__(self, title: str, total: int, note: Path | None, mark: str) -> None:
        self.title, self.total = title, total
        self._note, self._mark = note, hashlib.sha256(mark.encode()).hexdigest()
        self.tally = self._noted()
        self._before = self.tally.done
        self._start = self._last = time.monotonic()
        self._spent = _processor_seconds()

    def tick(self, where: str = "") -> None:
        """Say and note how far it is, if it is time."""
        now = time.monotonic()
        if now - self._last < SECONDS:
            return
        self._last = now
        self.save()
        rate = (self.tally.done - self._before) / max(now - self._start, 1e-9)
        left = (self.total - self.tally.done) / max(rate, 1e-9)
        print(
            f"{self.title}: {self.tally.done:,} of {self.total:,}, "
            f"{len(self.tally.faults)} faults, {rate:.0f}/s, {left / 60:.0f} min left"
            + (f": {where}" if where else ""),
            flush=True,
        )

    def finish(self) -> None:
        """Note the end, and say how many cases a second of processor time is good for."""
        self.save()
        done, seconds = self.tally.done - self._before, _processor_seconds() - self._spent
        rate = f"{done / seconds:.0f} a second of processor time" if done and seconds else "none"
        print(f"{self.title}: {done:,} cases in this run, {rate}", flush=True)

    def save(self) -> None:
        """Note how far it is."""
        if self._note is None:
            return
        tally = self.tally
        content = {"title": self.title, "total": self.total, "mark": self._mark}
        content |= {"done": tally.done, "codes": tally.codes, "faults": tally.faults}
        fresh = self._note.with_suffix(".new")
        fresh.write_text(json.dumps(content), encoding="utf-8")
        fresh.replace(self._note)

    def _noted(self) -> Tally:
        if self._note is not None and self._note.is_file():
            content = json.loads(self._note.read_text(encoding="utf-8"))
            if content.get("mark") == self._mark and content["done"] <= self.total:
                return Tally(content["done"], Counter(content["codes"]), content["faults"])
        return Tally()


@contextmanager
def time_limit(seconds: int, ring: Callable[[], Exception]) -> Iterator[None]:
    """End a block that takes too much processor time, or waits forever, where this system can.

    Parameters
    ----------
    seconds : int
        Of processor time, so that a machine that is busy ends no sound case; twenty times as much
        of the clock's.
    ring : function
        Returns what is raised in the block.
    """
    if not hasattr(signal, "SIGPROF"):
        yield
        return

    def rung(*_: object) -> None:
        raise ring()

    before = {kind: signal.signal(kind, rung) for kind in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(20 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _processor_seconds() -> float:
    """Return what this process has used, and those of its children that ended."""
    return sum(os.times()[:4])


def code_digest(*floors: str) -> str:
    """Return a digest of the code that is judged, and of what damages and judges it.

    Parameters
    ----------
    floors : str
        Folders of the house, without their tests.
    """
    house = Path(__file__).resolve().parents[2]
    found = [
        path
        for floor in floors
        for kind in ("py", "toml")
        for path in sorted((house / floor).rglob(f"*.{kind}"))
        if "tests" not in path.parts
    ]
    digest = hashlib.sha256()
    for path in (*found, *sorted(house.glob("*/tests/fuzz_*.py"))):
        digest.update(str(path.relative_to(house)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def judged(
    judge: Callable[[Any], tuple[str, str]],
    cases: Iterable[Any],
    jobs: int,
    begin: Callable[[], object] | None = None,
) -> Iterator[tuple[str, str]]:
    """Yield what became of each case, in their order: its code, and its fault or nothing.

    Parameters
    ----------
    judge : function of a case
        Raises nothing: what it finds is a fault.
    cases : iterable
        Numbers or tuples, which go to other processes.
    jobs : int
        Processes; 1: this one.
    begin : function or None
        Called in each process of several before its first case.
    """
    if jobs == 1 or not hasattr(os, "fork"):
        yield from map(judge, cases)
        return
    _SHARED["judge"] = judge
    with multiprocessing.get_context("fork").Pool(jobs, begin) as pool:
        yield from pool.imap(_judged, cases, _AT_ONCE)
        pool.close()
        pool.join()  # what they used is counted then


_SHARED: dict[str, Callable[[Any], tuple[str, str]]] = {}
"""What the processes of a pool have from the one that they were forked off."""
_AT_ONCE = 64


def _judged(case: Any) -> tuple[str, str]:
    return _SHARED["judge"](case)


def table(folder: Path) -> str:
    """Return what the notes of a folder say."""
    rows = [
        "| damage | tried | as it should be | faults |",
        "|---|---:|---:|---:|",
    ]
    for note in sorted(folder.glob("*.json")):
        content = json.loads(note.read_text(encoding="utf-8"))
        good, faults = sum(content["codes"].values()), len(content["faults"])
        rows.append(f"| {content['title']} | {content['done']:,} | {good:,} | {faults} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="that of the notes")
    parser.add_argument("--into", type=Path, help="put the table between the marks of a file")
    options = parser.parse_args()
    made = table(options.folder)
    print(made, end="")
    if options.into is not None:
        from nmc_tools.bench.published import put_into

        put_into(options.into, "fuzz", made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
