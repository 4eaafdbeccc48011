"""Vectors of clause 15: messages of which the last one is refused, each with one fault."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from cases import Case
from chain import RAW, SKIP, Cell, Chain, Row
from model.model_cases import random_bytes
from quantised.quantised_cases import LAYERS, quantised_case, sequence

from messages.message_cases import ONE, PAIR, PLAIN, ROWS, with_digests
from messages.sent import Sent, accepted, delta, delta_of, key, key_of, refused, row_bytes

MALFORMED, DIGEST = "message/malformed", "message/digest"
KEY, DELTA = key_of(PLAIN), delta_of(PLAIN)
SIZE = len(KEY.pack())
OTHER_STATE = bytes(range(32))


def _structure() -> list[Case]:
    """Clause 15.1: magic, length, digest, padding."""

    def made(name: str, summary: str, code: str = MALFORMED, **ways: object) -> Case:
        return refused(ONE, name, summary, "15.1", code, replace(KEY, **ways))  # type: ignore[arg-type]

    def said(name: str, summary: str, **fields: object) -> Case:
        return made(name, summary, said=fields)

    padding = -(32 + len(row_bytes(ROWS[0]) + row_bytes(ROWS[1]))) % 64
    return [
        said("magic", "another magic", magic=b"NMCmsg2\n"),
        said("magic-line", "a magic with a carriage return", magic=b"NMCmsg1\r"),
        said("length-less", "a length that is one byte less", length=SIZE - 1),
        said("length-more", "a length that is 64 bytes more", length=SIZE + 64),
        said("length-upper", "a length whose upper half is not 0", length=SIZE + (1 << 32)),
        said("length-huge", "a length of 2^64 - 1", length=(1 << 64) - 1),
        said(
            "padding-last", "padding whose last byte is not 0", padding=bytes(padding - 1) + b"\1"
        ),
        made(
            "digest-bit",
            "a digest with one bit changed",
            DIGEST,
            closed=lambda data: _flipped(Sent.closed(data)),
        ),
        made(
            "digest-sha256",
            "a digest that is SHA-256",
            DIGEST,
            closed=lambda data: hashlib.sha256(data).digest(),
        ),
        made(
            "digest-of-segment",
            "a digest of the segment alone",
            DIGEST,
            closed=lambda data: Sent.closed(data[64:]),
        ),
    ]


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def _rows() -> list[Case]:
    """Clause 15.1: rows that do not fill their bytes, or that no tensor table has."""

    def made(name: str, summary: str, code: str, row: Row, data: bytes, clauses: str) -> Case:
        chain = Chain((ROWS[0], row), (key(PLAIN.frames[0].cells[0], Cell(RAW, data)),))
        return refused(ONE, name, summary, clauses, code, key_of(chain))

    name, shape = "manifest/tensor-name", "manifest/tensor-shape"
    long = Row("b" * 1025, "U8", (6,))
    cells = (Cell(RAW, b""),) * 1025
    many = Chain(tuple(Row(f"{i:04}", "U8", (0,)) for i in range(1025)), (key(*cells),))
    few = replace(many, rows=many.rows[:1024], frames=(key(*cells[:1024]),))
    most = accepted(
        "most-rows", "as many rows as level 1 allows", ("15.1", "10.2"), key_of(few), max_level=1
    )
    kept = delta(*cells[:1023], Cell(RAW, b""))
    more = replace(many, frames=(key(*cells[:1023], None, None), delta(*cells)))
    fits = replace(few, frames=(key(*cells[:1023], None), kept))
    together = accepted(
        "most-rows-together",
        "a message after which there are as many rows as level 1 allows",
        ("15.1", "10.2"),
        key_of(replace(few, rows=few.rows[:1023], frames=(key(*cells[:1023]),))),
        delta_of(fits, new=1),
        max_level=1,
    )
    return [
        together,
        refused(
            ONE,
            "rows-surplus",
            "rows that four bytes follow",
            "15.1",
            MALFORMED,
            replace(KEY, rows=lambda data: data + bytes(4)),
        ),
        refused(
            ONE,
            "rows-beyond",
            "rows that end behind the message",
            "15.1",
            MALFORMED,
            replace(KEY, said={"row_bytes": SIZE}),
        ),
        refused(
            ONE,
            "rows-more",
            "a number of rows that is one more than there are",
            "15.1",
            MALFORMED,
            replace(KEY, said={"count": 3}),
        ),
        refused(
            ONE,
            "rows-fewer",
            "a number of rows that is one less than there are",
            "15.1",
            MALFORMED,
            replace(KEY, said={"count": 1}),
        ),
        refused(
            ONE,
            "rows-huge",
            "a number of rows of 2^32 - 1",
            "15.1",
            "profile/level-exceeded",
            replace(KEY, said={"count": (1 << 32) - 1}),
        ),
        made("row-rank", "a row of rank 33", MALFORMED, Row("b", "U8", (1,) * 33), b"1", "15.1"),
        made("row-name-empty", "a row without a name", name, Row("", "U8", (6,)), bytes(6), "15.1"),
        made("row-name-long", "a row whose name has 1,025 bytes", name, long, bytes(6), "15.1"),
        made(
            "row-name-kept",
            "a row that is called __metadata__",
            name,
            Row("__metadata__", "U8", (6,)),
            bytes(6),
            "15.1",
        ),
        refused(
            ONE,
            "row-dtype",
            "a row of an unknown dtype",
            "15.1",
            "manifest/tensor-dtype",
            replace(KEY, rows=lambda data: data.replace(b"U8", b"U9")),
        ),
        refused(
            ONE,
            "row-dimension-upper",
            "a row with a dimension of 2^32 more",
            "15.1",
            ("segment/state-bytes", "manifest/tensor-shape"),
            replace(KEY, rows=lambda data: data[:-4] + b"\1\0\0\0"),
        ),
        made("row-shape", "a row of half a byte", shape, Row("b", "F4", (1,)), b"", "15.1"),
        refused(
            ONE,
            "rows-not-utf8",
            "a row whose name is not UTF-8",
            "15.1",
            MALFORMED,
            replace(KEY, rows=lambda data: data.replace(b"\1\0\0\0b", b"\1\0\0\0\xff")),
        ),
        most,
        refused(
            most,
            "level-rows",
            "one row more than the highest level allows",
            "15.1",
            "profile/level-exceeded",
            key_of(many),
        ),
        refused(
            together,
            "level-rows-together",
            "a row that is more than the highest level allows, with those of the state,",
            "15.1",
            "profile/level-exceeded",
            delta_of(more, new=2),
        ),
        refused(
            ONE,
            "state-bytes-upper",
            "a size of the state whose upper half is not 0",
            "15.1",
            ("segment/state-bytes", "profile/level-exceeded"),
            replace(KEY, said={"state_bytes": (1 << 32) + 54}),
        ),
        refused(
            ONE,
            "level-state",
            "a message of a state of 2^63 bytes",
            "15.1",
            "profile/level-exceeded",
            replace(KEY, said={"state_bytes": 1 << 63}),
        ),
    ]


def _links() -> list[Case]:
    """Clause 15.2: the state that a message builds on, and rows that are there twice."""
    fresh = (Cell(RAW, random_bytes(48, 190)), Cell(RAW, random_bytes(6, 191)))
    whole = delta_of(Chain(ROWS, (PLAIN.frames[0], delta(*fresh))))
    parent = "decoding/parent-digest-mismatch"
    again = accepted(
        "again", "a delta message that brings every tensor anew", ("15.2",), KEY, whole
    )
    three = accepted(
        "skipping",
        "three messages, of which the last brings every tensor",
        ("15.2",),
        KEY,
        DELTA,
        replace(whole, parent=DELTA.digest),
    )
    first = accepted(
        "first",
        "a delta message that is the first one",
        ("15.2",),
        delta_of(Chain(ROWS, (key(), delta(*fresh))), new=2),
    )
    twice = Chain((*ROWS, ROWS[1]), (PLAIN.frames[0], delta(*PLAIN.frames[1].cells, None)))
    b = Row("b", "U8", (6,))
    keys = Chain((*ROWS, b), (key(*PLAIN.frames[0].cells, None),))
    duplicate = "manifest/tensor-duplicate"
    return [
        again,
        three,
        first,
        refused(
            again,
            "parent-other",
            "a delta message that builds on another state",
            "15.2",
            parent,
            replace(whole, parent=OTHER_STATE),
        ),
        refused(
            three,
            "parent-before",
            "a delta message that builds on the state before the one at hand",
            "15.2",
            parent,
            whole,
        ),
        refused(
            again,
            "parent-last-byte",
            "a delta message whose parent has another last byte",
            "15.2",
            parent,
            replace(whole, parent=KEY.digest[:-1] + bytes([KEY.digest[-1] ^ 1])),
        ),
        refused(
            first,
            "parent-nothing",
            "a delta message that is the first one, and builds on "
            "another state than the one without tensors",
            "15.2",
            parent,
            replace(delta_of(Chain(ROWS, (key(), delta(*fresh))), new=2), parent=OTHER_STATE),
        ),
        refused(
            PAIR,
            "twice-brought",
            "a delta message that brings a row of the state",
            "15.2",
            duplicate,
            delta_of(twice, new=1),
        ),
        refused(
            ONE,
            "twice-in-key",
            "a key message with the same row twice",
            "15.2",
            duplicate,
            key_of(keys),
        ),
    ]


def _decoding() -> list[Case]:
    """Clause 15.3: what a message cannot have, and states that are not the ones it names."""
    lossy = quantised_case("x", "x", (), LAYERS[:1], sequence(LAYERS[:1], 1)).chain
    raw = Chain(LAYERS[:1], (key(Cell(RAW, lossy.frames[0].cells[0].data)),))  # type: ignore[union-attr]
    plain = accepted("one-tensor", "a key message of one tensor", ("15.3",), key_of(raw))
    wrong = "decoding/state-digest-mismatch"
    digests = accepted(
        "digests-key",
        "a key message with digests of its tensors",
        ("15.3", "6.2.5"),
        with_digests(KEY),
    )
    lost = Chain(
        ROWS,
        (
            PLAIN.frames[0],
            delta(None, Cell(SKIP, PLAIN.frames[0].cells[1].data)),  # type: ignore[union-attr]
        ),
    )
    base = accepted(
        "lost", "a delta message after which a tensor is gone", ("15.2",), KEY, delta_of(lost)
    )
    return [
        plain,
        digests,
        base,
        refused(
            plain,
            "mode-quantised",
            "a tensor of mode quantised",
            "15.3",
            "profile/mode-refused",
            key_of(lossy),
        ),
        refused(
            PAIR,
            "refined",
            "a segment with a refinement",
            "15.3",
            "segment/refinement",
            replace(
                DELTA,
                stop=OTHER_STATE,
                streams=lambda made: {**made, "stop1.modes": bytes(2)},
            ),
        ),
        refused(
            ONE,
            "state-other",
            "a key message that names another state",
            "15.3",
            wrong,
            replace(KEY, state=OTHER_STATE),
        ),
        refused(
            PAIR,
            "state-of-before",
            "a delta message that names the state before it",
            "15.3",
            wrong,
            replace(DELTA, state=KEY.digest),
        ),
        refused(
            digests,
            "state-tensor",
            "a digest of a tensor that is not its own",
            "15.3",
            "decoding/tensor-digest-mismatch",
            with_digests(KEY, _flipped),
        ),
        refused(
            PAIR,
            "state-bytes",
            "a size of the state that is one less",
            "15.3",
            "segment/state-bytes",
            replace(DELTA, said={"state_bytes": 53}),
        ),
    ]


def cases() -> list[Case]:
    """Return the messages that are refused."""
    return [*_structure(), *_rows(), *_links(), *_decoding()]
