"""Writes the index of the decisions (spec/decisions/README.md), and checks the records.

A record is one page by one template: number and title; status, date and the decision in a line;
context, choice, perhaps what was considered, and what was given up. Numbers have no gap.
``--check`` says what is wrong or stale.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_spec.generated import between, command, settled

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).resolve().parents[1] / "spec" / "decisions"
INDEX = FOLDER / "README.md"
OPEN, CLOSE = "<!-- index -->\n", "\n<!-- /index -->"

_TITLE = re.compile(r"# (\d{4}) — (.+)\n")
_HEAD = re.compile(r"\n\*(?P<status>[^*]+)\. (?P<date>\d{4}-\d{2}-\d{2})\.\* (?P<line>[^\n]+)\n\n")
_SECTIONS = ("## Context\n", "## Choice\n", "## What was given up\n")


@dataclass(frozen=True)
class Decision:
    """What the index says of a record."""

    number: int
    file: str
    title: str
    status: str
    date: str
    line: str


class RecordError(ValueError):
    """A record is not by the template; says why."""


def read(path: Path) -> Decision:
    """Return what the index says of a record.

    Raises
    ------
    RecordError
        If the record is not by the template.
    """
    text = path.read_text(encoding="utf-8")
    title = _TITLE.match(text)
    if title is None or not path.name.startswith(f"{title[1]}-"):
        raise RecordError(f"{path.name}: the title does not begin with its number and a dash")
    head = _HEAD.match(text, title.end())
    if head is None:
        raise RecordError(f"{path.name}: no line such as *Stands. 2026-11-21.* What it says.")
    places = [text.find(section) for section in _SECTIONS]
    if places != sorted(places) or -1 in places:
        raise RecordError(f"{path.name}: the parts are not context, choice, what was given up")
    return Decision(int(title[1]), path.name, title[2], head["status"], head["date"], head["line"])


def index(decisions: Sequence[Decision]) -> str:
    """Return the table.

    Raises
    ------
    RecordError
        If numbers have a gap.
    """
    lines = ["| number | decision | in a line | status | date |", "|---|---|---|---|---|"]
    for expected, d in enumerate(decisions, 1):
        if d.number != expected:
            raise RecordError(f"{d.file}: the next number is {expected:04d}")
        status = d.status[0].lower() + d.status[1:]
        link = f"[{d.title}]({d.file})"
        lines.append(f"| {d.number:04d} | {link} | {d.line} | {status} | {d.date} |")
    return "\n".join(lines)


def page(old: str) -> str:
    """Return the page of the index with the table of the records.

    Raises
    ------
    ValueError
        If a record is not by the template, numbers have a gap, or the page has no place for it.
    """
    table = index([read(path) for path in sorted(FOLDER.glob("[0-9]*.md"))])
    return between(old, OPEN, CLOSE, table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the records, and check or write the index; return the exit status."""
    options = command(__doc__).parse_args(arguments)
    return settled(INDEX, page, writing=options.write)


if __name__ == "__main__":
    sys.exit(main())
