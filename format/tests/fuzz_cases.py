"""Numbered cases of damage, tried in their turn up to the first that fails.

The loop of the fuzz programs, and their command line.
"""

from __future__ import annotations

import argparse
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzz_progress import Run, judged


class Wrong(AssertionError):
    """What is judged did what it must never do."""


@dataclass(frozen=True)
class Cases:
    """Which cases are tried, and how.

    Attributes
    ----------
    count, seed : int
        How many, and what they are made from.
    only : int or None
        The one case that is repeated.
    keep : Path or None
        A folder for the input of the case that fails.
    note : Path or None
        A file to go on from, and to keep up.
    jobs : int
        Processes.
    """

    count: int
    seed: int
    only: int | None = None
    keep: Path | None = None
    note: Path | None = None
    jobs: int = 1

    def tried(
        self,
        title: str,
        mark: str,
        judge: Callable[[int], str],
        failed: Callable[[int], object] = lambda number: None,
    ) -> Counter[str]:
        """Return how often each code was met.

        Parameters
        ----------
        title : str
            What is done.
        mark : str
            What the cases depend on beside the seed.
        judge : function of a number
            Returns the code of a case; what it raises is a fault.
        failed : function of a number
            Is called for a case with a fault, in the process that judged it.

        Raises
        ------
        Wrong
            For the first case that fails, with how to repeat it.
        """

        def told(number: int) -> tuple[str, str]:
            try:
                return judge(number), ""
            except Exception as error:
                failed(number)
                again = f"case {number}: repeat it with --seed {self.seed} --only {number}\n"
                return "", again + "".join(traceback.format_exception(error))

        progress = Run(title, self.count, self.note, f"{mark} {self.seed}")
        numbers = range(progress.tally.done, self.count) if self.only is None else [self.only]
        for code, fault in judged(told, numbers, self.jobs):
            if fault:
                raise Wrong(fault)
            progress.tally.add(code)
            progress.tick()
        progress.finish()
        return progress.tally.codes


def program(description: str, run: Callable[[Cases], Counter[str]], *, keeps: bool = False) -> int:
    """Run cases from the command line; return 1 if one fails.

    Parameters
    ----------
    description : str
        What the program does, in a sentence.
    run : function of cases
        Raises :class:`Wrong` for the first that fails.
    keeps : bool
        Whether it can keep the input of that case.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="repeat one case")
    if keeps:
        parser.add_argument("--keep", type=Path, help="a folder for the case that fails")
    parser.add_argument("--note", type=Path, help="a file to go on from, and to keep up")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    cases = Cases(**vars(parser.parse_args()))
    print(f"seed {cases.seed}")
    start = time.perf_counter()
    try:
        codes = run(cases)
    except Wrong as error:
        print(error)
        return 1
    for code, number in codes.most_common():
        print(f"{number:8,}  {code}")
    print(f"{codes.total():,} cases in {time.perf_counter() - start:.0f} s")
    return 0
