"""The fenced blocks of the documents, each with the mark that says what becomes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from programs import CONFORMANCE

if TYPE_CHECKING:
    from pathlib import Path

ROOT = CONFORMANCE.parent
DOCUMENTS = (
    *sorted((ROOT / "spec" / "text").glob("*.md")),
    ROOT / "README.md",
    ROOT / "README.ko.md",
    ROOT / "CONTRIBUTING.md",
    CONFORMANCE / "PROTOCOL.md",
    CONFORMANCE / "README.md",
)
"""Documents whose examples are run."""

_MARK = re.compile(r"<!-- (run|not run): (.+) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes
    ----------
    file : str
        The document.
    line : int
        Of the opening fence, counted from 1.
    language : str
        Behind the opening fence; may be empty.
    mark : str
        ``"run"``, ``"not run"``, or empty where there is none.
    subject : str
        What the mark says: a name for what is run, or why it is not.
    text : str
        What is between the fences.
    before : str
        The line of prose before the block.
    """

    file: str
    line: int
    language: str
    mark: str
    subject: str
    text: str
    before: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a document."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found, at = [], 0
    while at < len(lines):
        if not lines[at].startswith("```"):
            at += 1
            continue
        end = lines.index("```", at + 1)
        mark = _MARK.fullmatch(lines[at - 1])
        before = next((line for line in reversed(lines[: at - bool(mark)]) if line.strip()), "")
        found.append(
            Block(
                path.relative_to(ROOT).as_posix(),
                at + 1,
                lines[at][3:].strip(),
                mark[1] if mark else "",
                mark[2] if mark else "",
                "\n".join(lines[at + 1 : end]) + "\n",
                before,
            )
        )
        at = end + 1
    return found


BLOCKS = [block for path in DOCUMENTS for block in blocks(path)]
"""Every block of every document."""


def marked(subject: str) -> Block:
    """Return the one block that is run under a name."""
    (block,) = (b for b in BLOCKS if (b.mark, b.subject) == ("run", subject))
    return block


def table(file: str, head: str) -> list[list[str]]:
    """Return the cells of the table that begins with a line, without its head."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    at = lines.index(head) + 2
    rows = []
    while at < len(lines) and lines[at].startswith("|"):
        rows.append([cell.strip() for cell in lines[at].strip("|").split("|")])
        at += 1
    return rows
