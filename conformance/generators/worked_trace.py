"""Makes the worked trace of clause 8 in annex E: numbers of every step of three small payloads.

Run ``python conformance/generators/worked_trace.py --check`` or ``--write`` in a checkout. The
payloads are vectors, ``08-arithmetic/trace-*``. The steps are those of a decoder: the chances come
from the encoder in plain integers, and the decisions are decoded again by the text of 8.5.2.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from arithmetic.arithmetic_cases import (
    ADAPTIVE,
    MIXED,
    NAMES,
    STATIC,
    STREAM,
    arithmetic_case,
    coded,
)
from arithmetic.coder_adaptive import TensorEncoder, first_trend
from arithmetic.coder_chances import Predictor, RangeCoder, lg, squash, stretch
from arithmetic.coder_static import choose, code_tokens, describe, raw_bits_of
from arithmetic.coder_words import Bits, CodedTensor, History, coded_tensor
from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Frame, Row
from writers.listing import dump

from nmc_spec.annex import replaced
from nmc_spec.generated import command, settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cases import Case

ANNEX = Path(__file__).resolve().parents[2] / "spec" / "text" / "annex-e-worked-example.md"
PART = "worked-trace"
ROW = Row("a", "F32", (6,))
OLD = np.array([1.0, -1.5, 1.25, 1.75, 1.125, -1.0], "<f4")
NEW = np.array([1.0, -1.50001, 1.2502, 1.75, 1.1251, 1.0], "<f4")
SHOWN = 32
"""Decisions that are listed."""


def chain(variant: int) -> Chain:
    """Return the two frames of a trace."""
    frames = (
        Frame(KEY, (Cell(RAW, OLD.tobytes()),)),
        Frame(DELTA, (Cell(INTEGER, NEW.tobytes()),)),
    )
    return coded(Chain((ROW,), frames), [variant] * 2)


def cases() -> list[Case]:
    """Return the vectors of the traces."""
    return [
        arithmetic_case(
            f"trace-{NAMES[v]}",
            f"the payload of the {NAMES[v]} variant that annex E follows step by step",
            ("8.6.4", "8.6.5") if v == STATIC else ("8.5.2", "8.5.5"),
            chain(v),
        )
        for v in (STATIC, ADAPTIVE, MIXED)
    ]


def _tensor() -> CodedTensor:
    return coded_tensor(0, ROW.dtype, ROW.shape, OLD.tobytes(), NEW.tobytes())


class _Traced(TensorEncoder):
    """Notes the slot of every decision."""

    def note(self) -> list[str]:
        """Return the names of the slots so far."""
        return self.__dict__.setdefault("names", [])

    def _decide(self, bit: int, name: tuple[object, ...]) -> None:
        self.note().append(_slot_name(name))
        super()._decide(bit, name)

    def _mix(self, bit: int, name: tuple[object, ...], *more: Any) -> None:
        self.note().append(_slot_name(name))
        super()._mix(bit, name, *more)


def _slot_name(name: Sequence[object]) -> str:
    return f"{name[0]}" + "".join(f"[{int(index)}]" for index in name[1:])  # type: ignore[call-overload]


class _Noted(RangeCoder):
    """Notes the chance of every decision."""

    def __init__(self) -> None:
        super().__init__()
        self.chances: list[int] = []

    def encode(self, bit: int, chance: int) -> None:
        self.chances.append(chance)
        super().encode(bit, chance)


def _decisions(variant: int) -> tuple[list[int], list[tuple[str, ...]]]:
    """Return the code words of a payload, and a line for each decision of clause 8.5.2."""
    p, code = _tensor(), _Noted()
    encoder = _Traced(p, variant, Predictor(), first_trend(p, None), code, Bits())
    encoder.run(History().entries_of(p), range(len(p.old)))
    words = code.words()
    span, low, place = (1 << 32) - 1, words[0] << 16 | words[1], 2
    lines = []
    for number, (name, chance) in enumerate(zip(encoder.note(), code.chances, strict=True)):
        bound = span * chance >> 16
        bit = int(low < bound)
        lines.append((str(number), f"`{name}`", *map(str, (chance, span, low, bound, bit))))
        span, low = (bound, low) if bit else (span - bound, low - bound)
        if span < 65536:
            span, low, place = span << 16, low << 16 | ([*words, 0])[place], place + 1
    assert place == len(words)
    return words, lines


def _tokens() -> tuple[str, list[tuple[str, ...]]]:
    """Return what the lane begins with, and a line for each token (clauses 8.6.4 and 8.6.5)."""
    p = _tensor()
    made = describe(p, History())
    numbers, tables = choose([made])
    (state,), words = code_tokens(
        [(numbers[c], t) for c, t in zip(made.contexts, made.tokens, strict=True)], tables
    )
    first_state = f"{state:014X}"
    lines, place = [], 0
    for i, (context, token) in enumerate(zip(made.contexts, made.tokens, strict=True)):
        table = tables[numbers[context]]
        q, f = state % 1024, table[token]
        start = sum(n for t, n in table.items() if t < token)
        assert start <= q < start + f
        after = f * (state >> 10) + q - start
        read = ""
        if i % 2 and after < 1 << 20:  # a run of one lane has two words
            after, read, place = after << 32 | words[place], f"{words[place]:08X}", place + 1
        n = raw_bits_of(p, token)
        raw = f"{made.values[i]:X} ({n} bits)" if n else ""
        word = f"{p.old[i]:08X} → {p.new[i]:08X}"
        numbers_of = (i, context, numbers[context], f"{state:X}", q, token, f, start)
        lines.append((*map(str, numbers_of), f"{after:X}", read, raw, word))
        state = after
    assert state == 1 << 20
    assert place == len(words)
    return first_state, lines


def _table(head: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    rows = [head, ("---",) * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _payload(variant: int) -> str:
    data = chain(variant).frames[1].payloads[STREAM]
    return dump(data).strip()


def listing() -> str:
    """Return the part of annex E."""
    numbers = (1, 2, 3, 100, 255, 256, 2048, 4095, 65535)
    odds = (1, 2, 100, 1024, 2048, 3000, 4095)
    squashed = (-4095, -2048, -256, -1, 0, 1, 256, 2048, 4095)
    decisions = ("", "Slot", "chance", "span", "low", "bound", "bit")
    words, plain = _decisions(ADAPTIVE)
    mixed_words, mixed = _decisions(MIXED)
    head = ("i", "context", "table", "lane", "q", "token", "frequency", "first", "after")
    head += ("read", "raw bits", "word")
    first_state, tokens = _tokens()
    static = (
        f"Its only lane begins with {first_state}. Its tokens by clauses 8.6.4 and 8.6.5, the "
        "lane in hexadecimal before and after each, and behind a code word that was read:"
    )

    def code(values: Sequence[int]) -> str:
        return " ".join(f"{word:04X}" for word in values)

    words_of = f"{', '.join(f'{x:08X}' for x in OLD.view('<u4').tolist())}"
    new_words = f"{', '.join(f'{x:08X}' for x in NEW.view('<u4').tolist())}"
    about = (
        f"A tensor `F32` of shape ({OLD.size}), row 0, has the words {words_of} in the key frame, "
        f"and {new_words} in the delta frame after it: equal, moved twice, equal, moved, flipped."
    )
    plain_words = (
        f"The code words are {code(words)}. The first {SHOWN} decisions of {len(plain)}, with "
        "`span` and `low` as they are before each:"
    )
    return "\n\n".join(
        (
            "Functions of clause 8.5.8:",
            _table(("a", *map(str, numbers)), [("lg(a)", *(str(lg(a)) for a in numbers))]),
            _table(("a", *map(str, odds)), [("stretch(a)", *(str(stretch(a)) for a in odds))]),
            _table(
                ("a", *map(str, squashed)), [("squash(a)", *(str(squash(a)) for a in squashed))]
            ),
            about,
            "**Static variant**, vector `08-arithmetic/trace-static`, the payload:",
            _payload(STATIC),
            static,
            _table(head, tokens),
            "**Adaptive variant**, vector `08-arithmetic/trace-adaptive`, the payload:",
            _payload(ADAPTIVE),
            plain_words,
            _table(decisions, plain[:SHOWN]),
            "**Mixed variant**, vector `08-arithmetic/trace-mixed`, the payload:",
            _payload(MIXED),
            f"The code words are {code(mixed_words)}. The first {SHOWN} decisions of {len(mixed)}:",
            _table(decisions, mixed[:SHOWN]),
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write the trace; return the exit status."""
    options = command(__doc__).parse_args(arguments)
    return settled(ANNEX, lambda page: replaced(page, PART, listing()), writing=options.write)


if __name__ == "__main__":
    sys.exit(main())
