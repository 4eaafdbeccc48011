"""What a server knows of a package: digests, lengths and what a listing says; read once each.

A package that is replaced is read again: what is known is kept under the numbers that the host has
for the file of its manifest.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from nmc_format.issues import FormatError
from nmc_format.package.members import JOURNAL_NAME, MANIFEST_NAME

if TYPE_CHECKING:
    from nmc.transport.growing import Growing
    from nmc_format.manifest.media_table import MediumRecord
    from nmc_format.manifest.record import Manifest

_KEPT = 1024
"""Packages of which facts are kept."""
_GROWING = 16
"""Packages that grow of which manifests are kept."""
_PIECE = 2**20
_FRAME = b'"state_digest":'


_SHOWN = ("audio/", "image/png", "image/jpeg", "video/")
"""Media types that a browser plays and runs nothing of; others are sent as bytes."""


@dataclass(frozen=True)
class MediumFacts:
    """One medium: its bytes, what it is sent as, and a digest of the digests of its chunks."""

    length: int
    type: str
    digest: str

    @classmethod
    def of(cls, medium: MediumRecord) -> MediumFacts:
        """Return what a server says of a medium."""
        shown = medium.type.startswith(_SHOWN)
        digest = hashlib.sha256(b"".join(medium.chunk_sha256)).hexdigest()
        return cls(medium.length, medium.type if shown else "application/octet-stream", digest)


@dataclass(frozen=True)
class Facts:
    """A finished package.

    Attributes
    ----------
    digest : str
        The manifest digest (clause 5.3.4), in hexadecimal digits.
    tag : str
        Entity tag: the digest, and the beginning of the SHA-256 of the bytes of the manifest, since
        one digest can be of manifests with other bytes.
    lengths : tuple of int
        Bytes of each segment.
    sha256 : bytes
        32 bytes for each segment.
    listed : dict
        What a listing says of it.
    media : tuple of MediumFacts
        Its media.
    """

    digest: str
    tag: str
    lengths: tuple[int, ...]
    sha256: bytes
    listed: dict[str, Any]
    media: tuple[MediumFacts, ...] = ()

    def segment_digest(self, frame: int) -> str:
        """Return the SHA-256 of a segment, in hexadecimal digits."""
        return self.sha256[32 * frame : 32 * frame + 32].hex()


def read_facts(path: Path) -> Facts:
    """Read the manifest of a package.

    Raises
    ------
    FormatError
        If it is refused.
    """
    from nmc.reading.manifest import checked_manifest
    from nmc_format.package.form import open_package

    with open_package(path) as package:
        manifest = checked_manifest(package)
        tag = hashlib.sha256(package.manifest()).hexdigest()[:16]
        size = package.size()
    frames, digest = manifest.frames, manifest.root.manifest_digest.hex()
    return Facts(
        digest,
        f'"{digest}-{tag}"',
        tuple(map(int, frames.segment_length)),
        frames.segment_sha256.tobytes(),
        _listed(manifest, "directory" if path.is_dir() else "file", digest, size),
        tuple(map(MediumFacts.of, manifest.media_records)),
    )


def _listed(manifest: Manifest, form: str, digest: str, size: int) -> dict[str, Any]:
    frames = manifest.frames
    times = frames.presentation_time
    return {
        "form": form,
        "digest": digest,
        "frames": len(manifest),
        "key_frames": sum(frames.is_key(t) for t in range(len(manifest))),
        "bytes": size,
        "seconds": int(times[-1] - times[0]) / manifest.timescale,
        "family": manifest.model.family,
        "profile": manifest.profile,
        "level": manifest.level,
        "stops": manifest.stops,
        "cameras": manifest.cameras is not None,
    }


class KnownPackages:
    """Facts of the packages that were asked for last; threads may share it."""

    def __init__(self) -> None:
        self._known: OrderedDict[Path, tuple[tuple[int, ...], Facts | FormatError]] = OrderedDict()
        self._lock = Lock()

    def at_hand(self, package: Path, manifest: os.stat_result) -> Facts | None:
        """Return the facts of a package if they are known; see :meth:`read`."""
        known = self._known.get(package)
        if known is None or known[0] != _identity(manifest) or isinstance(known[1], FormatError):
            return None
        return known[1]

    def read(self, package: Path, manifest: os.stat_result) -> Facts:
        """Return the facts of a package, read if they are not known.

        Parameters
        ----------
        package : Path
            The package.
        manifest : os.stat_result
            Of its manifest, or of the file that it is.

        Raises
        ------
        FormatError
            If the package is refused.
        """
        identity = _identity(manifest)
        with self._lock:
            known = self._known.get(package)
            if known is None or known[0] != identity:
                found: Facts | FormatError
                try:
                    found = read_facts(package)
                except FormatError as error:
                    found = error
                known = self._known[package] = (identity, found)
            self._known.move_to_end(package)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        if isinstance(known[1], FormatError):
            raise known[1]
        return known[1]


def manifest_status(package: Path) -> os.stat_result | None:
    """Return the status of the file that has the manifest; None where there is no regular one."""
    try:
        status = package.stat()
        if stat.S_ISDIR(status.st_mode):
            status = (package / MANIFEST_NAME).lstat()
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


class Journals:
    """How far journals have grown: whole lines, and the frames in them, each byte read once."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, int, int]] = {}

    def sealed(self, package: Path) -> tuple[int, int]:
        """Return the bytes of the whole lines of a journal, and how many frames they finish.

        Raises
        ------
        OSError
            If there is no journal.
        """
        with (package / JOURNAL_NAME).open("rb") as file:
            status = os.fstat(file.fileno())
            inode, end, frames = self._known.get(package, (status.st_ino, 0, 0))
            if inode != status.st_ino or end > status.st_size:
                inode, end, frames = status.st_ino, 0, 0
            file.seek(end)
            rest = b""
            while piece := file.read(_PIECE):
                whole, line, rest = (rest + piece).rpartition(b"\n")
                frames += whole.count(_FRAME)
                end += len(whole) + len(line)
        if len(self._known) >= _KEPT and package not in self._known:
            self._known.pop(next(iter(self._known)))
        self._known[package] = (inode, end, frames)
        return end, frames


class Unfinished:
    """Manifests of the sealed frames of packages that still grow; threads may share it."""

    def __init__(self) -> None:
        self._known: OrderedDict[Path, tuple[Growing, int, bytes]] = OrderedDict()
        self._lock = Lock()

    def manifest(self, package: Path) -> tuple[bytes, int]:
        """Return the manifest that a writer would make now, and how many frames it has.

        Parameters
        ----------
        package : Path
            The folder with the journal.

        Raises
        ------
        FormatError
            If there is no journal, no frame in it (``package/not-a-package``), or it contradicts
            itself.
        """
        from nmc.remote.members import members_at
        from nmc.transport.growing import Growing

        with self._lock:
            known = self._known.pop(package, None)
            growing, frames, data = known or (Growing(members_at(package, "", None)), 0, b"")
            now = len(growing.sealed())
            if now != frames:
                frames, data = now, growing.manifest()
            self._known[package] = (growing, frames, data)
            while len(self._known) > _GROWING:
                self._known.popitem(last=False)[1][0].close()
        return data, frames


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
