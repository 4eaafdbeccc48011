"""Vectors of clauses 5.3.1 to 5.3.4 and annex D: the compact form of the manifest, byte by byte."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import hdf5_writer
import numpy as np
from bases import ONE, PAIR
from chain import Edits, scalar_text
from hdf5_writer import Options
from manifest_cases import put_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Case
    from chain import Objects


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
        chosen("null-ended", "texts can end with a zero byte", "D.5", null_ended=True),
        deep,
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
            "continuation-checksum",
            "a continuation block with a wrong checksum",
            "D.3",
            fault="continuation-checksum",
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


def _links() -> list[Case]:
    link = ("manifest/link",)

    def linked(name: str, what: str, body: bytes) -> Case:
        return ONE.reject(
            f"05-package/hdf5-{name}",
            f"{what} is rejected",
            ("5.3.2", "D.1"),
            link,
            Edits(options=Options(extra_links={name: body})),
        )

    def raw_link(name: str, kind: int, value: bytes) -> bytes:
        raw = name.encode()
        head = struct.pack("<BBBB", 1, 0x18, kind, 1) + bytes([len(raw)]) + raw
        return head + struct.pack("<H", len(value)) + value

    def named(slug: str, what: str, name: str) -> Case:
        body = hdf5_writer.attribute(name, np.array(1, "<u4"))
        return ONE.reject(
            f"05-package/hdf5-compact-attribute-{slug}",
            f"{what} in a manifest in compact form is rejected",
            ("5.3.2", "D.4"),
            "manifest/value",
            Edits(options=Options(extra_messages=hdf5_writer.message(0x0C, body))),
        )

    outside = raw_link("external-link", 64, b"\0other.h5\0/model\0")
    return [
        linked("soft-link", "a soft link", hdf5_writer.soft_link("soft-link", "/model")),
        linked("external-link", "an external link", outside),
        linked("second-link", "a second hard link to a group", b""),
        named("at", "an attribute with an @ in its name", "no@te"),
        named("stroke", "an attribute with a stroke in its name", "no/te"),
    ]


def _objects() -> list[Case]:
    """Return manifests of the largest number of objects, and of one more (clause 5.3.2)."""
    usual = 25  # 4 groups, 10 attributes and 11 datasets

    def notes(count: int) -> Edits:
        return put_all({f"/@note{i:03d}": np.array(i, "<u4") for i in range(count)})

    groups = {f"/note{i:03d}@value": np.array(i, "<u4") for i in range(120)}
    more = "manifest/object-count"
    return [
        ONE.vary(
            "05-package/hdf5-objects-256",
            "a manifest can have 256 groups, datasets and attributes",
            "5.3.2",
            notes(256 - usual),
            warnings=("manifest/object-unknown",),
        ),
        ONE.reject(
            "05-package/hdf5-objects-257",
            "257 objects are rejected",
            "5.3.2",
            more,
            notes(257 - usual),
        ),
        ONE.reject(
            "05-package/hdf5-objects-groups",
            "groups are objects that count",
            "5.3.2",
            more,
            put_all(groups),
        ),
    ]


def _unknown() -> list[Case]:
    warning = ("manifest/object-unknown",)

    def added(name: str, what: str, objects: Objects, requires: tuple[str, ...] = ()) -> Case:
        return ONE.vary(
            f"05-package/unknown-{name}",
            f"{what} is ignored, and a checker warns",
            ("5.3.3", "5.3.4"),
            put_all(objects),
            warnings=warning,
            requires=requires,
        )

    return [
        added(
            "attribute",
            "an attribute that the table does not have",
            {"/@note": scalar_text("메모")},
        ),
        added(
            "dataset",
            "a dataset that the table does not have",
            {"/frames/weather": np.array([3], "<i2")},
        ),
        added(
            "rank-8",
            "a dataset of eight dimensions",
            {"/extra/cube": np.ones((1,) * 8)},
        ),
        added(
            "group",
            "a dataset in a group that the table does not have",
            {"/extra/table": np.array([[1.5, 2.5]], "<f8")},
        ),
        added(
            "type",
            "a dataset of a type that the compact form lacks",
            {"/extra/short": np.array([1.5, 2.5], "<f4")},
            requires=("hdf5",),
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_compact(), *_damaged(), *_links(), *_objects(), *_unknown()]
