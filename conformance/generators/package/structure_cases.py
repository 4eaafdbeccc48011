"""Vectors of clauses 5.2 and 5.3 that wrong programs asked for: records, offsets and names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bases import ONE, PAIR
from chain import Edits
from writers.zip_writer import Record

from package.manifest_cases import put_all
from package.zip_cases import STRUCTURE, zip_case

if TYPE_CHECKING:
    from cases import Case
    from writers.zip_writer import Archive

_ENDS = 98
"""Bytes of the three end records (clause 5.2.1)."""

_ON_DISK, _ENTRIES, _OFFSET, _LOCATOR = 24, 32, 48, 64
"""Where in them the counts, the offset of the directory and that of the first record stand."""


def _added(data: bytes, place: int, more: int) -> bytes:
    """Return a file with more in a u64 of its end records."""
    at = len(data) - _ENDS + place
    value = int.from_bytes(data[at : at + 8], "little") + more
    return data[:at] + value.to_bytes(8, "little") + data[at + 8 :]


def _one_entry_more(data: bytes) -> bytes:
    return _added(_added(data, _ON_DISK, 1), _ENTRIES, 1)


def _gap(data: bytes) -> bytes:
    """Return a file with eight bytes between its last member and its central directory."""
    at = len(data) - _ENDS + _OFFSET
    offset = int.from_bytes(data[at : at + 8], "little")
    made = data[:offset] + b"surplus!" + data[offset:]
    return _added(_added(made, _OFFSET, 8), _LOCATOR, 8)


def _record_before(made: Archive) -> None:
    made.records[0].before = b"PK\x03\x04" + bytes(60)


def _manifest_last(made: Archive) -> None:
    made.records.append(made.records.pop(0))


def _files() -> list[Case]:
    def packed(name: str, what: str, change: object) -> Case:
        return PAIR.reject(
            f"05-package/zip-{name}",
            f"{what} is rejected",
            ("5.2.1", "7.1.1"),
            STRUCTURE,
            Edits(packed=change),  # type: ignore[arg-type]
        )

    def surplus(slug: str, what: str, name: bytes) -> Case:
        def change(made: Archive) -> None:
            made.records.append(Record(name, b"surplus"))

        return zip_case(
            f"surplus-{slug}",
            f"{what} is rejected, also where no frame has it",
            "package/member-name",
            change,
            ("5.1.3", "7.1.1"),
        )

    return [
        packed(
            "entries-on-disk",
            "a file whose end record counts one more entry on its disk",
            lambda data: _added(data, _ON_DISK, 1),
        ),
        packed(
            "entries-one-more",
            "a file whose end record counts an entry that is not there",
            _one_entry_more,
        ),
        packed("gap-before-directory", "a file with bytes behind its last member", _gap),
        zip_case(
            "record-before",
            "a file with bytes before its first member that begin like a member is rejected",
            STRUCTURE,
            _record_before,
        ),
        zip_case(
            "manifest-last",
            "a file with the manifest behind the segments is rejected",
            STRUCTURE,
            _manifest_last,
        ),
        surplus("case", "a member name in upper case", b"segments/00000007.SAFETENSORS"),
        surplus("full-stop", "a member name without a full stop", b"segments/00000007_safetensors"),
    ]


def _manifests() -> list[Case]:
    return [
        ONE.vary(
            "05-package/hdf5-big-endian-column",
            "a column can have its most significant byte first; this is not the compact form",
            ("5.3.4", "D.5"),
            put_all({"/model/tensors/layer": np.array([258], ">i4")}),
            requires=("hdf5",),
        )
    ]


def cases() -> list[Case]:
    """Return the cases."""
    return [*_files(), *_manifests()]
