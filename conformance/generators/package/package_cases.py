"""Vectors of clause 5.1: the two forms of a package, its members and their names."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bases import FOLDER, ONE, PAIR
from cases import Case
from chain import MANIFEST, NO_EDITS, Edits, members_of, segment_name

from package.zip_cases import STRUCTURE, record_change, zip_case

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from writers.zip_writer import Archive


def _names() -> list[Case]:
    def named(name: bytes) -> Callable[[Archive], None]:
        return record_change(2, name=name)

    def added(name: str, data: bytes = b"") -> Edits:
        return Edits(members=lambda members: {**members, name: data})

    def without(name: str) -> Edits:
        return Edits(members=lambda members: {n: d for n, d in members.items() if n != name})

    shape = ("5.1.3",)
    wrong = ("package/member-name", STRUCTURE)
    return [
        zip_case(
            "name-outside",
            "a member name that leads out of the package is rejected",
            wrong,
            named(b"segments/../../../outside"),
            shape,
        ),
        zip_case(
            "name-absolute",
            "a member name that is an absolute path is rejected",
            wrong,
            named(b"/segments/00000001.safetensors"),
            shape,
        ),
        zip_case(
            "name-backslash",
            "a member name with a backslash is rejected",
            wrong,
            named(b"segments\\00000001.safetensors"),
            shape,
        ),
        zip_case(
            "name-case",
            "a member name in upper case is rejected",
            wrong,
            named(b"SEGMENTS/00000001.SAFETENSORS"),
            shape,
        ),
        zip_case(
            "name-seven-digits",
            "a segment name of seven digits is rejected",
            wrong,
            named(b"segments/0000001.safetensors"),
            shape,
        ),
        zip_case(
            "name-digits",
            "a segment name of digits that are not ASCII is rejected",
            wrong,
            named("segments/0000000\u0661.safetensors".encode()),
            shape,
        ),
        zip_case(
            "name-line-feed",
            "a member name with a line feed at its end is rejected",
            wrong,
            named(b"segments/00000001.safetensors\n"),
            shape,
        ),
        PAIR.reject(
            "05-package/zip-name-other",
            "another file in the file form is rejected",
            shape,
            wrong,
            added("readme.txt", b"hello"),
        ),
        PAIR.reject(
            "05-package/zip-name-directory",
            "an entry for a directory is rejected",
            shape,
            wrong,
            added("segments/"),
        ),
        PAIR.reject(
            "05-package/zip-name-empty",
            "a member without a name is rejected",
            shape,
            wrong,
            added("", b"hello"),
        ),
        PAIR.reject(
            "05-package/zip-name-journal",
            "a journal in the file form is rejected",
            shape,
            wrong,
            added("journal.ndjson", b"{}\n"),
        ),
        PAIR.reject(
            "05-package/zip-name-zero",
            "a member name with a zero byte in it is rejected",
            shape,
            wrong,
            added("manifest.h5\0x", b"hello"),
        ),
        PAIR.reject(
            "05-package/zip-name-drive",
            "a member name that begins with a drive is rejected",
            shape,
            wrong,
            added("C:/x", b"hello"),
        ),
        zip_case(
            "duplicate",
            "a member name that occurs twice is rejected",
            ("package/member-duplicate", STRUCTURE),
            named(segment_name(0).encode()),
            shape,
        ),
        PAIR.reject(
            "05-package/zip-no-manifest",
            "a file without a manifest is rejected",
            ("5.1.2",),
            ("package/member-missing", STRUCTURE),
            without(MANIFEST),
        ),
        PAIR.reject(
            "05-package/zip-no-segment",
            "a frame whose segment is missing is rejected",
            ("5.1.2",),
            "package/member-missing",
            without(segment_name(1)),
            stage="frame",
            frame=1,
        ),
        PAIR.vary(
            "05-package/zip-surplus-segment",
            "a segment beyond the last frame is ignored, and a checker warns of it",
            shape,
            added(segment_name(2), b"x" * 100),
            warnings=("package/member-unknown",),
        ),
    ]


def _plain_zip() -> bytes:
    """Return the members as a common ZIP program packs them: stored, without ZIP64."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for name, data in members_of(PAIR.chain).items():
            file.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def _no_package(name: str, summary: str, data: bytes, codes: tuple[str, ...]) -> Case:
    return ONE.reject(f"05-package/{name}", summary, ("5.1.1",), codes, raw_input=data)


def _whole_files() -> list[Case]:
    nothing = ("package/not-a-package",)
    cut = Edits(packed=lambda data: data[: len(data) // 2])
    byte = Edits(packed=lambda data: data[:-1])
    before = Edits(packed=lambda data: b"\0" + data)
    return [
        _no_package("no-bytes", "an empty file is not a package", b"", nothing),
        _no_package("text-file", "a text file is not a package", b"this is no package\n", nothing),
        _no_package(
            "signature-only",
            "a file of the four bytes of a ZIP member is rejected",
            b"PK\x03\x04",
            (STRUCTURE,),
        ),
        _no_package(
            "plain-zip",
            "a ZIP file of the members without ZIP64 is rejected",
            _plain_zip(),
            (STRUCTURE,),
        ),
        PAIR.reject(
            "05-package/zip-cut-in-half",
            "the first half of a package file is rejected",
            ("5.2.1",),
            STRUCTURE,
            cut,
        ),
        PAIR.reject(
            "05-package/zip-cut-by-a-byte",
            "a package file without its last byte is rejected",
            ("5.2.1",),
            STRUCTURE,
            byte,
        ),
        PAIR.reject(
            "05-package/zip-byte-before",
            "a byte before the first member is rejected",
            ("5.1.1", "5.2.1"),
            (*nothing, STRUCTURE),
            before,
        ),
    ]


def _folder(
    name: str,
    summary: str,
    clauses: tuple[str, ...],
    codes: str | tuple[str, ...],
    steps: tuple[Mapping[str, object], ...] = (),
    edits: Edits = NO_EDITS,
    **more: Any,
) -> Case:
    return FOLDER.reject(
        f"05-package/directory-{name}", summary, clauses, codes, edits, prepare=steps, **more
    )


def _folders() -> list[Case]:
    regular = "package/not-a-file"
    segment = segment_name(1)
    elsewhere = {"do": "remove", "path": segment}
    fifo = {"do": "fifo", "path": segment}
    link = {"do": "symlink", "path": segment, "target": "00000000.safetensors"}
    drop = Edits(members=lambda m: {n: d for n, d in m.items() if n != segment})
    no_manifest = Edits(members=lambda m: {n: d for n, d in m.items() if n != MANIFEST})
    journal = replace(FOLDER, extra_files={"journal.ndjson": b'{"nmc": "journal"}\n'})
    readme = {"readme.txt": b"hello\n", "segments/notes.txt": b"hello\n"}
    manifest_link = (
        {"do": "remove", "path": MANIFEST},
        {"do": "symlink", "path": MANIFEST, "target": "segments/00000000.safetensors"},
    )
    first: dict[str, Any] = {"stage": "frame", "frame": 1}
    return [
        _folder(
            "no-segment",
            "a directory without the segment of a frame is rejected",
            ("5.1.2",),
            "package/member-missing",
            (),
            drop,
            **first,
        ),
        _folder(
            "no-manifest",
            "a directory without manifest and journal is not a package",
            ("5.1.1",),
            "package/not-a-package",
            (),
            no_manifest,
        ),
        journal.reject(
            "05-package/directory-unfinished",
            "a directory with a journal and no manifest is rejected as unfinished",
            ("5.1.5",),
            "package/unfinished",
            no_manifest,
        ),
        _folder(
            "manifest-link",
            "a manifest that is a symbolic link is not followed",
            ("5.1.4",),
            regular,
            manifest_link,
        ),
        _folder(
            "segment-link",
            "a segment that is a symbolic link is not followed",
            ("5.1.4",),
            regular,
            (elsewhere, link),
            **first,
        ),
        _folder(
            "segment-fifo",
            "a segment that is a pipe is not opened",
            ("5.1.4",),
            regular,
            (elsewhere, fifo),
            **first,
        ),
        _folder(
            "manifest-fifo",
            "a manifest that is a pipe is not opened",
            ("5.1.4",),
            regular,
            ({"do": "remove", "path": MANIFEST}, {"do": "fifo", "path": MANIFEST}),
        ),
        _folder(
            "segment-directory",
            "a segment that is a directory is rejected",
            ("5.1.4",),
            regular,
            (elsewhere, {"do": "directory", "path": segment}),
            **first,
        ),
        *_segment_folders(regular),
        FOLDER.vary(
            "05-package/directory-other-files",
            "other files beside the members are ignored, and a checker warns of them",
            ("5.1.3",),
            extra_files=readme,
            warnings=("package/member-unknown",),
        ),
        FOLDER.vary(
            "05-package/directory-surplus-segment",
            "a segment file beyond the last frame is ignored",
            ("5.1.3",),
            extra_files={segment_name(2): b"x" * 100},
            warnings=("package/member-unknown",),
        ),
        FOLDER.vary(
            "05-package/directory-journal-beside",
            "a journal beside a manifest does not make a package unfinished",
            ("5.1.5",),
            extra_files={"journal.ndjson": b"{}\n"},
            warnings=("package/member-unknown",),
        ),
        _folder(
            "manifest-too-large",
            "a manifest of more than 256 MiB is rejected before it is read",
            ("5.3.1", "7.5"),
            "manifest/too-large",
            ({"do": "grow", "path": MANIFEST, "size": (256 << 20) + 1},),
        ),
    ]


def _segment_folders(code: str) -> list[Case]:
    """Return packages whose folder of segments, or manifest, is something else."""
    moved = Edits(members=lambda m: {n.replace("segments/", "other/"): d for n, d in m.items()})
    first: dict[str, Any] = {"stage": "frame", "frame": 0}
    codes = (code, "package/member-missing")
    link = ({"do": "symlink", "path": "segments", "target": "other"},)
    file = ({"do": "symlink", "path": "segments", "target": MANIFEST},)
    folder = ({"do": "remove", "path": MANIFEST}, {"do": "directory", "path": MANIFEST})
    clause = ("5.1.4",)
    return [
        _folder(
            "segments-link",
            "a link to a folder of segments is not followed",
            clause,
            codes,
            link,
            moved,
            **first,
        ),
        _folder(
            "segments-no-folder",
            "a link to a file in place of the segments is rejected",
            clause,
            codes,
            file,
            moved,
            **first,
        ),
        _folder(
            "manifest-directory",
            "a manifest that is a directory is rejected",
            clause,
            (code, "package/not-a-package"),
            folder,
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_names(), *_whole_files(), *_folders()]
