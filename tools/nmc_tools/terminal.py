"""What commands print: results on standard output, errors on one line of standard error."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console

from nmc_format.issues import finding
from nmc_tools.progress import err, printable, progress_bar

if TYPE_CHECKING:
    from nmc_format.issues import Finding

__all__ = [
    "Exit",
    "err",
    "note",
    "out",
    "print_finding",
    "print_json",
    "printable",
    "progress_bar",
    "refuse_input",
    "say",
    "size_text",
    "warn",
]


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    INTERRUPTED = 130


out = Console(highlight=False, soft_wrap=True, emoji=False)


def say(text: str) -> None:
    """Print one line on stdout, of text that need not be trusted."""
    out.print(printable(text), markup=False)


def note(text: str) -> None:
    """Print one line on stderr that is worth knowing, of text that need not be trusted."""
    err.print(printable(text), markup=False)


def warn(text: str) -> None:
    """Print a line on stderr of what was done all the same, of text that need not be trusted."""
    err.print("[yellow]warning[/] ", end="")
    err.print(printable(text), markup=False)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout: ASCII, so that no terminal obeys what is in it."""
    json.dump(value, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def print_finding(found: Finding) -> None:
    """Print a finding on stderr, on one line."""
    style = "yellow" if found.severity == "warning" else "red"
    hint = f" ({found.hint})" if found.hint else ""
    err.print(f"[{style}]{found.severity}[/] ", end="")
    err.print(f"{found.code} at {found.place}: {found.message}{hint}", markup=False)


def size_text(count: float) -> str:
    """Return a number of bytes for people, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.2f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def refuse_input(code: str, path: str, reason: str, hint: str = "") -> NoReturn:
    """End the command because of what it was given; ``hint`` goes before the catalogue's own.

    Raises
    ------
    SystemExit
        Always, with ``Exit.REFUSED``.
    """
    found = finding(code, file=path, reason=reason, hint=hint)
    print_finding(replace(found, hint=hint) if hint else found)
    raise SystemExit(Exit.REFUSED)
