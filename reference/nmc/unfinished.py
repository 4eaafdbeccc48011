"""The folder of an unfinished package (clause 5.1.5): begun, filled segment by segment, removed."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

from nmc_format.issues import refuse
from nmc_format.package import JOURNAL_NAME, MANIFEST_NAME, SEGMENT_FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from typing_extensions import Buffer


def begin(path: Path, folder: Path, *, overwrite: bool) -> None:
    """Make an empty folder for a package, if nothing is in its way.

    Parameters
    ----------
    path : Path
        The package that is to be made.
    folder : Path
        Where it is written: ``path`` itself for the directory form.
    overwrite : bool
        Replace what is there, if it has the same form.

    Raises
    ------
    FormatError
        If the package exists, or another one was begun there and not finished.
    """
    directory = folder == path
    replaced = overwrite and path.is_dir() == directory
    if path.exists() and not (replaced or (directory and _is_empty(path))):
        raise refuse("host/exists", file=str(path))
    journal = folder / JOURNAL_NAME
    if not directory and journal.is_file() and not overwrite:
        frames = max(0, journal.read_bytes().count(b"\n") - 1)
        raise refuse("package/unfinished", file=str(folder), frames=frames)
    if folder.exists():
        remove(folder)
    (folder / SEGMENT_FOLDER).mkdir(parents=True, exist_ok=True)


def store(place: Path, pieces: Sequence[Buffer]) -> str:
    """Write a segment beside its place, then put it there; return its SHA-256 in hex."""
    fresh = place.with_suffix(".new")
    digest = hashlib.sha256()
    try:
        with fresh.open("wb") as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
        fresh.replace(place)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    return digest.hexdigest()


def remove(folder: Path) -> None:
    """Remove the members of a package and its folder, if nothing else lies in it."""
    shutil.rmtree(folder / SEGMENT_FOLDER, ignore_errors=True)
    for name in (MANIFEST_NAME, JOURNAL_NAME):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing, or only what a writer makes before its journal."""
    return folder.is_dir() and not any(p.is_file() for p in folder.rglob("*"))
