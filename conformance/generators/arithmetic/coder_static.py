"""The static variant of the lossless coder, in plain integers (clause 8.6)."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from arithmetic.coder_words import (
    Bits,
    Change,
    CodedTensor,
    History,
    Past,
    change_of,
    clip,
    count,
    past_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

TOTAL = 4096
CONTEXTS = 192


def token_of(p: CodedTensor, x: int, z: int, change: Change, past: Past, raw: Bits) -> int:
    """Return the token of a change, and put its raw bits into the field (clause 8.6.5)."""
    if change.equal:
        return 0
    if change.flip:
        step = (p.magnitude(z) >> p.m) - (p.magnitude(x) >> p.m) + (change.turns << p.e)
        if -8 <= step <= 7 and not change.far:
            raw.put(z & ((1 << p.m) - 1), p.m)
            return 2 * p.w + 9 + step
        raw.put(p.magnitude(z), p.w - 1)
        return 2 * p.w + 17
    n = change.d.bit_length()
    raw.put(change.d - (1 << (n - 1)), n - 1)
    guess = (past.heading - 1) ^ p.sign(x) if past.heading > 0 else 0
    return 2 * n - 1 + (change.shrunk ^ guess)


def frequencies(tokens: Counter[int]) -> dict[int, int]:
    """Return frequencies of at least 1 that add up to 4096."""
    total = sum(tokens.values())
    made = {t: max(1, n * TOTAL // total) for t, n in sorted(tokens.items())}
    largest = max(made, key=lambda t: made[t])
    made[largest] += TOTAL - sum(made.values())
    assert made[largest] > 0
    return made


def put_table(bits: Bits, table: dict[int, int]) -> None:
    """Write the frequencies of one table (clause 8.6.3)."""
    last = -1
    for token, f in table.items():
        bits.gamma(token - last)
        last = token
        n = (f - 1).bit_length()
        bits.put(n, 4)
        if n:
            bits.put(f - 1 - (1 << (n - 1)), n - 1)


def put_tables(tables: dict[int, dict[int, int]], fill: int = 0, end: int = CONTEXTS) -> bytes:
    """Write the tables of all contexts; one that equals the one before is not written again."""
    bits, last, table = Bits(), -1, None
    for context, mine in sorted(tables.items()):
        bits.gamma(context - last)
        last = context
        if table is not None:
            bits.put(int(mine != table), 1)
        if mine != table:
            put_table(bits, mine)
            table = mine
    bits.gamma(end - last)
    return bits.bytes(fill)


_ANY_POINT = 1234
"""Code point of a word in a context without a table: any will do (clause 8.6.4)."""


def code_tokens(
    tokens: list[tuple[int, int]], tables: dict[int, dict[int, int]], state: int = 65536
) -> tuple[list[int], list[int]]:
    """Return the lanes and the code words of tokens given with their contexts (8.6.4)."""
    starts: dict[int, dict[int, int]] = {}
    for context, table in tables.items():
        at, starts[context] = 0, {}
        for token, f in table.items():
            starts[context][token] = at
            at += f
    lanes, words = [state, 65536, 65536, 65536], []
    for i in reversed(range(len(tokens))):
        context, token = tokens[i]
        s, f = lanes[i % 4], tables[context][token] if context in tables else 1
        if s >= f << 20:
            words.append(s & 0xFFFF)
            s >>= 16
        start = starts[context][token] if context in tables else _ANY_POINT
        assert s % f + start < TOTAL, "an overfull table has no code point for it"
        lanes[i % 4] = ((s // f) << 12) + s % f + start
    return lanes, words[::-1]


def _with_token(table: dict[int, int], token: int) -> dict[int, int]:
    """Return a table in which one more token, that never occurs, has a frequency of 1."""
    largest = max(table, key=lambda t: table[t])
    return dict(sorted({**table, largest: table[largest] - 1, token: 1}.items()))


def _overfull(table: dict[int, int]) -> dict[int, int]:
    """Return a table whose last token has a frequency of one more than there is room for."""
    last = max(table)
    return {**table, last: table[last] + 1}


def _section(
    tensors: Sequence[CodedTensor],
    history: History,
    fill: int,
    end: int,
    surplus: int | None,
    state: int,
    *,
    tableless: bool,
    overfull: bool,
    overstated: bool,
) -> bytes:
    raw, scales = Bits(), b""
    tokens: list[tuple[int, int]] = []
    for p in tensors:
        entries = history.entries_of(p)
        changes = [change_of(p, i) for i in range(len(p.old))]
        moved = [c.size for c in changes if not c.equal]
        scale = sum(moved) // len(moved) if moved else 0
        scales += scale.to_bytes(2, "little")
        for i, (x, z, change) in enumerate(zip(p.old, p.new, changes, strict=True)):
            past = past_of(entries[i])
            expected = (past.previous + 7 * scale) >> 3 if past.past == 2 else scale
            context = 64 * past.past + clip((expected >> 3) - p.exponent(x), 0, 63)
            tokens.append((context, token_of(p, x, z, change, past, raw)))
            entries[i] = change.entry
    seen: dict[int, Counter[int]] = defaultdict(Counter)
    for context, token in tokens:
        seen[context][token] += 1
    tables = {context: frequencies(counted) for context, counted in seen.items()}
    if tableless:
        tables = {context: table for context, table in tables.items() if table.keys() - {0}}
    if surplus is not None:
        first = min(tables)
        tables[first] = _with_token(tables[first], surplus)
    if overfull:
        first = min(tables)
        tables[first] = _overfull(tables[first])
    lanes, words = code_tokens(tokens, tables, state)
    if overstated:
        first = min(tables)
        tables = {**tables, first: _overfull(tables[first])}
    table_bytes, raw_bytes = put_tables(tables, fill, end), raw.bytes(fill)
    head = count(len(table_bytes)) + count(len(words)) + count(len(raw_bytes)) + scales
    head += b"".join(s.to_bytes(4, "little") for s in lanes)
    return head + table_bytes + b"".join(w.to_bytes(2, "little") for w in words) + raw_bytes


def encode(
    tensors: Sequence[CodedTensor],
    history: History,
    fill: int = 0,
    end: int = CONTEXTS,
    surplus: int | None = None,
    state: int = 65536,
    *,
    tableless: bool = False,
    overfull: bool = False,
    overstated: bool = False,
) -> bytes:
    """Return the body of variant 1 (clause 8.6.1), bits without meaning as given.

    An end of the tables other than that of clause 8.6.3 is a fault, and so can be a surplus token;
    so is another first state of the encoder, which is the last one of a decoder, and a first table
    whose frequencies add up to 4097, with which the words can be coded all the same; or it is said
    so of a table, and the words are coded with 4096. On request the contexts in which all words are
    equal have no table.
    """
    sections: dict[tuple[int, int, int], list[CodedTensor]] = {}
    for p in tensors:
        sections.setdefault(p.word_format, []).append(p)
    return b"".join(
        _section(
            section,
            history,
            fill,
            end,
            surplus,
            state,
            tableless=tableless,
            overfull=overfull,
            overstated=overstated,
        )
        for section in sections.values()
        if any(p.old for p in section)
    )
