"""How far a long fuzzing run is: kept in a file, so that it goes on where it stopped.

``python format/tests/fuzz_progress.py FOLDER [--into FILE]`` makes a table of what was run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

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
