"""The folder of an unfinished package (clause 5.1.5): begun, filled segment by segment, removed.

A package file is made in ``<name>.partial`` beside it. A package directory is made in its own
place, or beside it too where it replaces a finished one, which stays until the new one is complete.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmc.coding.threads import beside
from nmc.writing import claims, journal, media_files
from nmc.writing.folder import Folder
from nmc_format.host import absent
from nmc_format.issues import FormatError, refuse, refuse_with
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
    from collections.abc import Iterable

    from typing_extensions import Buffer

SUFFIX = ".partial"
MANIFEST_FRESH = "manifest.new"
PACKAGE_FRESH = "package.new"
"""A package file that is not complete yet; in the folder it is in the way of nothing else."""

SYNC_SECONDS = 1.0
"""Writing waits for the disk so often: a frame that was trained for seconds is there at once, and
thousands of small ones do not wait for it one by one. The system's own end alone can lose frames
that are younger, and the digests tell which."""

_FOLDERS = (SEGMENT_FOLDER, MEDIA_FOLDER, SIGNATURE_FOLDER)
OURS = {MANIFEST_NAME, MANIFEST_FRESH, PACKAGE_FRESH, "journal.new", JOURNAL_NAME}
SEGMENT_FILE = re.compile(r"[0-9]{8}\.(safetensors|new)")
SIGNATURE_FILE = re.compile(r"[0-9a-f]{64}\.sig(\.new)?")


@dataclass(frozen=True)
class Place:
    """Where a package is to lie: an entry of an open directory.

    Attributes
    ----------
    path : Path
        The path as the caller gave it, for messages.
    parent : Folder
        The directory; links on the way to the package are the user's and were followed.
    name : str
        Name of the package in it.
    """

    path: Path
    parent: Folder
    name: str

    @property
    def partial(self) -> str:
        """Name of the folder in which the package is made, unless that is its own."""
        return self.name + SUFFIX


def place_of(path: Path, *, make: bool = False) -> Place:
    """Return the place of a package; directories above it are made on demand.

    Raises
    ------
    FormatError
        If it is to be made behind a link that leads nowhere, such as to a disk that is not there,
        or in place of the root of a file system.
    """
    real = Path(os.path.realpath(path))
    if make:
        if path.is_symlink() and not path.exists():
            raise absent(str(path))
        if not real.name:
            raise refuse("host/path", file=str(path), reason="it is the root of a file system")
        real.parent.mkdir(parents=True, exist_ok=True)
    return Place(path, Folder(real.parent), real.name)


class Unfinished:
    """A package that is being made.

    Attributes
    ----------
    place : Place
        Where the package is to lie.
    folder : Folder
        Where it is made.
    name : str
        Name of that folder, an entry of ``place.parent``.
    segments : Folder
        Its segments.
    """

    def __init__(self, place: Place, name: str, *, make: bool = False) -> None:
        self.place = place
        self.name = name
        self.folder = place.parent.folder(name, make=make)
        claims.claim(self.folder)
        self.segments = self.folder.folder(SEGMENT_FOLDER, make=make)
        self._pending: dict[int, bool] = {}  # frames not synchronised; whether that failed once
        self._synced = time.monotonic()

    @property
    def path(self) -> Path:
        """The folder, for messages."""
        return self.place.path.with_name(self.name)

    def store(self, t: int, pieces: Iterable[Buffer], threads: int = 1) -> bytes:
        """Write the segment of frame t; return its SHA-256.

        With more than one thread, a large piece is hashed while it is written.
        """
        digest = hashlib.sha256()
        self._pending.pop(t, None)
        hashed = beside(pieces, digest.update, threads)
        self.segments.write(Path(segment_name(t)).name, hashed, sync=False)
        self._pending[t] = False
        return digest.digest()

    def expect(self, frames: int) -> None:
        """Take up frames of an earlier attempt, which may not have waited for the disk."""
        self._pending = dict.fromkeys(range(frames), False)

    def is_due(self) -> bool:
        """Whether it is time to wait for the disk."""
        return time.monotonic() - self._synced >= SYNC_SECONDS

    def sync(self, log: journal.Journal) -> None:
        """Wait until the disk has all segments, and the journal that names them.

        Raises
        ------
        OSError
            If it cannot take them. They are written again the next time: the system forgets what it
            could not write, and says so once.
        """
        try:
            for t, failed in self._pending.items():
                name = Path(segment_name(t)).name
                if failed:
                    with self.segments.open(name) as file:
                        self.segments.write(f"{t:08d}.new", [file.read()])
                    self.segments.move(f"{t:08d}.new", self.segments, name)
                else:
                    self.segments.sync_file(name)
            log.sync()
        except OSError:
            self._pending = dict.fromkeys(self._pending, True)
            raise
        self._pending.clear()
        self._synced = time.monotonic()

    def sha256(self, t: int) -> bytes:
        """Return the SHA-256 of the segment of frame t as it is on the disk.

        Raises
        ------
        FormatError
            If it is not a regular file.
        OSError
            If it is not there, or cannot be read.
        """
        with self.segments.open(Path(segment_name(t)).name) as file:
            return hashlib.file_digest(file, "sha256").digest()

    def segment(self, t: int, length: int) -> bytes:
        """Return the segment of frame t, which has so many bytes."""
        with self.segments.open(Path(segment_name(t)).name) as file:
            parts = []
            while length > 0 and (part := file.read(length)):
                parts.append(part)
                length -= len(part)
        return b"".join(parts)

    def remove_leftovers(self, frames: int) -> None:
        """Remove what an interrupted writer left beside the segments of these frames."""
        kept = {Path(segment_name(t)).name for t in range(frames)}
        for name in self.segments.names():
            if name not in kept and SEGMENT_FILE.fullmatch(name):
                self.segments.remove(name)

    def close(self) -> None:
        """Give the handles back."""
        for folder in (self.segments, self.folder, self.place.parent):
            folder.close()


def begin(place: Place, *, directory: bool, overwrite: bool) -> Unfinished:
    """Make an empty folder for a package, if nothing is in its way.

    Parameters
    ----------
    place : Place
        Where the package is to lie.
    directory : bool
        Whether it is made in directory form.
    overwrite : bool
        Replace what is there, if it has the same form.

    Raises
    ------
    FormatError
        If the package exists, or another one was begun there and not finished.
    """
    parent, name = place.parent, place.name
    replacing = overwrite and not place.path.is_symlink()
    if directory and parent.holds_folder(name) and _is_free(parent, name, overwrite=replacing):
        clear(parent, name)
        return Unfinished(place, name, make=True)
    if parent.kind(name) and not (overwrite and replaceable(place, directory=directory)):
        hint = _left_alone(place, directory=directory) if overwrite else ""
        raise refuse_with(hint, "host/exists", file=str(place.path))
    if directory and not parent.kind(name):
        return Unfinished(place, name, make=True)
    _clear_partial(place, overwrite=overwrite)
    return Unfinished(place, place.partial, make=True)


def _left_alone(place: Place, *, directory: bool) -> str:
    """Return what to do about something that is not replaced, although that was asked for."""
    if place.path.is_symlink():
        where = place.parent.path / place.name
        return f"it is a link to {where}; name that itself to replace it, or remove the link"
    if not place.parent.holds_folder(place.name):
        return "it is not a package directory; choose the file form, or another name"
    if not directory and replaceable(place, directory=True):
        return "it is a package directory; choose the directory form, or another name"
    return "a folder that is not a package is never replaced; choose another name"


def _is_free(parent: Folder, name: str, *, overwrite: bool) -> bool:
    """Whether a directory can be written into as it is: no finished package is in it."""
    folder = parent.folder(name)
    try:
        if folder.kind(MANIFEST_NAME):
            return False
        if overwrite:
            begun = folder.kind(JOURNAL_NAME) != 0
            return begun or not any(map(folder.kind, _FOLDERS)) or _is_empty(folder)
        return _is_empty(folder)
    finally:
        folder.close()


def _is_empty(folder: Folder) -> bool:
    """Whether a folder holds nothing, or only what a writer makes before its journal."""
    names = folder.names()
    if not set(names) <= {SEGMENT_FOLDER, "journal.new"}:
        return False
    if SEGMENT_FOLDER not in names:
        return True
    if not folder.holds_folder(SEGMENT_FOLDER):
        return False
    segments = folder.folder(SEGMENT_FOLDER)
    try:
        return not segments.names()
    finally:
        segments.close()


def replaceable(place: Place, *, directory: bool) -> bool:
    """Whether what is at a place has the form of the package that is to replace it.

    What lies behind a link is not replaced: the user may not know where the link leads.
    """
    if place.path.is_symlink():
        return False
    if not directory:
        return place.parent.holds_file(place.name)
    if not place.parent.holds_folder(place.name):
        return False
    folder = place.parent.folder(place.name)
    try:
        return folder.kind(MANIFEST_NAME) != 0
    finally:
        folder.close()


def _clear_partial(place: Place, *, overwrite: bool) -> None:
    """Remove what is left of an earlier attempt, unless frames were finished there."""
    parent, name = place.parent, place.partial
    if not parent.kind(name):
        return
    folder = parent.folder(name)
    try:
        begun, complete = folder.holds_file(JOURNAL_NAME), folder.kind(MANIFEST_NAME) != 0
        content = journal.read(folder) if begun else None
    finally:
        folder.close()
    if complete and not begun:  # a package of its own, not ours
        raise refuse("host/exists", file=str(place.path.with_name(name)))
    if begun and not overwrite and not is_leftover(place, content):
        frames = len(content.entries) if content else 0
        raise refuse("package/unfinished", file=str(place.path.with_name(name)), frames=frames)
    clear(parent, name)


def is_leftover(place: Place, content: journal.Content | None) -> bool:
    """Whether a journal in the partial folder is that of the package that is at its place.

    An interruption may come after the package was complete, and before its folder was removed.
    """
    if content is None or not content.manifest:
        return False
    try:
        return hashlib.sha256(manifest_at(place)).hexdigest() == content.manifest
    except (FormatError, OSError):
        return False


def manifest_at(place: Place) -> bytes:
    """Return the manifest of the package at a place.

    Raises
    ------
    FormatError, OSError
        If there is no package.
    """
    if place.parent.holds_folder(place.name):
        folder = place.parent.folder(place.name)
        try:
            with folder.open(MANIFEST_NAME) as file:
                return file.read()
        finally:
            folder.close()
    with FilePackage(place.parent.path / place.name) as package:
        return package.manifest()


def clear_signatures(folder: Folder) -> None:
    """Remove the signatures in the directory of a package: they are those of what it was before.

    A link or a file in place of their folder goes too: no package may have it.
    """
    if not folder.only_folder(SIGNATURE_FOLDER):
        return
    signatures = folder.folder(SIGNATURE_FOLDER)
    try:
        for entry in signatures.names():
            if SIGNATURE_FILE.fullmatch(entry) and not signatures.holds_folder(entry):
                signatures.remove(entry)
    finally:
        signatures.close()
    folder.remove_folder(SIGNATURE_FOLDER)


def clear(parent: Folder, name: str) -> None:
    """Remove the members of a package and its folder, if nothing else lies in it.

    The journal goes last: until then the rest is known for what it is. A link is removed, and
    nothing that it leads to.
    """
    if not parent.kind(name):
        return
    folder = parent.folder(name)
    try:
        claims.claim(folder)
        if folder.only_folder(SEGMENT_FOLDER):
            segments = folder.folder(SEGMENT_FOLDER)
            try:
                for entry in segments.names():
                    if SEGMENT_FILE.fullmatch(entry):
                        segments.remove(entry)
            finally:
                segments.close()
            folder.remove_folder(SEGMENT_FOLDER)
        media_files.remove(folder)
        clear_signatures(folder)
        for entry in sorted(OURS, key=lambda entry: entry == JOURNAL_NAME):
            if not folder.holds_folder(entry):
                folder.remove(entry)
    finally:
        folder.close()
    parent.remove_folder(name)
