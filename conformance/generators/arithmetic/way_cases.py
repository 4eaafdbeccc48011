"""Vectors of clauses 8.4 to 8.6: changes that leave their range, or are coded the long way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chain import DELTA, INTEGER, KEY, RAW, WORD_BYTES, Cell, Chain, Frame, Row

from arithmetic import coder_adaptive, coder_static
from arithmetic.arithmetic_cases import ADAPTIVE, MIXED, NAMES, STATIC, STREAM, arithmetic_case
from arithmetic.coder_words import Change, History, coded_tensor, compare
from arithmetic.payload_cases import CODER, counts

if TYPE_CHECKING:
    from cases import Case

_MAGNITUDE = (1 << 31) - 1
_SIGN = 1 << 31
_CLAUSE = {STATIC: "8.6.5", ADAPTIVE: "8.5.5", MIXED: "8.5.5"}


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
    if variant == STATIC:
        body = coder_static.encode(tensors, History())
    else:
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


def _flip(x: int, z: int, *, far: int = 0, turns: int = 0) -> Change:
    return replace(compare(_tensor(x, z), x, z), far=far, turns=turns)


def _tensor(x: int, z: int) -> coder_adaptive.CodedTensor:
    return coded_tensor(0, "F32", (1,), x.to_bytes(4, "little"), z.to_bytes(4, "little"))


def _flips() -> list[Case]:
    def word(sign: int, exponent: int) -> int:
        return sign << 31 | exponent << 23 | 0x123456

    low, high = (word(0, 3), word(1, 251)), (word(1, 250), word(0, 1))
    near = word(0, 120), word(1, 121)
    made = [
        *_pair(
            STATIC,
            "flip-below",
            "a flip whose exponent falls below 0",
            ("F32", *low),
            _flip(*low, turns=-1),
        ),
        *_pair(
            STATIC,
            "flip-above",
            "a flip whose exponent rises beyond its bits",
            ("F32", *high),
            _flip(*high, turns=1),
        ),
        *_pair(
            STATIC,
            "flip-long",
            "a flip to an exponent nearby that is coded as a whole magnitude",
            ("F32", *near),
            _flip(*near, far=1),
        ),
    ]
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


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*(case for v in (STATIC, ADAPTIVE, MIXED) for case in _moves(v)), *_flips(), *_low()]
