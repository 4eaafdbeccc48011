"""Vectors of clauses 5.3.2 and 5.3.3: links, names, and objects that the table does not have."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
from bases import ONE
from chain import Edits, objects_of
from columns import scalar_text
from writers import hdf5_writer
from writers.hdf5_writer import Options

from package.manifest_cases import put_all

if TYPE_CHECKING:
    from cases import Case
    from chain import Objects


def again(name: str) -> Objects:
    """Return what a reader sees who follows a link to the group ``/model``: all of it once more."""
    objects = objects_of(ONE.chain, [bytes(32)], [b""])
    return {
        path.replace("/model", f"/{name}", 1): array
        for path, array in objects.items()
        if path.startswith("/model")
    }


def _links() -> list[Case]:
    link = ("manifest/link",)

    def linked(name: str, what: str, body: bytes, *, followed: bool = True) -> Case:
        return ONE.reject(
            f"05-package/hdf5-{name}",
            f"{what} is rejected",
            ("5.3.2", "D.1"),
            link,
            Edits(options=Options(extra_links={name: body}), seen=again(name) if followed else {}),
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
            Edits(
                options=Options(extra_messages=hdf5_writer.message(0x0C, body)),
                seen={f"/@{name}": np.array(1, "<u4")},
            ),
        )

    outside = raw_link("external-link", 64, b"\0other.h5\0/model\0")
    return [
        linked("soft-link", "a soft link", hdf5_writer.soft_link("soft-link", "/model")),
        linked("external-link", "an external link", outside, followed=False),
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
            "nan",
            "a number that is not finite in an object that the table does not have",
            {"/extra/odd": np.array([np.nan, -np.inf], "<f8")},
        ),
        added(
            "rank-8",
            "a dataset of eight dimensions",
            {"/extra/cube": np.ones((1,) * 8)},
        ),
        added(
            "rank-9",
            "a dataset of nine dimensions, which is not of the compact form,",
            {"/extra/cube": np.ones((1,) * 9)},
            requires=("hdf5",),
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
    return [*_links(), *_objects(), *_unknown()]
