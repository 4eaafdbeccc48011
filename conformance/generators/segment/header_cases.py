"""Vectors of clause 6.1: the segment as a file, its header and its metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bases import FOLDER, GROUPS, ONE, PAIR
from chain import (
    Edits,
    segment_name,
)

from segment.segment_cases import segment_case

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Case

HEADER, CANONICAL = "segment/header", "segment/not-canonical"
METADATA, STREAM_TYPE = "segment/metadata", "segment/stream-type"


def text_of(data: bytes) -> tuple[str, bytes]:
    """Return the header of a segment without its padding, and its data."""
    size = int.from_bytes(data[:8], "little")
    return data[8 : 8 + size].decode().rstrip(" "), data[8 + size :]


def packed(text: str, body: bytes, padding: int | None = None) -> bytes:
    """Return a segment of a header and data."""
    raw = text.encode()
    raw += b" " * (-(8 + len(raw)) % 64 if padding is None else padding)
    return len(raw).to_bytes(8, "little") + raw + body


def rewritten(change: Callable[[str], str], t: int = 1) -> Edits:
    """Return the edit that changes the text of a header, and keeps it aligned."""

    def edit(data: bytes) -> bytes:
        text, body = text_of(data)
        changed = change(text)
        assert changed != text
        return packed(changed, body)

    return Edits(segments={t: edit})


def header_edit(change: Callable[[dict[str, Any]], object], t: int = 1) -> Edits:
    """Return the edit that changes the header as JSON, written without spaces."""

    def edit(text: str) -> str:
        value = json.loads(text)
        change(value)
        return json.dumps(value, separators=(",", ":"))

    return rewritten(edit, t)


def bytes_edit(change: Callable[[bytes], bytes], t: int = 1) -> Edits:
    """Return the edit that changes the bytes of a segment."""
    return Edits(segments={t: change})


def _length() -> list[Case]:
    """Return segments whose length field is wrong."""

    def field(name: str, what: str, value: int | None, base: Case = PAIR) -> Case:
        def edit(data: bytes) -> bytes:
            size = len(data) - 7 if value is None else value
            return size.to_bytes(8, "little") + data[8:]

        return segment_case(f"header-{name}", what, "6.1.2", HEADER, bytes_edit(edit), base)

    def bare(name: str, what: str, data: bytes) -> Case:
        return segment_case(f"header-{name}", what, "6.1.2", HEADER, bytes_edit(lambda _: data))

    def cut(data: bytes) -> bytes:
        size = int.from_bytes(data[:8], "little")
        assert data[7 + size : 8 + size] == b" ", "the header ends with padding"
        return data[: 7 + size]

    long = rewritten(lambda text: text + " " * 4096)
    return [
        field("length-beyond", "a header that ends behind the segment", None),
        field("length-huge", "a header of 2^63 bytes", 1 << 63),
        field("length-one", "a header of one byte", 1),
        field("length-zero", "a header of no bytes", 0),
        segment_case(
            "header-length-4097",
            "a header of more than 4096 bytes",
            "6.1.2",
            (HEADER, CANONICAL),
            long,
        ),
        segment_case(
            "header-padding-cut",
            "a segment that ends before the last space of its header",
            "6.1.2",
            HEADER,
            bytes_edit(cut),
        ),
        bare("only-length", "a segment of a length field alone", (8).to_bytes(8, "little")),
        bare("no-length", "a segment of seven bytes", bytes(7)),
        bare("no-bytes", "a segment of no bytes", b""),
    ]


def _not_json() -> list[Case]:
    def bad(name: str, what: str, text: str, codes: str | tuple[str, ...] = HEADER) -> Case:
        return segment_case(
            f"header-{name}", what, ("6.1.2", "6.1.3"), codes, rewritten(lambda _: text)
        )

    deep = "[" * 2000 + "]" * 2000
    return [
        bad("no-json", "a header that is not JSON", "{"),
        bad("list", "a header that is a list", "[]"),
        bad("deep", "a header of 2000 lists within each other", deep),
        bad("empty-object", "a header without anything in it", "{}", (METADATA, CANONICAL, HEADER)),
        segment_case(
            "header-not-utf-8",
            "a header that is not UTF-8",
            "6.1.3",
            HEADER,
            bytes_edit(lambda d: d[:9] + b"\xff" + d[10:]),
        ),
    ]


def _form() -> list[Case]:
    """Return headers that say the right thing in another form."""

    def bad(
        name: str, what: str, change: Callable[[str], str], codes: str | tuple[str, ...] = CANONICAL
    ) -> Case:
        return segment_case(f"form-{name}", what, "6.1.3", codes, rewritten(change))

    def padded(name: str, what: str, more: int) -> Case:
        def edit(data: bytes) -> bytes:
            text, body = text_of(data)
            return packed(text, body, -(8 + len(text)) % 64 + more)

        return segment_case(f"form-{name}", what, "6.1.3", CANONICAL, bytes_edit(edit))

    def last_first(text: str) -> str:
        value = json.loads(text)
        keys = list(value)
        order = [keys[0], *reversed(keys[1:])]
        return json.dumps({key: value[key] for key in order}, separators=(",", ":"))

    def metadata_last(text: str) -> str:
        value = json.loads(text)
        value["__metadata__"] = value.pop("__metadata__")
        return json.dumps(value, separators=(",", ":"))

    def twice(text: str) -> str:
        return text.replace(
            '"modes":', '"modes":{"dtype":"U8","shape":[4],"data_offsets":[32,36]},"modes":'
        )

    def upper(text: str) -> str:
        at = text.index('"state":"') + 9
        return text[:at] + text[at : at + 64].upper() + text[at + 64 :]

    return [
        bad("space", "a header with a space in it", lambda t: t.replace(":", ": ", 1)),
        bad("space-before", "a header that begins with a space", lambda t: " " + t),
        bad("line-feed", "a header that ends with a line feed", lambda t: t + "\n"),
        bad("order", "streams in another order", last_first),
        bad("metadata-last", "metadata behind the streams", metadata_last),
        bad("key-twice", "a stream that is named twice", twice, (CANONICAL, HEADER)),
        bad("upper-case", "a digest in upper case", upper, (CANONICAL, METADATA)),
        bad(
            "escape",
            "a letter that is written as an escape",
            lambda t: t.replace('"modes"', '"\\u006dodes"'),
        ),
        bad(
            "leading-zero",
            "a number with a leading zero",
            lambda t: t.replace('"shape":[4]', '"shape":[04]'),
            (HEADER, CANONICAL),
        ),
        bad(
            "exponent",
            "a number with an exponent",
            lambda t: t.replace('"shape":[4]', '"shape":[4e0]'),
            (CANONICAL, STREAM_TYPE, HEADER),
        ),
        bad(
            "fraction",
            "a number with a fraction",
            lambda t: t.replace('"shape":[4]', '"shape":[4.0]'),
            (CANONICAL, STREAM_TYPE, HEADER),
        ),
        bad(
            "key-order",
            "the keys of a stream in another order",
            lambda t: t.replace('"dtype":"U8","shape":[4]', '"shape":[4],"dtype":"U8"'),
        ),
        bad(
            "key-more",
            "a stream with a further key",
            lambda t: t.replace('"dtype":"U8","shape":[4]', '"dtype":"U8","x":0,"shape":[4]'),
        ),
        padded("padding-more", "64 spaces of padding too many", 64),
        padded("padding-none", "a header without padding to 64", -1),
    ]


def _place() -> list[Case]:
    """Return segments of a wrong length, or in another place than their own."""
    first, second = segment_name(1), segment_name(4)

    def members(change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Edits:
        return Edits(members=change)

    def told(more: int) -> Edits:
        """Return the edit that has the manifest say more bytes than the segment has, or fewer."""

        def edit(objects: dict[str, Any]) -> dict[str, Any]:
            column = objects["/frames/segment_length"].copy()
            column[1] = int(column[1]) + more
            return {**objects, "/frames/segment_length": column}

        return Edits(objects=edit)

    def swapped(made: dict[str, bytes]) -> dict[str, bytes]:
        return {**made, first: made[second], second: made[first]}

    def other(made: dict[str, bytes]) -> dict[str, bytes]:
        """Give the key frame of the first group the digest fields, and another bit of raw data."""
        data = bytearray(made[segment_name(0)])
        data[-1] ^= 1
        return {**made, segment_name(0): bytes(data)}

    length = "segment/length"
    return [
        segment_case("length-short", "a segment with a byte too few", "6.1.1", length, told(1)),
        segment_case("length-long", "a segment with a byte too many", "6.1.1", length, told(-1)),
        FOLDER.reject(
            "06-segment/length-empty",
            "a segment file of no bytes is rejected",
            "6.1.1",
            length,
            Edits(members=lambda made: {**made, segment_name(1): b""}),
            stage="frame",
            frame=1,
        ),
        FOLDER.reject(
            "06-segment/length-directory",
            "a segment file with a byte too many is rejected",
            "6.1.1",
            length,
            told(-1),
            stage="frame",
            frame=1,
        ),
        segment_case(
            "misplaced",
            "a pair of swapped segments of different lengths",
            ("6.1.1", "7.2.1"),
            (
                "segment/misplaced",
                "decoding/segment-state-mismatch",
                "decoding/parent-digest-mismatch",
                length,
            ),
            members(swapped),
            GROUPS,
        ),
        segment_case(
            "sha256-damage",
            "a segment with a damaged bit",
            ("6.1.1", "7.2.3"),
            ("segment/sha256", "decoding/state-digest-mismatch"),
            members(other),
            ONE,
            0,
        ),
        ONE.reject(
            "06-segment/sha256",
            "a checker finds a wrong SHA-256 of a segment, which a decoder need not",
            "6.1.1",
            "segment/sha256",
            Edits(objects=_other_sha256),
            stage="check",
        ),
        PAIR.reject(
            "06-segment/sha256-delta",
            "a checker finds a wrong SHA-256 of a delta frame",
            "6.1.1",
            "segment/sha256",
            Edits(objects=lambda made: _other_sha256(made, 1)),
            stage="check",
            frame=1,
        ),
    ]


def _other_sha256(objects: dict[str, Any], frame: int = 0) -> dict[str, Any]:
    column = objects["/frames/segment_sha256"].copy()
    column[frame, 0] ^= 1
    return {**objects, "/frames/segment_sha256": column}


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_length(), *_not_json(), *_form(), *_place()]
