"""Packages as one file (clause 5.2): a ZIP of stored members, read in place."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nmc_format.host import host_refusal
from nmc_format.issues import FormatError, finding, refuse, refuse_with
from nmc_format.manifest.objects import MAX_MANIFEST_BYTES
from nmc_format.package import zip64
from nmc_format.package.foreign import HEAD_BYTES, foreign_file, foreign_zip
from nmc_format.package.members import (
    MANIFEST_NAME,
    SEGMENT_NAME,
    SIGNATURE_NAME,
    Package,
    is_allowed,
    is_member,
    medium_name,
    segment_name,
)
from nmc_format.package.positioned import PositionedFile
from nmc_format.package.truncation import truncation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from nmc_format.issues import Finding
    from nmc_format.package.byte_source import ByteSource

_WHOLE_BYTES = 1 << 25
"""A segment up to this size is fetched as a whole where a part of it is wanted: one request."""


class FilePackage(Package):
    """A package as one file (clause 5.2).

    Parameters
    ----------
    path : Path or str
        The file; a name for messages where a source is given.
    source : ByteSource or None
        What it is read from, if not from a file of this host; closed with the package.
    """

    def __init__(self, path: Path | str, source: ByteSource | None = None) -> None:
        super().__init__(path)
        if source is None:
            try:
                source = PositionedFile(Path(path))
            except OSError as error:
                raise host_refusal(error, path) from None
        self._file = source
        self.distant = source.distant
        self._known_crc: dict[str, int] = {}
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        self._size = self._file.size
        self._members: dict[str, zip64.Member] = {}
        refused = None
        try:
            self._read_directory()
            self._file.expect(0, max(HEAD_BYTES, self._end(MANIFEST_NAME)))
        except FormatError as error:
            refused = error
        head = self._file.read_at(0, HEAD_BYTES)
        if not head.startswith(b"PK\x03\x04"):
            reason, hint = foreign_file(head, self._file.size)
            raise refuse_with(hint, "package/not-a-package", file=str(self.path), reason=reason)
        if refused is not None:
            raise self._recognised(refused) from None

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
            if not is_allowed(member.name):
                raise self._refuse("package/member-name", member)
            if member.name in self._members:
                raise self._refuse("package/member-duplicate", member)
            if member.name < last:  # manifest.h5, media, segments, signatures: in this order
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
        return zip64.data_start(self._file.stream(exact=True), member, str(self.path))

    def _end(self, name: str) -> int:
        """Return where the data of a member ends, if its local header is in its one form."""
        member = self._members[name]
        return member.header + zip64.local_length(member) + member.size

    def _read(self, name: str, start: int, size: int) -> bytes:
        member = self._members[name]
        if size == member.size or member.size <= _WHOLE_BYTES:
            self._file.expect(member.header, self._end(name))
        data = self._file.read_at(self._data_start(member) + start, size)
        if len(data) != size:
            raise refuse(
                "segment/length", file=name, actual=start + len(data), expected=member.size
            )
        if self.keeps_checksums and size == member.size:
            self._known_crc[name] = zlib.crc32(data)
        return data

    def pin(self, digest: str) -> None:
        """Pass on the manifest digest to what the package is read from."""
        self._file.pin(digest)

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
        self._of_length(name, limit, "segment/length")
        return self._read(name, start, size)

    def medium(self, index: int, length: int, start: int, size: int) -> bytes:
        """Return some bytes of one medium."""
        name = medium_name(index)
        self._of_length(name, length, "media/length")
        return self._read(name, start, size)

    def _of_length(self, name: str, length: int, code: str) -> None:
        if name not in self._members:
            raise refuse("package/member-missing", file=str(self.path), member=name)
        actual = self._members[name].size
        if actual != length:
            raise refuse(code, file=name, actual=actual, expected=length)

    def expect(self, frames: range, lengths: Sequence[int]) -> None:
        """Hear that these segments are read next: they lie one after the other."""
        del lengths
        names = [name for t in frames if (name := segment_name(t)) in self._members]
        if names:
            self._file.expect(self._members[names[0]].header, self._end(names[-1]))

    def segment_lengths(self) -> list[int]:
        """Return the bytes of each segment that is there."""
        return [m.size for m in self._members.values() if SEGMENT_NAME.fullmatch(m.name)]

    def names(self) -> list[str]:
        """Return the names of all members, in their order."""
        return list(self._members)

    def member(self, name: str) -> BinaryIO:
        """Return one member as a stream of its own."""
        member = self._members[name]
        return self._file.window(self._data_start(member), member.size)

    def signatures(self, keys: Collection[bytes] = ()) -> list[str]:
        """Return the names of the signatures."""
        del keys
        return [name for name in self._members if SIGNATURE_NAME.fullmatch(name)]

    def signature(self, name: str, limit: int) -> bytes:
        """Return the bytes of one signature."""
        return self._read(name, 0, min(self._members[name].size, limit + 1))

    def findings(self, frames: int, media: int = 0) -> Iterator[Finding]:
        """Yield damaged or surplus members; every byte is read once for its checksum."""
        for member in self._members.values():
            if not is_member(member.name, frames, media):
                yield finding("package/member-unknown", file=str(self.path), member=member.name)
            try:
                start = self._data_start(member)
            except FormatError as error:
                yield error.finding
                continue
            actual = self._known_crc.get(member.name)  # what came from a server is not asked again
            if actual is None:
                self._file.expect(start, start + member.size)
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
