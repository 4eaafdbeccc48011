"""Writes what the README says of the suite: vectors, requirements and codes."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_conformance.coverage import coverage
from nmc_conformance.vectors import default_root, load_suite
from nmc_spec import requirements

if TYPE_CHECKING:
    from collections.abc import Sequence

README = Path(__file__).resolve().parents[2] / "README.md"
OPEN, CLOSE = "<!-- conformance -->\n", "\n<!-- /conformance -->"


def figures() -> str:
    """Return the paragraph."""
    vectors = load_suite(default_root()).vectors
    made = coverage(vectors)
    outcomes = Counter(vector.expected.outcome for vector in vectors)
    ways = made.ways
    text = (
        f"{len(vectors)} vectors, {outcomes['accept']} to accept and {outcomes['reject']} to "
        f"refuse. Of the {len(requirements())} requirements (*shall*) of the text, "
        f"{ways['vectors']} are tested by vectors, {ways['encoder']} by what an encoder makes, "
        f"{ways['runner']} by the runner at every vector; {ways['exempt']} cannot be put to a "
        "program from outside and are [listed with the reason](spec/nmc_spec/clauses.toml)"
    )
    if made.missing_requirements:
        text += f"; {len(made.missing_requirements)} are not tested"
    codes = len(made.codes)
    every = codes + len(made.missing_codes)
    text += f". {codes} of the {every} codes that a package can provoke have a vector."
    return textwrap.fill(text, 105, break_long_words=False, break_on_hyphens=False)


def replaced(text: str) -> str:
    """Return the README with the paragraph.

    Raises
    ------
    ValueError
        If the README has no place for it.
    """
    before, start, rest = text.partition(OPEN)
    _, end, after = rest.partition(CLOSE)
    if not start or not end:
        raise ValueError(f"{README}: there is no part {OPEN.strip()} … {CLOSE.strip()}")
    return f"{before}{start}{figures()}{end}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write the paragraph; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="say whether it is stale")
    action.add_argument("--write", action="store_true", help="write it")
    options = parser.parse_args(arguments)
    old = README.read_text(encoding="utf-8")
    new = replaced(old)
    if old == new:
        return 0
    if options.write:
        README.write_text(new, encoding="utf-8")
    print(f"{'written' if options.write else 'stale'}: {README.name}")
    return 0 if options.write else 1


if __name__ == "__main__":
    sys.exit(main())
