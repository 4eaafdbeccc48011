"""Vectors of clause 5.2: the structure of the file form, field by field."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from bases import PAIR
from cases import Case
from chain import Edits, members_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from writers.zip_writer import Archive, Record

STRUCTURE = "package/zip-structure"
_RECORD = ("5.2.1", "7.1.1")


def zip_case(
    name: str,
    summary: str,
    codes: str | tuple[str, ...],
    change: Callable[[Archive], None],
    clauses: tuple[str, ...] = _RECORD,
    base: Case = PAIR,
    **more: Any,
) -> Case:
    """Return the case of a package file with one fault in its structure."""
    return base.reject(
        f"05-package/zip-{name}", summary, clauses, codes, Edits(archive=change), **more
    )


def _field(where: str, name: str, value: int, index: int = 1) -> Callable[[Archive], None]:
    """Return a change of one field of a header, or of the end records."""

    def change(made: Archive) -> None:
        if where in {"local", "central"}:
            getattr(made.records[index], where)[name] = value
        else:
            getattr(made, where)[name] = value

    return change


def record_change(index: int, **values: Any) -> Callable[[Archive], None]:
    """Return a change of how one member is written."""

    def change(made: Archive) -> None:
        for name, value in values.items():
            setattr(made.records[index], name, value)

    return change


def _part(name: str, value: bytes) -> Callable[[Archive], None]:
    return lambda made: setattr(made, name, value)


def _shifted(made: Archive) -> None:
    """Move every offset past four bytes that belong to nothing, but keep the first four bytes."""
    made.records[1].before = b"\0" * 64


def _same_header(made: Archive) -> None:
    made.records[2].alias = 1


def _swap_bytes(made: Archive) -> None:
    made.records[1], made.records[2] = made.records[2], made.records[1]


def _twice(made: Archive) -> None:
    """Put the first segment in a second time, so that either copy is right."""
    made.records.insert(1, deepcopy(made.records[1]))


def _damage_data(made: Archive) -> None:
    """Leave the CRC-32 of the segment of frame 1 as if one bit of it were another one."""
    record: Record = made.records[2]
    wrong = 0x12345678
    record.local["crc"] = record.central["crc"] = wrong


def _beyond(made: Archive) -> None:
    """Give the last member a size beyond the file, in both of its headers."""
    made.records[2].central["zip64_size"] = made.records[2].local["zip64_size"] = 1 << 40


def _headers() -> list[Case]:
    bit = "with flag bit"
    both = {
        "needed": (20, "a member that names another version needed"),
        "flags": (0x0001, f"a member {bit} 0, encryption"),
        "date": (0x5A21, "a member with a date of its own"),
    }
    made = []
    for name, (value, what) in both.items():

        def change(a: Archive, name: str = name, value: int = value) -> None:
            a.records[1].local[name] = a.records[1].central[name] = value

        made.append(zip_case(f"header-{name}", f"{what} is rejected", STRUCTURE, change))

    def descriptor(a: Archive) -> None:
        a.records[1].local["flags"] = a.records[1].central["flags"] = 0x0008

    def utf8(a: Archive) -> None:
        a.records[1].local["flags"] = a.records[1].central["flags"] = 0x0800

    def deflated(a: Archive) -> None:
        a.records[1].local["method"] = a.records[1].central["method"] = 8

    one_form = ("5.2.1", "7.1.1")
    return [
        *made,
        zip_case(
            "header-descriptor",
            f"a member {bit} 3, a data descriptor, is rejected",
            STRUCTURE,
            descriptor,
        ),
        zip_case(
            "header-utf8-flag",
            f"a member {bit} 11 is rejected: the form has no flags",
            STRUCTURE,
            utf8,
        ),
        zip_case(
            "compressed",
            "a member that is said to be deflated is rejected",
            "package/zip-compressed",
            deflated,
            ("5.2.2",),
        ),
        zip_case(
            "method-local",
            "a local header with another method than its entry is rejected",
            (STRUCTURE, "package/zip-compressed"),
            _field("local", "method", 8),
            ("5.2.1", "5.2.2"),
        ),
        zip_case(
            "name-local",
            "a local header with another name than its entry is rejected",
            (STRUCTURE, "package/member-name"),
            record_change(1, local_name=b"segments/00000007.safetensors"),
            one_form,
        ),
        zip_case(
            "crc-local",
            "a local header with another CRC-32 than its entry is rejected",
            (STRUCTURE, "package/zip-checksum"),
            _field("local", "crc", 1),
            one_form,
        ),
        zip_case(
            "size-local",
            "a local header with another size than its entry is rejected",
            STRUCTURE,
            _field("local", "zip64_size", 5),
            one_form,
        ),
        zip_case(
            "sizes-differ",
            "an entry whose stored size is not its size is rejected",
            (STRUCTURE, "package/zip-overlap"),
            _field("central", "zip64_stored", 64),
        ),
        zip_case(
            "size-32-bit",
            "an entry with its size in the 32-bit field is rejected",
            STRUCTURE,
            _field("central", "size", 64),
        ),
        zip_case(
            "entry-extra",
            "an entry with a second extra field is rejected",
            STRUCTURE,
            record_change(1, central_extra=b"\x35\xd9\x02\x00\x40\x00"),
        ),
        zip_case(
            "local-extra",
            "a local header with a further extra field is rejected",
            STRUCTURE,
            record_change(1, local_extra=b"UT\x01\x00\x00"),
        ),
        zip_case(
            "entry-comment",
            "an entry that announces a comment is rejected",
            STRUCTURE,
            _field("central", "comment_length", 4),
        ),
        zip_case(
            "made-by",
            "an entry that was made by another system is rejected",
            STRUCTURE,
            _field("central", "made_by", 45),
        ),
        zip_case(
            "attributes",
            "an entry with other external attributes is rejected",
            STRUCTURE,
            _field("central", "external", 0o120777 << 16),
        ),
        zip_case(
            "entry-signature",
            "an entry with another signature is rejected",
            STRUCTURE,
            _field("central", "signature", 0x02014B51),
        ),
    ]


def _structure() -> list[Case]:
    order = ("5.2.1", "5.1.2")
    last = len(members_of(PAIR.chain)) - 1
    return [
        zip_case(
            "alignment",
            "a member whose data is not aligned to 64 bytes is rejected",
            ("package/zip-alignment", STRUCTURE),
            record_change(1, shift=8),
            ("5.2.3",),
        ),
        zip_case(
            "padding-whole",
            "a member with 64 bytes of padding too many is rejected",
            STRUCTURE,
            record_change(1, shift=64),
            ("5.2.3",),
        ),
        zip_case("gap", "bytes between two members are rejected", STRUCTURE, _shifted),
        zip_case(
            "overlap",
            "two members of the same bytes are rejected",
            ("package/zip-overlap", STRUCTURE),
            _same_header,
        ),
        zip_case(
            "twice",
            "a segment that is there twice, with the same bytes, is rejected",
            ("package/member-duplicate", STRUCTURE),
            _twice,
            ("5.1.3", "5.2.1"),
        ),
        zip_case(
            "order",
            "segments in another order than ascending are rejected",
            (STRUCTURE, "package/member-missing"),
            _swap_bytes,
            order,
        ),
        zip_case(
            "directory-order",
            "a central directory in another order is rejected",
            (STRUCTURE, "package/zip-overlap", "package/member-missing"),
            lambda made: setattr(made, "order", [0, 2, 1]),
            order,
        ),
        zip_case(
            "directory-gap",
            "bytes after the central directory are rejected",
            STRUCTURE,
            _part("gap", b"\0" * 4),
        ),
        zip_case(
            "directory-rest",
            "a central directory with bytes left over is rejected",
            STRUCTURE,
            _part("directory_tail", b"\0" * 4),
        ),
        zip_case(
            "bytes-after",
            "bytes after the end record are rejected",
            STRUCTURE,
            _part("tail", b"\0"),
        ),
        zip_case(
            "comment", "a comment of the archive is rejected", STRUCTURE, _part("comment", b"hello")
        ),
        zip_case(
            "end-signature",
            "an end record with another signature is rejected",
            STRUCTURE,
            _field("end", "signature", 0x06054B51),
        ),
        zip_case(
            "end64-signature",
            "a ZIP64 end record with another signature is rejected",
            STRUCTURE,
            _field("end64", "signature", 0x06064B51),
        ),
        zip_case(
            "locator-offset",
            "a locator that points elsewhere is rejected",
            STRUCTURE,
            _field("locator", "offset", 64),
        ),
        zip_case(
            "disks", "an archive of two disks is rejected", STRUCTURE, _field("locator", "disks", 2)
        ),
        zip_case(
            "end-count",
            "an end record with a 16-bit count is rejected",
            STRUCTURE,
            _field("end", "entries", last + 1),
        ),
        zip_case(
            "count-small",
            "a count of members that is too small is rejected",
            STRUCTURE,
            lambda a: a.end64.update(entries=last, entries_here=last),
        ),
        zip_case(
            "count-huge",
            "a count of members that the directory cannot hold is rejected",
            STRUCTURE,
            lambda a: a.end64.update(entries=1 << 60, entries_here=1 << 60),
            ("5.2.1", "7.5"),
        ),
        zip_case(
            "directory-outside",
            "a central directory that begins outside of the file is rejected",
            STRUCTURE,
            _field("end64", "start", 1 << 62),
            ("5.2.1", "7.5"),
        ),
        zip_case(
            "directory-sizes-wrap",
            "a directory whose offset and size wrap around is rejected",
            STRUCTURE,
            lambda a: a.end64.update(start=(1 << 64) - 64, length=64),
            ("5.2.1",),
        ),
        zip_case(
            "header-outside",
            "an entry whose local header lies outside of the file is rejected",
            (STRUCTURE, "package/zip-overlap"),
            _field("central", "zip64_offset", 1 << 40),
            ("5.2.1", "7.5"),
        ),
        zip_case(
            "size-outside",
            "a member that reaches beyond the file is rejected",
            (STRUCTURE, "package/zip-overlap"),
            _beyond,
            ("5.2.1", "7.5"),
        ),
        zip_case(
            "checksum",
            "a checker finds a CRC-32 that does not match, a decoder need not",
            "package/zip-checksum",
            _damage_data,
            ("5.2.4", "11.2"),
            stage="check",
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_headers(), *_structure()]
