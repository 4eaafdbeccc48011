"""ZIP64 files of stored, 64-byte-aligned members (clause 5.2): a strict reader, a plain writer.

Layout from PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from nmc_format.issues import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

ALIGNMENT: Final = 64

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END64 = struct.Struct("<IQHHIIQQQQ")
_LOCATOR = struct.Struct("<IIQI")
_END = struct.Struct("<IHHHHIIH")
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
_PADDING_ID = 0xD935  # the alignment field of Android's zipalign
_IN_ZIP64_16 = 0xFFFF
_IN_ZIP64_32 = 0xFFFFFFFF
_COPY_BYTES = 2**20


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


@dataclass(frozen=True)
class Directory:
    """Where the central directory lies.

    Attributes
    ----------
    start, end : int
        Its first byte, and the byte after its last.
    count : int
        Its entries.
    """

    start: int
    end: int
    count: int


def read_end(stream: BinaryIO, size: int, file: str) -> Directory:
    """Read the three end records of a file.

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
        If a record is damaged.
    """
    tail = _END64.size + _LOCATOR.size + _END.size
    if size < tail:
        raise _bad(file, 0, f"{size} bytes are too few")
    stream.seek(size - tail)
    data = stream.read(tail)
    end64 = _END64.unpack_from(data)
    locator = _LOCATOR.unpack_from(data, _END64.size)
    end = _END.unpack_from(data, _END64.size + _LOCATOR.size)
    if end[0] != _END_SIGNATURE or end[7] != 0:
        raise _bad(
            file, size - _END.size, "the file does not end with an end record without comment"
        )
    if locator[0] != _LOCATOR_SIGNATURE or locator[2] != size - tail:
        raise _bad(file, size - _END.size - _LOCATOR.size, "the ZIP64 locator is missing or wrong")
    count, length, start = end64[7], end64[8], end64[9]
    if end64[0] != _END64_SIGNATURE or start + length != size - tail:
        raise _bad(file, size - tail, "the ZIP64 end record is missing or wrong")
    if count * _CENTRAL.size > length:
        raise _bad(file, size - tail, f"{count} entries do not fit in {length} bytes")
    return Directory(start, start + length, count)


def read_directory(stream: BinaryIO, directory: Directory, file: str) -> Iterator[Member]:
    """Read the central directory, entry by entry, in its order.

    Raises
    ------
    FormatError
        If an entry is damaged, or says what the package form forbids.
    """
    stream.seek(directory.start)
    place = directory.start
    for _ in range(directory.count):
        member, place = _central_entry(stream, place, directory.end, file)
        yield member
    if place != directory.end:
        raise _bad(file, place, "bytes are left over in the central directory")


def _central_entry(stream: BinaryIO, place: int, end: int, file: str) -> tuple[Member, int]:
    """Read the entry where the stream stands; the directory is never in memory as a whole."""
    if place + _CENTRAL.size > end:
        raise _bad(file, place, "an entry of the central directory is cut off")
    fields = _CENTRAL.unpack(stream.read(_CENTRAL.size))
    after = place + _CENTRAL.size + fields[10] + fields[11] + fields[12]
    if fields[0] != _CENTRAL_SIGNATURE or after > end:
        raise _bad(file, place, "an entry of the central directory is damaged")
    name = stream.read(fields[10]).decode("ascii", "backslashreplace")
    extra = stream.read(fields[11])
    if fields[12]:
        stream.seek(fields[12], 1)
    if fields[4] != 0:
        raise refuse(
            "package/zip-compressed", file=file, offset=place, member=name, method=fields[4]
        )
    if fields[3] & ~0x0800:
        raise _bad(file, place, f"member {name!a} has flags {fields[3]:#06x}")
    sizes = [fields[9], fields[8], fields[16]]
    for i, value in enumerate(_zip64_values(extra, sizes)):
        sizes[i] = value
    if sizes[0] != sizes[1] or _IN_ZIP64_32 in sizes:
        raise _bad(file, place, f"member {name!a} has sizes that do not agree")
    return Member(name, sizes[0], fields[7], sizes[2]), after


def _zip64_values(extra: bytes, fields: list[int]) -> list[int]:
    """Return size, stored size and offset, with the ZIP64 extra field applied."""
    values = list(fields)
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == _ZIP64_ID:
            data = extra[at + 4 : at + 4 + length]
            for i, value in enumerate(fields):
                if value == _IN_ZIP64_32 and len(data) >= 8:
                    values[i] = int.from_bytes(data[:8], "little")
                    data = data[8:]
        at += 4 + length
    return values


def data_start(stream: BinaryIO, member: Member, limit: int, file: str) -> int:
    """Return the offset of the data of a member; its local header is checked.

    Parameters
    ----------
    limit : int
        Offset of the next member, or of the central directory.

    Raises
    ------
    FormatError
        If the local header disagrees with the central directory, or the data is not aligned.
    """
    stream.seek(min(member.header, limit))
    head = stream.read(max(0, min(_LOCAL.size, limit - member.header)))
    if len(head) < _LOCAL.size or not head.startswith(b"PK\x03\x04"):
        raise _bad(file, member.header, f"no local header of member {member.name!a}")
    fields = _LOCAL.unpack(head)
    name = stream.read(fields[9])
    if name != member.name.encode("ascii", "replace") or fields[3] != 0 or fields[2] & ~0x0800:
        raise _bad(file, member.header, f"the local header of {member.name!a} disagrees")
    start: int = member.header + _LOCAL.size + fields[9] + fields[10]
    if start % ALIGNMENT:
        raise refuse(
            "package/zip-alignment",
            file=file,
            offset=member.header,
            member=member.name,
            start=start,
        )
    if start + member.size > limit:
        raise refuse("package/zip-overlap", file=file, offset=member.header, member=member.name)
    return start


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


def write(stream: BinaryIO, members: Iterable[tuple[str, Path]]) -> None:
    """Write a file of stored members (clause 5.2); bounded memory, one member at a time.

    Parameters
    ----------
    stream : binary file
        Written from its start.
    members : iterable of (name, path)
        In their order.
    """
    at = 0
    central = []
    for name, path in members:
        with path.open("rb") as source:
            size = path.stat().st_size
            crc = crc32(source, 0, size)
            head = _local_header(name, size, crc, at)
            stream.write(head)
            source.seek(0)
            while block := source.read(_COPY_BYTES):
                stream.write(block)
        central.append(_central_header(name, size, crc, at))
        at += len(head) + size
    directory = b"".join(central)
    stream.write(directory)
    count, length = len(central), len(directory)
    end64 = at + length
    stream.write(
        _END64.pack(_END64_SIGNATURE, 44, _MADE_BY, _VERSION, 0, 0, count, count, length, at)
    )
    stream.write(_LOCATOR.pack(_LOCATOR_SIGNATURE, 0, end64, 1))
    stream.write(
        _END.pack(_END_SIGNATURE, 0, 0, _IN_ZIP64_16, _IN_ZIP64_16, _IN_ZIP64_32, _IN_ZIP64_32, 0)
    )


def _local_header(name: str, size: int, crc: int, at: int) -> bytes:
    raw = name.encode("ascii")
    extra = struct.pack("<HHQQ", _ZIP64_ID, 16, size, size)
    used = at + _LOCAL.size + len(raw) + len(extra) + 4
    padding = -used % ALIGNMENT
    extra += struct.pack("<HH", _PADDING_ID, padding) + b"\0" * padding
    fields = _LOCAL.pack(
        _LOCAL_SIGNATURE,
        _VERSION,
        0,
        0,
        0,
        _DATE,
        crc,
        _IN_ZIP64_32,
        _IN_ZIP64_32,
        len(raw),
        len(extra),
    )
    return fields + raw + extra


def _central_header(name: str, size: int, crc: int, at: int) -> bytes:
    raw = name.encode("ascii")
    extra = struct.pack("<HHQQQ", _ZIP64_ID, 24, size, size, at)
    fields = _CENTRAL.pack(
        _CENTRAL_SIGNATURE,
        _MADE_BY,
        _VERSION,
        0,
        0,
        0,
        _DATE,
        crc,
        _IN_ZIP64_32,
        _IN_ZIP64_32,
        len(raw),
        len(extra),
        0,
        0,
        0,
        _MODE,
        _IN_ZIP64_32,
    )
    return fields + raw + extra
