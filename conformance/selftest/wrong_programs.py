"""The table of wrong programs: what each does wrong, the clause that says so, and how it is made.

A program is a right one with one change, as somebody could have written it who read the text
once: an edit of the TypeScript decoder or of the reference, or a program of this folder with a
fault of that name.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TYPESCRIPT = HERE.parent / "implementations" / "typescript"
PYTHON_SOURCES = tuple(
    ROOT / name for name in ("format/nmc_format", "reference/nmc", "tools/nmc_tools/commands")
)
DECODER, CHECKER, ENCODER = "decoder", "checker", "encoder"


class StaleError(Exception):
    """An edit does not fit the source any more."""


@dataclass(frozen=True)
class WrongProgram:
    """One wrong program.

    Attributes
    ----------
    name : str
        Unique.
    clause : str
        The clause that it breaks.
    says : str
        What it does, in a line.
    role : str
        ``"decoder"``, ``"checker"`` or ``"encoder"``.
    base : str
        ``"typescript"``, ``"reference"``, or a program of this folder, such as ``"wrong_encoder"``.
    edits : tuple of (str, str)
        What is replaced in the source of the base, and by what; each occurs once.
    file : str
        Source below the TypeScript decoder's ``src`` that is edited.
    """

    name: str
    clause: str
    says: str
    role: str
    base: str
    edits: tuple[tuple[str, str], ...] = ()
    file: str = ""

    def edited(self) -> tuple[Path, str]:
        """Return the source file of the base and its text with the edits.

        Raises
        ------
        StaleError
            If an edit does not fit exactly one place.
        """
        path = self._source()
        text = path.read_text(encoding="utf-8")
        for before, after in self.edits:
            if text.count(before) != 1:
                count = text.count(before)
                raise StaleError(f"{self.name}: {count} places of {path.name} have {before!r}")
            text = text.replace(before, after)
        return path, text

    def _source(self) -> Path:
        if self.base == "typescript":
            return TYPESCRIPT / "src" / self.file
        first = self.edits[0][0]
        found = [
            path
            for folder in PYTHON_SOURCES
            for path in sorted(folder.rglob("*.py"))
            if first in path.read_text(encoding="utf-8")
        ]
        if len(found) != 1:
            raise StaleError(f"{self.name}: {len(found)} modules have {first!r}")
        return found[0]


def module_name(path: Path) -> str:
    """Return the dotted name of a module of the reference."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts[1:])
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def table() -> tuple[WrongProgram, ...]:
    """Return every wrong program, in the order of the files and of their lines."""
    made = [
        program
        for path in sorted((HERE / "programs").glob("*.toml"))
        for program in _of_file(tomllib.loads(path.read_text(encoding="utf-8")))
    ]
    names = [program.name for program in made]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"two programs are called {min(twice)}")
    return tuple(made)


def _of_file(content: dict[str, Any]) -> Iterator[WrongProgram]:
    for entry in content["program"]:
        edits = [(entry["find"], entry["replace"])] if "find" in entry else []
        edits += [(more["find"], more["replace"]) for more in entry.get("also", ())]
        yield WrongProgram(
            name=entry["name"],
            clause=entry["clause"],
            says=entry["says"],
            role=entry.get("role", content.get("role", DECODER)),
            base=entry.get("base", content["base"]),
            edits=tuple(edits),
            file=entry.get("file", ""),
        )


def kinds_of(programs: Iterable[WrongProgram]) -> Counter[str]:
    """Return how many programs there are of each role and language."""
    languages = {True: "TypeScript", False: "Python"}
    return Counter(f"{p.role}s, {languages[p.base == 'typescript']}" for p in programs)
