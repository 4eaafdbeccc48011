"""Generated parts of pages, for programs that ``--check`` whether one is stale or ``--write`` it.

The pages are those of a checkout; an installed distribution has none.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def between(text: str, opening: str, closing: str, content: str) -> str:
    """Return a text with what stands between two marks replaced.

    Raises
    ------
    ValueError
        If the marks are not there, the opening one exactly once and the closing one behind it.
    """
    before, _, rest = text.partition(opening)
    _, end, after = rest.partition(closing)
    if not end or opening in rest:
        marks = f"{opening.strip()} … {closing.strip()}"
        raise ValueError(f"there is no part {marks}, or more than one")
    return f"{before}{opening}{content}{closing}{after}"


def command(description: str | None, program: str | None = None) -> argparse.ArgumentParser:
    """Return a parser that wants one of ``--check`` and ``--write``."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="say what is stale")
    action.add_argument("--write", action="store_true", help="write what is stale")
    return parser


def settled(page: Path, made: Callable[[str], str], *, writing: bool) -> int:
    """Check or write one page, and say on stdout what is wrong with it.

    Parameters
    ----------
    page : Path
        The file; one that is not there is empty.
    made : Callable[[str], str]
        Returns what the page ought to hold, given what it holds; a ``ValueError`` of it is told.
    writing : bool
        Whether to write a page that is stale.

    Returns
    -------
    int
        The exit status: 1 if the page is stale, or cannot be made.
    """
    old = page.read_text(encoding="utf-8") if page.is_file() else ""
    try:
        new = made(old)
    except ValueError as error:
        print(f"{page.name}: {error}")
        return 1
    if old == new:
        return 0
    if writing:
        page.write_text(new, encoding="utf-8")
    print(f"{'written' if writing else 'stale'}: {page.name}")
    return 0 if writing else 1
