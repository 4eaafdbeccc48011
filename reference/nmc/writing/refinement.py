"""Refinements of a frame (clause 12.7): an encoder's choice of finer grids, and their streams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nmc.coding.refinements import AtStop, bins_of, past_of
from nmc.coding.state import Tensor, digest_of
from nmc_format.manifest.frame_table import Refined
from nmc_format.segment import BELOW, REFINE, SKIP, size_of
from nmc_format.segment import made as made_pieces
from nmc_format.stops import refined as with_refinements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from nmc.coding.cursor import Cursor
    from nmc.coding.encode import CodedFrame
    from nmc.coding.quantised.grid import Grid, Quantised
    from nmc.coding.state import State
    from nmc.writing.quantisation import Quantisation
    from nmc_format.manifest.tensor_table import TensorRow
    from nmc_format.segment import Bytes

_NEAR = 2
"""A grid of the frame before is kept where it is finer or coarser by so many powers of two."""


@dataclass(frozen=True)
class Layered:
    """A frame with its refinements.

    Attributes
    ----------
    pieces : list of bytes-like or Pieces
        Its segment.
    stops : tuple of AtStop
        For the next frame.
    records : tuple of Refined
        What the manifest says of them.
    """

    pieces: list[Bytes]
    stops: tuple[AtStop, ...] = ()
    records: tuple[Refined, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the segment."""
        return sum(map(size_of, self.pieces))

    def with_base(self, given: State, kept: State) -> Layered:
        """Return the same, where a tensor that is as in the base is the one that is kept of it."""
        stops = tuple(
            AtStop(
                {row: kept[row] if t is given[row] else t for row, t in stop.state.items()},
                stop.memory,
            )
            for stop in self.stops
        )
        return replace(self, stops=stops)

    def with_psnr(self, measured: Sequence[float | None]) -> Layered:
        """Return the same, of which so many dB were measured."""
        records = tuple(
            replace(record, declared_psnr=psnr)
            for record, psnr in zip(self.records, measured, strict=True)
        )
        return replace(self, records=records)


def layered(
    coded: CodedFrame,
    base: State,
    wanted: Sequence[State],
    before: Cursor,
    rows: Sequence[TensorRow],
    *,
    mixing: bool,
    threads: int = 1,
) -> Layered:
    """Return a frame with refinements.

    Parameters
    ----------
    coded : CodedFrame
        Its base.
    base : State
        The state of the base.
    wanted : sequence of State
        The state of each stop above it.
    before : Cursor
        The frame before.
    rows : sequence of TensorRow
        The tensor table.
    mixing : bool
        Whether probabilities are mixed (clause 12.4.4).
    threads : int
        Parts of a refinement that are coded at the same time; the bytes are the same.
    """
    if not wanted:
        return Layered(coded.pieces)
    delta = coded.coding.number == 1
    below, stops, added = base, [], []
    for k, state in enumerate(wanted):
        known = before.refined[k] if delta else None
        at_stop, streams = _coded(below, state, known, len(rows), mixing=mixing, threads=threads)
        stops.append(at_stop)
        added.append((digest_of(at_stop.state, rows), streams))
        below = at_stop.state
    pieces, starts = with_refinements(list(made_pieces(coded.pieces)), added)
    records = [Refined(s, digest) for s, (digest, _) in zip(starts, added, strict=True)]
    return Layered(list(pieces), tuple(stops), tuple(records))


def _coded(
    below: State,
    wanted: State,
    before: AtStop | None,
    rows: int,
    *,
    mixing: bool,
    threads: int,
) -> tuple[AtStop, dict[str, Buffer]]:
    """Return one stop and its streams."""
    from nmc.coding.quantised import refine
    from nmc.coding.quantised.memory import Memory
    from nmc.coding.quantised.produce import substreams_of

    bases, state = bins_of(below), dict(below)
    modes = np.full(rows, BELOW, np.uint8)
    for row, base in bases.items():
        made = wanted[row]
        assert made.quantised is not None
        past = past_of(before, row, made)
        if _are_same(made.quantised, base):
            state[row] = replace(below[row], quantised=replace(base, bound=made.quantised.bound))
        elif past is not None and _are_same(made.quantised, past):
            modes[row], state[row] = SKIP, made
        else:
            modes[row], state[row] = REFINE, made
    memory = Memory() if before is None else before.memory.copy()
    memory.keep(set(np.flatnonzero(modes).tolist()))
    found = bins_of(state)
    streams: dict[str, Buffer] = {"modes": modes.tobytes()}
    if found:
        streams["bounds"] = np.array([q.bound for q in found.values()], "<f4").tobytes()
    refined = np.flatnonzero(modes == REFINE).tolist()
    if refined:
        places = substreams_of({row: (q.grid, q.bins.shape[1]) for row, q in found.items()})
        tensors = [
            refine.Below(row, bases[row], past_of(before, row, wanted[row])) for row in refined
        ]
        streams["bins.nmc"] = refine.encode(
            tensors,
            [found[row] for row in refined],
            [finer_by(bases[row].grid, found[row].grid) or 0 for row in refined],
            [places[row] for row in refined],
            memory,
            mixing=mixing,
            threads=threads,
        )
    return AtStop(state, memory), streams


def _are_same(a: Quantised, b: Quantised) -> bool:
    return a.grid == b.grid and np.array_equal(a.bins, b.bins)


def finer_by(coarse: Grid, fine: Grid) -> int | None:
    """Return by how many powers of two a grid is finer than another; None where by none."""
    if [(p.rows, p.mantissa) for p in coarse] != [(p.rows, p.mantissa) for p in fine]:
        return None
    apart = {a.exponent - b.exponent for a, b in zip(coarse, fine, strict=True)}
    return apart.pop() if len(apart) == 1 else None


def finer_states(
    asked: Quantisation, base: State, originals: State, before: Cursor, *, key: bool
) -> list[State]:
    """Return the state of each stop above the base, each tensor on the grid that is asked for.

    Parameters
    ----------
    asked : Quantisation
    base : State
        The state of the base, with how its tensors are coded.
    originals : State
        The state as it was given.
    before : Cursor
        The frame before.
    key : bool
        Whether this is a key frame.
    """
    made: list[State] = []
    below, bits = base, 0
    for k, more in enumerate(asked.refinements):
        bits += more
        known = None if key or not before.refined else before.refined[k]
        below = {
            row: tensor
            if tensor.quantised is None
            else _finer(tensor, base[row], originals[row], bits, past_of(known, row, tensor))
            for row, tensor in below.items()
        }
        made.append(below)
    return made


def _finer(
    below: Tensor, base: Tensor, original: Tensor, bits: int, past: Quantised | None
) -> Tensor:
    """Return a tensor on a finer grid; as it is below where that is no nearer to the original."""
    from nmc.coding.arithmetic.tensors import CoderError
    from nmc.coding.quantised.grid import BIN_LIMIT, GridError, slices_of
    from nmc.coding.quantised.quantise import real, tensor_of
    from nmc.coding.quantised.refine import FINER, finer_grid

    assert below.quantised is not None and base.quantised is not None
    if below.quantised.bound == 0:
        return below
    kept = finer_by(base.quantised.grid, past.grid) if past is not None else None
    finer = _finer_than_grid(base.quantised, bits)
    if kept is not None and (finer is None or abs(kept - finer) <= _NEAR):
        finer = kept
    finer = bits if finer is None else finer
    values = real(original)
    try:
        grid = finer_grid(base.quantised.grid, finer)
        if finer_by(below.quantised.grid, grid) not in FINER:
            return below
        bins = np.empty(values.shape, np.int64)
        for part, rows in slices_of(grid):
            bins[rows] = np.rint(np.clip(values[rows] / part.scale, -BIN_LIMIT, BIN_LIMIT))
        if int(np.abs(bins).max()) >= BIN_LIMIT:
            return below
        made = tensor_of(original, grid, bins.astype(np.int32), values)
    except (GridError, CoderError):
        return below
    assert made.quantised is not None
    return made if made.quantised.bound < below.quantised.bound else below


def _finer_than_grid(base: Quantised, bits: int) -> int | None:
    """Return how much finer than its grid a tensor becomes if it is finer than its step by bits.

    None where nobody says what that step is: the tensor stays as it was.
    """
    if base.coded is None:
        return None
    return bits - base.coded.shifts[0] - base.coded.dependent
