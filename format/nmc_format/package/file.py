"""Packages as one file (clause 5.2): a ZIP of stored members, read in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc_format.host import host_refusal
from nmc_format.issues import FormatError, finding, refuse, refuse_with
from nmc_format.manifest.objects import MAX_MANIFEST_BYTES
from nmc_format.package import zip64
from nmc_format.package.foreign import HEAD_BYTES, foreign_file, foreign_zip
from nmc_format.package.members import (
    MANIFEST_NAME,
    SEGMENT_NAME,
    Package,
    is_member,
    segment_name,
)
from nmc_format.package.positioned import PositionedFile
from nmc_format.package.truncation import truncation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nmc_format.issues import Finding


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
            if member.name != MANIFEST_NAME and not SEGMENT_NAME.fullmatch(member.name):
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

    def _read(self, name: str, start: int, size: int) -> bytes:
        member = self._members[name]
        data = self._file.read_at(self._data_start(member) + start, size)
        if len(data) != size:
            raise refuse(
                "segment/length", file=name, actual=start + len(data), expected=member.size
            )
        return data

    def manifest(self) -> bytes:
        """Return the bytes of the manifest."""
        size = self._members[MANIFEST_NAME].size
        if size > MAX_MANIFEST_BYTES:
            raise refuse("manifest/too-large", pointer="/", size=size, limit=MAX_MANIFEST_BYTES)
        return self._read(MANIFEST_NAME, 0, size)

    def segment(self, index: int, limit: int) -> bytes:
        """Return the bytes of one segment."""
        return self.part(index, limit, 0, limit)

    def part(self, index: int, limit: int, start: int, size: int) -> bytes:
        """Return some bytes of one segment."""
        name = segment_name(index)
        if name not in self._members:
            raise refuse("package/member-missing", file=str(self.path), member=name)
        actual = self._members[name].size
        if actual != limit:
            raise refuse("segment/length", file=name, actual=actual, expected=limit)
        return self._read(name, start, size)

    def segment_lengths(self) -> list[int]:
        """Return the bytes of each segment that is there."""
        return [m.size for m in self._members.values() if m.name != MANIFEST_NAME]

    def findings(self, frames: int) -> Iterator[Finding]:
        """Yield damaged or surplus members; every byte is read once for its checksum."""
        for member in self._members.values():
            if not is_member(member.name, frames):
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
