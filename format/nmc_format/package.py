"""Packages on disk (clauses 5.1 and 5.2): a directory or one file, the same bytes inside."""

from __future__ import annotations

import os
import re
import stat
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from nmc_format import zip64
from nmc_format.foreign import (
    HEAD_BYTES,
    foreign_directory,
    foreign_file,
    foreign_zip,
    special_kind,
)
from nmc_format.hdf5_sandbox import MAX_MANIFEST_BYTES
from nmc_format.host import absent, host_refusal
from nmc_format.issues import Finding, FormatError, finding, refuse, refuse_with
from nmc_format.positioned import PositionedFile
from nmc_format.truncation import truncation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

MANIFEST_NAME: Final = "manifest.h5"
SEGMENT_FOLDER: Final = "segments"
JOURNAL_NAME: Final = "journal.ndjson"
"""Exists only while a package is being written (clause 5.1.5)."""

_LONGEST_LINE = 2**26
_SEGMENT_NAME = re.compile(r"segments/[0-9]{8}\.safetensors")


def segment_name(index: int) -> str:
    """Return the member name of the segment of one frame (clause 5.1.2)."""
    return f"{SEGMENT_FOLDER}/{index:08d}.safetensors"


class Package(ABC):
    """Read access to the members of a package; a context manager.

    Threads and forked processes may share one. What :func:`open_package` raises for a file that
    cannot be read is raised by the other methods, too; ValueError after :meth:`close`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
    def findings(self, frames: int) -> Iterator[Finding]:
        """Yield what is wrong with the members of a package of so many frames."""

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


def open_package(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Package:
    """Open a package, whichever its form.

    Raises
    ------
    FormatError
        If there is nothing, it cannot be read, or it is no package.
    """
    path = Path(os.fsdecode(path))
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise host_refusal(error, path) from None
    except ValueError as error:  # a NUL, or a lone surrogate
        raise refuse("host/path", file=str(path), reason=str(error)) from None
    if stat.S_ISDIR(mode):
        return DirectoryPackage(path)
    if not stat.S_ISREG(mode):
        reason = f"it is {special_kind(mode)}"
        raise refuse("package/not-a-package", file=str(path), reason=reason)
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
        self._folder = path.absolute()  # the working directory may change
        try:
            (self._folder / MANIFEST_NAME).lstat()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise host_refusal(error, path) from None
        else:
            return
        frames = _journal_frames(path / JOURNAL_NAME)
        if frames is not None:
            raise refuse("package/unfinished", file=str(path), frames=frames)
        reason, hint = foreign_directory(path)
        raise refuse_with(hint, "package/not-a-package", file=str(path), reason=reason)

    @property
    def manifest_path(self) -> Path | None:
        """The manifest itself."""
        return self._folder / MANIFEST_NAME

    def manifest(self) -> bytes:
        """Return the bytes of the manifest."""
        return self._read(MANIFEST_NAME, None, MAX_MANIFEST_BYTES)

    def segment(self, index: int, limit: int) -> bytes:
        """Return the bytes of one segment."""
        if (self._folder / SEGMENT_FOLDER).is_symlink():
            raise refuse("package/not-a-file", file=str(self.path), member=SEGMENT_FOLDER)
        return self._read(segment_name(index), limit, limit)

    def _read(self, name: str, expected: int | None, limit: int) -> bytes:
        self._check_open()
        with closing(self._open(name)) as file:
            if not file.is_regular:
                raise refuse("package/not-a-file", file=str(self.path), member=name)
            if expected is not None and file.size != expected:
                raise refuse("segment/length", file=name, actual=file.size, expected=expected)
            if file.size > limit:
                raise refuse("manifest/too-large", pointer="/", size=file.size, limit=limit)
            return file.read_at(0, limit)

    def _open(self, name: str) -> PositionedFile:
        place = self._folder / name
        try:
            return PositionedFile(place, follow=False)
        except (FileNotFoundError, NotADirectoryError):
            if not self._folder.is_dir():
                raise absent(str(self.path)) from None
            raise refuse("package/member-missing", file=str(self.path), member=name) from None
        except OSError as error:
            if place.is_symlink() or place.is_socket():
                raise refuse("package/not-a-file", file=str(self.path), member=name) from None
            raise host_refusal(error, place) from None

    def findings(self, frames: int) -> Iterator[Finding]:
        """Yield members that are no part of the package; missing ones show when they are read."""
        for folder, directories, files in os.walk(self._folder):
            base = Path(folder).relative_to(self._folder)
            for name in sorted(files + [d for d in directories if (Path(folder) / d).is_symlink()]):
                member = (base / name).as_posix()
                if not _is_member(member, frames):
                    yield finding("package/member-unknown", file=str(self.path), member=member)
            directories[:] = sorted(d for d in directories if not (Path(folder) / d).is_symlink())

    def size(self) -> int:
        """Return the bytes of manifest and segments."""
        segments = (self._folder / SEGMENT_FOLDER).glob("*.safetensors")
        files = [self._folder / MANIFEST_NAME, *segments]
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
            self._file = PositionedFile(path)
        except OSError as error:
            raise host_refusal(error, path) from None
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        head = self._file.read_at(0, HEAD_BYTES)
        if not head.startswith(b"PK\x03\x04"):
            reason, hint = foreign_file(head, self._file.size)
            raise refuse_with(hint, "package/not-a-package", file=str(self.path), reason=reason)
        self._size = self._file.size
        self._members: dict[str, zip64.Member] = {}
        try:
            self._read_directory()
        except FormatError as error:
            raise self._recognised(error) from None

    def _recognised(self, error: FormatError) -> FormatError:
        """Return a refusal that says what the file is, where that is known; else the one given."""
        if error.finding.code != "package/zip-structure":
            return error
        file, size = self._file.stream(), self._size
        foreign = foreign_zip(zip64.some_names(file, size))
        if foreign is not None:
            reason, hint = foreign
            return refuse_with(hint, "package/not-a-package", file=str(self.path), reason=reason)
        why = truncation(file, size)
        if why is None:
            return error
        at = error.finding.place.offset
        hint = "a download or a copy that did not end well? get the file again"
        return refuse_with(
            hint, "package/zip-structure", file=str(self.path), offset=at, reason=why
        )

    def _read_directory(self) -> None:
        last = ""
        for member in zip64.read_directory(self._file.stream(), self._size, str(self.path)):
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
        self._check_open()
        return zip64.data_start(self._file.stream(), member, str(self.path))

    def _read(self, name: str) -> bytes:
        member = self._members[name]
        start = self._data_start(member)
        data = self._file.read_at(start, member.size)
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
            actual = zip64.crc32(self._file.stream(), start, member.size)
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
        super().close()
        self._file.close()
