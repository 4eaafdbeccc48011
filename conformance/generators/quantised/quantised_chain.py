"""Chains with quantised tensors: what each frame codes, and what follows from it (clause 12)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TypeAlias

import numpy as np
from chain import DELTA, KEY, QUANTISED, SKIP, UPDATE, Cell, Chain, Frame, Row

from quantised.coder_bins import (
    APART,
    DEPENDENT,
    LEARNING,
    MIXED,
    TRANSFORMED,
    CodedTensor,
    Grid,
    History,
    Known,
    Part,
    Payload,
    decoded,
    encode,
    words_of,
)

BINS, BOUNDS = "bins.nmc", "bounds"


@dataclass(frozen=True)
class Symbols:
    """The symbols of a coded tensor, and its entry; with a grid its mode is `quantised`.

    ``places`` has a shift and a substream, one pair for all parts or one for each.
    """

    values: Sequence[int]
    grid: Grid | None = None
    places: tuple[tuple[int, int], ...] = ((0, 0),)
    dependent: bool = False
    transformed: bool = False
    learning: bool = False
    shape: tuple[int, ...] | None = None
    flags: int = 0

    @property
    def all_flags(self) -> int:
        """The byte of flags; ``flags`` are further ones, as a fault."""
        made = DEPENDENT * self.dependent + TRANSFORMED * self.transformed
        return made + LEARNING * self.learning + APART * (len(self.places) > 1) | self.flags


Content: TypeAlias = Symbols | Cell | None
"""What a frame has of a row: symbols, the cell of a mode without loss, or nothing."""

KEPT = Cell(SKIP, b"")
"""A row of mode skip; its bytes follow."""


@dataclass(frozen=True)
class Act:
    """One frame: what it has of each row, and how its bins are coded.

    ``change`` is put on its payload, as a fault. Where the code is ``rounded``, its last word is 0.
    """

    rows: tuple[Content, ...]
    coding: int = DELTA
    variant: int = MIXED
    fill: int = 0
    change: Callable[[Payload], Payload] | None = None
    payloads: Mapping[str, bytes] = field(default_factory=dict)
    rounded: bool = False


def quantised_chain(rows: tuple[Row, ...], acts: Sequence[Act], profile: str = "lossy") -> Chain:
    """Return a chain; elements, bounds and streams follow from its symbols."""
    history = History()
    known: dict[int, Known] = {}
    cells: dict[int, Cell] = {}
    frames = []
    for t, act in enumerate(acts):
        if act.coding == KEY:
            history, known, cells = History(), {}, {}
        coded, present = [], {}
        for i, content in enumerate(act.rows):
            mode = _mode(content)
            if mode not in (SKIP, UPDATE):
                history.forget(i)
                known.pop(i, None)
            if isinstance(content, Symbols):
                before = cells[i] if mode == UPDATE and i in cells else None
                coded.append(_coded(i, rows[i], content, known.get(i), before))
            elif content is not None:
                present[i] = cells[i] if mode == SKIP else content
        payloads = dict(act.payloads)
        if coded:
            payload = encode(coded, history, act.variant, act.fill, rounded=act.rounded)
            payloads[BINS] = (act.change(payload) if act.change else payload).bytes()
        for tensor in coded:
            known[tensor.row] = decoded(tensor, history)
            data = words_of(known[tensor.row], tensor.columns, tensor.dtype)
            shape = None if tensor.shape == rows[tensor.row].shape else tensor.shape
            mode = QUANTISED if tensor.known is None else UPDATE
            present[tensor.row] = Cell(mode, data, shape)
        cells = present
        if known:
            payloads.setdefault(BOUNDS, bounds(t, sorted(known)))
        made = tuple(
            replace(cells[i], mode=SKIP) if content is KEPT else cells.get(i)
            for i, content in enumerate(act.rows)
        )
        frames.append(Frame(act.coding, made, payloads=payloads))
    return Chain(rows, tuple(frames), profile=profile)


def bounds(t: int, rows: Sequence[int]) -> bytes:
    """Return declared errors of some rows (clause 12.6.1); any number is as good as another."""
    return b"".join(struct.pack("<f", (t + 1) / 1024 + row / 64) for row in rows)


def _mode(content: Content) -> int:
    if isinstance(content, Symbols):
        return UPDATE if content.grid is None else QUANTISED
    return -1 if content is None else content.mode


def _coded(
    i: int, row: Row, content: Symbols, known: Known | None, before: Cell | None
) -> CodedTensor:
    shape = content.shape or (before.shape if before else None) or row.shape
    grid = content.grid or (known.grid if known else ())
    symbols = tuple(content.values)
    assert len(symbols) == prod(shape)
    return CodedTensor(i, row.dtype, shape, symbols, grid, known, content.places, content.all_flags)


def one_part(shape: tuple[int, ...], mantissa: int = 1, exponent: int = -8) -> Grid:
    """Return the grid of one part."""
    return (Part(shape[0] if shape else 1, mantissa, exponent),)


def symbols(seed: int, count: int, spread: float = 4.0, zeros: float = 0.5) -> list[int]:
    """Return symbols as an encoder has them: many zeros, small numbers, few large ones."""
    rng = np.random.default_rng(seed)
    made = np.rint(rng.laplace(0, spread, count)).astype(int)
    made[rng.random(count) < zeros] = 0
    return [int(v) for v in made]
