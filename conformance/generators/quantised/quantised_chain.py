"""Chains with quantised tensors: what each frame codes, and what follows from it (clause 12)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TypeAlias

import numpy as np
from chain import DELTA, KEY, QUANTISED, SKIP, UPDATE, Cell, Chain, Frame, Refinement, Row

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
from quantised.coder_refined import RefinedTensor

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
class Finer:
    """The symbols of a tensor of mode `refine`, and its description (clause 12.7.3)."""

    values: Sequence[int]
    finer: int = 2
    reach: int = 2
    substreams: tuple[int, ...] = (0,)
    flags: int = 0

    @property
    def all_flags(self) -> int:
        """The byte of flags; ``flags`` are further ones, as a fault."""
        return APART * (len(self.substreams) > 1) | self.flags


SAME = "below"
"""A row of a refinement that is as at the stop below."""

HELD = "skip"
"""A row of a refinement that is as at the same stop of the frame before."""


@dataclass(frozen=True)
class Layer:
    """One refinement of a frame: ``SAME``, ``HELD`` or the symbols of each row."""

    rows: tuple[Finer | str, ...]
    variant: int = MIXED
    change: Callable[[Payload], Payload] | None = None
    streams: Mapping[str, bytes] = field(default_factory=dict)


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
    layers: tuple[Layer, ...] = ()


def quantised_chain(rows: tuple[Row, ...], acts: Sequence[Act], profile: str = "lossy") -> Chain:
    """Return a chain; elements, bounds and streams follow from its symbols."""
    history = History()
    known: dict[int, Known] = {}
    cells: dict[int, Cell] = {}
    stops = [_Stop() for _ in range(max(len(act.layers) for act in acts))]
    frames = []
    for t, act in enumerate(acts):
        if act.coding == KEY:
            history, known, cells = History(), {}, {}
            stops = [_Stop() for _ in stops]
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
        refinements, below = [], (dict(cells), dict(known))
        for stop, layer in zip(stops, act.layers, strict=False):
            refinements.append(stop.refined(t, layer, rows, below))
            below = (stop.cells, stop.known)
        frames.append(Frame(act.coding, made, payloads=payloads, refinements=tuple(refinements)))
    return Chain(rows, tuple(frames), profile=profile)


@dataclass
class _Stop:
    """One stop above the base, as the frame before left it."""

    history: History = field(default_factory=History)
    known: dict[int, Known] = field(default_factory=dict)
    cells: dict[int, Cell] = field(default_factory=dict)

    def refined(
        self,
        t: int,
        layer: Layer,
        rows: tuple[Row, ...],
        below: tuple[dict[int, Cell], dict[int, Known]],
    ) -> Refinement:
        """Return the refinement of a frame, and go on to it."""
        cells, known = dict(below[0]), dict(below[1])
        coded = []
        for i, content in enumerate(layer.rows):
            if content == SAME:
                self.history.forget(i)
            elif content == HELD:
                # a fault where there is nothing to hold: what is below stays
                cells[i] = self.cells.get(i, cells[i])
                if i in self.known:
                    known[i] = self.known[i]
            elif isinstance(content, Finer):
                coded.append(self._coded(i, rows[i], content, below))
        streams = {"modes": bytes(_refined_mode(content) for content in layer.rows)}
        if coded:
            for tensor in coded:
                if tensor.known is None:
                    self.history.forget(tensor.row)
            payload = encode(coded, self.history, layer.variant)
            streams[BINS] = (layer.change(payload) if layer.change else payload).bytes()
        for tensor in coded:
            self.history.symbols[tensor.row] = tensor.symbols
            known[tensor.row] = tensor.made()
            data = words_of(known[tensor.row], tensor.columns, tensor.dtype)
            cells[tensor.row] = replace(cells[tensor.row], data=data)
        if known:
            streams[BOUNDS] = bounds(t, sorted(known))
        self.cells, self.known = cells, known
        return Refinement(
            tuple(cells.get(i) for i in range(len(layer.rows))), {**streams, **layer.streams}
        )

    def _coded(
        self, i: int, row: Row, content: Finer, below: tuple[dict[int, Cell], dict[int, Known]]
    ) -> RefinedTensor:
        shape = below[0][i].shape or row.shape
        before = self.cells.get(i)
        past = self.known.get(i) if before and (before.shape or row.shape) == shape else None
        return RefinedTensor(
            i,
            row.dtype,
            shape,
            tuple(content.values),
            below[1][i],
            past,
            content.finer,
            content.reach,
            content.substreams,
            content.all_flags,
        )


def _refined_mode(content: Finer | str) -> int:
    return 2 if isinstance(content, Finer) else (SAME, HELD).index(content)


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
