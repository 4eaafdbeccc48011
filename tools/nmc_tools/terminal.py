"""What commands print: results on standard output, errors on one line of standard error."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console

import nmc_spec
from nmc_format.issues import finding
from nmc_framework.counting import counted
from nmc_tools.progress import err, printable, progress_bar

if TYPE_CHECKING:
    from nmc_format.issues import Finding

__all__ = [
    "Exit",
    "counted",
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
    "warn_error",
]


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    INTERRUPTED = 130
    PIPE = 141
    """Where a system has no signal for it: a shell reports this of a program that one ended."""


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


def warn_error(text: str) -> None:
    """Print a line on stderr of what is wrong, of text that need not be trusted."""
    err.print("[red]error[/] ", end="")
    err.print(printable(text), markup=False)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout: ASCII, so that no terminal obeys what is in it."""
    json.dump(value, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


_HINTS = {
    "host/exists": "choose another name, or replace it with --force",
    "host/no-space": "free some space and run it again, with --resume where it has that",
    "package/unfinished": "close it with 'nmc recover', or go on writing with --resume",
    "profile/level-refused": "accept it with --max-level, if you trust the source",
}
"""What to do on a command line, where the catalogue speaks to programs."""


def print_finding(found: Finding) -> None:
    """Print a finding on stderr, on one line."""
    style = "yellow" if found.severity == "warning" else "red"
    hint = found.hint
    if hint == nmc_spec.issues()[found.code].hint:  # nothing more fitting was said
        hint = _HINTS.get(found.code, hint)
    hint = f" ({hint})" if hint else ""
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
