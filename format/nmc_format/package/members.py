"""The members of a package (clauses 5.1.2, 5.1.3, 13.1.1 and 16.1.1): names, and read access."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from nmc_format.issues import Finding

MANIFEST_NAME: Final = "manifest.h5"
SEGMENT_FOLDER: Final = "segments"
MEDIA_FOLDER: Final = "media"
SIGNATURE_FOLDER: Final = "signatures"
JOURNAL_NAME: Final = "journal.ndjson"
"""Exists only while a package is being written (clause 5.1.5)."""

SEGMENT_NAME: Final = re.compile(r"segments/[0-9]{8}\.safetensors")
SIGNATURE_NAME: Final = re.compile(r"signatures/[0-9a-f]{64}\.sig")
MEDIUM_NAME: Final = re.compile(r"media/[0-9]{8}")


def segment_name(index: int) -> str:
    """Return the member name of the segment of one frame (clause 5.1.2)."""
    return f"{SEGMENT_FOLDER}/{index:08d}.safetensors"


def medium_name(index: int) -> str:
    """Return the member name of one medium (clause 16.1.1)."""
    return f"{MEDIA_FOLDER}/{index:08d}"


def signature_name(key: bytes) -> str:
    """Return the member name of the signature by a public key of 32 bytes (clause 13.1.1)."""
    return f"{SIGNATURE_FOLDER}/{key.hex()}.sig"


def is_allowed(name: str) -> bool:
    """Whether a package file may have a member of that name (clause 5.1.3)."""
    return (
        name == MANIFEST_NAME
        or SEGMENT_NAME.fullmatch(name) is not None
        or SIGNATURE_NAME.fullmatch(name) is not None
        or MEDIUM_NAME.fullmatch(name) is not None
    )


def is_member(name: str, frames: int, media: int) -> bool:
    """Whether a package of so many frames and media has a member of a name (clause 5.1.3)."""
    if name == MANIFEST_NAME or SIGNATURE_NAME.fullmatch(name):
        return True
    if MEDIUM_NAME.fullmatch(name):
        return int(name[-8:]) < media
    return bool(SEGMENT_NAME.fullmatch(name)) and int(name[-20:-12]) < frames


class Package(ABC):
    """Read access to the members of a package; a context manager.

    Threads and forked processes may share one. What opening a package raises for a file that
    cannot be read is raised by the other methods, too; ValueError after :meth:`close`.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        """Where it lies: a path of this host, or in words what else it is read from."""
        self.distant = False
        """Whether a segment is worth remembering: reading it asks a server."""
        self.keeps_checksums = False
        """Whether what is read is remembered for :meth:`findings`, so that it is read once."""
        self._closed = False

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"the package {str(self.path)!r} is closed")

    @property
    def manifest_path(self) -> Path | None:
        """Where the manifest lies as a file of its own on this host, if it does."""
        return None

    @abstractmethod
    def manifest(self) -> bytes:
        """Return the bytes of the manifest."""

    @abstractmethod
    def segment(self, index: int, limit: int) -> bytes:
        """Return the bytes of one segment; more than ``limit`` are not read.

        Raises
        ------
        FormatError
            If there is no such member, its size is another one, or it is no plain file.
        """

    @abstractmethod
    def part(self, index: int, limit: int, start: int, size: int) -> bytes:
        """Return some bytes of one segment that has ``limit`` bytes; nothing else is read.

        Raises
        ------
        FormatError
            As :meth:`segment`.
        """

    @abstractmethod
    def medium(self, index: int, length: int, start: int, size: int) -> bytes:
        """Return some bytes of one medium that has ``length`` bytes (clause 16.1.1).

        Raises
        ------
        FormatError
            If there is no such member, its size is another one, or it is no plain file.
        """

    def pin(self, digest: str) -> None:
        """Hear the manifest digest, in base 16; a server may be asked by it from now on."""
        del digest

    def expect(self, frames: range, lengths: Sequence[int]) -> None:
        """Hear that the segments of these frames are read next, one after the other.

        Parameters
        ----------
        frames : range
            Frames in ascending order, none left out.
        lengths : sequence of int
            Bytes of the segment of each, as the manifest says.
        """
        del frames, lengths

    @abstractmethod
    def signatures(self, keys: Collection[bytes] = ()) -> list[str]:
        """Return the member names of the signatures, ascending (clause 13.1.1).

        Parameters
        ----------
        keys : collection of bytes
            Where members cannot be listed, those of these keys are looked for, and no others.

        Raises
        ------
        FormatError
            If they lie in something else than a directory.
        """

    @abstractmethod
    def signature(self, name: str, limit: int) -> bytes:
        """Return the bytes of one signature; more than ``limit`` and one are not read.

        Raises
        ------
        FormatError
            If it is no plain file, or cannot be read.
        """

    @abstractmethod
    def findings(self, frames: int, media: int = 0) -> Iterator[Finding]:
        """Yield what is wrong with the members of a package of so many frames and media."""

    @abstractmethod
    def size(self) -> int:
        """Return the bytes of the package on disk."""

    def close(self) -> None:
        """Release the files; nothing can be read afterwards."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
