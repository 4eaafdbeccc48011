"""Media in the folder of an unfinished package (clause 16.1.1): written, read back, removed."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nmc_format.issues import FormatError, refuse
from nmc_format.manifest.media_table import CHUNK_BYTES
from nmc_format.package.members import MEDIA_FOLDER, medium_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nmc.writing.folder import Folder
    from nmc_format.manifest.media_table import MediumRecord

MEDIUM_FILE = re.compile(r"[0-9]{8}(\.new)?")


def entry_of(index: int) -> str:
    """Return the name of a medium in its folder."""
    return Path(medium_name(index)).name


@contextmanager
def _media(package: Folder, *, make: bool = False) -> Iterator[Folder]:
    folder = package.folder(MEDIA_FOLDER, make=make)
    try:
        yield folder
    finally:
        folder.close()


def store(package: Folder, index: int, chunks: Iterable[bytes]) -> None:
    """Write a medium, and wait until the disk has it; it is there as a whole or not at all."""
    with _media(package, make=True) as folder:
        fresh = f"{entry_of(index)}.new"
        folder.write(fresh, chunks)
        folder.move(fresh, folder, entry_of(index))
        folder.sync()
    package.sync()


def opener(package: Folder, index: int) -> Callable[[], BinaryIO]:
    """Return what opens a medium."""

    def opened() -> BinaryIO:
        with _media(package) as folder:
            return folder.open(entry_of(index))

    return opened


def fault(package: Folder, medium: MediumRecord) -> str:
    """Say why a medium is not on the disk as it was written; empty where it is."""
    try:
        with opener(package, medium.index)() as file:
            for expected in medium.chunk_sha256:
                if hashlib.sha256(file.read(CHUNK_BYTES)).digest() != expected:
                    return "it is not the file that was copied"
            if file.seek(0, 2) != medium.length:
                return "it has another length than the file that was copied"
    except FileNotFoundError:
        return "it is missing"
    except FormatError as error:
        return error.finding.message
    except OSError as error:
        return error.strerror or str(error)
    return ""


def compare(package: Folder, media: Sequence[MediumRecord]) -> None:
    """Read media back.

    Raises
    ------
    FormatError
        If one is not on the disk as it was written.
    """
    for medium in media:
        reason = fault(package, medium)
        if reason:
            reason = f"{medium_name(medium.index)}: {reason}; what was finished is kept"
            raise refuse("host/failed", file=str(package.path), reason=reason)


def keep(package: Folder, kept: Sequence[MediumRecord]) -> None:
    """Give media that are left of more the names of their places, in ascending order."""
    with _media(package) as folder:
        for place, medium in enumerate(kept):
            if place != medium.index:
                folder.move(entry_of(medium.index), folder, entry_of(place))
        folder.sync()


def members(package: Folder, count: int) -> list[tuple[str, Callable[[], BinaryIO]]]:
    """Return the members of media, and what opens each."""
    return [(medium_name(i), opener(package, i)) for i in range(count)]


def remove(package: Folder, count: int = 0) -> None:
    """Remove media from a place on, and their folder where nothing is left in it."""
    if not package.holds_folder(MEDIA_FOLDER):
        return
    kept = {entry_of(i) for i in range(count)}
    with _media(package) as folder:
        for name in folder.names():
            if name not in kept and MEDIUM_FILE.fullmatch(name) and not folder.holds_folder(name):
                folder.remove(name)
    package.remove_folder(MEDIA_FOLDER)
