"""How a writer starts: it begins a package, or goes on with an unfinished one (clause 5.1.5)."""

from __future__ import annotations

from dataclasses import replace
from enum import Flag, auto
from typing import TYPE_CHECKING

from nmc.coding.cursor import Cursor
from nmc.writing import unfinished
from nmc.writing.journal import Content, Journal, read
from nmc.writing.resume import FinishedPart, find, finished_part, open_unfinished
from nmc_format.issues import refuse
from nmc_format.package.members import MANIFEST_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from nmc.writing.journal_lines import Settings
    from nmc.writing.unfinished import Place, Unfinished
    from nmc_format.encryption import SegmentCipher


class Existing(Flag):
    """What becomes of what lies at the path already; what is not named is refused."""

    REFUSED = 0
    RESUMED = auto()
    REPLACED = auto()

    @classmethod
    def of(cls, *, resume: bool, overwrite: bool) -> Existing:
        """Return what two options of a writer mean together."""
        return (cls.RESUMED if resume else cls.REFUSED) | (
            cls.REPLACED if overwrite else cls.REFUSED
        )


def start(
    path: Path, settings: Settings, existing: Existing, cipher: SegmentCipher | None = None
) -> tuple[Unfinished, Journal, FinishedPart]:
    """Begin a package, or go on with an unfinished one.

    Parameters
    ----------
    path : Path
        The package.
    settings : Settings
        What the package as a whole says; whether it replaces another one is found out here.
    existing : Existing
        What becomes of what is there.
    cipher : SegmentCipher or None
        By the key of the segments.

    Returns
    -------
    Unfinished, Journal, FinishedPart
        Where it is made, what its journal says, and what coding the next frame takes.

    Raises
    ------
    FormatError
        If something is in the way, or was begun with other options.
    OSError
        If the host fails.
    """
    place = unfinished.place_of(path, make=True)
    if Existing.RESUMED in existing:
        name = find(place, directory=settings.directory)
        if name is not None:
            return _resumed(open_unfinished(place, name), settings, cipher)
    return _begun(place, settings, overwrite=Existing.REPLACED in existing)


def _begun(
    place: Place, settings: Settings, *, overwrite: bool
) -> tuple[Unfinished, Journal, FinishedPart]:
    there = place.parent.kind(place.name) != 0
    made = unfinished.begin(place, directory=settings.directory, overwrite=overwrite)
    content = Content(replace(settings, replaces=there and made.name != place.name))
    try:
        log = Journal(made.folder, content)
    except BaseException:
        unfinished.clear(place.parent, made.name)
        raise
    return made, log, FinishedPart(content, [], Cursor())


def _resumed(
    made: Unfinished, settings: Settings, cipher: SegmentCipher | None
) -> tuple[Unfinished, Journal, FinishedPart]:
    begun = read(made.folder)
    if begun is not None:  # by another key no frame of it could be read
        _refuse_other_options(made, begun.settings, settings)
    part = finished_part(made, thorough=False, cipher=cipher)
    content = part.content or Content(settings)
    replaces = content.settings.replaces or unfinished.is_leftover(made.place, content)
    content.settings = replace(settings, replaces=replaces)
    made.expect(len(content.entries))
    log = Journal(made.folder, content)
    made.folder.remove(MANIFEST_NAME)
    return made, log, part


def _refuse_other_options(made: Unfinished, begun: Settings, now: Settings) -> None:
    reason = ""
    if begun.directory != now.directory:
        reason = f"the package was begun as a {'directory' if begun.directory else 'file'}"
    for name, was, now_is in (
        ("profile", begun.profile, now.profile),
        ("timescale", begun.timescale, now.timescale),
        ("quantisation", begun.quantisation, now.quantisation),
        ("the digest of its key", begun.key_digest, now.key_digest),
    ):
        if was != now_is and not reason:
            reason = f"{name} was {was!r} when the package was begun, and is {now_is!r} now"
    if reason:
        hint = "go on with the options it was begun with, or begin again"
        raise refuse("input/unsupported", file=str(made.path), reason=reason, hint=hint)
