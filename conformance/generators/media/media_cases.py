"""Vectors of chapter 16: media beside the chain, and members that are not what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from bases import FOLDER, ONE, PAIR
from cases import Case
from chain import Objects
from columns import scalar_text
from writers.zip_writer import Record

from media.carried import (
    CHUNK,
    EMPTY,
    EXACT,
    LONG,
    LOW,
    SOUND,
    VERSION,
    Carried,
    Way,
    edits_of,
    member,
)

if TYPE_CHECKING:
    from writers.zip_writer import Archive


def carrying(base: Case, name: str, summary: str, *media: Carried, **more: Any) -> Case:
    """Return a package with media."""
    clauses = more.pop("clauses", ("16.1.1", "16.1.2"))
    return base.vary(f"16-media/{name}", summary, clauses, edits_of(media), **more)


ONE_CLIP = carrying(
    ONE, "one", "a package that carries a video and says which frame serves its pictures", LOW
)
IN_FOLDER = carrying(FOLDER, "directory", "media in a package in the directory form", LOW, SOUND)


OTHER_LOW = replace(LOW, name="other.mp4", data=bytes(reversed(LOW.data)))
CHUNKS = carrying(
    PAIR,
    "chunks",
    "a medium whose second chunk has five bytes, and one of a chunk that is full",
    LONG,
    EXACT,
    clauses=("16.1.3",),
    inflate=True,
)
SWAPPABLE = carrying(ONE, "alike", "two media of one length", LOW, OTHER_LOW)


def _sound() -> list[Case]:
    names = (*("a" * 255, "…", " ", ".a", "a.", "CON"), "a\u0080b", "a\u2028b")
    types = ("a/b", "x" * 127 + "/" + "y" * 127, "0!#$&-^_.+/9!#$&-^_.+")
    no_media = edits_of(())
    return [
        ONE_CLIP,
        IN_FOLDER,
        SEVERAL,
        CHUNKS,
        SWAPPABLE,
        carrying(
            ONE,
            "texts",
            "names, types and roles at their bounds",
            *(replace(EMPTY, name=name) for name in names),
            *(replace(EMPTY, name=f"t{i}", type=kind) for i, kind in enumerate(types)),
            replace(EMPTY, name="r", role="a-0" + "z" * 61),
            clauses=("16.1.2",),
        ),
        carrying(
            PAIR,
            "map-largest",
            "a map whose last position is 2^64 - 1, of the largest timescale",
            replace(LOW, timescale=2**32 - 1, positions=(3, 2**63, 2**64 - 1), frames=(1, 1, 0)),
            clauses=("16.2",),
        ),
        ONE.vary(
            "16-media/version-1-0",
            "media in a package that names version 1.0",
            ("16.1.1", "10.3.2"),
            edits_of((LOW,), Way(said=lambda made: {**made, VERSION: scalar_text("1.0")})),
        ),
        ONE.vary("16-media/none", "a table of no media", ("16.1.2", "5.3.3"), no_media),
        FOLDER.vary(
            "16-media/surplus",
            "a member behind the last medium is no part of the package",
            ("16.1.1", "5.1.3"),
            edits_of((LOW,)),
            extra_files={member(1): b"surplus"},
            warnings=("package/member-unknown",),
        ),
    ]


SEVERAL = carrying(
    PAIR,
    "several",
    "a video, a sound and a file of no bytes; two of them have maps",
    LOW,
    EMPTY,
    SOUND,
    clauses=("16.1.1", "16.1.3", "16.2"),
)


def _members() -> list[Case]:
    """Return packages whose media are not what is said of them; a decoder looks at none."""

    def checked(
        name: str,
        summary: str,
        base: Case,
        codes: str | tuple[str, ...],
        change: Callable[[dict[str, bytes]], dict[str, bytes]],
        index: int = 0,
        media: tuple[Carried, ...] = (LOW,),
        **more: Any,
    ) -> Case:
        return base.reject(
            f"16-media/{name}",
            f"{summary} is rejected by a checker",
            ("16.1.1", "16.3.1"),
            codes,
            edits_of(media, Way(members=change)),
            stage="check",
            **{"place": {"file": member(index)}, **more},
        )

    def other(
        index: int, change: Callable[[bytes], bytes]
    ) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
        return lambda made: {**made, member(index): change(made[member(index)])}

    def without(index: int) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
        return lambda made: {name: data for name, data in made.items() if name != member(index)}

    def flipped(at: int) -> Callable[[bytes], bytes]:
        return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    both = (LOW, SOUND)
    long = (LONG, EXACT)
    sha256, length, missing = "media/sha256", "media/length", "package/member-missing"
    return [
        checked(
            "missing", "a medium that is missing", ONE_CLIP, missing, without(0), place={"file": ""}
        ),
        checked(
            "missing-second",
            "a second medium that is missing",
            IN_FOLDER,
            missing,
            without(1),
            1,
            both,
            place={"file": ""},
        ),
        checked(
            "length-more",
            "a medium with a byte too many",
            ONE_CLIP,
            length,
            other(0, lambda d: d + b"x"),
        ),
        _cut(),
        checked(
            "digest-first",
            "a medium whose first bit is another one",
            ONE_CLIP,
            sha256,
            other(0, flipped(0)),
        ),
        checked(
            "digest-last",
            "a medium whose last byte is another one",
            IN_FOLDER,
            sha256,
            other(1, flipped(59)),
            1,
            both,
        ),
        checked(
            "digest-second-chunk",
            "a medium whose second chunk has another bit",
            CHUNKS,
            sha256,
            other(0, flipped(CHUNK + 4)),
            0,
            long,
            inflate=True,
        ),
        checked(
            "digest-swapped",
            "two media of one length in each other's place",
            SWAPPABLE,
            sha256,
            _swap,
            0,
            (LOW, OTHER_LOW),
        ),
    ]


def _cut() -> Case:
    """Return a medium that lacks its last byte, which the digest of its chunk does not know."""
    cut = replace(SOUND, data=SOUND.data[:-1])

    def longer(made: Objects) -> Objects:
        return {**made, "/media/length": made["/media/length"] + np.array([0, 1], "<u8")}

    return IN_FOLDER.reject(
        "16-media/length-fewer",
        "a medium with a byte too few is rejected by a checker",
        ("16.1.1", "16.3.1"),
        "media/length",
        edits_of((LOW, cut), Way(said=longer)),
        stage="check",
        place={"file": member(1)},
    )


def _swap(made: dict[str, bytes]) -> dict[str, bytes]:
    return {**made, member(0): made[member(1)], member(1): made[member(0)]}


def _zip() -> list[Case]:
    def named(name: str, what: str, to: bytes) -> Case:
        def change(made: Archive) -> None:
            made.records.append(Record(to, b"surplus"))
            made.records.sort(key=lambda record: record.name)

        return ONE_CLIP.reject(
            f"16-media/member-{name}",
            f"a member beside the media whose name {what} is rejected",
            ("5.1.3", "16.1.1"),
            ("package/member-name", "package/zip-structure"),
            replace(ONE_CLIP.edits, archive=change),
        )

    def last(made: Archive) -> None:
        made.records.append(made.records.pop(1))

    def turned(made: Archive) -> None:
        made.records[1], made.records[2] = made.records[2], made.records[1]

    def order(name: str, summary: str, base: Case, change: Callable[[Archive], None]) -> Case:
        return base.reject(
            f"16-media/{name}",
            f"{summary} are rejected",
            ("5.2.1",),
            "package/zip-structure",
            replace(base.edits, archive=change),
        )

    return [
        named("short", "has seven digits", b"media/0000000"),
        named("long", "has nine digits", b"media/000000000"),
        named("ending", "has an ending", b"media/00000000.mp4"),
        named("letter", "has a letter", b"media/0000000a"),
        named("line-feed", "ends with a line feed", b"media/00000000\n"),
        order("order-behind", "media behind the segments", ONE_CLIP, last),
        order("order", "media that do not ascend", SEVERAL, turned),
    ]


def _links() -> list[Case]:
    def prepared(name: str, summary: str, base: Case, *steps: dict[str, str], **more: Any) -> Case:
        made = {"edits": base.edits, **more}
        return base.reject(
            f"16-media/directory-{name}",
            f"{summary} is rejected by a checker",
            ("5.1.4", "16.3.1"),
            "package/not-a-file",
            stage="check",
            place={"file": ""},
            prepare=steps,
            **made,
        )

    def elsewhere(made: dict[str, bytes]) -> dict[str, bytes]:
        return {name.replace("media/", "elsewhere/"): data for name, data in made.items()}

    first = member(0)
    nothing = carrying(FOLDER, "directory-empty", "a medium of no bytes in a directory", EMPTY)
    return [
        nothing,
        prepared(
            "link",
            "a link in place of a medium",
            nothing,
            {"do": "remove", "path": first},
            {"do": "symlink", "path": first, "target": "copy"},
            extra_files={"media/copy": b""},
        ),
        prepared(
            "folder-link",
            "a link in place of the folder of media",
            IN_FOLDER,
            {"do": "symlink", "path": "media", "target": "elsewhere"},
            edits=edits_of((LOW, SOUND), Way(members=elsewhere)),
        ),
        prepared(
            "fifo",
            "a pipe in place of a medium",
            nothing,
            {"do": "remove", "path": first},
            {"do": "fifo", "path": first},
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of this chapter."""
    return [
        *_sound(),
        *_members(),
        *_zip(),
        *_links(),
    ]
