"""Writes the map of ARCHITECTURE.md: chapter of the standard, modules, TypeScript, vectors.

A module opens with a sentence that names the clauses it carries out, and so does a file of the
decoder in TypeScript; the map is read off these sentences. ``--check`` says whether it is stale.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_spec.generated import between, command, settled

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
CODE = {"format/nmc_format": ROOT / "format/nmc_format", "nmc": ROOT / "reference/nmc"}
TYPESCRIPT = ROOT / "conformance/implementations/typescript/src"
GENERATORS = ROOT / "conformance/generators"
VECTORS = ROOT / "conformance/vectors"
OPEN, CLOSE = "<!-- map -->\n", "\n<!-- /map -->"

_NAMED = re.compile(r"\b(?:[Cc]lauses?|[Cc]hapters?|[Aa]nnex(?:es)?|[Tt]able) ([^);:`]*)")
_NUMBER = r"(?:\d+(?:[.-]\d+)*|[A-F](?:[.-]\d+)?)\b"
_CLAUSE = re.compile(rf"\b({_NUMBER})(?: to ({_NUMBER}))?")
_TITLE = re.compile(r"^# (?:Annex )?([A-Z0-9]+) (?:\(\w+\): )?(.*)$", re.MULTILINE)


def clauses_of(sentence: str) -> dict[str, list[str]]:
    """Return the clauses and annexes that a sentence names, by chapter: ``{"5": ["5.2"]}``."""
    found: dict[str, list[str]] = {}
    for phrase in _NAMED.findall(sentence):
        for first, last in _CLAUSE.findall(phrase):
            begin, end = (re.split(r"[.-]", clause)[0] for clause in (first, last or first))
            through = range(int(begin), int(end) + 1) if begin.isdigit() else [begin]
            name = f"{first} to {last}" if last else first
            for chapter in map(str, through):
                found.setdefault(chapter, []).append(name)
    return found


def _python(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def _typescript(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    head = []
    for line in lines:
        if not line.startswith("//"):
            break
        head.append(line.removeprefix("//").strip())
    return " ".join(head).replace("Table", "table")


def _listed(files: Sequence[tuple[str, str]], chapter: str) -> str:
    cells = []
    for name, sentence in files:
        named = clauses_of(sentence).get(chapter)
        if named is not None:
            finer = [clause for clause in dict.fromkeys(named) if "." in clause]
            cells.append(f"`{name}`" + (f" {', '.join(finer)}" if finer else ""))
    return "<br>".join(cells) or "-"


def table() -> str:
    """Return the map as a table."""
    code = {
        floor: [
            (path.relative_to(folder).with_suffix("").as_posix(), _python(path))
            for path in sorted(folder.rglob("*.py"))
            if path.name != "__init__.py"
        ]
        for floor, folder in CODE.items()
    }
    typescript = [
        (path.relative_to(TYPESCRIPT).with_suffix("").as_posix(), _typescript(path))
        for path in sorted(TYPESCRIPT.rglob("*.ts"))
    ]
    heads = ["Chapter", *(f"`{floor}`" for floor in code), "TypeScript", "vectors and generators"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for page in sorted((ROOT / "spec/text").glob("*.md")):
        found = _TITLE.search(page.read_text(encoding="utf-8"))
        if found is None or found[1] in {"1", "2", "3", "B", "C", "E"}:
            continue
        cells = [_listed(files, found[1]) for files in (*code.values(), typescript)]
        folder = VECTORS / page.stem
        made = GENERATORS / page.stem.partition("-")[2]
        tests = [f"[`{folder.name}`](conformance/vectors/{folder.name})"] if folder.is_dir() else []
        tests += [f"[`{made.name}`](conformance/generators/{made.name})"] if made.is_dir() else []
        title = f"[{found[1]} {found[2]}](spec/text/{page.name})"
        lines.append(f"| {title} | {' | '.join(cells)} | {'<br>'.join(tests) or '-'} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write the map; return the exit status."""
    options = command(__doc__).parse_args(arguments)
    return settled(PAGE, lambda page: between(page, OPEN, CLOSE, table()), writing=options.write)


if __name__ == "__main__":
    sys.exit(main())
