"""Vectors of clauses 6.1.3 and 6.1.4: entries and metadata of a header."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bases import PAIR
from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Frame, Row, state_digest

from segment.header_cases import (
    CANONICAL,
    HEADER,
    METADATA,
    STREAM_TYPE,
    bytes_edit,
    header_edit,
    packed,
    text_of,
)
from segment.segment_cases import segment_case

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Case


def _entries() -> list[Case]:
    def bad(
        name: str,
        what: str,
        codes: str | tuple[str, ...],
        change: Callable[[dict[str, Any]], object],
    ) -> Case:
        return segment_case(f"entry-{name}", what, ("6.1", "6.1.3"), codes, header_edit(change))

    def offsets(name: str, start: int, end: int) -> Callable[[dict[str, Any]], object]:
        return lambda header: header[name].update(data_offsets=[start, end])

    kind = (STREAM_TYPE, CANONICAL)
    place = (HEADER, CANONICAL, STREAM_TYPE)
    return [
        bad("dtype", "a stream of dtype I8", kind, lambda h: h["modes"].update(dtype="I8")),
        bad("rank", "a stream of rank 2", kind, lambda h: h["modes"].update(shape=[2, 2])),
        bad("scalar", "a stream of rank 0", kind, lambda h: h["modes"].update(shape=[])),
        bad(
            "shape",
            "a stream of a shape of other bytes",
            (CANONICAL, STREAM_TYPE),
            lambda h: h["modes"].update(shape=[5]),
        ),
        segment_case(
            "entry-overlap",
            "streams that overlap",
            ("6.1", "6.1.3"),
            place,
            bytes_edit(_shared),
            chain=_twins(),
        ),
        segment_case(
            "entry-gap", "a gap between streams", ("6.1", "6.1.3"), place, bytes_edit(_parted)
        ),
        bad(
            "outside",
            "a stream that reaches beyond the segment",
            place,
            offsets("raw", 36, 1 << 40),
        ),
        bad("backwards", "a stream that ends before it begins", place, offsets("modes", 36, 32)),
        segment_case(
            "entry-negative",
            "a stream that begins before the data",
            ("6.1", "6.1.3"),
            place,
            bytes_edit(_before),
            chain=_spaced(),
        ),
        bad("no-object", "a stream that is a number", place, lambda h: h.update(modes=4)),
        segment_case(
            "entry-data-after",
            "bytes behind the last stream",
            "6.1.3",
            (HEADER, CANONICAL),
            bytes_edit(lambda data: data + b"\0"),
        ),
    ]


def _twins() -> Chain:
    """Return a pair of frames, the second one with differences that are bytes of its raw stream."""
    zeros, data = bytes(4), bytes(range(1, 5))
    rows = (Row("a", "U8", (4,)), Row("b", "U8", (4,)))
    return Chain(
        rows,
        (
            Frame(KEY, (Cell(RAW, zeros), Cell(RAW, zeros))),
            Frame(DELTA, (Cell(INTEGER, data), Cell(RAW, data))),
        ),
    )


def _shared(data: bytes) -> bytes:
    """Have the raw stream lie where the differences do; both are the same bytes."""
    text, body = text_of(data)
    header = json.loads(text)
    differences, modes, raw = (header[n]["data_offsets"] for n in ("integer", "modes", "raw"))
    assert body[slice(*differences)] == body[slice(*raw)]
    header["raw"]["data_offsets"] = differences
    return packed(json.dumps(header, separators=(",", ":")), body[: modes[1]])


def _spaced() -> Chain:
    """Return a pair whose differences begin with as many spaces as a word of 64 bits has bytes."""
    zeros, data = bytes(8), b" " * 8
    rows = (Row("a", "U8", (8,)),)
    return Chain(rows, (Frame(KEY, (Cell(RAW, zeros),)), Frame(DELTA, (Cell(INTEGER, data),))))


def _before(data: bytes) -> bytes:
    """Have the differences begin in the padding of the header, which is spaces as they are."""
    text, body = text_of(data)
    header = json.loads(text)
    header["integer"]["data_offsets"] = [-8, 0]
    header["modes"]["data_offsets"] = [0, 1]
    text = json.dumps(header, separators=(",", ":"))
    return packed(text, body[8:], 8 + -(16 + len(text)) % 64)


def _parted(data: bytes) -> bytes:
    """Put a byte that belongs to nothing before the last stream."""
    text, body = text_of(data)
    header = json.loads(text)
    start, end = header["raw"]["data_offsets"]
    header["raw"]["data_offsets"] = [start + 1, end + 1]
    made = body[:start] + b"\0" + body[start:]
    return packed(json.dumps(header, separators=(",", ":")), made)


def _metadata() -> list[Case]:
    def bad(
        name: str,
        what: str,
        codes: str | tuple[str, ...],
        change: Callable[[dict[str, Any]], object],
        clause: str = "6.1.4",
    ) -> Case:
        return segment_case(f"metadata-{name}", what, clause, codes, header_edit(change))

    def key(name: str, value: object) -> Callable[[dict[str, Any]], object]:
        return lambda header: header["__metadata__"].update({name: value})

    digest = state_digest(PAIR.chain, 1).hex()
    either = (METADATA, CANONICAL)
    return [
        bad("missing", "a segment without metadata", METADATA, lambda h: h.pop("__metadata__")),
        bad(
            "no-state",
            "a segment without its state",
            METADATA,
            lambda h: h["__metadata__"].pop("state"),
        ),
        bad("short", "a digest of 63 digits", either, key("state", digest[:-1])),
        bad("no-digits", "a digest that is not of base 16", either, key("state", "g" * 64)),
        bad(
            "space",
            "a digest with spaces in it",
            either,
            key("state", " ".join(digest[i : i + 2] for i in range(0, 64, 2))),
        ),
        bad("number", "a digest that is a number", either, key("state", 7)),
        bad("more", "metadata with a further key", CANONICAL, key("writer", "x"), "6.1.3"),
        bad("version", "another version of the segment", (CANONICAL, METADATA), key("nmc", "2.0")),
        bad(
            "minor-version",
            "another minor version of the segment",
            (CANONICAL, METADATA),
            key("nmc", "1.1"),
            "6.1.3",
        ),
        bad(
            "no-version",
            "metadata without the version",
            (CANONICAL, METADATA),
            lambda h: h["__metadata__"].pop("nmc"),
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_entries(), *_metadata()]
