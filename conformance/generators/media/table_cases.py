"""Vectors of clauses 16.1.2, 16.1.3 and 16.2: media tables and maps with one fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from bases import ONE
from cases import Case
from chain import Objects
from columns import text

from media.carried import EMPTY, LOW, SOUND, Carried, Way, columns, edits_of
from media.media_cases import ONE_CLIP, SEVERAL, carrying

VALUE = "manifest/value"
NAME, TYPE, ROLE = "/media/0/file", "/media/0/type", "/media/0/role"
MOST = 1024


def said(
    name: str,
    summary: str,
    clause: str,
    change: Objects,
    place: str,
    *,
    base: Case = ONE_CLIP,
    media: tuple[Carried, ...] = (LOW,),
) -> Case:
    """Return the case of a media table with other objects."""
    return base.reject(
        f"16-media/{name}",
        f"{summary} is rejected",
        (clause,),
        VALUE,
        edits_of(media, Way(said=lambda made: {**made, **change})),
        place={"pointer": place} if place else {},
    )


def _texts() -> list[Case]:
    def named(name: str, what: str, value: str | bytes, clause: str = "16.1.2") -> Case:
        path = "/media/file"
        return said(f"name-{name}", f"a medium named {what}", clause, {path: text(value)}, NAME)

    def typed(name: str, what: str, value: str) -> Case:
        summary = f"a media type {what}"
        return said(f"type-{name}", summary, "16.1.2", {"/media/type": text(value)}, TYPE)

    def acting(name: str, what: str, value: str) -> Case:
        summary = f"a role {what}"
        return said(f"role-{name}", summary, "16.1.2", {"/media/role": text(value)}, ROLE)

    return [
        named("empty", "by no character", ""),
        named("long", "by 256 bytes", "a" * 256),
        named("long-utf-8", "by 128 characters of 256 bytes", "é" * 128),
        named("stroke", "by a path", "a/clip.mp4"),
        named("backslash", "by a path of Windows", "a\\clip.mp4"),
        named("point", "by a full stop", "."),
        named("points", "by two full stops", ".."),
        named("control", "with a line feed", "a\nb"),
        named("control-last", "with U+001F at its end", "a\x1f"),
        named("delete", "with U+007F", "a\x7fb"),
        typed("none", "without a stroke", "video"),
        typed("empty", "that is empty", ""),
        typed("upper", "in upper case", "video/MP4"),
        typed("two", "with two strokes", "video/mp4/x"),
        typed("parameters", "with a parameter", "video/mp4;codecs=avc1"),
        typed("first", "that begins with another character", ".video/mp4"),
        typed("second", "whose second name begins with another character", "video/-mp4"),
        typed("half", "without a second name", "video/"),
        typed("long", "whose first name has 128 characters", "x" * 128 + "/mp4"),
        typed("long-second", "whose second name has 128 characters", "video/" + "x" * 128),
        typed("line-feed", "with a line feed at its end", "video/mp4\n"),
        acting("upper", "in upper case", "Source"),
        acting("space", "with a space", "low resolution"),
        acting("long", "of 65 characters", "a" * 65),
        acting("line-feed", "with a line feed at its end", "source\n"),
        said(
            "names-twice",
            "a name that two media have",
            "16.1.2",
            {"/media/file": text("a", "b", "a")},
            "",
            base=SEVERAL,
            media=(LOW, EMPTY, SOUND),
        ),
    ]


def _many() -> list[Case]:
    def media(count: int) -> tuple[Carried, ...]:
        return tuple(replace(EMPTY, name=f"{i}") for i in range(count))

    most = carrying(ONE, "media-1024", "1,024 media", *media(MOST), inflate=True)
    return [
        most,
        most.reject(
            "16-media/media-1025",
            "1,025 media are rejected",
            ("16.1.2",),
            VALUE,
            edits_of(media(MOST + 1)),
            place={"pointer": "/media/file"},
            inflate=True,
        ),
    ]


def _maps() -> list[Case]:
    def mapped(name: str, summary: str, place: str, **change: Any) -> Case:
        objects = {f"/media/{path}": array for path, array in change.items()}
        return said(name, summary, "16.2", objects, place, base=SEVERAL, media=(LOW, EMPTY, SOUND))

    def positions(*values: int) -> Any:
        return np.array(values, "<u8")

    def frames(*values: int) -> Any:
        return np.array(values, "<i8")

    def counts(*values: int) -> Any:
        return np.array(values, "<u4")

    return [
        mapped(
            "map-twice",
            "a position that a map has twice",
            "",
            map_position=positions(0, 24, 24, 0, 9),
        ),
        mapped("map-falls", "positions that fall", "", map_position=positions(24, 0, 31, 0, 9)),
        mapped(
            "map-falls-high",
            "positions that fall, as numbers without a sign",
            "",
            map_position=positions(0, 2**64 - 1, 31, 0, 9),
        ),
        mapped(
            "map-falls-second",
            "positions of a later map that fall",
            "",
            map_position=positions(0, 24, 31, 9, 0),
        ),
        mapped(
            "map-frame-beyond",
            "a map that names a frame that is not there",
            "",
            map_frame=frames(0, 1, 2, 1, 0),
        ),
        mapped(
            "map-frame-negative", "a map that names frame -2", "", map_frame=frames(0, -2, -1, 1, 0)
        ),
        mapped(
            "map-frame-wrapped",
            "a map that names frame 2^32",
            "",
            map_frame=frames(0, 1, -1, 2**32, 0),
        ),
        mapped(
            "map-count-more",
            "maps that count more positions than there are",
            "",
            map_count=counts(3, 0, 3),
        ),
        mapped(
            "map-count-fewer",
            "maps that count fewer positions than there are",
            "",
            map_count=counts(3, 0, 1),
        ),
        mapped(
            "map-count-wrapped",
            "maps whose sum of positions is right modulo 2^32 alone",
            "",
            map_count=counts(3, 2**32 - 1, 3),
        ),
    ]


def _chunks() -> list[Case]:
    def digests(name: str, summary: str, change: Callable[[Any], Any]) -> Case:
        path = "/media/chunk_sha256"
        made = {path: change(columns((LOW, EMPTY, SOUND))[path])}
        return said(
            f"chunks-{name}", summary, "16.1.3", made, path, base=SEVERAL, media=(LOW, EMPTY, SOUND)
        )

    return [
        digests(
            "more", "a digest of a chunk that is not there", lambda d: np.concatenate([d, d[:1]])
        ),
        digests("fewer", "a chunk without a digest", lambda d: d[:1]),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_texts(), *_many(), *_maps(), *_chunks()]
