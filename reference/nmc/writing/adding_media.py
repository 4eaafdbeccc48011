"""Adds a medium to an unfinished package: checked, copied, and only then in the journal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nmc.writing import media_files
from nmc.writing.media import RECORD, Copying, checked, name_of, opened, record_of, records_in
from nmc_format.host import host_errors
from nmc_format.issues import refuse

if TYPE_CHECKING:
    from pathlib import Path

    from nmc.writing.folder import Folder
    from nmc.writing.journal import Journal
    from nmc.writing.media import Media
    from nmc_format.manifest.media_table import MediumRecord


def add_media(path: Path, folder: Folder, log: Journal, media: Media) -> None:
    """Copy a medium into the folder of a package, and name it in the journal.

    Parameters
    ----------
    path : Path
        The package, for messages.
    folder : Folder
        Where it is made.
    log : Journal
        Its journal.
    media : Media
        The medium.

    Raises
    ------
    FormatError
        If it is refused, cannot be read, or changes meanwhile; nothing has changed then.
    """
    known = records_in(log.content.records)
    wanted = record_of(media, len(known))
    there = next((medium for medium in known if medium.name == wanted.name), None)
    name = name_of(media, wanted)
    if there is None:
        checked([*known, wanted], None)
        made = _copied(path, folder, media, wanted, name)
        now = [*known, made]
    else:
        checked([wanted], None)
        made = replace(_compared(media, wanted, there, name), index=there.index)
        now = [made if medium is there else medium for medium in known]
    with host_errors(path):
        log.record(RECORD, checked(now, None).objects())


def _copied(
    path: Path, folder: Folder, media: Media, wanted: MediumRecord, name: str
) -> MediumRecord:
    with opened(media.file) as stream:
        copying = Copying(stream, name)
        with host_errors(path):
            media_files.store(folder, wanted.index, copying.chunks())
    made = copying.described(wanted)
    media_files.compare(folder, [made])
    return made


def _compared(media: Media, wanted: MediumRecord, there: MediumRecord, name: str) -> MediumRecord:
    """Return what is said of a medium that is there already, if it is the same file."""
    with opened(media.file) as stream:
        copying = Copying(stream, name)
        for _ in copying.chunks():
            pass
    made = copying.described(wanted)
    if made.chunk_sha256 != there.chunk_sha256:
        hint = "give it another name"
        reason = "the package has another medium of this name"
        raise refuse("input/unsupported", file=name, reason=reason, hint=hint)
    return made
