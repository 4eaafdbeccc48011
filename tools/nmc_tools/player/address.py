"""Addresses of the player's page: which package it opens, and how it begins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

PAGE = Path(__file__).parent / "page"
"""The built page: index.html and what it loads. Its sources are in ``player/``."""


def is_address(package: str) -> bool:
    """Return whether a package is named by an address of the web, and not by a path."""
    return urlsplit(package).scheme in ("http", "https")


def source_of(package: str | os.PathLike[str]) -> str:
    """Return where the page finds a package: its address, or its place beside the page.

    A package that is a directory ends with a stroke, as its members lie below it. Presentation
    documents, and packages that are still written, are named as they are.
    """
    if isinstance(package, str) and is_address(package):
        return package
    path = Path(package).absolute()
    return f"../{quote(path.name)}{'/' if path.is_dir() else ''}"


def page_address(
    server: str,
    package: str | os.PathLike[str],
    *,
    frame: int = 0,
    play: bool = False,
    keys: Sequence[str] = (),
    render: bool = False,
    bake: int = 0,
) -> str:
    """Return the address of the page on a server, with the package that it opens.

    Parameters
    ----------
    server : str
        The address of ``nmc serve``, a stroke at its end.
    package : str or path
        A package that this server serves, or an address.
    frame : int
        What is shown first.
    play : bool
        Whether playing begins at once.
    keys : sequence of str
        Public keys in base 16, each of which has to have signed.
    render : bool
        Whether this server renders the package for a page that cannot.
    bake : int
        Cells on an edge of the lattice that a field is baked to; 0 for none, unless its tables are
        too large.
    """
    asked = [("url", source_of(package)), *(("key", key) for key in keys)]
    if frame:
        asked.append(("frame", str(frame)))
    if play:
        asked.append(("play", "1"))
    if bake:
        asked.append(("bake", str(bake)))
    if render:
        asked.append(("render", f"../render/{quote(Path(package).absolute().name)}"))
    return f"{server}player/?{urlencode(asked)}"
