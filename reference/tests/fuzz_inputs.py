"""Damages at random what a stranger may hand over beside packages.

Journals, recovered and followed; checkpoints of every importer; messages; presentation documents;
files of keys; chains of delta checkpoints; camera files. Run as
``python reference/tests/fuzz_inputs.py --count N --seed S``; case I is repeated with ``--only I``.
A damaged journal recovers to a package that passes the check, or is refused; a damaged checkpoint
is read, or refused as one; a damaged message makes no other state; cameras are
whole ones, or refused. Nothing else may come of any:
no other exception, no more than a bounded memory, no hanging.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import fuzz_cameras
import fuzz_judges
import fuzz_sources
from fuzz_judges import Wrong

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "format" / "tests"))

from fuzz_progress import Run, code_digest, judged, time_limit

if TYPE_CHECKING:
    from collections import Counter

FLOORS = ("spec/nmc_spec", "format", "reference", "tools/nmc_tools")
"""What is judged."""
SECONDS = 30
MEMORY = 6 * 2**30
"""Bytes of address space that a run may use."""


JUDGES: dict[str, tuple[Callable[[Path], list[Path]], Callable[[random.Random, Path, Path], str]]]
JUDGES = {
    "journal": (fuzz_sources.journals, fuzz_judges.judge_journal),
    "checkpoint": (fuzz_sources.checkpoints, fuzz_judges.judge_checkpoint),
    "notes": (fuzz_sources.checkpoints, fuzz_judges.judge_notes),
    "followed": (fuzz_sources.journals, fuzz_judges.judge_followed),
    "message": (fuzz_sources.messages, fuzz_judges.judge_message),
    "document": (fuzz_sources.documents, fuzz_judges.judge_document),
    "key": (fuzz_sources.keys, fuzz_judges.judge_key),
    "chain": (fuzz_sources.chains, fuzz_judges.judge_chain),
    "cameras": (fuzz_cameras.sources, fuzz_cameras.judge),
}
"""What makes the sources of a kind, and what judges one of them after it was damaged."""

TURNS = ("journal", "checkpoint", "followed", "message", "checkpoint", "document", "key", "chain")
TURNS += ("checkpoint", "notes", "cameras")
"""The kinds in their turn: the many kinds of checkpoints come twice."""


def run_case(seed: int, number: int, sources: dict[str, list[Path]]) -> str:
    """Make one case and judge it."""
    rng = random.Random(f"{seed}/{number}")
    kind = TURNS[number % len(TURNS)]
    source = rng.choice(sources[kind])
    late = partial(Wrong, f"it took more than {SECONDS} s of processor time")
    with time_limit(SECONDS, late), tempfile.TemporaryDirectory() as folder:
        return JUDGES[kind][1](rng, source, Path(folder))


def sources_in(folder: Path) -> dict[str, list[Path]]:
    """Make all sources, each kind in a folder of its own."""
    made = {}
    for kind, (make, _) in JUDGES.items():
        (folder / kind).mkdir()
        made[kind] = make(folder / kind)
    return made


def run(
    count: int, seed: int, only: int | None = None, note: Path | None = None, jobs: int = 1
) -> Counter[str]:
    """Run many cases; return what came of them.

    Raises
    ------
    Wrong
        For the first case that fails, with how to repeat it.
    """
    progress = Run(
        "damaged journals, checkpoints, messages, documents, keys, chains",
        count,
        note,
        f"inputs {seed} {code_digest(*FLOORS)}",
    )
    with tempfile.TemporaryDirectory() as text:
        sources = sources_in(Path(text))

        def judge_case(number: int) -> tuple[str, str]:
            try:
                return run_case(seed, number, sources), ""
            except Exception as error:
                again = f"case {number}: repeat it with --seed {seed} --only {number}\n"
                return "", again + "".join(traceback.format_exception(error))

        numbers = range(progress.tally.done, count) if only is None else [only]
        for code, fault in judged(judge_case, numbers, jobs):
            if fault:
                raise Wrong(fault)
            progress.tally.add(code)
            progress.tick()
    progress.finish()
    return progress.tally.codes


def main() -> int:
    """Run from the command line; 1 where a case fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="repeat one case")
    parser.add_argument("--note", type=Path, help="a file to go on from, and to keep up")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        made = run(options.count, options.seed, options.only, options.note, options.jobs)
    except Wrong as error:
        print(error)
        return 1
    for what, number in sorted(made.items()):
        print(f"{number:8,}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
