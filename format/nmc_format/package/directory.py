"""Packages as directories (clause 5.1.1): the members as files."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_format.host import absent, host_refusal
from nmc_format.issues import finding, refuse, refuse_with
from nmc_format.manifest.objects import MAX_MANIFEST_BYTES
from nmc_format.package.foreign import foreign_directory
from nmc_format.package.members import (
    JOURNAL_NAME,
    MANIFEST_NAME,
    MEDIA_FOLDER,
    SEGMENT_FOLDER,
    SIGNATURE_FOLDER,
    SIGNATURE_NAME,
    Package,
    is_member,
    medium_name,
    segment_name,
)
from nmc_format.package.positioned import PositionedFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from nmc_format.issues import Finding

_LONGEST_LINE = 2**26


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
        return self._read(MANIFEST_NAME, None, MAX_MANIFEST_BYTES, 0, MAX_MANIFEST_BYTES)

    def segment(self, index: int, limit: int) -> bytes:
        """Return the bytes of one segment."""
        return self.part(index, limit, 0, limit)

    def part(self, index: int, limit: int, start: int, size: int) -> bytes:
        """Return some bytes of one segment."""
        self._refuse_link(SEGMENT_FOLDER)
        return self._read(segment_name(index), limit, limit, start, size)

    def medium(self, index: int, length: int, start: int, size: int) -> bytes:
        """Return some bytes of one medium."""
        self._refuse_link(MEDIA_FOLDER)
        name = medium_name(index)
        return self._read(name, length, length, start, size, other_length="media/length")

    def _refuse_link(self, folder: str) -> None:
        if stat.S_ISLNK(_mode_of(self._folder / folder)):
            raise refuse("package/not-a-file", file=str(self.path), member=folder)

    def signatures(self, keys: Collection[bytes] = ()) -> list[str]:
        """Return the names of the signatures."""
        del keys
        self._check_open()
        folder = self._folder / SIGNATURE_FOLDER
        try:
            if not stat.S_ISDIR(folder.lstat().st_mode):
                raise refuse("package/not-a-file", file=str(self.path), member=SIGNATURE_FOLDER)
            names = [f"{SIGNATURE_FOLDER}/{entry}" for entry in os.listdir(folder)]  # noqa: PTH208
        except FileNotFoundError:
            return []
        except OSError as error:
            raise host_refusal(error, folder) from None
        return sorted(name for name in names if SIGNATURE_NAME.fullmatch(name))

    def signature(self, name: str, limit: int) -> bytes:
        """Return the bytes of one signature."""
        self._check_open()
        with closing(self._open(name)) as file:
            if not file.is_regular:
                raise refuse("package/not-a-file", file=str(self.path), member=name)
            return file.read_at(0, limit + 1)

    def _read(
        self,
        name: str,
        expected: int | None,
        limit: int,
        start: int,
        size: int,
        *,
        other_length: str = "segment/length",
    ) -> bytes:
        self._check_open()
        with closing(self._open(name)) as file:
            if not file.is_regular:
                raise refuse("package/not-a-file", file=str(self.path), member=name)
            if expected is not None and file.size != expected:
                raise refuse(other_length, file=name, actual=file.size, expected=expected)
            if file.size > limit:
                raise refuse("manifest/too-large", pointer="/", size=file.size, limit=limit)
            return file.read_at(start, size)

    def _open(self, name: str) -> PositionedFile:
        place = self._folder / name
        try:
            return PositionedFile(place, follow=False)
        except (FileNotFoundError, NotADirectoryError):
            if not self._folder.is_dir():
                raise absent(str(self.path)) from None
            raise refuse("package/member-missing", file=str(self.path), member=name) from None
        except OSError as error:
            if stat.S_IFMT(_mode_of(place)) in {stat.S_IFLNK, stat.S_IFSOCK}:
                raise refuse("package/not-a-file", file=str(self.path), member=name) from None
            raise host_refusal(error, place) from None

    def findings(self, frames: int, media: int = 0) -> Iterator[Finding]:
        """Yield members that are no part of the package; missing ones show when they are read."""
        for folder, directories, files in os.walk(self._folder):
            base = Path(folder).relative_to(self._folder)
            for name in sorted(files + [d for d in directories if (Path(folder) / d).is_symlink()]):
                member = (base / name).as_posix()
                if not is_member(member, frames, media):
                    yield finding("package/member-unknown", file=str(self.path), member=member)
            directories[:] = sorted(d for d in directories if not (Path(folder) / d).is_symlink())

    def size(self) -> int:
        """Return the bytes of manifest, media, segments and signatures."""
        media = (self._folder / MEDIA_FOLDER).glob("[0-9]" * 8)
        segments = (self._folder / SEGMENT_FOLDER).glob("*.safetensors")
        signatures = (self._folder / SIGNATURE_FOLDER).glob("*.sig")
        files = [self._folder / MANIFEST_NAME, *media, *segments, *signatures]
        return sum(f.stat().st_size for f in files if f.is_file())


def _mode_of(place: Path) -> int:
    """Return the mode of an entry itself; 0 where it cannot be told, as nothing may be entered."""
    try:
        return place.lstat().st_mode
    except OSError:
        return 0
