"""Writes the generated parts of the standard's text: annex A, and the tables of clauses 5.3 and 10.

Run as ``python -m nmc_spec.annex --check`` or ``--write`` in a checkout; the text is not part of an
installed distribution.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_spec.anchors import headings
from nmc_spec.generated import between, command
from nmc_spec.loader import FORMAT_VERSIONS, issues, levels, manifest_layout, profiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

TEXT = Path(__file__).resolve().parents[1] / "text"
"""Folder of the standard's text in a checkout."""

_CLOSE = "<!-- /generated -->"

_TYPES = {
    "str": "text",
    "u1": "8-bit unsigned",
    "u4": "32-bit unsigned",
    "u8": "64-bit unsigned",
    "i4": "32-bit signed",
    "i8": "64-bit signed",
    "f8": "binary64",
}

_ANNEX_A = """\
<!-- Generated from spec/nmc_spec/issues.toml by `python -m nmc_spec.annex --write`. -->

# Annex A (normative): Issue catalogue

Versions {versions}. A finding is one entry of this catalogue with its fields filled in, and exactly
one place (clause {checking}). An *error* refuses the package; a *warning* does
not. Codes are permanent: a code is never renamed and never takes another meaning. Messages and
hints are informative, and a program may translate them.

Codes without a clause are about the host or about an input that is not a package. They say nothing
about conformance.
"""


def replaced(text: str, name: str, content: str) -> str:
    """Return a text with one generated part replaced.

    Parameters
    ----------
    text : str
        The whole file.
    name : str
        Name in the opening marker.
    content : str
        What stands between the markers.

    Raises
    ------
    ValueError
        If the markers are not there, exactly once.
    """
    return between(text, f"<!-- generated: {name} -->", _CLOSE, f"\n\n{content.strip()}\n\n")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


@cache
def _slugs(folder: Path) -> Mapping[str, str]:
    """Return the link target of every clause, as any renderer makes it of the heading."""
    return {
        head.number: f"{path.name}#{head.slug}"
        for path in folder.glob("*.md")
        for head in headings(path.read_text(encoding="utf-8"))
    }


def clause_link(clause: str, folder: Path = TEXT) -> str:
    """Return a Markdown link to a clause; a dash for none."""
    return "—" if clause == "-" else f"[{clause}]({_slugs(folder)[clause]})"


def annex_a() -> str:
    """Return annex A, the issue catalogue, as Markdown."""
    parts = [_ANNEX_A.format(versions=" and ".join(FORMAT_VERSIONS), checking=clause_link("11.2"))]
    catalogue = issues()
    numbers = {code.partition("/")[0]: None for code in catalogue}
    for number, chapter in enumerate(numbers, start=1):
        parts.append(f"## A.{number} {chapter}\n")
        parts.append(
            _table(
                ("Code", "Severity", "Clause", "Message", "Hint"),
                (
                    (
                        f"`{code}`",
                        issue.severity,
                        clause_link(issue.clause),
                        issue.message,
                        issue.hint or "—",
                    )
                    for code, issue in catalogue.items()
                    if code.startswith(f"{chapter}/")
                ),
            )
        )
    return "\n".join(parts)


def manifest_table() -> str:
    """Return the table of every manifest object (clause 5.3.3)."""
    return _table(
        ("Object", "Type", "Dimensions", "Required"),
        (
            (
                f"`{path}`",
                f"`{column.type}`, {_TYPES[column.type]}",
                " x ".join(column.dims) or "scalar",
                "yes" if column.required else "no",
            )
            for path, column in manifest_layout().items()
        ),
    )


def profiles_table() -> str:
    """Return the table of the profiles (clause 10.1)."""
    return _table(
        ("Profile", "Modes", "Entropy codings"),
        (
            (
                f"`{name}`",
                ", ".join(f"`{mode}`" for mode in profile.modes),
                ", ".join(f"`{coding}`" for coding in profile.codings),
            )
            for name, profile in profiles().items()
        ),
    )


def levels_table() -> str:
    """Return the table of the levels (clause 10.2)."""
    return _table(
        ("Level", "Tensor rows", "Bytes of a state", "Frames of a group", "Frames"),
        (
            (
                str(level.level),
                f"{level.max_tensors:,}",
                f"{level.max_state_bytes:,}",
                f"{level.max_group_frames:,}",
                f"{level.max_frames:,}",
            )
            for level in levels()
        ),
    )


PARTS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "05-package.md": {"manifest-layout": manifest_table},
    "10-profiles.md": {"profiles": profiles_table, "levels": levels_table},
}
"""Generated parts, by file and name."""


def generated(folder: Path = TEXT) -> dict[Path, str]:
    """Return what each file with generated parts ought to hold, by path.

    Parameters
    ----------
    folder : Path
        The folder of the text.
    """
    wanted = {folder / "annex-a-issues.md": annex_a()}
    for name, parts in PARTS.items():
        text = (folder / name).read_text(encoding="utf-8")
        for part, content in parts.items():
            text = replaced(text, part, content())
        wanted[folder / name] = text
    return wanted


def stale(folder: Path = TEXT) -> list[Path]:
    """Return the files that are not as generated."""
    return [
        path
        for path, text in generated(folder).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write the generated parts; return the exit status."""
    parser = command(__doc__, "python -m nmc_spec.annex")
    options = parser.parse_args(arguments)
    if not TEXT.is_dir():
        parser.error(f"{TEXT} is missing; run this in a checkout")
    files = stale()
    for path in files:
        if options.write:
            path.write_text(generated()[path], encoding="utf-8")
        print(f"{'written' if options.write else 'stale'}: {path.relative_to(TEXT.parent)}")
    return 1 if files and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
