"""Finds what of an unfinished package is intact (clause 5.1.5): by digests, not by existence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmc.coding.cursor import Cursor
from nmc.coding.freezing import freezing_findings
from nmc.reading.plain_package import plain_segment
from nmc.writing import describe, journal, media_files
from nmc.writing.media import RECORD, records_in
from nmc.writing.unfinished import Unfinished
from nmc_format.issues import Finding, FormatError, refuse
from nmc_format.manifest.media_table import MediaTable
from nmc_format.manifest.record import Manifest
from nmc_format.manifest.tensor_table import TensorRow
from nmc_format.package.members import (
    JOURNAL_NAME,
    MEDIA_FOLDER,
    SIGNATURE_FOLDER,
    segment_name,
)

if TYPE_CHECKING:
    from nmc.writing.unfinished import Place
    from nmc_format.encryption import SegmentCipher


@dataclass(frozen=True)
class FinishedPart:
    """The intact frames of an unfinished package, and what coding the next one takes.

    Attributes
    ----------
    content : Content or None
        Settings, intact frames and records; None where not even the settings are intact.
    rows : list of TensorRow
        The tensor table so far.
    cursor : Cursor
        The last frame.
    listed : int
        Frames that the journal has in all.
    fault : Finding or None
        Why there are fewer intact ones; None where that is no more than a missing segment.
    verified : bool
        Whether frames were decoded: not where they are encrypted, and there is no key.
    lost_media : tuple of str
        Names of the media that are not intact.
    """

    content: journal.Content | None
    rows: list[TensorRow]
    cursor: Cursor
    listed: int = 0
    fault: Finding | None = None
    verified: bool = True
    lost_media: tuple[str, ...] = ()


def find(place: Place, *, directory: bool) -> str | None:
    """Return the name of the folder of an unfinished package at a place, or None.

    Parameters
    ----------
    place : Place
        Where the package is to lie.
    directory : bool
        Whether the package itself may be that folder.
    """
    for name in (place.partial, place.name)[: 1 + directory]:
        if not place.parent.kind(name) or place.parent.holds_file(name):
            continue
        folder = place.parent.folder(name)
        try:
            if folder.kind(JOURNAL_NAME):
                return name
        finally:
            folder.close()
    return None


def open_unfinished(place: Place, name: str) -> Unfinished:
    """Open the folder of an unfinished package.

    Raises
    ------
    FormatError
        If a link or a file lies where a folder of its members has to be: what is behind it may be
        somebody's, and media may have been moved there.
    """
    made = Unfinished(place, name, make=True)
    try:
        for member in (MEDIA_FOLDER, SIGNATURE_FOLDER):
            made.folder.refuse_other_than_folder(member)
    except BaseException:
        made.close()
        raise
    return made


def finished_part(
    made: Unfinished, *, thorough: bool, cipher: SegmentCipher | None = None
) -> FinishedPart:
    """Return the longest intact beginning of an unfinished package.

    Every segment is compared with the SHA-256 of the journal, and its digests with those of the
    frames around it; the frames together with what a manifest may say.

    Parameters
    ----------
    made : Unfinished
        The folder.
    thorough : bool
        Decode every frame, as a check of the package would; else the last group only.
    cipher : SegmentCipher or None
        By the key of the segments. Encrypted ones are not decoded without it.
    """
    content = journal.read(made.folder)
    if content is None:
        return FinishedPart(None, [], Cursor())
    listed = len(content.entries)
    fault = _keep_intact(made, content)
    lost = _keep_media(made, content)
    while True:
        _keep_allowed(content)
        if not content.entries:
            empty = journal.Content(content.settings, [], content.records)
            return FinishedPart(empty, [], Cursor(), listed, fault, lost_media=lost)
        rows = rows_of(content)
        manifest = describe.described(content, rows, unfinished=True)
        cursor = Cursor()
        if manifest.root.is_encrypted and cipher is None:
            cursor.forget()
            return FinishedPart(content, rows, cursor, listed, fault, False, lost)
        broken = _first_broken(made, manifest, cursor, cipher, thorough=thorough)
        if broken is None:
            return FinishedPart(content, rows, cursor, listed, fault, lost_media=lost)
        t, fault = broken
        del content.entries[t:]


def rows_of(content: journal.Content) -> list[TensorRow]:
    """Return the tensor table of a journal."""
    return [row for entry in content.entries for row in entry.rows]


def _keep_intact(made: Unfinished, content: journal.Content) -> Finding | None:
    """Forget the frames from the first on whose segment is not the one of the journal."""
    for t, entry in enumerate(content.entries):
        try:
            if made.sha256(t) == entry.record.segment_sha256:
                continue
            reason = "it is not the segment that the journal has"
            fault = refuse("host/failed", file=segment_name(t), reason=reason).finding
        except FileNotFoundError:
            fault = refuse("package/member-missing", file=segment_name(t), member="it").finding
        except OSError as error:
            reason = error.strerror or str(error)
            fault = refuse("host/failed", file=segment_name(t), reason=reason).finding
        except FormatError as error:
            fault = error.finding
        del content.entries[t:]
        return fault
    return None


def _keep_media(made: Unfinished, content: journal.Content) -> tuple[str, ...]:
    """Forget the media that are not those of the journal; return their names."""
    media = records_in(content.records)
    found = media_files.intact(made.folder, media)
    kept = [medium for medium, _ in found]
    if len(kept) < len(media):
        if kept:
            media_files.keep(made.folder, found)
        content.records[RECORD] = MediaTable.of(kept).objects()
    return tuple(medium.name for medium in media if medium not in kept)


def _keep_allowed(content: journal.Content) -> None:
    """Forget records that do not fit, and the frames from the first on that no manifest allows.

    Where a beginning of the frames is allowed, each shorter one is, too; so the longest is found by
    halving, and the journal of a stranger is not worth a check for each of its frames.
    """
    if _is_allowed(content, len(content.entries)):
        return
    bare = journal.Content(content.settings, content.entries)
    if _is_allowed(bare, len(content.entries)):
        for name in list(content.records):
            alone = journal.Content(
                content.settings, content.entries, {name: content.records[name]}
            )
            if not _is_allowed(alone, len(content.entries)):
                del content.records[name]
        return
    low, high = 0, len(content.entries) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if _is_allowed(bare, middle):
            low = middle
        else:
            high = middle - 1
    del content.entries[low:]
    _keep_allowed(content)


def _is_allowed(content: journal.Content, count: int) -> bool:
    if count == 0:
        return True
    first = journal.Content(content.settings, content.entries[:count], content.records)
    try:
        describe.described(first, rows_of(first), unfinished=True)
    except (FormatError, ValueError, OverflowError):
        return False
    return True


def _first_broken(
    made: Unfinished,
    manifest: Manifest,
    cursor: Cursor,
    cipher: SegmentCipher | None,
    *,
    thorough: bool,
) -> tuple[int, Finding] | None:
    """Take a cursor to the last frame; return the first frame that is broken, and why, or None."""
    decoded_from = 0 if thorough else manifest.frames.key_frame_before(len(manifest) - 1)
    for t in range(len(manifest)):
        before = cursor.state if cursor.known else None
        try:
            data = made.segment(t, int(manifest.frames.segment_length[t]))
            if cipher is not None:
                data = plain_segment(manifest, cipher, t, data)
            cursor.advance(manifest, t, data, decode=t >= decoded_from)
        except FormatError as error:
            return t, error.finding
        if cursor.known:
            for found in freezing_findings(manifest, t, before, cursor.state):
                return t, found
    return None
