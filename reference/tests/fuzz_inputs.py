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

import random
import resource
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "format" / "tests"))

import fuzz_cameras
import fuzz_judges
import fuzz_sources
from fuzz_cases import Cases, Wrong, program
from fuzz_progress import code_digest, time_limit

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


def run(cases: Cases) -> Counter[str]:
    """Try cases; return what came of them. The first that fails raises `Wrong`."""
    with tempfile.TemporaryDirectory() as text:
        sources = sources_in(Path(text))
        return cases.tried(
            "damaged journals, checkpoints, messages, documents, keys, chains",
            f"inputs {code_digest(*FLOORS)}",
            lambda number: run_case(cases.seed, number, sources),
        )


def main() -> int:
    """Run from the command line, within the memory that a run may use; 1 if a case fails."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    return program(__doc__.split("\n", maxsplit=1)[0], run)


if __name__ == "__main__":
    sys.exit(main())
