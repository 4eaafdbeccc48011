"""ZIP64 files of stored, 64-byte-aligned members (clause 5.2): a strict reader, a plain writer.

Layout from PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, BinaryIO, Final

from nmc_format.issues import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

ALIGNMENT: Final = 64

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END64 = struct.Struct("<IQHHIIQQQQ")
_LOCATOR = struct.Struct("<IIQI")
_END = struct.Struct("<IHHHHIIH")
_LOCAL_ZIP64 = struct.Struct("<HHQQ")
_CENTRAL_ZIP64 = struct.Struct("<HHQQQ")
_PADDING = struct.Struct("<HHH")
END_BYTES: Final = _END64.size + _LOCATOR.size + _END.size
"""Bytes of the three end records, the last of every package file."""

_LOCAL_SIGNATURE = 0x04034B50
_CENTRAL_SIGNATURE = 0x02014B50
_END64_SIGNATURE = 0x06064B50
_LOCATOR_SIGNATURE = 0x07064B50
_END_SIGNATURE = 0x06054B50
_VERSION = 45  # ZIP64
_MADE_BY = 3 << 8 | _VERSION  # Unix
_MODE = 0o100644 << 16  # regular file, rw-r--r--
_DATE = 0x0021  # 1980-01-01: the same input gives the same bytes
_ZIP64_ID = 0x0001
_PADDING_ID = 0xD935  # the alignment field of Android's tools: u16 alignment, then zeros
_IN_ZIP64_16 = 0xFFFF
_IN_ZIP64_32 = 0xFFFFFFFF
_COPY_BYTES = 2**20
_TAIL_BYTES = 2**16
_LONGEST_NAME = 2**10


@dataclass(frozen=True)
class Member:
    """One entry of the central directory.

    Attributes
    ----------
    name : str
        Name, ASCII.
    size : int
        Bytes of its data.
    crc : int
        CRC-32 of its data.
    header : int
        Offset of its local header.
    """

    name: str
    size: int
    crc: int
    header: int


def _bad(file: str, offset: int, reason: str) -> Exception:
    return refuse("package/zip-structure", file=file, offset=offset, reason=reason)


def read_directory(stream: BinaryIO, size: int, file: str) -> Iterator[Member]:
    """Read the central directory, entry by entry, in its order.

    A package file has one form only (clause 5.2.1), so that no two programs see different members
    in it: every field is compared with what :func:`write` puts there.

    Parameters
    ----------
    stream : binary file
        Seekable.
    size : int
        Bytes of the file.
    file : str
        Name for messages.

    Raises
    ------
    FormatError
        If a structure is damaged, or not in that form.
    """
    if size < END_BYTES:
        raise _bad(file, 0, f"{size} bytes are too few")
    ends = _ends(stream, size)
    if ends is None:
        raise _bad(file, size - END_BYTES, "the end records are missing, or not in their one form")
    count, length, start = ends
    if count * _CENTRAL.size > length:
        raise _bad(file, size - END_BYTES, f"{count} entries do not fit in {length} bytes")
    stream.seek(start)
    place, expected = start, 0
    for _ in range(count):
        member, place = _central_entry(stream, place, file)
        if member.header < expected:
            raise refuse(
                "package/zip-overlap", file=file, offset=member.header, member=ascii(member.name)
            )
        if member.header > expected:
            raise _bad(file, expected, "bytes between two members belong to neither")
        expected += local_length(member) + member.size
        yield member
    if place != start + length:
        raise _bad(file, place, "the entries do not fill the central directory")
    if expected != start:
        raise _bad(file, expected, "the central directory does not follow the last member")


def size_of_tail(tail: bytes) -> int | None:
    """Return how long a file is that ends with these bytes, by its end records; None without them.

    Who knows the length of the file compares it; :func:`read_directory` compares the rest.
    """
    if len(tail) < END_BYTES:
        return None
    fields = _END64.unpack_from(tail, len(tail) - END_BYTES)
    count, length, start = fields[7], fields[8], fields[9]
    if tail[-END_BYTES:] != _end_records(count, length, start):
        return None
    return int(start + length + END_BYTES)


def _ends(stream: BinaryIO, size: int) -> tuple[int, int, int] | None:
    """Return number of entries, bytes and offset of the directory; None without end records."""
    stream.seek(max(0, size - END_BYTES))
    tail = stream.read(END_BYTES)
    if len(tail) < END_BYTES:
        return None
    fields = _END64.unpack_from(tail)
    count, length, start = fields[7], fields[8], fields[9]
    fits = start + length == size - END_BYTES and tail == _end_records(count, length, start)
    return (count, length, start) if fits else None


def ends_well(stream: BinaryIO, size: int) -> bool:
    """Whether a file ends with end records in their one form."""
    return _ends(stream, size) is not None


def _central_entry(stream: BinaryIO, place: int, file: str) -> tuple[Member, int]:
    """Read the entry where the stream stands; the directory is never in memory as a whole."""
    fixed = stream.read(_CENTRAL.size)
    fields = _CENTRAL.unpack(fixed.ljust(_CENTRAL.size, b"\0"))
    raw_name = stream.read(fields[10])
    name = raw_name.decode("ascii", "backslashreplace")
    if fields[0] == _CENTRAL_SIGNATURE and fields[4] != 0:
        raise refuse(
            "package/zip-compressed", file=file, offset=place, member=ascii(name), method=fields[4]
        )
    extra = stream.read(_CENTRAL_ZIP64.size)
    if len(extra) < _CENTRAL_ZIP64.size:
        raise _bad(file, place, "an entry of the central directory is cut off")
    *_, size, _, header = _CENTRAL_ZIP64.unpack(extra)
    member = Member(name, size, fields[7], header)
    entry = fixed + raw_name + extra
    if not raw_name.isascii() or entry != _central_header(member):
        raise _bad(file, place, f"the entry of member {name!a} is not in its one form")
    return member, place + len(entry)


def data_start(stream: BinaryIO, member: Member, file: str) -> int:
    """Return the offset of the data of a member; its local header is checked.

    Raises
    ------
    FormatError
        If the local header is not in its one form, or the data is not aligned.
    """
    expected = _local_header(member)
    stream.seek(member.header)
    actual = stream.read(len(expected))
    if actual == expected:
        return member.header + len(expected)
    if len(actual) >= _LOCAL.size and actual.startswith(b"PK\x03\x04"):
        fields = _LOCAL.unpack_from(actual)
        start = member.header + _LOCAL.size + fields[9] + fields[10]
        if start % ALIGNMENT:
            raise refuse(
                "package/zip-alignment",
                file=file,
                offset=member.header,
                member=member.name,
                start=start,
            )
    raise _bad(file, member.header, f"the local header of {member.name!a} is not in its one form")


def some_names(stream: BinaryIO, size: int) -> list[str]:
    """Return names of members of any ZIP file, as far as its first and last bytes show them.

    For messages only; the work does not grow with the file.
    """
    stream.seek(0)
    head = stream.read(_LOCAL.size + _LONGEST_NAME)
    names = []
    if len(head) >= _LOCAL.size:
        names.append(head[_LOCAL.size :][: _LOCAL.unpack_from(head)[9]])
    stream.seek(max(0, size - _TAIL_BYTES))
    tail = stream.read(_TAIL_BYTES)
    at = tail.find(b"PK\x01\x02")
    while 0 <= at <= len(tail) - _CENTRAL.size:
        start = at + _CENTRAL.size
        names.append(tail[start : start + _CENTRAL.unpack_from(tail, at)[10]])
        at = tail.find(b"PK\x01\x02", start)
    return [name.decode("utf-8", "replace") for name in names]


def member_at(stream: BinaryIO, size: int, start: int = 0) -> Member | None:
    """Return the member at a place of a file whose directory is gone, if it is in its form."""
    stream.seek(start)
    head = stream.read(_LOCAL.size + _LONGEST_NAME)
    if size < start + _LOCAL.size + ALIGNMENT:
        return None
    fields = _LOCAL.unpack_from(head)
    name, extra = fields[9], head[_LOCAL.size + fields[9] :]
    if name > 2 * ALIGNMENT or len(extra) < _LOCAL_ZIP64.size:
        return None
    text = head[_LOCAL.size :][:name].decode("ascii", "replace")
    member = Member(text, _LOCAL_ZIP64.unpack_from(extra)[2], fields[6], start)
    return member if text.isascii() and head.startswith(_local_header(member)) else None


def members_size(members: Iterable[tuple[str, int]]) -> int:
    """Return the bytes of the records of members of these names and sizes."""
    at = 0
    for name, size in members:
        at += local_length(Member(name, size, 0, at)) + size
    return at


def file_size(members: Iterable[tuple[str, int]]) -> int:
    """Return the bytes of the file that :func:`write` makes of members of these names and sizes."""
    known = list(members)
    central = sum(_CENTRAL.size + len(name) + _CENTRAL_ZIP64.size for name, _ in known)
    return members_size(known) + central + END_BYTES


def crc32(stream: BinaryIO, start: int, size: int) -> int:
    """Return the CRC-32 of a part of a file."""
    stream.seek(start)
    crc = 0
    while size > 0:
        block = stream.read(min(size, _COPY_BYTES))
        if not block:
            break
        crc = zlib.crc32(block, crc)
        size -= len(block)
    return crc


def pieces(
    members: Iterable[tuple[str, Callable[[], BinaryIO]]], checksums: Iterable[int] | None = None
) -> Iterator[bytes]:
    """Yield the bytes of a file of stored members (clause 5.2), in blocks; bounded memory.

    Parameters
    ----------
    members : iterable of (name, function)
        In their order; the function opens the data of the member, which is read twice.
    checksums : iterable of int or None
        The CRC-32 of each, where they are known: what is written is read once then.
    """
    at = 0
    central = []
    known = repeat(None) if checksums is None else checksums
    for (name, opened), checksum in zip(members, known, strict=False):
        with opened() as source:
            size = source.seek(0, os.SEEK_END)
            member = Member(
                name, size, crc32(source, 0, size) if checksum is None else checksum, at
            )
            head = _local_header(member)
            yield head
            source.seek(0)
            while block := source.read(_COPY_BYTES):
                yield block
        central.append(_central_header(member))
        at += len(head) + size
    directory = b"".join(central)
    yield directory + _end_records(len(central), len(directory), at)


def write(stream: BinaryIO, members: Iterable[tuple[str, Path]]) -> None:
    """Write a file of stored members, which are files themselves; see :func:`pieces`.

    Parameters
    ----------
    stream : binary file
        Written from its start.
    members : iterable of (name, path)
        In their order.
    """

    def opened(path: Path) -> Callable[[], BinaryIO]:
        return lambda: path.open("rb")

    stream.writelines(pieces((name, opened(path)) for name, path in members))


def _end_records(count: int, length: int, start: int) -> bytes:
    return (
        _END64.pack(_END64_SIGNATURE, 44, _MADE_BY, _VERSION, 0, 0, count, count, length, start)
        + _LOCATOR.pack(_LOCATOR_SIGNATURE, 0, start + length, 1)
        + _END.pack(_END_SIGNATURE, 0, 0, *(_IN_ZIP64_16,) * 2, *(_IN_ZIP64_32,) * 2, 0)
    )


def local_length(member: Member) -> int:
    """Return the bytes before the data of a member: header, name and extra fields."""
    used = _LOCAL.size + len(member.name) + _LOCAL_ZIP64.size + _PADDING.size
    return used + -(member.header + used) % ALIGNMENT


def _local_header(member: Member) -> bytes:
    raw = member.name.encode("ascii")
    zip64 = _LOCAL_ZIP64.pack(_ZIP64_ID, 16, member.size, member.size)
    padding = local_length(member) - _LOCAL.size - len(raw) - len(zip64) - _PADDING.size
    extra = zip64 + _PADDING.pack(_PADDING_ID, 2 + padding, ALIGNMENT) + b"\0" * padding
    sizes = (_IN_ZIP64_32, _IN_ZIP64_32)
    fields = (_VERSION, 0, 0, 0, _DATE, member.crc, *sizes, len(raw), len(extra))
    return _LOCAL.pack(_LOCAL_SIGNATURE, *fields) + raw + extra


def _central_header(member: Member) -> bytes:
    raw = member.name.encode("ascii")
    size, header = member.size, member.header
    extra = _CENTRAL_ZIP64.pack(_ZIP64_ID, 24, size, size, header)
    sizes = (_IN_ZIP64_32, _IN_ZIP64_32)
    fields = (_MADE_BY, _VERSION, 0, 0, 0, _DATE, member.crc, *sizes, len(raw), len(extra))
    rest = (0, 0, 0, _MODE, _IN_ZIP64_32)
    return _CENTRAL.pack(_CENTRAL_SIGNATURE, *fields, *rest) + raw + extra
