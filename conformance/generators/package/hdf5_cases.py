"""Vectors of clauses 5.3.1 to 5.3.4 and annex D: the compact form of the manifest, byte by byte."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from bases import ONE, PAIR
from chain import Edits
from writers import hdf5_writer
from writers.hdf5_writer import Options

from package.manifest_cases import put_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cases import Case


def _compact() -> list[Case]:
    """Return manifests in compact form, each by another choice of annex D."""

    def chosen(name: str, what: str, clause: str, **options: Any) -> Case:
        return PAIR.vary(
            f"05-package/hdf5-{name}", what, (clause, "5.3.1"), Edits(options=Options(**options))
        )

    nil = hdf5_writer.message(0x00, bytes(12))
    deep = PAIR.vary(
        "05-package/hdf5-depth-4",
        "a path can have four names",
        ("D.1", "5.3.1"),
        put_all({"/extra/a/b/c": np.array([1], "<u4")}),
        warnings=("manifest/object-unknown",),
    )
    return [
        chosen("superblock-3", "a superblock of version 3 is read", "D.2", superblock_version=3),
        chosen("layout-4", "a data layout message of version 4 is read", "D.4", layout_version=4),
        chosen("data-in-header", "data can lie in the object header", "D.4", compact_data=True),
        chosen(
            "continuation", "an object header can go on in another block", "D.3", continuation=True
        ),
        chosen("header-times", "times in an object header are passed over", "D.3", times=True),
        chosen("header-phase", "a phase in an object header is passed over", "D.3", phase=True),
        chosen(
            "header-order",
            "a creation order of messages is passed over",
            "D.3",
            order=True,
            continuation=True,
        ),
        chosen(
            "header-narrow", "the size of an object header can be one byte wide", "D.3", narrow=True
        ),
        chosen(
            "header-all",
            "an object header can have all of its optional fields",
            "D.3",
            times=True,
            phase=True,
            order=True,
            narrow=True,
        ),
        chosen("link-least", "a link without a character set is read", "D.4", link_form="least"),
        chosen("link-full", "a link with all of its optional fields", "D.4", link_form="full"),
        chosen(
            "link-wide", "the name of a link after a length of 8 bytes", "D.4", link_form="wide"
        ),
        chosen("tracked", "creation indices of links and attributes", "D.4", tracked=True),
        chosen(
            "info-rest",
            "what follows the undefined address of link and attribute infos is ignored",
            "D.4",
            ignored=struct.pack("<Q", 48),
        ),
        chosen("null-ended", "texts can end with a zero byte", "D.5", null_ended=True),
        deep,
        chosen("gaps", "zero bytes can lie between structures", "D.1", gap=bytes(13)),
        chosen("largest", "dataspaces can give the largest dimensions", "D.5", largest=True),
        chosen("nil-message", "a NIL message is passed over", "D.3", extra_messages=nil),
    ]


def _damaged() -> list[Case]:
    unreadable = ("manifest/unreadable",)

    def fault(name: str, what: str, clause: str, **options: Any) -> Case:
        return ONE.reject(
            f"05-package/hdf5-{name}",
            f"{what} is rejected",
            (clause, "5.3.1"),
            unreadable,
            Edits(options=Options(**options)),
        )

    def bytes_of(name: str, what: str, change: Callable[[bytes], bytes]) -> Case:
        return ONE.reject(
            f"05-package/hdf5-{name}",
            f"{what} is rejected",
            "5.3.1",
            unreadable,
            Edits(manifest=change),
        )

    return [
        fault("signature", "a manifest with another signature", "D.2", fault="signature"),
        fault(
            "superblock-checksum",
            "a superblock with a wrong checksum",
            "D.2",
            fault="superblock-checksum",
        ),
        fault(
            "header-checksum",
            "an object header with a wrong checksum",
            "D.3",
            fault="header-checksum",
        ),
        fault(
            "message-beyond",
            "a message that is longer than what is left of its object header",
            "D.3",
            fault="message-beyond",
        ),
        fault(
            "continuation-checksum",
            "a continuation block with a wrong checksum",
            "D.3",
            fault="continuation-checksum",
            continuation=True,
        ),
        fault(
            "continuation-signature",
            "a continuation block with the signature of another block",
            "D.3",
            fault="continuation-signature",
            continuation=True,
        ),
        fault(
            "continuation-loop",
            "a continuation block that goes on in itself",
            "D.1",
            fault="continuation-loop",
            continuation=True,
        ),
        fault("root-outside", "a root group outside of the file", "D.2", fault="root-outside"),
        fault(
            "data-outside",
            "a dataset whose data lies outside of the file",
            "D.4",
            fault="data-outside",
        ),
        bytes_of("empty", "an empty manifest", lambda data: data[:0]),
        bytes_of("cut", "the first half of a manifest", lambda data: data[: len(data) // 2]),
        bytes_of("no-hdf5", "a manifest that is a text", lambda data: b"x" * len(data)),
    ]


def _loose() -> list[Case]:
    """Return manifests whose structures do not account for every byte (clause D.1)."""

    def loose(name: str, what: str, **edits: Any) -> Case:
        return ONE.reject(
            f"05-package/hdf5-{name}",
            f"{what} is found by a checker",
            "D.1",
            "manifest/unreadable",
            Edits(**edits),
            stage="check",
        )

    return [
        loose("gap-one", "a byte between structures that is not 0", options=Options(gap=b"\0\0\1")),
        loose("gap-last", "a byte of padding that is not 0", manifest=_padding_set),
        loose("byte-after", "a zero byte behind the end", manifest=lambda data: data + b"\0"),
        loose(
            "data-shared",
            "data that belongs to two datasets",
            options=Options(fault="data-shared"),
        ),
        loose(
            "data-longer",
            "data longer than the dataspace says",
            options=Options(fault="data-longer"),
        ),
    ]


def _padding_set(data: bytes) -> bytes:
    """Set the last byte of padding before an object header."""
    made = bytearray(data)
    at = next(i for i in range(48, len(data)) if data[i - 1 : i + 4] == b"\0OHDR")
    made[at - 1] = 0x80
    return bytes(made)


def _never() -> list[Case]:
    """Return manifests in compact form with what table D-2 never allows."""

    def never(
        name: str,
        what: str,
        codes: str | tuple[str, ...],
        seen: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Case:
        return ONE.reject(
            f"05-package/hdf5-{name}",
            f"{what} is rejected",
            ("D.1", "5.3.2"),
            codes,
            Edits(options=Options(**options), seen=seen or {}),
        )

    def noted(raw: bytes, array: Any = None, space: bytes | None = None) -> bytes:
        value = np.array(1, "<u4") if array is None else array
        return hdf5_writer.message(0x0C, hdf5_writer.attribute(raw, value, space=space))

    def messages_of(
        name: str, what: str, code: str | tuple[str, ...], messages: bytes, path: str
    ) -> Case:
        note = np.array(1, "<u4")
        return never(name, what, code, {f"/@{path}": note}, extra_messages=messages)

    unreadable, value = "manifest/unreadable", "manifest/value"
    shape = ("manifest/object-shape", unreadable)
    nothing = noted(b"note", np.zeros(0, "<u4"), hdf5_writer.NULL_SPACE)
    digest = "manifest/digest"  # a library reads the name up to its zero byte
    return [
        never("end-beyond", "a file that ends before it says", unreadable, fault="end-of-file"),
        never(
            "header-flags", "a flag of object headers that HDF5 lacks", unreadable, header_flags=64
        ),
        never("link-flags", "a flag of links that HDF5 lacks", unreadable, link_flags=0x20),
        never(
            "link-twice",
            "two groups of one name",
            (unreadable, "manifest/link", digest),
            fault="link-twice",
        ),
        never(
            "no-link-info",
            "a group without link info",
            (unreadable, "manifest/object-type", "manifest/link"),
            fault="no-link-info",
        ),
        messages_of(
            "attribute-twice",
            "an attribute twice",
            (unreadable, digest),
            noted(b"note") * 2,
            "note",
        ),
        messages_of(
            "attribute-zero",
            "a zero byte in a name",
            (value, digest),
            noted(b"no\0te"),
            "no\0te",
        ),
        messages_of(
            "attribute-utf-8",
            "an attribute whose name is not UTF-8",
            (value, digest),
            noted(b"no\xff"),
            "no\udcff",
        ),
        never("attribute-no-values", "an attribute without values", shape, extra_messages=nothing),
    ]


def _not_compact() -> list[Case]:
    """Return manifests that leave the compact form in one thing, which an HDF5 library reads."""

    def other(name: str, what: str, **options: Any) -> Case:
        return PAIR.vary(
            f"05-package/hdf5-{name}",
            f"{what} is not of the compact form, and is read",
            ("D.1", "5.3.1"),
            Edits(options=Options(**options)),
            requires=("hdf5",),
        )

    comment = hdf5_writer.message(0x0D, b"a comment\0")
    return [
        other("comment", "a message of another type", extra_messages=comment),
        other("message-flags", "a flag of a message", message_flags=0x80),
        other("type-tail", "a byte after a datatype", type_tail=b"\0" * 8),
        other("space-tail", "a byte after a dataspace", space_tail=b"\0" * 8),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [
        *_compact(),
        *_damaged(),
        *_loose(),
        *_never(),
        *_not_compact(),
    ]
