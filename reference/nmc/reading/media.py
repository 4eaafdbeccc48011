"""Media of a package (clause 16): files beside the chain, verified before they are given."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO, cast

from nmc_format.issues import Finding, FormatError, refuse
from nmc_format.manifest.media_table import CHUNK_BYTES
from nmc_format.package.members import medium_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from nmc_format.manifest.media_table import MediaMap, MediumRecord
    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package


class Medium:
    """One medium of a package that is open.

    Parameters
    ----------
    package : Package
        What is stored.
    record : MediumRecord
        What its manifest says of the medium.
    """

    def __init__(self, package: Package, record: MediumRecord) -> None:
        self._package = package
        self.record = record

    @property
    def name(self) -> str:
        """Name of the file, without folders. It comes from whoever made the package."""
        return self.record.name

    @property
    def type(self) -> str:
        """Media type, such as ``"video/mp4"``."""
        return self.record.type

    @property
    def role(self) -> str:
        """What it is there for, such as ``"low-resolution"``; empty where nothing is said."""
        return self.record.role

    @property
    def size(self) -> int:
        """Bytes."""
        return self.record.length

    @property
    def map(self) -> MediaMap | None:
        """Which frames of the chain serve its pictures; None where nothing is said."""
        return self.record.map

    def chunk(self, index: int) -> bytes:
        """Return one chunk of at most 262,144 bytes, compared with its SHA-256.

        Raises
        ------
        FormatError
            If the medium is not there, has another length, or was changed (``media/sha256``).
        """
        record, start = self.record, index * CHUNK_BYTES
        size = min(CHUNK_BYTES, record.length - start)
        data = self._package.medium(record.index, record.length, start, size)
        if hashlib.sha256(data).digest() != record.chunk_sha256[index]:
            name = medium_name(record.index)
            raise refuse("media/sha256", file=name, offset=start, chunk=index)
        return data

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes, chunk by chunk; each is compared with its SHA-256.

        Raises
        ------
        FormatError
            As :meth:`chunk`.
        """
        record = self.record
        if not record.length:
            self._package.medium(record.index, 0, 0, 0)
        return map(self.chunk, range(len(record.chunk_sha256)))

    def open(self) -> BinaryIO:
        """Return the bytes as a file with a position of its own; the package stays open meanwhile.

        Any part can be read, in memory of two chunks. Reading raises as :meth:`chunk` does.
        """
        return cast("BinaryIO", io.BufferedReader(_Verified(self), CHUNK_BYTES))

    def read(self) -> bytes:
        """Return all of its bytes.

        Raises
        ------
        FormatError
            As :meth:`chunk`.
        """
        return b"".join(self.chunks())

    def __repr__(self) -> str:
        return f"<medium {self.name!r}: {self.type}, {self.size} bytes>"


class _Verified(io.RawIOBase):
    """A medium as a file, of which one verified chunk is kept."""

    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self._at = 0
        self._kept: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._medium.size}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} is before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        if self._at >= self._medium.size:
            return 0
        index, start = divmod(self._at, CHUNK_BYTES)
        if self._kept[0] != index:
            self._kept = index, self._medium.chunk(index)
        view = memoryview(buffer).cast("B")
        data = self._kept[1][start : start + len(view)]
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class MediaOf(Mapping[str, Medium]):
    """The media of a package by name, in their order.

    Parameters
    ----------
    package : Package
        What is stored.
    manifest : Manifest
        Its checked manifest.
    """

    def __init__(self, package: Package, manifest: Manifest) -> None:
        self._media = {record.name: Medium(package, record) for record in manifest.media_records}

    def __getitem__(self, name: str) -> Medium:
        return self._media[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._media)

    def __len__(self) -> int:
        return len(self._media)

    def __repr__(self) -> str:
        return f"<media {list(self._media)}>"


def member_streams(
    package: Package, manifest: Manifest
) -> list[tuple[str, Callable[[], BinaryIO]]]:
    """Return the member of each medium, and what opens its verified bytes."""
    return [
        (medium_name(medium.record.index), medium.open)
        for medium in MediaOf(package, manifest).values()
    ]


def media_findings(package: Package, manifest: Manifest) -> Iterator[Finding]:
    """Yield of each medium the first fault of its bytes (clause 16.3.1)."""
    for medium in MediaOf(package, manifest).values():
        try:
            for _ in medium.chunks():
                pass
        except FormatError as error:
            yield error.finding
