"""Puts a package in its place: written, on the disk, read back, and only then exchanged.

Nothing is removed before what replaces it is complete, and the journal goes last. So whatever fails
on the way, the frames are there, and :func:`nmc.recover` finds them.
"""

from __future__ import annotations

import hashlib
import io
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nmc.coding.threads import in_threads
from nmc.reading.media import Medium
from nmc.writing import media_files, unfinished
from nmc.writing.media import records_in
from nmc.writing.media_files import MEDIUM_FILE
from nmc.writing.unfinished import (
    MANIFEST_FRESH,
    OURS,
    PACKAGE_FRESH,
    SEGMENT_FILE,
    SIGNATURE_FILE,
)
from nmc_format.issues import FormatError, refuse
from nmc_format.package import zip64
from nmc_format.package.file import FilePackage
from nmc_format.package.members import (
    JOURNAL_NAME,
    MANIFEST_NAME,
    MEDIA_FOLDER,
    SEGMENT_FOLDER,
    SIGNATURE_FOLDER,
    segment_name,
)

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence

    from nmc.writing.folder import Folder
    from nmc.writing.journal import Journal
    from nmc.writing.unfinished import Place, Unfinished
    from nmc_format.manifest.media_table import MediumRecord

REPLACED = ".replaced"
"""Where a package lies for a moment on systems that cannot exchange two names in one step."""


_FILES_OF = {
    SEGMENT_FOLDER: SEGMENT_FILE,
    MEDIA_FOLDER: MEDIUM_FILE,
    SIGNATURE_FOLDER: SIGNATURE_FILE,
}

_READ_BYTES = 1 << 20
"""Bytes of a segment that are read back at a time."""


def finish(made: Unfinished, log: Journal, manifest: bytes, threads: int = 1) -> None:
    """Put the package that a journal describes in its place, and remove what it was made in.

    Parameters
    ----------
    made : Unfinished
        The segments.
    log : Journal
        The frames, and whether a package may be replaced.
    manifest : bytes
        The manifest.
    threads : int
        Segments that are read at the same time.

    Raises
    ------
    FormatError
        If another package came there meanwhile, or what is read back differs from what was written.
    OSError
        If any step fails. The frames and the journal are kept then.
    """
    settings, entries = log.content.settings, log.content.entries
    digests = [entry.record.segment_sha256 for entry in entries]
    media = records_in(log.content.records)
    put = partial(_finish_folder if settings.directory else _finish_file, threads=threads)
    try:
        if settings.directory:
            made.sync(log)  # the segments of a file are copied, and synchronised there
        log.closing(hashlib.sha256(manifest).hexdigest())
        put(made, manifest, digests, media, replaces=settings.replaces)
        log.close()
        tidy(made.place, directory=settings.directory, replaces=settings.replaces)
    except KeyboardInterrupt:
        if unfinished.is_leftover(made.place, log.content):  # too late to stop: it is all there
            tidy(made.place, directory=settings.directory, replaces=settings.replaces)
        raise


def _finish_file(
    made: Unfinished,
    manifest: bytes,
    digests: Sequence[bytes],
    media: Sequence[MediumRecord],
    *,
    replaces: bool,
    threads: int,
) -> None:
    members: list[tuple[str, Callable[[], BinaryIO]]] = [
        (MANIFEST_NAME, partial(io.BytesIO, manifest)),
        *media_files.members(made.folder, len(media)),
    ]
    for t in range(len(digests)):
        name = segment_name(t)
        members.append((name, partial(made.segments.open, Path(name).name)))
    made.folder.write(PACKAGE_FRESH, zip64.pieces(members, _checksums(members, threads)))
    compare_file(made.folder.path / PACKAGE_FRESH, manifest, digests, media, threads)
    _refuse_another(made.place, replaces=replaces)
    made.folder.move(PACKAGE_FRESH, made.place.parent, made.place.name)
    made.place.parent.sync()


def _checksums(
    members: Sequence[tuple[str, Callable[[], BinaryIO]]], threads: int
) -> list[int] | None:
    """Return the CRC-32 of each member; None where each is as well read when it is written."""
    if threads <= 1:
        return None
    found = [0] * len(members)

    def look(k: int) -> None:
        with members[k][1]() as source:
            found[k] = zip64.crc32(source, 0, source.seek(0, io.SEEK_END))

    in_threads([partial(look, k) for k in range(len(members))], threads)
    return found


def compare_file(
    path: Path,
    manifest: bytes,
    digests: Sequence[bytes],
    media: Sequence[MediumRecord] = (),
    threads: int = 1,
) -> None:
    """Read a package file back, and compare it with what was written.

    Parameters
    ----------
    path : Path
        The file.
    manifest : bytes
        The manifest.
    digests : sequence of bytes
        SHA-256 of each segment.
    media : sequence of MediumRecord
        The media.
    threads : int
        Segments that are read at the same time.

    Raises
    ------
    FormatError
        If they differ.
    """
    with FilePackage(path) as package:
        if package.manifest() != manifest:
            raise _differs(path, MANIFEST_NAME)
        lengths = package.segment_lengths()
        if len(lengths) != len(digests):
            raise _differs(path, "the list of members")

        def compare(t: int) -> None:
            read, length = hashlib.sha256(), lengths[t]
            for start in range(0, length, _READ_BYTES):
                read.update(package.part(t, length, start, min(_READ_BYTES, length - start)))
            if read.digest() != digests[t]:
                raise _differs(path, segment_name(t))

        in_threads([partial(compare, t) for t in range(len(digests))], threads)
        for medium in media:
            for _ in Medium(package, medium).chunks():
                pass
        for found in package.findings(len(digests), len(media)):
            raise FormatError(found)


def replace_file(
    place: Place,
    members: Sequence[tuple[str, Callable[[], BinaryIO]]],
    compare: Callable[[Path], None],
) -> None:
    """Write a package file beside its place, have it read back, then put it there in one step.

    Parameters
    ----------
    place : Place
        Of the package, which may exist.
    members : sequence of (str, callable)
        Names in order, and what opens the content of each.
    compare : callable
        Called with the path of the new file; raises where it is not what was written.

    Raises
    ------
    OSError, FormatError
        If any step fails. What was in the place is there still.
    """
    fresh = f".{place.name}.{os.getpid()}.new"
    try:
        place.parent.write(fresh, zip64.pieces(members))
        compare(place.parent.path / fresh)
        place.parent.move(fresh, place.parent, place.name)
    except BaseException:
        with suppress(OSError):
            place.parent.remove(fresh)
        raise
    place.parent.sync()


def _differs(path: Path, what: str) -> FormatError:
    reason = f"{what} is not on the disk as it was written; what was finished is kept"
    return refuse("host/failed", file=str(path), reason=reason)


def _finish_folder(
    made: Unfinished,
    manifest: bytes,
    digests: Sequence[bytes],
    media: Sequence[MediumRecord],
    *,
    replaces: bool,
    threads: int,
) -> None:
    def compare(t: int) -> None:
        if made.sha256(t) != digests[t]:
            raise _differs(made.folder.path, segment_name(t))

    in_threads([partial(compare, t) for t in range(len(digests))], threads)
    media_files.compare(made.folder, media)
    made.remove_leftovers(len(digests))
    media_files.remove(made.folder, len(media))
    made.segments.sync()
    put_manifest(made.folder, manifest)
    unfinished.clear_signatures(made.folder)  # where finished work was resumed
    if made.name != made.place.name:
        _refuse_another(made.place, replaces=replaces)
        exchange(made.place)
    made.place.parent.sync()


def put_manifest(folder: Folder, manifest: bytes) -> None:
    """Put a manifest into a package directory in one step, read back before.

    Raises
    ------
    FormatError
        If what is read back differs.
    OSError
        If any step fails.
    """
    folder.write(MANIFEST_FRESH, [manifest])
    try:
        with folder.open(MANIFEST_FRESH) as file:
            if file.read() != manifest:
                raise _differs(folder.path, MANIFEST_NAME)
        folder.move(MANIFEST_FRESH, folder, MANIFEST_NAME)
    except BaseException:
        folder.remove(MANIFEST_FRESH)
        raise
    folder.sync()


def _refuse_another(place: Place, *, replaces: bool) -> None:
    """Refuse to replace what was not there when the package was begun."""
    if place.parent.kind(place.name) and not replaces:
        raise refuse("host/exists", file=str(place.path))


def exchange(place: Place) -> None:
    """Put the directory that was made beside a package in its place; the old one takes its name.

    Raises
    ------
    OSError
        If that cannot be done; the old package is in its place then.
    """
    parent, name, made = place.parent, place.name, place.partial
    if not parent.kind(name):
        parent.move(made, parent, name)
        return
    if parent.exchange(name, made):
        return
    old = name + REPLACED
    if parent.kind(old):
        raise refuse("host/exists", file=str(place.path.with_name(old)))
    parent.move(name, parent, old)
    try:
        parent.move(made, parent, name)
    except BaseException:
        parent.move(old, parent, name)
        raise
    parent.move(old, parent, made)


def tidy(place: Place, *, directory: bool, replaces: bool) -> None:
    """Remove what a package was made in, or what it replaced, once it is complete in its place.

    Files of others that lay beside the members of a directory stay beside them.
    """
    parent = place.parent
    if not directory:
        unfinished.clear(parent, place.partial)
        parent.sync()
        return
    folder = parent.folder(place.name)
    try:
        for old in (place.partial, place.name + REPLACED) if replaces else ():
            if parent.holds_folder(old):
                _carry_over(parent, old, folder)
                unfinished.clear(parent, old)
        folder.remove(JOURNAL_NAME)
        folder.sync()
    finally:
        folder.close()


def _carry_over(parent: Folder, old: str, folder: Folder) -> None:
    source = parent.folder(old)
    kept_out = {*OURS, SEGMENT_FOLDER, SIGNATURE_FOLDER, MEDIA_FOLDER}
    try:
        for name in source.names():
            if name not in kept_out and not folder.kind(name):
                source.move(name, folder, name)
        for member, pattern in _FILES_OF.items():
            if source.holds_folder(member):
                _carry_members(source, folder, member, pattern)
    finally:
        source.close()


def _carry_members(source: Folder, folder: Folder, member: str, pattern: re.Pattern[str]) -> None:
    """Carry over what lies in one folder of a package and is no member of it."""
    before = source.folder(member)
    try:
        names = [name for name in before.names() if not pattern.fullmatch(name)]
        if not names:
            return
        after = folder.folder(member, make=True)
        try:
            for name in names:
                if not after.kind(name):
                    before.move(name, after, name)
        finally:
            after.close()
    finally:
        before.close()


def abandon(made: Unfinished, log: Journal) -> None:
    """Remove what was written, unless the package is complete in its place already."""
    settings = log.content.settings
    complete = unfinished.is_leftover(made.place, log.content)
    log.close()
    if complete:
        tidy(made.place, directory=settings.directory, replaces=settings.replaces)
    else:
        unfinished.clear(made.place.parent, made.name)
