"""Vectors of clauses 12.1 to 12.3: payloads of ``bins.nmc`` that are malformed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chain import KEY, Row
from segment.segment_cases import streams
from writers.package_writer import count

from quantised.coder_bins import ADAPTIVE, Part, Payload
from quantised.quantised_cases import quantised_case
from quantised.quantised_chain import BINS, Act, Symbols, one_part, quantised_chain, symbols

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cases import Case

    from quantised.coder_bins import Grid

CODES = ("segment/bins", "decoding/state-digest-mismatch")
_CLAUSE = "12.3.4"

ROWS = (Row("a", "F32", (4, 6)), Row("b", "F16", (3,)))
_PARTS = (Part(1, 3, -8), Part(3, 77, -12))
_GRID = one_part((3,), 1, -6)


def two_frames(
    first: Symbols | None = None,
    second: Symbols | None = None,
    *,
    changes: Sequence[Callable[[Payload], Payload] | None] = (None, None),
    other: Symbols | None = None,
    fill: int = 0,
) -> list[Act]:
    """Return a key frame and an update of two tensors, with other symbols or faults in a frame."""
    key = first or Symbols(symbols(101, 24), _PARTS)
    update = second or Symbols(symbols(102, 24, 9.0))
    return [
        Act((key, Symbols([5, -7, 0], _GRID)), KEY, ADAPTIVE, fill, changes[0]),
        Act(
            (update, other or Symbols([2, 0, 200])), variant=ADAPTIVE, fill=fill, change=changes[1]
        ),
    ]


BASE = quantised_case(
    "small", "a small package of two quantised tensors", ("12.3.1",), ROWS, two_frames()
)


def bad(name: str, what: str, frame: int, clause: str = _CLAUSE, **more: Any) -> Case:
    """Return the case of a small package with one fault in the bins of a frame."""
    codes = more.pop("codes", CODES)
    return BASE.reject(
        f"12-quantised/{name}",
        f"{what} is rejected",
        (clause,) if clause == _CLAUSE else (clause, _CLAUSE),
        codes,
        stage="frame",
        frame=frame,
        **more,
    )


def acted(name: str, what: str, frame: int, acts: list[Act], clause: str = _CLAUSE) -> Case:
    """Return the case of other frames, one of which is malformed."""
    return bad(name, what, frame, clause, chain=quantised_chain(ROWS, acts))


def _stream(name: str, what: str, change: Callable[[bytes], bytes], clause: str = _CLAUSE) -> Case:
    edits = streams(lambda made: {**made, BINS: change(made[BINS])})
    return bad(name, what, 1, clause, edits=edits)


def _field(name: str, what: str, t: int, clause: str = _CLAUSE, **fields: Any) -> Case:
    """Return the case of a payload some of whose fields are functions of what they were."""

    def change(payload: Payload) -> Payload:
        return replace(payload, **{k: f(getattr(payload, k)) for k, f in fields.items()})

    changes = (change, None) if t == 0 else (None, change)
    return acted(name, what, t, two_frames(changes=changes), clause)


def _bytes() -> list[Case]:
    """Return payloads with bytes that are missing or left over."""
    return [
        _stream("cut", "a payload without its last byte", lambda d: d[:-1]),
        _stream("byte-after", "a payload with a byte too many", lambda d: d + b"\0"),
        _stream("variant-only", "a payload that ends after its variant", lambda d: d[:1]),
        _stream(
            "count-long",
            "a count of ten bytes",
            lambda d: d[:1] + b"\x81" + b"\x80" * 8 + b"\0" + d[2:],
            "8.3.2",
        ),
        _field("variant-1", "a payload of bins of variant 1", 1, "12.3.1", variant=lambda _: 1),
        _field("variant-4", "a payload of bins of variant 4", 1, "12.3.1", variant=lambda _: 4),
        _field("words-more", "a code word too many", 1, "12.3.2", code=lambda c: ((*c[0], 0),)),
        _words_fewer(),
        _field("words-one", "a substream of one code word", 1, "8.5.2", code=lambda c: (c[0][:1],)),
        _words_high(),
        _field(
            "raw-more", "a byte of raw bits too many", 1, "8.4.3", raw=lambda r: (r[0] + b"\0",)
        ),
        _field("raw-fewer", "a byte of raw bits too few", 1, "8.4.3", raw=lambda r: (r[0][:-1],)),
        acted(
            "raw-bits-set",
            "a bit of raw bits left over that is not 0",
            1,
            [*two_frames()[:1], *two_frames(fill=1)[1:]],
            "8.4.3",
        ),
        _field("size-huge", "2^62 code words", 1, entries=_with_tail(count(1 << 62) + count(0))),
    ]


def _words_fewer() -> Case:
    """Return the case of a code whose last word, which is left out, is 0."""
    first, second = two_frames(changes=(None, lambda p: replace(p, code=(p.code[0][:-1],))))
    acts = [first, replace(second, rounded=True)]
    return acted("words-fewer", "a code word too few", 1, acts, "12.3.2")


def _words_high() -> Case:
    """Return the case of a code that is FFFF FFFF and zeros: every decision is 0."""

    def change(payload: Payload) -> Payload:
        return replace(payload, code=((0xFFFF, 0xFFFF, *(0 for _ in payload.code[0][2:])),))

    acts = two_frames(None, Symbols([0] * 24), other=Symbols([0] * 3), changes=(None, change))
    what = "a substream that begins with FFFF FFFF"
    return acted("words-high", what, 1, acts, "8.5.2")


def _with_tail(tail: bytes) -> Callable[[tuple[bytes, ...]], tuple[bytes, ...]]:
    """Return the entries with more behind them, which is read as the first sizes."""
    return lambda entries: (*entries, tail)


def _entry(name: str, what: str, first: bytes, t: int = 0, **more: Any) -> Case:
    """Return the case of a payload whose first entry is another one."""
    return _field(name, what, t, "12.3.1", entries=lambda e: (first, *e[1:]), **more)


def _part(rows: int, mantissa: int = 3, exponent: int = -8) -> bytes:
    return (
        count(rows) + mantissa.to_bytes(3, "little") + exponent.to_bytes(2, "little", signed=True)
    )


def _graded(name: str, what: str, grid: Grid, values: Sequence[int] = (0,) * 24) -> Case:
    """Return the case of a grid; its symbols are 0 so that the elements are, too."""
    acts = two_frames(Symbols(values, grid), Symbols([0] * 24))
    return acted(name, what, 0, acts, "12.1.1")


def _fields() -> list[Case]:
    """Return payloads with a field out of its range."""
    flat = bytes(2)
    return [
        _field("substreams-0", "a payload of no substreams", 1, "12.3.1", substreams=lambda _: 0),
        _unused("substreams-2", "a last substream to which no part belongs", 2),
        acted(
            "substreams-65",
            "a payload of 65 substreams",
            1,
            two_frames(
                second=Symbols(symbols(102, 24, 9.0), places=((0, 64),)),
                other=Symbols([2, 0, 200], places=((0, 64),)),
            ),
            "12.3.1",
        ),
        acted(
            "flags-16",
            "a flag that is unknown",
            1,
            two_frames(second=Symbols(symbols(102, 24), flags=16)),
            "12.3.1",
        ),
        acted(
            "flags-128",
            "a flag that is unknown, in a key frame",
            0,
            two_frames(Symbols(symbols(101, 24), _PARTS, flags=128)),
            "12.3.1",
        ),
        _entry("parts-0", "a grid of no parts", b"\0" + count(0) + flat),
        _graded(
            "parts-5",
            "a grid of five parts for four rows",
            (*(Part(1, 3, -8 - k) for k in range(4)), Part(0, 3, -8)),
            symbols(101, 24),
        ),
        _entry(
            "part-0",
            "a part of no rows",
            b"\0" + count(3) + _part(1) + _part(0) + _part(3, 77, -12) + flat,
        ),
        _entry(
            "part-5",
            "a part of more rows than are left",
            b"\0" + count(2) + _part(1) + _part(4, 77, -12) + flat,
        ),
        _entry(
            "parts-short",
            "parts that leave a row over",
            b"\0" + count(2) + _part(1) + _part(2, 77, -12) + flat,
        ),
        _graded("mantissa-0", "a scale of 0", (Part(4, 0, -8),), list(range(24))),
        _graded("exponent-1024", "an exponent of 1024", (Part(4, 1, 1024),)),
        _graded("exponent-low", "an exponent of -1201", (Part(4, 1, -1201),), symbols(101, 24)),
        acted(
            "shift-25",
            "a shift of 25",
            1,
            two_frames(second=Symbols([1, -1, 0] * 8, places=((25, 0),))),
            "12.3.1",
        ),
        acted(
            "shift-transformed",
            "a shift of 18 of coefficients",
            1,
            transformed([0] * 24, 18),
            "12.3.1",
        ),
        acted(
            "transformed-quantised",
            "coefficients in mode quantised",
            0,
            two_frames(Symbols(symbols(101, 24), one_part((4,)), transformed=True)),
            "12.3.1",
        ),
        acted(
            "learning-quantised",
            "learning in mode quantised",
            0,
            two_frames(Symbols(symbols(101, 24), one_part((4,)), learning=True)),
            "12.3.1",
        ),
        acted(
            "learning-parts",
            "learning of a tensor of two parts",
            1,
            two_frames(second=Symbols(symbols(102, 24), learning=True)),
            "12.3.1",
        ),
        acted(
            "transformed-parts",
            "coefficients of a tensor of two parts",
            1,
            two_frames(second=Symbols([0] * 24, transformed=True)),
            "12.3.1",
        ),
        _substream_beyond(),
        _substream_with_words(),
        _substream_with_raw(),
    ]


def transformed(values: Sequence[int], shift: int) -> list[Act]:
    """Return frames the second of which has coefficients (clause 12.5)."""
    coefficients = Symbols(values, places=((shift, 0),), transformed=True)
    return two_frames(Symbols(symbols(101, 24), one_part((4,))), coefficients)


def _unused(name: str, what: str, substreams: int) -> Case:
    more = substreams - 1
    return _field(
        name,
        what,
        1,
        "12.3.1",
        substreams=lambda _: substreams,
        code=lambda c: (*c, *[()] * more),
        raw=lambda r: (*r, *[b""] * more),
    )


def _substream_beyond() -> Case:
    """Return the case of a part in a substream that is not there."""
    return _field(
        "substream-beyond",
        "a part in a substream that is not there",
        1,
        "12.3.1",
        entries=lambda e: (e[0], e[1][:-1] + b"\x01"),
    )


def _apart(change: Callable[[Payload], Payload] | None) -> list[Act]:
    """Return frames whose second one has all its parts in the last of two substreams."""
    update = Symbols(symbols(102, 24, 9.0), places=((0, 1),))
    return two_frames(
        second=update, other=Symbols([2, 0, 200], places=((0, 1),)), changes=(None, change)
    )


def _substream_with_words() -> Case:
    acts = _apart(lambda p: replace(p, code=((0, 0), p.code[1])))
    return acted(
        "substream-words", "code words in a substream to which no part belongs", 1, acts, "12.3.2"
    )


def _substream_with_raw() -> Case:
    acts = _apart(lambda p: replace(p, raw=(b"\0", p.raw[1])))
    return acted(
        "substream-raw", "raw bits in a substream to which no part belongs", 1, acts, "12.3.2"
    )


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [BASE, *_bytes(), *_fields()]
