"""Packages on disk (clauses 5.1 and 5.2): a directory or one file, the same bytes inside."""

from __future__ import annotations

import os
import re
import stat
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from nmc_format import zip64
from nmc_format.hdf5_sandbox import MAX_MANIFEST_BYTES
from nmc_format.issues import Finding, FormatError, finding, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

MANIFEST_NAME: Final = "manifest.h5"
SEGMENT_FOLDER: Final = "segments"
JOURNAL_NAME: Final = "journal.ndjson"
"""Exists only while a package is being written (clause 5.1.5)."""

_LONGEST_LINE = 2**26
_SEGMENT_NAME = re.compile(r"segments/[0-9]{8}\.safetensors")
_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer would wait for one
    | getattr(os, "O_BINARY", 0)
)


def segment_name(index: int) -> str:
    """Return the member name of the segment of one frame (clause 5.1.2)."""
    return f"{SEGMENT_FOLDER}/{index:08d}.safetensors"


class Package(ABC):
    """Read access to the members of a package; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path

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
    def findings(self, frames: int) -> Iterator[Finding]:
        """Yield what is wrong with the members of a package of so many frames."""

    @abstractmethod
    def size(self) -> int:
        """Return the bytes of the package on disk."""

    def close(self) -> None:  # noqa: B027 - a directory has nothing to release
        """Release the files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_package(path: str | Path) -> Package:
    """Open a package, whichever its form.

    Raises
    ------
    FormatError
        If there is nothing, or it is no package.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise refuse("host/not-found", file=str(path)) from None
    except OSError as error:
        raise refuse("host/failed", file=str(path), reason=error.strerror) from None
    if stat.S_ISDIR(mode):
        return DirectoryPackage(path)
    if not stat.S_ISREG(mode):
        raise refuse("package/not-a-package", file=str(path), reason="it is no regular file")
    return FilePackage(path)


def _journal_frames(path: Path) -> int | None:
    """Return about how many frames a journal has; None where there is none.

    Its content is a matter of its writer, and its size is not bounded: lines are counted as long as
    they are text of some length.
    """
    if path.is_symlink() or not path.is_file():
        return None
    count = 0
    with path.open("rb") as file:
        while (line := file.readline(_LONGEST_LINE)).endswith(b"\n"):
            count += b'"state_digest":' in line
    return count


class DirectoryPackage(Package):
    """A package as a directory (clause 5.1.1)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if (path / MANIFEST_NAME).is_symlink() or (path / MANIFEST_NAME).exists():
            return
        frames = _journal_frames(path / JOURNAL_NAME)
        if frames is not None:
            raise refuse("package/unfinished", file=str(path), frames=frames)
        raise refuse("package/not-a-package", file=str(path), reason=f"it has no {MANIFEST_NAME}")

    @property
    def manifest_path(self) -> Path | None:
        """The manifest itself."""
        return self.path / MANIFEST_NAME

    def manifest(self) -> bytes:
        """Return the bytes of the manifest."""
        return self._read(MANIFEST_NAME, None, MAX_MANIFEST_BYTES)

    def segment(self, index: int, limit: int) -> bytes:
        """Return the bytes of one segment."""
        if (self.path / SEGMENT_FOLDER).is_symlink():
            raise refuse("package/not-a-file", file=str(self.path), member=SEGMENT_FOLDER)
        return self._read(segment_name(index), limit, limit)

    def _read(self, name: str, expected: int | None, limit: int) -> bytes:
        handle = self._open(name)
        try:
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode):
                raise refuse("package/not-a-file", file=str(self.path), member=name)
            if expected is not None and info.st_size != expected:
                raise refuse("segment/length", file=name, actual=info.st_size, expected=expected)
            if info.st_size > limit:
                raise refuse("manifest/too-large", pointer="/", size=info.st_size, limit=limit)
            with os.fdopen(handle, "rb", closefd=False) as file:
                return file.read(limit)
        finally:
            os.close(handle)

    def _open(self, name: str) -> int:
        place = self.path / name
        try:
            return os.open(place, _OPEN_FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            raise refuse("package/member-missing", file=str(self.path), member=name) from None
        except OSError as error:
            if not stat.S_ISREG(os.lstat(place).st_mode):  # a link, or a socket
                raise refuse("package/not-a-file", file=str(self.path), member=name) from None
            raise refuse("host/failed", file=str(place), reason=error.strerror) from None

    def findings(self, frames: int) -> Iterator[Finding]:
        """Yield members that are no part of the package; missing ones show when they are read."""
        for folder, directories, files in os.walk(self.path):
            base = Path(folder).relative_to(self.path)
            for name in sorted(files + [d for d in directories if (Path(folder) / d).is_symlink()]):
                member = (base / name).as_posix()
                if not _is_member(member, frames):
                    yield finding("package/member-unknown", file=str(self.path), member=member)
            directories[:] = sorted(d for d in directories if not (Path(folder) / d).is_symlink())

    def size(self) -> int:
        """Return the bytes of manifest and segments."""
        files = [self.path / MANIFEST_NAME, *(self.path / SEGMENT_FOLDER).glob("*.safetensors")]
        return sum(f.stat().st_size for f in files if f.is_file())


def _is_member(member: str, frames: int) -> bool:
    if member == MANIFEST_NAME:
        return True
    return bool(_SEGMENT_NAME.fullmatch(member)) and int(member[-20:-12]) < frames


class FilePackage(Package):
    """A package as one file (clause 5.2)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._stream = path.open("rb")
        except OSError as error:
            raise refuse("host/failed", file=str(path), reason=error.strerror) from None
        try:
            self._open()
        except BaseException:
            self._stream.close()
            raise

    def _open(self) -> None:
        if self._stream.read(4) != b"PK\x03\x04":
            raise refuse(
                "package/not-a-package",
                file=str(self.path),
                reason="it does not begin with a ZIP member",
            )
        self._size = os.fstat(self._stream.fileno()).st_size
        self._members: dict[str, zip64.Member] = {}
        last = ""
        for member in zip64.read_directory(self._stream, self._size, str(self.path)):
            if member.name != MANIFEST_NAME and not _SEGMENT_NAME.fullmatch(member.name):
                raise self._refuse("package/member-name", member)
            if member.name in self._members:
                raise self._refuse("package/member-duplicate", member)
            if member.name < last:  # "manifest.h5" comes before "segments/…" as text, too
                reason = f"member {member.name} is not in ascending order"
                raise refuse(
                    "package/zip-structure",
                    file=str(self.path),
                    offset=member.header,
                    reason=reason,
                )
            last = member.name
            self._members[last] = member
        if MANIFEST_NAME not in self._members:
            raise refuse("package/member-missing", file=str(self.path), member=MANIFEST_NAME)

    def _refuse(self, code: str, member: zip64.Member) -> FormatError:
        name = ascii(member.name)
        return refuse(code, file=str(self.path), offset=member.header, member=name)

    def _data_start(self, member: zip64.Member) -> int:
        return zip64.data_start(self._stream, member, str(self.path))

    def _read(self, name: str) -> bytes:
        member = self._members[name]
        start = self._data_start(member)
        self._stream.seek(start)
        data = self._stream.read(member.size)
        if len(data) != member.size:
            raise refuse("segment/length", file=name, actual=len(data), expected=member.size)
        return data

    def manifest(self) -> bytes:
        """Return the bytes of the manifest."""
        size = self._members[MANIFEST_NAME].size
        if size > MAX_MANIFEST_BYTES:
            raise refuse("manifest/too-large", pointer="/", size=size, limit=MAX_MANIFEST_BYTES)
        return self._read(MANIFEST_NAME)

    def segment(self, index: int, limit: int) -> bytes:
        """Return the bytes of one segment."""
        name = segment_name(index)
        if name not in self._members:
            raise refuse("package/member-missing", file=str(self.path), member=name)
        size = self._members[name].size
        if size != limit:
            raise refuse("segment/length", file=name, actual=size, expected=limit)
        return self._read(name)

    def segment_lengths(self) -> list[int]:
        """Return the bytes of each segment that is there."""
        return [m.size for m in self._members.values() if m.name != MANIFEST_NAME]

    def findings(self, frames: int) -> Iterator[Finding]:
        """Yield damaged or surplus members; every byte is read once for its checksum."""
        for member in self._members.values():
            if not _is_member(member.name, frames):
                yield finding("package/member-unknown", file=str(self.path), member=member.name)
            try:
                start = self._data_start(member)
            except FormatError as error:
                yield error.finding
                continue
            actual = zip64.crc32(self._stream, start, member.size)
            if actual != member.crc:
                yield finding(
                    "package/zip-checksum",
                    file=str(self.path),
                    offset=start,
                    member=member.name,
                    actual=f"{actual:08x}",
                    expected=f"{member.crc:08x}",
                )

    def size(self) -> int:
        """Return the bytes of the file."""
        return self._size

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
