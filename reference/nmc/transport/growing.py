"""Packages that are still being written, as their journal has them so far (clause 5.1.5).

What a reader sees of one is always a whole package: the frames that were sealed, each a segment
with the digests of its line, and the manifest that a writer would make of them if it stopped here.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nmc.reading.plain_package import unlocked
from nmc.reading.secret_keys import AnySecret, cipher_of
from nmc.reading.sequence import ChainSequence
from nmc.remote.members import members_at
from nmc.writing import describe, journal
from nmc.writing.unfinished import SUFFIX
from nmc_format.issues import FormatError, refuse
from nmc_format.manifest.columns import objects_of
from nmc_format.manifest.write import manifest_bytes
from nmc_format.package.members import (
    JOURNAL_NAME,
    MANIFEST_NAME,
    Package,
    medium_name,
    segment_name,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from nmc.remote.members import Members
    from nmc_format.issues import Finding
    from nmc_format.manifest.record import Manifest

_PIECE: Final = 1 << 23
"""Bytes of a journal that are read at once."""

_MOST_PIECES: Final = 256


class Growing(Package):
    """The frames of an unfinished package that are sealed.

    Parameters
    ----------
    members : Members
        The folder that it is made in.

    Attributes
    ----------
    known : Manifest or None
        What is known of it so far; None before its first frame.
    """

    def __init__(self, members: Members) -> None:
        super().__init__(members.name)
        self.distant = True
        self._members = members
        self._reading = journal.Reading()
        self._offset = 0
        self.known: Manifest | None = None

    def refresh(self) -> bool:
        """Read what the journal has gained.

        Returns
        -------
        bool
            Whether there is a journal: it goes when the package is finished.

        Raises
        ------
        FormatError
            If frames that were sealed are others now, or no manifest allows them.
        """
        back = len(self._reading.last)
        for _ in range(_MOST_PIECES):
            data = self._members.read(JOURNAL_NAME, self._offset - back, _PIECE + back)
            if data is None:
                return False
            if data[:back] != self._reading.last:
                return self._read_anew()
            taken = self._reading.feed(data[back:])
            self._offset += taken
            if not taken:
                break
            back = len(self._reading.last)
        self._describe()
        return True

    def _read_anew(self) -> bool:
        """Read a journal that its writer has replaced; the frames that were seen are in it."""
        before = [] if self.known is None else [f.tobytes() for f in self._digests(self.known)]
        self._reading, self._offset = journal.Reading(), 0
        data = self._members.read(JOURNAL_NAME, 0, _MOST_PIECES * _PIECE)
        if data is None:
            return False
        self._offset = self._reading.feed(data)
        entries = [] if self._reading.content is None else self._reading.content.entries
        for t, (old, entry) in enumerate(zip(before, entries, strict=False)):
            new = entry.record.segment_sha256
            if old != new:
                raise refuse(
                    "host/changed",
                    file=str(self.path),
                    what=f"segment {t}",
                    actual=new.hex(),
                    expected=old.hex(),
                )
        if len(entries) >= len(before):  # else its writer dropped frames, and makes them again
            self._describe()
        return True

    @property
    def closing(self) -> str:
        """SHA-256 of the manifest that its writer is about to put in place, in hex; or empty."""
        content = self._reading.content
        return "" if content is None else content.manifest

    @staticmethod
    def _digests(manifest: Manifest) -> Any:
        return manifest.frames.segment_sha256

    def _describe(self) -> None:
        content = self._reading.content
        if content is None or not content.entries:
            return
        if self.known is not None and len(self.known) == len(content.entries):
            return
        rows = [row for entry in content.entries for row in entry.rows]
        try:
            self.known = describe.described(content, rows, unfinished=True)
        except (ValueError, OverflowError) as error:
            raise refuse("package/not-a-package", file=str(self.path), reason=str(error)) from None

    def journal(self, frames: int) -> bytes:
        """Return a journal of the first so many frames, as another reader may follow it."""
        content = self._reading.content
        assert content is not None  # there are frames
        return b"".join(journal.lines(replace(content, entries=content.entries[:frames])))

    def sealed(self) -> Manifest:
        """Return the manifest of the frames that are sealed.

        Raises
        ------
        FormatError
            If there is no journal, or no frame in it.
        """
        if not self.refresh():
            raise refuse("host/not-found", file=f"{self.path}/{JOURNAL_NAME}")
        if self.known is None:
            reason = "no frame of it was finished"
            raise refuse("package/not-a-package", file=str(self.path), reason=reason)
        return self.known

    def manifest(self) -> bytes:
        """Return the manifest that a writer would make of the sealed frames."""
        self._check_open()
        return manifest_bytes(objects_of(self.known or self.sealed()))

    def segment(self, index: int, limit: int) -> bytes:
        """Return the bytes of one segment, compared with the digest of its line."""
        self._check_open()
        name = segment_name(index)
        data = self._members.read(name, 0, limit + 1)
        if data is None:
            raise refuse("package/member-missing", file=str(self.path), member=name)
        if len(data) != limit:
            raise refuse("segment/length", file=name, actual=len(data), expected=limit)
        if self.known is not None:
            expected = self.known.frames.segment_sha256[index].tobytes()
            actual = hashlib.sha256(data).digest()
            if actual != expected:
                raise refuse(
                    "segment/sha256",
                    file=name,
                    offset=0,
                    actual=actual.hex(),
                    expected=expected.hex(),
                )
        return data

    def part(self, index: int, limit: int, start: int, size: int) -> bytes:
        """Return some bytes of one segment."""
        return self.segment(index, limit)[start : start + size]

    def medium(self, index: int, length: int, start: int, size: int) -> bytes:
        """Return some bytes of one medium."""
        self._check_open()
        name = medium_name(index)
        data = self._members.read(name, start, size)
        if data is None:
            raise refuse("package/member-missing", file=str(self.path), member=name)
        if len(data) < size:
            raise refuse("media/length", file=name, actual=start + len(data), expected=length)
        return data[:size]

    def signatures(self, keys: Collection[bytes] = ()) -> list[str]:
        """Return nothing: what is signed is a package that is finished."""
        del keys
        return []

    def signature(self, name: str, limit: int) -> bytes:
        """Refuse: there is none."""
        del limit
        raise refuse("package/member-missing", file=str(self.path), member=name)

    def findings(self, frames: int, media: int = 0) -> Iterator[Finding]:
        """Yield nothing: what else is in the folder is its writer's matter."""
        del frames, media
        yield from ()

    def size(self) -> int:
        """Return the bytes of manifest and segments."""
        segments = 0 if self.known is None else int(self.known.frames.segment_length.sum())
        return len(self.manifest()) + segments

    def close(self) -> None:
        """Close connections."""
        super().close()
        self._members.close()


def find_growing(target: Any, options: Mapping[str, Any] | None = None) -> Growing | None:
    """Return the unfinished package at a path or an address, or None where there is none.

    It lies beside the place of a package file, in ``<name>.partial``, or in the directory itself.
    """
    for suffix in (SUFFIX, ""):
        members = members_at(target, suffix, options)
        found = Growing(members)
        try:
            finished = not suffix and members.read(MANIFEST_NAME, 0, 1) is not None
            if not finished and found.refresh():
                return found
        except FormatError:
            found.close()
            raise
        found.close()
    return None


def open_unfinished(
    target: Any,
    *,
    storage_options: Mapping[str, Any] | None = None,
    verify: bool = True,
    key: AnySecret | None = None,
) -> ChainSequence:
    """Open the frames of an unfinished package that are sealed now, as a sequence.

    Nothing is written, where it lies or elsewhere: :func:`nmc.recover` closes a package for its
    writer, this reads what a reader can already have of it.

    Parameters
    ----------
    target : str or path
        The package, as its writer names it: a path, or an address.
    storage_options : mapping or None
        Of a server or a store, as of :func:`nmc.open`.
    verify, key
        As of :func:`nmc.open`.

    Returns
    -------
    ChainSequence
        Of the frames that are sealed now; it does not grow.

    Raises
    ------
    FormatError
        If there is none (``host/not-found``), or no frame of it was finished.
    """
    growing = find_growing(target, storage_options)
    if growing is None:
        raise refuse("host/not-found", file=f"{target}{SUFFIX}/{JOURNAL_NAME}")
    try:
        manifest = growing.sealed()
        cipher = unlocked(manifest, cipher_of(key), str(growing.path))
        return ChainSequence(growing, manifest, verify=verify, cipher=cipher)
    except BaseException:
        growing.close()
        raise
