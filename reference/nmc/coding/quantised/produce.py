"""Quantised tensors of one frame: from tensors to the streams `bins.nmc` and `bounds`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nmc.coding.arithmetic.tensors import CoderError
from nmc.coding.quantised.grid import Grid, Integers, Quantised, matrix_shape
from nmc.coding.quantised.payload import SUBSTREAMS, Target
from nmc.coding.quantised.symbols import SHIFT_LIMIT, CodedSymbols
from nmc_format.issues import FormatError, refuse
from nmc_format.segment import QUANTISED, SKIP, UPDATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from nmc.coding.arithmetic import History
    from nmc.coding.quantised.memory import Memory
    from nmc.coding.state import State, Tensor

_LARGE = 1 << 14
"""Symbols from which on a part has a substream of its own."""


def mode_of(quantised: Quantised, reference: Tensor | None, shape: tuple[int, ...]) -> int:
    """Return the mode of a quantised tensor, given the tensor of the frame before."""
    if reference is None or reference.quantised is None or reference.shape != shape:
        return QUANTISED
    if reference.quantised.grid != quantised.grid:
        return QUANTISED
    return SKIP if np.array_equal(reference.quantised.bins, quantised.bins) else UPDATE


def substreams_of(grids: Mapping[int, tuple[Grid, int]]) -> dict[int, tuple[int, ...]]:
    """Return the substream of each part: its own for a large one, the first for all small ones.

    Parameters
    ----------
    grids : mapping of int to (tuple of Part, int)
        By row, the grid and the number of columns; of all quantised tensors of a state, so that a
        part keeps its substream from frame to frame.
    """
    substreams: dict[int, tuple[int, ...]] = {}
    large = 0
    for row, (grid, columns) in grids.items():
        found = []
        for part in grid:
            if part.rows * columns < _LARGE:
                found.append(0)
            else:
                found.append(1 + large % (SUBSTREAMS - 1))
                large += 1
        substreams[row] = tuple(found)
    return substreams


def streams_of(
    state: State,
    before: State,
    modes: Mapping[int, int],
    history: History,
    *,
    mixing: bool,
    threads: int = 1,
) -> dict[str, Buffer]:
    """Return the streams of the quantised tensors of a state; history moves on.

    Parameters
    ----------
    state, before : mapping of int to Tensor
        This state, and the one before; empty for a key frame.
    modes : mapping of int to int
        Mode of each row of the state.
    history : History
        Of the group.
    mixing : bool
        Whether probabilities are mixed (clause 12.4.4).
    threads : int
        Substreams that are coded at the same time; the bytes are the same.

    Raises
    ------
    FormatError
        If what was coded does not decode to these bins: it is read back before it is returned.
    """
    quantised = {row: t.quantised for row, t in state.items() if t.quantised is not None}
    if not quantised:
        return {}
    bounds = np.array([q.bound for q in quantised.values()], "<f4").tobytes()
    streams: dict[str, Buffer] = {"bounds": bounds}
    rows = [row for row in quantised if modes[row] in (QUANTISED, UPDATE)]
    if not rows:
        return streams
    from nmc.coding.quantised import coder

    substreams = substreams_of({row: (q.grid, q.bins.shape[1]) for row, q in quantised.items()})
    bases = {row: b for row in rows if modes[row] == UPDATE and (b := before[row].quantised)}
    targets, coded, grids = [], [], []
    for row in rows:
        q = quantised[row]
        base = bases.get(row)
        targets.append(Target(row, matrix_shape(state[row].shape), base.grid if base else None))
        grids.append(q.grid)
        meant = q.coded
        if meant is None or meant.base is not base:
            meant = plain_symbols(q, base, substreams[row])
        coded.append(meant)
    memory = history.quantised.copy()
    payload = coder.encode(targets, coded, grids, memory, mixing=mixing, threads=threads)
    decoded = _read_back(payload, targets, bases, history.quantised, threads)
    for row, (grid, bins) in zip(rows, decoded, strict=True):
        if grid != quantised[row].grid or not np.array_equal(bins, quantised[row].bins):
            raise _not_what_was_meant(f"row {row} has other bins")
    streams["bins.nmc"] = payload
    return streams


def _read_back(
    payload: bytes,
    targets: list[Target],
    bases: Mapping[int, Quantised],
    memory: Memory,
    threads: int,
) -> list[tuple[Grid, Integers]]:
    """Decode what was coded; memory moves on as that of a decoder does."""
    from nmc.coding.quantised import coder

    try:
        return coder.decode(payload, targets, bases, memory, threads)
    except CoderError as error:
        raise _not_what_was_meant(str(error)) from None


def _not_what_was_meant(reason: str) -> FormatError:
    return refuse(
        "segment/bins",
        file="bins.nmc",
        stream="bins.nmc",
        reason=f"what was coded does not decode to what was meant, and is not written ({reason})",
    )


def plain_symbols(
    after: Quantised, base: Quantised | None, substreams: tuple[int, ...]
) -> CodedSymbols:
    """Return symbols that make these bins, whatever made the bins."""
    changes = after.bins.astype(np.int64) - (base.bins if base else 0)
    symbols: Integers = np.zeros(changes.shape, np.int32)
    shifts = []
    for _, rows in after.slices():
        some = (
            int(np.bitwise_or.reduce(np.abs(changes[rows]), axis=None)) if changes[rows].size else 0
        )
        shift = min((some & -some).bit_length() - 1, SHIFT_LIMIT) if some else 0
        symbols[rows] = changes[rows] >> shift
        shifts.append(shift)
    return CodedSymbols(symbols, tuple(shifts), substreams, base=base)
