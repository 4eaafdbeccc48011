"""Vectors of clauses 8.4 to 8.6: changes that leave their range, or are coded the long way.

Variants 2 and 3 refuse them; in variant 1 every token stands for a word.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Frame, Row
from writers.stream_writer import WORD_BYTES

from arithmetic import coder_adaptive, coder_static
from arithmetic.arithmetic_cases import ADAPTIVE, MIXED, NAMES, STATIC, STREAM, arithmetic_case
from arithmetic.coder_static import Faults
from arithmetic.coder_words import Change, History, coded_tensor, compare
from arithmetic.payload_cases import CODER
from arithmetic.payload_fields import counts

if TYPE_CHECKING:
    from cases import Case

_MAGNITUDE = (1 << 31) - 1
_SIGN = 1 << 31
_CLAUSE = {ADAPTIVE: "8.5.5", MIXED: "8.5.5"}


def _moved(x: int, d: int, shrunk: int, exponent: int) -> Change:
    """Return a move as it stands in a payload, whether or not there is such a move."""
    n = d.bit_length()
    fraction = (d >> (n - 4)) & 7 if n >= 4 else (d << (4 - n)) & 7
    return Change(False, False, d, shrunk, 8 * (n + exponent) + fraction, shrunk ^ x)


def _chain(dtype: str, x: int, z: int, variant: int, change: Change | None = None) -> Chain:
    """Return two frames of one word; as a fault, with another change in the payload."""
    width = WORD_BYTES[dtype]
    old, new = x.to_bytes(width, "little"), z.to_bytes(width, "little")
    tensors = [coded_tensor(0, dtype, (1,), old, new)]
    if change is not None:
        tensors = [replace(tensors[0], forced={0: change})]
    body = coder_adaptive.encode(tensors, History(), variant)
    payloads = {STREAM: bytes([variant]) + body}
    second = Frame(DELTA, (Cell(INTEGER, new),), integer="nmc", payloads=payloads)
    return Chain((Row("a", dtype, (1,)),), (Frame(KEY, (Cell(RAW, old),)), second), profile="main")


def _pair(
    variant: int, name: str, what: str, words: tuple[str, int, int], change: Change
) -> tuple[Case, Case]:
    """Return a change as it has to be coded, and the same words coded another way."""
    kind = NAMES[variant]
    clause = _CLAUSE[variant]
    right = arithmetic_case(
        f"{kind}-{name}-right",
        f"what {what} comes to is coded another way by the {kind} variant",
        (clause,),
        _chain(*words, variant),
    )
    wrong = right.reject(
        f"08-arithmetic/{kind}-{name}",
        f"{what} is rejected in a {kind} payload",
        clause,
        CODER,
        chain=_chain(*words, variant, change),
        stage="frame",
        frame=1,
    )
    return right, wrong


def _moves(v: int) -> list[Case]:
    cases = [
        *_pair(
            v,
            "move-below",
            "a magnitude that shrinks below 0",
            ("F32", 5, (5 - 7) & _MAGNITUDE),
            _moved(0, 7, 1, 1),
        ),
        *_pair(
            v,
            "move-above",
            "a magnitude that grows beyond its bits",
            ("F32", _SIGN | (_MAGNITUDE - 2), _SIGN | 2),
            _moved(1, 5, 0, 255),
        ),
        *_pair(
            v,
            "move-long",
            "an integer moved the long way",
            ("I16", 100, 103),
            _moved(0, 65533, 1, 0),
        ),
        *_pair(
            v,
            "move-half",
            "an integer that shrinks by half of all words",
            ("U8", 100, 228),
            _moved(0, 128, 1, 0),
        ),
    ]
    # the long way of 64 bits, where sums overflow most easily
    wide = ("U64", 1, 2**64 - 1)
    return [
        *cases,
        *_pair(
            v, "move-wide", "a 64-bit integer moved the long way", wide, _moved(0, 2**64 - 2, 0, 0)
        ),
    ]


def _flip(x: int, z: int, *, far: int = 0) -> Change:
    return replace(compare(_tensor(x, z), x, z), far=far)


def _tensor(x: int, z: int) -> coder_adaptive.CodedTensor:
    return coded_tensor(0, "F32", (1,), x.to_bytes(4, "little"), z.to_bytes(4, "little"))


def _flips() -> list[Case]:
    def word(sign: int, exponent: int) -> int:
        return sign << 31 | exponent << 23 | 0x123456

    near = word(0, 120), word(1, 121)
    made = []
    # the expected exponent of a first word is half the word's width above its own: 120 + 16 - 24
    for v in (ADAPTIVE, MIXED):
        made += [
            *_pair(
                v,
                "flip-long",
                "a flip to an exponent nearby that is coded as one far away",
                ("F32", *near),
                _flip(*near, far=1),
            ),
            *_pair(
                v,
                "flip-side",
                "a flip to an exponent far below that is coded as one far above",
                ("F32", word(0, 120), word(1, 3)),
                _flip(word(0, 120), word(1, 3), far=1),
            ),
        ]
    return made


def _low() -> list[Case]:
    """Return payloads that begin with FFFF FFFF: no number of that size was ever encoded.

    The first word of U8 is expected to move by 8 to 15, so that a move by 8 is coded by decisions
    of 0 alone; and a decoder that takes FFFF FFFF decodes nothing but 0.
    """
    made = []
    for v in (ADAPTIVE, MIXED):
        right = arithmetic_case(
            f"{NAMES[v]}-low-right",
            f"a {NAMES[v]} payload of decisions that are all 0",
            ("8.5.2",),
            _chain("U8", 7, 15, v),
        )
        data = right.chain.frames[1].payloads[STREAM]
        (words, _), at = counts(data, 2)
        high = data[:at] + b"\xff" * (2 * words) + data[at + 2 * words :]
        first, second = right.chain.frames
        chain = replace(right.chain, frames=(first, replace(second, payloads={STREAM: high})))
        made += [
            right,
            right.reject(
                f"08-arithmetic/{NAMES[v]}-low",
                f"a {NAMES[v]} payload whose code begins with FFFF FFFF is rejected",
                "8.5.2",
                CODER,
                chain=chain,
                stage="frame",
                frame=1,
            ),
        ]
    return made


_ANY = (
    ("F32", 5, 18 + 4 * 2 + 1, 0),  # shrinks below 0, into the other sign
    ("F32", _SIGN | (_MAGNITUDE - 2), 18 + 4 * 1 + 2, 1),  # grows beyond its bits
    ("F32", 3 << 23 | 77, 2, 99),  # a flip whose exponent falls below 0
    ("F32", _SIGN | 250 << 23, 17, 5),  # a flip whose exponent rises beyond its bits
    ("F32", 120 << 23 | 5, 1, 120 << 23 | 7),  # an escape for what has a token
    ("F32", 120 << 23 | 5, 1, 120 << 23 | 5),  # an escape for what is equal
    ("F32", 1 << 23, 18 + 4 * 30 + 3, (1 << 30) - 1),  # the largest difference
    ("BF16", 0x3F80, 18 + 4 * 14 + 2, (1 << 14) - 1),
    ("F16", 0x83FF, 2, 1023),
    ("F8_E4M3", 0x40, 18 + 4 * 6 + 3, 63),
    ("U8", 100, 18 + 4 * 6 + 2, 63),  # an integer moved the long way
    ("I16", 100, 18 + 4 * 14 + 3, (1 << 14) - 1),
    ("I32", 100, 1, (1 << 32) - 1),
    ("U64", 1, 18 + 4 * 58 + 3, (1 << 58) - 1),  # the longest move of 64 bits
    ("U64", 1, 1, (1 << 64) - 1),
    ("F64", 5, 18 + 4 * 3 + 1, 7),
    ("F64", 1023 << 52, 2 + 15, (1 << 52) - 1),
    ("F64", 1 << 63 | 9, 2, 0),
)
"""Words of a type, and tokens with their raw bits that no encoder has to use."""


def _any_token() -> list[Case]:
    """Return words whose tokens are not those of the shortest change, then words that go on."""
    rows, before, after, beyond, forced = [], [], [], [], {}
    for i, (dtype, x, token, value) in enumerate(_ANY):
        width = WORD_BYTES[dtype]
        p = coded_tensor(i, dtype, (1,), x.to_bytes(width, "little"), bytes(width))
        z = coder_static.word_of(p, token, value, x, 1)
        forced[i] = {0: (token, value)}
        rows.append(Row(f"t{i}", dtype, (1,)))
        before.append(x.to_bytes(width, "little"))
        after.append(z.to_bytes(width, "little"))
        beyond.append(((z + 3) % (1 << 8 * width)).to_bytes(width, "little"))
    history = History()
    frames = [Frame(KEY, tuple(Cell(RAW, data) for data in before))]
    for old, new, tokens in ((before, after, forced), (after, beyond, {})):
        tensors = [
            coded_tensor(i, row.dtype, (1,), *pair)
            for i, (row, pair) in enumerate(zip(rows, zip(old, new, strict=True), strict=True))
        ]
        body = coder_static.encode(tensors, history, Faults(forced=tokens))
        payloads = {STREAM: bytes([STATIC]) + body}
        cells = tuple(Cell(INTEGER, data) for data in new)
        frames.append(Frame(DELTA, cells, integer="nmc", payloads=payloads))
    return [
        arithmetic_case(
            "static-any-token",
            "words are modulo 2^w, whatever token a word has",
            ("8.6.5", "8.6.2"),
            Chain(tuple(rows), tuple(frames), profile="main"),
        )
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    moves = [case for v in (ADAPTIVE, MIXED) for case in _moves(v)]
    return [*moves, *_flips(), *_low(), *_any_token()]
