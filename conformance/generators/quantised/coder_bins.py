"""Payloads of the stream ``bins.nmc``, made from symbols in plain integers (clauses 12.1 to 12.3).

Any symbols make a payload: the bins and the elements follow from them, as a decoder has them.
Nothing here is checked, so that a negative vector can have what a decoder refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from arithmetic.coder_words import WORD_FORMATS
from writers.package_writer import count

from quantised import coder_bases
from quantised.coder_symbols import Block, BlockEncoder, Model, Substream, values_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantised.coder_bases import Bases
    from quantised.coder_refined import RefinedTensor

ADAPTIVE, MIXED = 2, 3
DEPENDENT, TRANSFORMED, LEARNING, APART = 1, 2, 4, 8


@dataclass(frozen=True)
class Part:
    """Consecutive rows of one scale (clause 12.1.1)."""

    rows: int
    mantissa: int
    exponent: int


Grid = tuple[Part, ...]


@dataclass(frozen=True)
class Known:
    """Grid and bins of a row in a state."""

    grid: Grid
    bins: tuple[int, ...]


@dataclass(frozen=True)
class CodedTensor:
    """One coded tensor (clause 12.2): ``known`` is what it was, None where it brings its grid."""

    row: int
    dtype: str
    shape: tuple[int, ...]
    symbols: tuple[int, ...]
    grid: Grid
    known: Known | None
    places: tuple[tuple[int, int], ...]
    flags: int

    @property
    def rows(self) -> int:
        """Rows."""
        return self.shape[0] if self.shape else 1

    @property
    def columns(self) -> int:
        """Columns."""
        return prod(self.shape) // self.rows

    @property
    def old(self) -> tuple[int, ...]:
        """Bins in frame t - 1."""
        return self.known.bins if self.known else (0,) * len(self.symbols)

    @property
    def entry(self) -> bytes:
        """What a payload says of it."""
        return entry_of(self)

    @property
    def pieces(self) -> list[tuple[slice, int, int]]:
        """The symbols of each part, its shift and its substream."""
        made, at = [], 0
        for k, part in enumerate(self.grid):
            size = part.rows * self.columns
            made.append((slice(at, at + size), *self.places[min(k, len(self.places) - 1)]))
            at += size
        return made


@dataclass
class History:
    """What the coder remembers in a group (clause 12.4.1)."""

    symbols: dict[int, tuple[int, ...]] = field(default_factory=dict)
    bases: dict[int, Bases] = field(default_factory=dict)
    models: dict[tuple[bool, int], Model] = field(default_factory=dict)

    def forget(self, row: int) -> None:
        """Forget a row whose mode is neither skip nor update."""
        self.symbols.pop(row, None)
        self.bases.pop(row, None)


@dataclass(frozen=True)
class Payload:
    """The fields of a payload (clause 12.3.1)."""

    variant: int
    substreams: int
    entries: tuple[bytes, ...]
    code: tuple[tuple[int, ...], ...]
    raw: tuple[bytes, ...]

    def bytes(self) -> bytes:
        """Return the payload."""
        sizes = zip(self.code, self.raw, strict=True)
        bodies = zip(self.code, self.raw, strict=True)
        return b"".join(
            (
                bytes([self.variant]),
                count(self.substreams),
                *self.entries,
                *(count(len(words)) + count(len(bits)) for words, bits in sizes),
                *(b"".join(w.to_bytes(2, "little") for w in words) + b for words, b in bodies),
            )
        )


def element_of(bin_: int, part: Part, dtype: str) -> int:
    """Return the word of an element; a magnitude beyond the finite ones is kept (clause 12.1.2)."""
    w, e, m = WORD_FORMATS[dtype]
    product = abs(bin_) * part.mantissa
    if product == 0:
        return 0
    bias = (1 << (e - 1)) - 1
    exponent = max(part.exponent + product.bit_length() - 1 + bias, 1)
    drop = exponent - bias - m - part.exponent
    if drop > 0:
        kept, rest, half = product >> drop, product % (1 << drop), 1 << (drop - 1)
        kept += rest > half or (rest == half and kept % 2 == 1)
    else:
        kept = product << -drop
    return kept + ((exponent - 1) << m) | (bin_ < 0) << (w - 1)


def entry_of(tensor: CodedTensor) -> bytes:
    """Return the entry of a tensor (clause 12.3.1)."""
    made = bytearray([tensor.flags])
    if tensor.known is None:
        made += count(len(tensor.grid))
        for part in tensor.grid:
            made += count(part.rows) + part.mantissa.to_bytes(3, "little")
            made += part.exponent.to_bytes(2, "little", signed=True)
    for shift, substream in tensor.places:
        made += bytes([shift, substream])
    return bytes(made)


def encode(
    tensors: Sequence[CodedTensor | RefinedTensor],
    history: History,
    variant: int,
    fill: int = 0,
    *,
    rounded: bool = False,
) -> Payload:
    """Return the payload of some tensors, bits without meaning as given; the models move on."""
    used = 1 + max(k for tensor in tensors for _, k in tensor.places)
    streams = [Substream() for _ in range(used)]
    for k, stream in enumerate(streams):
        for tensor in tensors:
            for piece, _, substream in tensor.pieces:
                if substream == k:
                    stream.used = True
                    model = history.models.setdefault((tensor.known is not None, k), Model())
                    block = _block(tensor, piece, history)
                    BlockEncoder(block, model, stream, mixed=variant == MIXED).run()
    return Payload(
        variant,
        used,
        tuple(tensor.entry for tensor in tensors),
        tuple(tuple(s.code.words(rounded=rounded)) if s.used else () for s in streams),
        tuple(s.raw.bytes(fill) for s in streams),
    )


def _block(tensor: CodedTensor | RefinedTensor, piece: slice, history: History) -> Block:
    before = history.symbols.get(tensor.row, (0,) * len(tensor.symbols))
    old = (0,) * len(tensor.symbols) if tensor.flags & TRANSFORMED else tensor.old
    return Block(
        tensor.symbols[piece],
        before[piece],
        old[piece],
        tensor.columns,
        bool(tensor.flags & DEPENDENT),
    )


def decoded(tensor: CodedTensor, history: History) -> Known:
    """Return grid and bins of a tensor; its symbols and bases are remembered (clause 12.3.3)."""
    changes: list[int] = []
    for piece, shift, _ in tensor.pieces:
        symbols = tensor.symbols[piece]
        values = values_of(symbols) if tensor.flags & DEPENDENT else list(symbols)
        changes += values if tensor.flags & TRANSFORMED else [value << shift for value in values]
    if tensor.flags & TRANSFORMED:
        bases, shift = _bases(tensor, history), tensor.places[0][0]
        changes = coder_bases.changes_of(changes, bases, tensor.columns, shift)
    if tensor.flags & LEARNING:
        coder_bases.learn(_bases(tensor, history), changes, tensor.columns)
    history.symbols[tensor.row] = tensor.symbols
    bins = tuple(a + b for a, b in zip(tensor.old, changes, strict=True))
    return Known(tensor.grid, bins)


def _bases(tensor: CodedTensor, history: History) -> Bases:
    if tensor.row not in history.bases:
        history.bases[tensor.row] = coder_bases.first_bases(tensor.rows, tensor.columns)
    return history.bases[tensor.row]


def words_of(known: Known, columns: int, dtype: str) -> bytes:
    """Return the bytes of the elements."""
    width = WORD_FORMATS[dtype][0] // 8
    scales = [part for part in known.grid for _ in range(part.rows * columns)]
    words = (element_of(b, part, dtype) for b, part in zip(known.bins, scales, strict=True))
    return b"".join(word.to_bytes(width, "little") for word in words)
