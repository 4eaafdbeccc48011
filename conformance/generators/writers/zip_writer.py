"""Writes the file form of a package, field by field, with faults on request (clause 5.2)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ALIGNMENT = 64
_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END64 = struct.Struct("<IQHHIIQQQQ")
_LOCATOR = struct.Struct("<IIQI")
_END = struct.Struct("<IHHHHIIH")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF


@dataclass
class Record:
    """One member on its way into a file; every field can be given another value.

    Attributes
    ----------
    name, data : bytes
        Member name and content.
    before : bytes
        Bytes put between the member before and this one.
    shift : int
        Bytes by which the padding is too long, so that the data is not aligned.
    local, central : dict of str to int
        Header fields that differ from the ones a writer uses.
    local_name : bytes or None
        A name in the local header that differs from the entry's.
    alias : int or None
        Take the local header of that record; write none of its own.
    """

    name: bytes
    data: bytes
    before: bytes = b""
    shift: int = 0
    local: dict[str, int] = field(default_factory=dict)
    central: dict[str, int] = field(default_factory=dict)
    local_name: bytes | None = None
    local_extra: bytes = b""
    central_extra: bytes = b""
    alias: int | None = None
    offset: int = 0


@dataclass
class Archive:
    """A file in the making.

    Attributes
    ----------
    records : list of Record
        Members, in the order of the file.
    order : list of int or None
        Order of the central directory; None is that of the file.
    end64, locator, end : dict of str to int
        Fields of the end records that differ.
    gap, tail, comment : bytes
        Bytes between directory and end records, after the file, and a comment with its length.
    """

    records: list[Record]
    order: list[int] | None = None
    end64: dict[str, int] = field(default_factory=dict)
    locator: dict[str, int] = field(default_factory=dict)
    end: dict[str, int] = field(default_factory=dict)
    directory_tail: bytes = b""
    gap: bytes = b""
    tail: bytes = b""
    comment: bytes = b""

    def pack(self) -> bytes:
        """Return the bytes of the file."""
        body = bytearray()
        for record in self.records:
            if record.alias is not None:
                record.offset = self.records[record.alias].offset
                continue
            body += record.before
            record.offset = len(body)
            body += _local(record) + record.data
        order = self.order if self.order is not None else range(len(self.records))
        directory = b"".join(_central(self.records[i]) for i in order) + self.directory_tail
        start = len(body)
        count = len(self.records)
        body += directory + self.gap
        body += _ends(self, count, len(directory), start, len(body))
        return bytes(body) + self.tail


def archive(members: Mapping[str, bytes]) -> Archive:
    """Return the file of some members as a writer makes it, ready to be packed."""
    return Archive([Record(name.encode(), data) for name, data in members.items()])


def _values(defaults: dict[str, int], changed: Mapping[str, int]) -> list[int]:
    unknown = changed.keys() - defaults.keys()
    if unknown:
        raise KeyError(f"no field {sorted(unknown)}; there are {', '.join(defaults)}")
    return list({**defaults, **changed}.values())


def _local(record: Record) -> bytes:
    name = record.name if record.local_name is None else record.local_name
    size = record.local.get("zip64_size", len(record.data))
    extra = struct.pack("<HHQQ", 1, 16, size, record.local.get("zip64_stored", size))
    extra += record.local_extra
    used = record.offset + _LOCAL.size + len(name) + len(extra) + 6
    padding = -used % ALIGNMENT + record.shift
    extra += struct.pack("<HHH", 0xD935, 2 + padding, ALIGNMENT) + bytes(padding)
    changed = {k: v for k, v in record.local.items() if not k.startswith("zip64")}
    defaults = {
        "signature": 0x04034B50,
        "needed": 45,
        "flags": 0,
        "method": 0,
        "time": 0,
        "date": 0x21,
        "crc": zlib.crc32(record.data),
        "stored": _FULL32,
        "size": _FULL32,
        "name_length": len(name),
        "extra_length": len(extra),
    }
    return _LOCAL.pack(*_values(defaults, changed)) + name + extra


def _central(record: Record) -> bytes:
    size = record.central.get("zip64_size", len(record.data))
    stored = record.central.get("zip64_stored", size)
    offset = record.central.get("zip64_offset", record.offset)
    extra = struct.pack("<HHQQQ", 1, 24, size, stored, offset) + record.central_extra
    changed = {k: v for k, v in record.central.items() if not k.startswith("zip64")}
    defaults = {
        "signature": 0x02014B50,
        "made_by": 3 << 8 | 45,
        "needed": 45,
        "flags": 0,
        "method": 0,
        "time": 0,
        "date": 0x21,
        "crc": zlib.crc32(record.data),
        "stored": _FULL32,
        "size": _FULL32,
        "name_length": len(record.name),
        "extra_length": len(extra),
        "comment_length": 0,
        "disk": 0,
        "internal": 0,
        "external": 0o100644 << 16,
        "offset": _FULL32,
    }
    return _CENTRAL.pack(*_values(defaults, changed)) + record.name + extra


def _ends(made: Archive, count: int, length: int, start: int, at: int) -> bytes:
    end64 = {
        "signature": 0x06064B50,
        "following": 44,
        "made_by": 3 << 8 | 45,
        "needed": 45,
        "disk": 0,
        "directory_disk": 0,
        "entries_here": count,
        "entries": count,
        "length": length,
        "start": start,
    }
    locator = {"signature": 0x07064B50, "disk": 0, "offset": at, "disks": 1}
    end = {
        "signature": 0x06054B50,
        "disk": 0,
        "directory_disk": 0,
        "entries_here": _FULL16,
        "entries": _FULL16,
        "length": _FULL32,
        "start": _FULL32,
        "comment_length": len(made.comment),
    }
    return (
        _END64.pack(*_values(end64, made.end64))
        + _LOCATOR.pack(*_values(locator, made.locator))
        + _END.pack(*_values(end, made.end))
        + made.comment
    )
