"""Media in the folder of an unfinished package (clause 16.1.1): written, read back, removed."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager, suppress
from functools import partial
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
            return difference(file, medium)
    except FileNotFoundError:
        return "it is missing"
    except FormatError as error:
        return error.finding.message
    except OSError as error:
        return error.strerror or str(error)


def difference(file: BinaryIO, medium: MediumRecord) -> str:
    """Say how a file differs from a medium, by length and digests; empty where it is that."""
    for expected in medium.chunk_sha256:
        if hashlib.sha256(file.read(CHUNK_BYTES)).digest() != expected:
            return "it is not the file that was copied"
    if file.seek(0, 2) != medium.length:
        return "it has another length than the file that was copied"
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


def intact(package: Folder, media: Sequence[MediumRecord]) -> list[tuple[MediumRecord, int]]:
    """Return the media that are on the disk as they were written, and the place of each.

    A medium lies in its place, or before it where :func:`keep` was interrupted. So it is known by
    its bytes; places ascend. Each file is read once.
    """
    stored = _digests(package, media)
    found, free = [], 0
    for medium in media:
        wanted = (medium.length, medium.chunk_sha256)
        places = range(free, medium.index + 1)
        place = next((at for at in places if stored.get(at) == wanted), None)
        if place is not None:
            found.append((medium, place))
            free = place + 1
    return found


def _digests(
    package: Folder, media: Sequence[MediumRecord]
) -> dict[int, tuple[int, tuple[bytes, ...]]]:
    """Return the length and the SHA-256 of the chunks of each file that can be a medium."""
    lengths = {medium.length for medium in media}
    made = {}
    for at in range(len(media)):
        with suppress(OSError, FormatError), opener(package, at)() as file:
            length = file.seek(0, 2)
            if length in lengths:
                file.seek(0)
                chunks = iter(partial(file.read, CHUNK_BYTES), b"")
                made[at] = length, tuple(hashlib.sha256(chunk).digest() for chunk in chunks)
    return made


def keep(package: Folder, found: Sequence[tuple[MediumRecord, int]]) -> None:
    """Give media that are left of more the names of their places, in ascending order.

    Only names go that are of no medium that is left, or were moved before: whenever this is
    interrupted, :func:`intact` finds all of them again.
    """
    with _media(package) as folder:
        for place, (_, at) in enumerate(found):
            if place != at:
                folder.move(entry_of(at), folder, entry_of(place))
                folder.sync()  # a disk may keep a later renaming and not an earlier one


def members(package: Folder, count: int) -> list[tuple[str, Callable[[], BinaryIO]]]:
    """Return the members of media, and what opens each."""
    return [(medium_name(i), opener(package, i)) for i in range(count)]


def remove(package: Folder, count: int = 0) -> None:
    """Remove media from a place on, and their folder where nothing is left in it.

    A link or a file in place of their folder goes too: no package may have it.
    """
    if not package.only_folder(MEDIA_FOLDER):
        return
    kept = {entry_of(i) for i in range(count)}
    with _media(package) as folder:
        for name in folder.names():
            if name not in kept and MEDIUM_FILE.fullmatch(name) and not folder.holds_folder(name):
                folder.remove(name)
    package.remove_folder(MEDIA_FOLDER)
