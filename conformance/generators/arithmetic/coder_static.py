"""The static variant of the lossless coder, in plain integers (clause 8.6)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from writers.package_writer import count

from arithmetic.coder_words import Bits, CodedTensor, History, clip, compare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOTAL = 1024
CONTEXTS = 192
CHUNK = 65536
FIRST = 1 << 20
MOST_TABLES = 32
ESCAPE = 1


@dataclass(frozen=True)
class Faults:
    """What an encoder does otherwise than clause 8.6 says, or than it would by itself.

    Attributes
    ----------
    fill : int
        Bits without meaning.
    end : int
        The context behind the last one with a table.
    surplus : int or None
        A token that never occurs in the first table.
    state : int
        The first state of lane 0 of the encoder, which is the last one of a decoder.
    overfull, overstated : bool
        The frequencies of the first table add up to 1025, with which the words are coded; or it is
        said so, and the words are coded with 1024.
    unknown : bool
        The last context has a table that there is none of.
    early, late : bool
        The lanes of the first run write a code word that they need not, or not one that they must.
    kind : int or None
        Which offsets a head has.
    forced : mapping of int to mapping of int to (int, int)
        By row and word, a token and its raw bits as a number.
    """

    fill: int = 0
    end: int = CONTEXTS
    surplus: int | None = None
    state: int = FIRST
    overfull: bool = False
    overstated: bool = False
    unknown: bool = False
    early: bool = False
    late: bool = False
    kind: int | None = None
    forced: Mapping[int, Mapping[int, tuple[int, int]]] = field(default_factory=dict)


NONE = Faults()


def lanes_of(words: int) -> int:
    """Return how many lanes a chunk has (clause 8.6.1)."""
    return 8 if words >= 8192 else 1


def raw_bits_of(p: CodedTensor, token: int) -> int:
    """Return how many raw bits a token has (clause 8.6.5)."""
    if token < 18:
        return (0, p.w)[token] if token < 2 else p.m
    return (token - 18) // 4


def token_of(p: CodedTensor, x: int, z: int, way: int) -> tuple[int, int]:
    """Return the token of a change and the value of its raw bits (clause 8.6.5)."""
    change = compare(p, x, z)
    if change.equal:
        return 0, 0
    if change.flip:
        step = (p.magnitude(z) >> p.m) - (p.magnitude(x) >> p.m)
        return (10 + step, z & ((1 << p.m) - 1)) if -8 <= step <= 7 else (ESCAPE, z)
    n = (change.d + 1).bit_length() - 2
    if n > min(p.w - 2, 58):
        return ESCAPE, z
    second = (change.d + 1) >> n & 1
    other = change.shrunk ^ int(way == 3)
    return 18 + 4 * n + 2 * second + other, (change.d + 1) & ((1 << n) - 1)


def word_of(p: CodedTensor, token: int, value: int, x: int, way: int) -> int:
    """Return the word that a token and its raw bits stand for (clause 8.6.5)."""
    if token < 2:
        return (x, value)[token]
    if token < 18:
        return ((x >> p.m << p.m) + (1 << (p.w - 1)) + ((token - 10) << p.m) + value) % (1 << p.w)
    second = 2 | (token - 18) >> 1 & 1
    d = (second << (token - 18) // 4) - 1 + value
    return (x - d if way_of(token, way) == 3 else x + d) % (1 << p.w)


def way_of(token: int, way: int) -> int:
    """Return the way of a word after its token (clause 8.6.5)."""
    if token < 18:
        return 2 * int(token > 0)
    return 2 + (token % 2 ^ int(way == 3))


def frequencies(tokens: Counter[int]) -> dict[int, int]:
    """Return frequencies of at least 1 that add up to 1024."""
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


def put_tables(numbers: Sequence[int], tables: Sequence[dict[int, int]], faults: Faults) -> bytes:
    """Write the number of the table of each context, and the tables."""
    bits = Bits()
    bits.put(len(tables) - 1, 5)
    start = 0
    for context in range(1, CONTEXTS + 1):
        if context == CONTEXTS or numbers[context] != numbers[start]:
            end = faults.end if context == CONTEXTS else context
            bits.gamma(end - start)
            unknown = faults.unknown and context == CONTEXTS
            bits.put(len(tables) if unknown else numbers[start], 5)
            start = context
    for table in tables:
        put_table(bits, table)
    return bits.bytes(faults.fill)


def code_tokens(
    tokens: Sequence[tuple[int, int]], tables: Sequence[dict[int, int]], faults: Faults = NONE
) -> tuple[list[int], list[int]]:
    """Return the lanes and the code words of tokens, given with the numbers of their tables."""
    count_ = lanes_of(len(tokens))
    lanes, words = [faults.state, *[FIRST] * (count_ - 1)], []
    starts = [
        {t: sum(f for other, f in table.items() if other < t) for t in table} for table in tables
    ]
    run = 2 * count_
    for first in range((len(tokens) - 1) // run * run, -1, -run):
        for lane in reversed(range(count_)):
            mine = tokens[first + lane : first + run : count_]
            product = 1
            for number, token in mine:
                product *= tables[number][token]
            s = lanes[lane]
            full = s >= product << (52 - 10 * len(mine))
            if mine and (
                (full and not (faults.late and first == 0)) or (faults.early and not first)
            ):
                words.append(s & 0xFFFFFFFF)
                s >>= 32
            for number, token in reversed(mine):
                f = tables[number][token]
                s = ((s // f) << 10) + s % f + starts[number][token]
                assert s % f + starts[number][token] <= TOTAL
            lanes[lane] = s
    return lanes, words[::-1]


def _with_token(table: dict[int, int], token: int) -> dict[int, int]:
    """Return a table in which one more token, that never occurs, has a frequency of 1."""
    largest = max(table, key=lambda t: table[t])
    return dict(sorted({**table, largest: table[largest] - 1, token: 1}.items()))


def _overfull(table: dict[int, int]) -> dict[int, int]:
    """Return a table whose last token has a frequency of one more than there is room for."""
    last = max(table)
    return {**table, last: table[last] + 1}


@dataclass(frozen=True)
class Described:
    """A tensor with its head, its tokens and their contexts."""

    p: CodedTensor
    head: bytes
    tokens: list[int]
    values: list[int]
    contexts: list[int]


def _offsets(sizes: list[int], scale: int) -> int:
    mean = sum(sizes) // len(sizes) if sizes else scale
    return clip((mean - scale + 1) // 2, -8, 7)


def _nibbles(offsets: Sequence[int], fill: int) -> bytes:
    padded = [offset + 8 for offset in offsets] + [15 * fill] * (len(offsets) % 2)
    return bytes(a | b << 4 for a, b in zip(padded[::2], padded[1::2], strict=True))


def describe(p: CodedTensor, history: History, faults: Faults = NONE) -> Described:
    """Return the head and the tokens of a tensor (clauses 8.6.1, 8.6.2 and 8.6.5); ways go on."""
    changes = [compare(p, x, z) for x, z in zip(p.old, p.new, strict=True)]
    sizes = [c.size for c in changes]
    moved = [c.size for c in changes if not c.equal]
    scale = sum(moved) // len(moved) if moved else 0
    n = p.columns
    lines = -(-len(p.old) // n)
    # by themselves, tensors take turns, so that all kinds of heads occur
    kind = (p.row + len(p.old)) % 4 if faults.kind is None else faults.kind
    columns, rows = [0] * n, [0] * lines
    head = bytes([kind]) + scale.to_bytes(2, "little")
    if kind & 1:
        columns = [_offsets([s for s in sizes[j::n] if s], scale) for j in range(n)]
        head += _nibbles(columns, faults.fill)
    if kind & 2:
        rows = [_offsets([s for s in sizes[i * n : i * n + n] if s], scale) for i in range(lines)]
        head += _nibbles(rows, faults.fill)
    ways = history.ways_of(p)
    made = Described(p, head, [], [], [])
    for i, (x, z) in enumerate(zip(p.old, p.new, strict=True)):
        expected = scale + 2 * (columns[i % n] + rows[i // n])
        wide = p.w == 64
        octave = (expected >> 3) - p.exponent(x) if wide else (expected >> 2) - 2 * p.exponent(x)
        token, value = faults.forced.get(p.row, {}).get(i) or token_of(p, x, z, ways[i])
        assert word_of(p, token, value, x, ways[i]) == z
        made.contexts.append(64 * min(ways[i], 2) + clip(octave, 0, 63))
        made.tokens.append(token)
        made.values.append(value)
        ways[i] = way_of(token, ways[i])
    return made


def choose(described: Sequence[Described]) -> tuple[list[int], list[dict[int, int]]]:
    """Return the number of the table of each context, and the tables."""
    seen: dict[int, Counter[int]] = {}
    for made in described:
        for context, token in zip(made.contexts, made.tokens, strict=True):
            seen.setdefault(context, Counter())[token] += 1
    used = sorted(seen)
    number = min(len(used), MOST_TABLES)
    counted = [Counter[int]() for _ in range(number)]
    numbers = [0] * CONTEXTS
    for k, context in enumerate(used):
        numbers[context:] = [k * number // len(used)] * (CONTEXTS - context)
        counted[numbers[context]] += seen[context]
    return numbers, [frequencies(tokens) for tokens in counted]


def _chunk(
    made: Described, first: int, numbers: list[int], tables: list[dict[int, int]], faults: Faults
) -> tuple[bytes, bytes]:
    """Return the sizes of a chunk, and the chunk."""
    part = slice(first, first + CHUNK)
    raw = Bits()
    for token, value in zip(made.tokens[part], made.values[part], strict=True):
        raw.put(value, raw_bits_of(made.p, token))
    tokens = [
        (numbers[context], token)
        for context, token in zip(made.contexts[part], made.tokens[part], strict=True)
    ]
    lanes, words = code_tokens(tokens, tables, faults)
    raw_bytes = raw.bytes(faults.fill)
    body = b"".join(min(s, (1 << 56) - 1).to_bytes(7, "little") for s in lanes)
    body += b"".join(w.to_bytes(4, "little") for w in words) + raw_bytes
    return count(len(words)) + count(len(raw_bytes)), body


def _section(tensors: Sequence[CodedTensor], history: History, faults: Faults) -> bytes:
    described = [describe(p, history, faults) for p in tensors]
    numbers, tables = choose(described)
    if faults.surplus is not None:
        tables[0] = _with_token(tables[0], faults.surplus)
    stated = [_overfull(tables[0]), *tables[1:]]
    if faults.overfull:
        tables = stated
    heads, chunks = b"", b""
    for made in described:
        parts = [
            _chunk(made, first, numbers, tables, faults)
            for first in range(0, len(made.tokens), CHUNK)
        ]
        heads += made.head + b"".join(sizes for sizes, _ in parts)
        chunks += b"".join(body for _, body in parts)
    data = put_tables(numbers, stated if faults.overstated else tables, faults)
    return count(len(data)) + heads + data + chunks


def encode(tensors: Sequence[CodedTensor], history: History, faults: Faults = NONE) -> bytes:
    """Return the body of variant 1 (clause 8.6.1)."""
    sections: dict[tuple[int, int, int], list[CodedTensor]] = {}
    for p in tensors:
        sections.setdefault(p.word_format, []).append(p)
    return b"".join(
        _section([p for p in section if p.old], history, faults)
        for section in sections.values()
        if any(p.old for p in section)
    )
