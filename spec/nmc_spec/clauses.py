"""Makes the clause list: every *shall* of the text, its identifier and its test (clause 11.4).

A *shall* of a normative chapter bears a letter, right behind the word: ``shall[a]``.
``clauses.toml`` says whom it binds and what tests it; ``clauses.json`` is made of both, by
``python -m nmc_spec.clauses --write`` in a checkout, and compared by ``--check``.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_spec.anchors import MARK, heading
from nmc_spec.generated import command, settled
from nmc_spec.loader import FORMAT_VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TEXT = Path(__file__).resolve().parents[1] / "text"
"""Folder of the standard's text in a checkout."""

ASSIGNMENT = Path(__file__).with_name("clauses.toml")
"""Whom each requirement binds, and what tests it."""

LIST = Path(__file__).with_name("clauses.json")
"""The clause list."""

NORMATIVE = (*(f"{chapter:02d}" for chapter in range(4, 17)), "annex-d")
"""How the files begin in which a *shall* is a requirement. Annex A is a catalogue of messages."""

_SHALL = re.compile(r"(?<!\*)\bshall\b(?!\*)")
_ITEM = re.compile(r"(?:- |[0-9]+\. )")
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
_SENTENCE = re.compile(r"(?<=[.?])\s+(?=[A-Z`/*])")
_NOTE = re.compile(r"(?:NOTE|EXAMPLE) ")


class ClauseError(ValueError):
    """The text and the assignment cannot be made into a clause list; says why, line by line."""


@dataclass(frozen=True)
class Sentence:
    """One requirement as the text has it.

    Attributes
    ----------
    id : str
        Clause and letter, such as ``5.3.4-a``.
    clause, title, file, anchor : str
        Where it stands.
    text : str
        The sentence, without Markdown links and anchors; a list that it announces is part of it.
    """

    id: str
    clause: str
    title: str
    file: str
    anchor: str
    text: str


@dataclass(frozen=True)
class _Block:
    """A paragraph, a list item or a line of a table, with the clause that it stands in."""

    kind: str
    text: str
    anchor: str
    clause: str
    title: str


def _blocks(text: str) -> Iterator[_Block]:
    """Yield the prose of a file; code is not prose."""
    anchor = clause = title = kind = ""
    lines: list[str] = []
    fenced = False
    for line in [*text.splitlines(), ""]:
        head = heading(line)
        starts = not line.strip() or line.startswith(("```", "|", "<!--")) or _ITEM.match(line)
        if fenced or starts or head:
            if lines:
                yield _Block(kind, " ".join(lines), anchor, clause, title)
            lines = []
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or not line.strip() or line.startswith("<!--"):
            continue
        elif head:
            anchor, clause, title = head.anchor, head.number, head.title
        else:
            if not lines:
                kind = "row" if line.startswith("|") else "item" if _ITEM.match(line) else "text"
            item = _ITEM.match(line)
            lines.append(line[item.end() :].strip() if item else line.strip())


def _plain(text: str) -> str:
    return _LINK.sub(r"\1", MARK.sub("shall", text)).strip()


def _sentence(blocks: Sequence[_Block], at: int, letter: str) -> str:
    """Return the sentence of a letter, with the list that it announces or the head of its list."""
    block = blocks[at]
    parts = _SENTENCE.split(block.text)
    index = next(i for i, part in enumerate(parts) if f"shall[{letter}]" in part)
    sentence = _plain(parts[index])
    if block.kind == "row":
        return sentence.strip("| ")
    if block.kind == "item" and sentence[0].islower():
        head = next(b for b in reversed(blocks[:at]) if b.kind == "text")
        lead = _plain(_SENTENCE.split(head.text)[-1]).rstrip(":")
        return f"{lead} {sentence}"
    last = index == len(parts) - 1 and sentence[-1] not in ".?"
    items = []
    for after in blocks[at + 1 :] if last and block.kind == "text" else ():
        if after.kind != "item":
            break
        items.append(_plain(after.text).rstrip(";."))
    return f"{sentence} {'; '.join(items)}." if items else sentence


def sentences(folder: Path = TEXT) -> tuple[list[Sentence], list[str]]:
    """Return every requirement of the text, and what is wrong with their marks.

    Parameters
    ----------
    folder : Path
        The folder of the text.
    """
    found: list[Sentence] = []
    faults: list[str] = []
    for path in sorted(folder.glob("*.md")):
        if not path.name.startswith(NORMATIVE):
            if not path.name.startswith("annex-a"):
                faults += _stray(path)
            continue
        blocks = list(_blocks(path.read_text(encoding="utf-8")))
        for at, block in enumerate(blocks):
            faults += _unmarked(path, block)
            for letter in MARK.findall(block.text):
                sentence = _sentence(blocks, at, letter)
                name, anchor = f"{block.clause}-{letter}", f"{block.anchor}-{letter}"
                found.append(Sentence(name, block.clause, block.title, path.name, anchor, sentence))
    names = [sentence.id for sentence in found]
    faults += [f"{name} occurs twice" for name in sorted({n for n in names if names.count(n) > 1})]
    return found, faults


def _stray(path: Path) -> list[str]:
    return [
        f"{path.name}: a shall in an informative part: {_plain(block.text)[:80]}"
        for block in _blocks(path.read_text(encoding="utf-8"))
        if _SHALL.search(block.text)
    ]


def _unmarked(path: Path, block: _Block) -> list[str]:
    if not _SHALL.search(block.text):
        return []
    if _NOTE.match(block.text):
        return [f"{path.name}: a shall in a note or an example: {_plain(block.text)[:80]}"]
    if len(_SHALL.findall(block.text)) != len(MARK.findall(block.text)):
        what = _plain(block.text)[:80]
        return [f"{path.name}, clause {block.clause}: a shall without an identifier: {what}"]
    return []


def clause_list(folder: Path = TEXT, assignment: Path = ASSIGNMENT) -> dict[str, Any]:
    """Return the content of ``clauses.json`` (schema ``clauses``).

    Raises
    ------
    ClauseError
        If a *shall* has no identifier or no entry, an identifier occurs twice or is retired, or
        one that has an entry is no longer in the text.
    """
    found, faults = sentences(folder)
    table = tomllib.loads(assignment.read_text(encoding="utf-8"))
    assigned: Mapping[str, Any] = table["requirement"]
    retired = set(table.get("retired", ()))
    names = {sentence.id for sentence in found}
    faults += [f"{name} has no entry in {assignment.name}" for name in sorted(names - {*assigned})]
    faults += [f"{name} is no longer in the text" for name in sorted({*assigned} - names)]
    faults += [f"{name} is retired and shall not come back" for name in sorted(names & retired)]
    if faults:
        raise ClauseError("\n".join(faults))
    return {
        "format_version": FORMAT_VERSIONS[-1],
        "requirements": [
            {
                "id": sentence.id,
                "clause": sentence.clause,
                "title": sentence.title,
                "file": sentence.file,
                "anchor": sentence.anchor,
                "sentence": sentence.text,
                **_tested(assigned[sentence.id]),
            }
            for sentence in found
        ],
    }


def _tested(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return whom an entry binds, and how it is tested."""
    ways = [way for way in ("vectors", "encoder", "runner", "exempt") if way in entry]
    if len(ways) != 1 or "binds" not in entry:
        raise ClauseError(f"an entry says whom it binds and one way of testing: {dict(entry)}")
    made: dict[str, Any] = {"binds": entry["binds"], "tested": ways[0]}
    made["vectors"] = list(entry[ways[0]]) if ways[0] in {"vectors", "encoder"} else []
    made["reason"] = entry[ways[0]] if ways[0] in {"runner", "exempt"} else ""
    return made


def text_of(content: Mapping[str, Any]) -> str:
    """Return the bytes of ``clauses.json`` as text."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write the clause list; return the exit status."""
    parser = command(__doc__, "python -m nmc_spec.clauses")
    parser.add_argument("--text", type=Path, default=TEXT, help="folder of the text")
    options = parser.parse_args(arguments)
    if not options.text.is_dir():
        parser.error(f"{options.text} is missing; run this in a checkout")
    return settled(LIST, lambda _: text_of(clause_list(options.text)), writing=options.write)


if __name__ == "__main__":
    sys.exit(main())
