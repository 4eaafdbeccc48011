"""Vectors of clauses 5.1.4 and 5.3.2: links that lead to what would be right."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from bases import FOLDER, PAIR
from cases import Case, input_files
from chain import MANIFEST, Edits, members_of, objects_of, sealed, segment_name, state_digest
from writers import hdf5_writer
from writers.hdf5_writer import Options

if TYPE_CHECKING:
    from chain import Objects

FILE, LINK = "package/not-a-file", "manifest/link"


def _folders() -> list[Case]:
    sound = input_files(FOLDER)
    first, second = segment_name(0), segment_name(1)

    def linked(
        name: str,
        what: str,
        member: str,
        target: str,
        beside: dict[str, bytes],
        dropped: tuple[str, ...],
        **more: Any,
    ) -> Case:
        edits = Edits(members=lambda m: {n: d for n, d in m.items() if n not in dropped})
        return FOLDER.reject(
            f"05-package/directory-{name}",
            f"{what} is not followed, though it leads to what would be right",
            "5.1.4",
            (FILE, "package/not-a-package"),
            edits,
            extra_files=beside,
            prepare=({"do": "symlink", "path": member, "target": target},),
            **more,
        )

    frame: dict[str, Any] = {"stage": "frame", "frame": 1}
    key: dict[str, Any] = {"stage": "frame", "frame": 0}
    all_segments = {f"elsewhere/{n[9:]}": sound[n] for n in (first, second)}
    return [
        linked(
            "link-manifest-sound",
            "a link at the manifest",
            MANIFEST,
            "elsewhere/manifest.h5",
            {"elsewhere/manifest.h5": sound[MANIFEST]},
            (MANIFEST,),
        ),
        linked(
            "link-segment-sound",
            "a link at a segment",
            second,
            "../elsewhere.safetensors",
            {"elsewhere.safetensors": sound[second]},
            (second,),
            **frame,
        ),
        linked(
            "link-segment-beside",
            "a link at a segment to a file beside it",
            second,
            "00000009.safetensors",
            {segment_name(9): sound[second]},
            (second,),
            **frame,
        ),
        linked(
            "link-segments-sound",
            "a link at the folder of segments",
            "segments",
            "elsewhere",
            all_segments,
            (first, second),
            **key,
        ),
        linked(
            "link-segment-nowhere",
            "a link at a segment that leads nowhere",
            second,
            "nowhere.safetensors",
            {},
            (second,),
            **frame,
        ),
    ]


def _raw_link(name: str, kind: int, value: bytes) -> bytes:
    """Return the body of a link of any kind (clause D.4)."""
    raw = name.encode()
    head = struct.pack("<BBBB", 1, 0x18, kind, 1) + bytes([len(raw)]) + raw
    return head + struct.pack("<H", len(value)) + value


def _seen_twice(group: str, other: str, link: bytes) -> Edits:
    """Return the edit that stores a group under another name, and a link under its own.

    The manifest digest is that of a reader who follows the link and finds the objects twice.
    """

    def both(objects: Objects) -> Objects:
        again = {p.replace(group, other, 1): a for p, a in objects.items() if p.startswith(group)}
        return {**objects, **again}

    def lay_out(objects: Objects) -> bytes:
        stored = {path: array for path, array in objects.items() if not path.startswith(group)}
        return hdf5_writer.write(stored, Options(extra_links={group.strip("/"): link}))

    return Edits(objects=both, writer=lay_out)


def _manifests() -> list[Case]:
    def refused(name: str, what: str, edits: Edits, base: Case = PAIR, **more: Any) -> Case:
        return base.reject(
            f"05-package/hdf5-{name}-sound",
            f"{what} that leads to what would be right is rejected",
            "5.3.2",
            (LINK, "manifest/unreadable"),
            edits,
            **more,
        )

    def outside(objects: Objects) -> bytes:
        stored = {path: array for path, array in objects.items() if not path.startswith("/frames")}
        link = _raw_link("frames", 64, b"\0other.h5\0/frames\0")
        return hdf5_writer.write(stored, Options(extra_links={"frames": link}))

    second = {"extra_links": {"again": b""}}

    def twice(objects: Objects) -> Objects:
        again = {p.replace("/model", "/again", 1): a for p, a in objects.items() if "/model" in p}
        return {**objects, **again}

    def once(objects: Objects) -> bytes:
        stored = {path: array for path, array in objects.items() if not path.startswith("/again")}
        return hdf5_writer.write(stored, Options(**second))

    other = hdf5_writer.write(
        {p: a for p, a in _sound_objects().items() if p.startswith("/frames")}, Options()
    )
    return [
        refused(
            "soft-link-frames",
            "a soft link at the frames",
            _seen_twice("/frames", "/elsewhere", hdf5_writer.soft_link("frames", "/elsewhere")),
        ),
        refused(
            "soft-link-nowhere",
            "a soft link beside the objects",
            Edits(options=Options(extra_links={"more": hdf5_writer.soft_link("more", "/nowhere")})),
        ),
        refused("second-link-model", "a second hard link", Edits(objects=twice, writer=once)),
        refused(
            "external-link-frames",
            "an external link",
            Edits(writer=outside),
            FOLDER,
            extra_files={"other.h5": other},
        ),
    ]


def _sound_objects() -> Objects:
    """Return the objects of the manifest of the base."""
    chain = FOLDER.chain
    members = members_of(chain)
    digests = [state_digest(chain, t) for t in range(len(chain.frames))]
    segments = [members[segment_name(t)] for t in range(len(chain.frames))]
    return sealed(objects_of(chain, digests, segments))


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_folders(), *_manifests()]
