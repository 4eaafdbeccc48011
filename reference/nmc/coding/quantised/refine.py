"""Encoder and decoder of the stream `bins.nmc` of a refinement (clause 12.7.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic.payload import Reader, count_bytes
from nmc.coding.arithmetic.tensors import CoderError
from nmc.coding.quantised.coder import (
    TensorInCode,
    decode_tensors,
    encode_tensors,
    read_head,
)
from nmc.coding.quantised.grid import BIN_LIMIT, EXPONENT_RANGE, Grid, Integers, Part, Quantised
from nmc.coding.quantised.payload import APART

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc.coding.quantised.memory import Memory

FINER: Final = range(-17, 25)
"""By so many powers of two the grid of a refinement can be finer than that below."""

_LAG_LIMIT = 1 << 27
"""Lags are clipped to this for the contexts."""

_REACHES = (1, 2, 3, 4, 6, 8, 16)
"""Reaches that are weighed, beside none, a step of the grid below and its half."""

_TRIED = 4096
"""Elements from which on it is tried whether a lag pays; fewer do not pay for the trial."""


@dataclass(frozen=True, eq=False)
class Below:
    """What a refinement of one tensor knows before it is read.

    Attributes
    ----------
    row : int
    base : Quantised
        The tensor at the stop below.
    past : Quantised or None
        The tensor at this stop of the frame before, if it is quantised and of the same shape.
    """

    row: int
    base: Quantised
    past: Quantised | None


@dataclass(frozen=True, eq=False)
class _Forecast:
    """What the bins of a refinement are coded against (clause 12.7.3).

    Attributes
    ----------
    expected : int64[R, C]
        The bins that are expected.
    known : int32[R, C]
        What the contexts know of each element.
    updated : bool
        Whether the frame before has the same grid.
    """

    expected: NDArray[np.int64]
    known: Integers
    updated: bool


def finer_grid(grid: Grid, finer: int) -> Grid:
    """Return a grid that is so many powers of two finer.

    Raises
    ------
    CoderError
        If an exponent is out of its range.
    """
    exponents = [part.exponent - finer for part in grid]
    if any(exponent not in EXPONENT_RANGE for exponent in exponents):
        raise CoderError(f"a grid that is finer by 2^{finer}: an exponent is out of its range")
    return tuple(
        Part(part.rows, part.mantissa, exponent)
        for part, exponent in zip(grid, exponents, strict=True)
    )


def _forecast(below: Below, grid: Grid, finer: int, reach: int) -> _Forecast:
    middle = below.base.bins.astype(np.int64)
    middle = middle << finer if finer >= 0 else (middle + (1 << (-finer - 1))) >> -finer
    if below.past is None or below.past.grid != grid:
        return _Forecast(middle, below.base.bins, updated=False)
    lag = below.past.bins - middle
    expected = middle + np.clip(lag, -reach, reach)
    known = np.clip(lag, -_LAG_LIMIT, _LAG_LIMIT).astype(np.int32)
    return _Forecast(expected, known, updated=True)


def _in_code(
    below: Below,
    grid: Grid,
    substreams: tuple[int, ...],
    forecast: _Forecast,
    symbols: Integers,
    memory: Memory,
) -> TensorInCode:
    before = memory.symbols.get(below.row) if forecast.updated else None
    if before is None:
        before = np.zeros(symbols.shape, np.int32)
    return TensorInCode(
        grid,
        substreams,
        symbols,
        before,
        forecast.known,
        dependent=False,
        updated=forecast.updated,
    )


def encode(
    tensors: Sequence[Below],
    made: Sequence[Quantised],
    finer: Sequence[int],
    substreams: Sequence[tuple[int, ...]],
    memory: Memory,
    *,
    mixing: bool,
    threads: int = 1,
) -> bytes:
    """Encode the bins of some tensors on finer grids; memory moves on.

    Parameters
    ----------
    tensors : sequence of Below
        In the order of their rows.
    made : sequence of Quantised
        What they are to become.
    finer : sequence of int
        By how many powers of two the grid of each is finer.
    substreams : sequence of tuple of int
        One for each part.
    memory : Memory
        Of this stop.
    mixing : bool
        Whether probabilities are mixed (clause 12.4.4).
    threads : int
        Parts that are coded at the same time; the bytes are the same.
    """
    coded, entries = [], []
    for below, after, more, places in zip(tensors, made, finer, substreams, strict=True):
        reach, forecast = _best(below, after, more, places, memory, mixing=mixing, threads=threads)
        symbols = (after.bins - forecast.expected).astype(np.int32)
        coded.append(_in_code(below, after.grid, places, forecast, symbols, memory))
        apart = len(set(places)) > 1
        entries.append(
            bytes([APART * apart, more & 0xFF])
            + count_bytes(reach)
            + bytes(places if apart else places[:1])
        )
    payload = encode_tensors(coded, entries, memory, mixing=mixing, threads=threads)
    for below, tensor in zip(tensors, coded, strict=True):
        memory.symbols[below.row] = tensor.symbols
    return payload


def _best(
    below: Below,
    after: Quantised,
    finer: int,
    places: tuple[int, ...],
    memory: Memory,
    *,
    mixing: bool,
    threads: int,
) -> tuple[int, _Forecast]:
    """Return the reach that is thought to cost least, and what it makes expect.

    By the sizes of the symbols alone; whether a lag is expected at all is tried where it matters,
    as contexts may know as much of it as the forecast.
    """
    middle = _forecast(below, after.grid, finer, 0)
    if not middle.updated:
        return 0, middle
    whole = 1 << max(finer, 0)
    reaches = sorted({*_REACHES, whole // 2, whole} - {0})
    weights = [_weight(after, _forecast(below, after.grid, finer, reach)) for reach in reaches]
    weight, reach = min(zip(weights, reaches, strict=True))
    lagging = _forecast(below, after.grid, finer, reach)
    if after.bins.size < _TRIED:
        return (reach, lagging) if weight <= _weight(after, middle) else (0, middle)
    tried = [(0, middle), (reach, lagging)]
    return min(
        tried,
        key=lambda t: _size(below, after, t[1], places, memory, mixing=mixing, threads=threads),
    )


def _weight(after: Quantised, forecast: _Forecast) -> float:
    return float(np.log2(1.0 + 2.0 * np.abs(after.bins - forecast.expected)).sum())


def _size(
    below: Below,
    after: Quantised,
    forecast: _Forecast,
    places: tuple[int, ...],
    memory: Memory,
    *,
    mixing: bool,
    threads: int,
) -> int:
    """Return the bytes of one tensor that is coded alone."""
    symbols = (after.bins - forecast.expected).astype(np.int32)
    tensor = _in_code(below, after.grid, places, forecast, symbols, memory)
    return len(encode_tensors([tensor], [b""], memory.copy(), mixing=mixing, threads=threads))


def decode(
    payload: bytes | memoryview, tensors: Sequence[Below], memory: Memory, threads: int = 1
) -> list[tuple[Grid, Integers]]:
    """Decode one refinement: the grid and the bins of each tensor; memory moves on.

    Parts are decoded by so many threads; the bins are the same.

    Raises
    ------
    CoderError
        If the payload is malformed.
    """
    reader = Reader(memoryview(payload).cast("B"))
    mixing, count = read_head(reader)
    coded, forecasts = [], []
    for below in tensors:
        finer, reach, substreams = _read_entry(reader, below, count)
        grid = finer_grid(below.base.grid, finer)
        forecast = _forecast(below, grid, finer, reach)
        symbols: Integers = np.zeros(below.base.bins.shape, np.int32)
        coded.append(_in_code(below, grid, substreams, forecast, symbols, memory))
        forecasts.append(forecast)
    used = 1 + max(substream for tensor in coded for substream in tensor.substreams)
    if used != count:
        raise CoderError(f"{count} substreams, of which {used} are used")
    decode_tensors(reader, coded, memory, count, mixing=mixing, threads=threads)
    made = []
    for below, tensor, forecast in zip(tensors, coded, forecasts, strict=True):
        bins = forecast.expected + tensor.symbols
        if int(np.abs(bins).max()) >= BIN_LIMIT:
            raise CoderError(f"row {below.row}: a bin of 2^28 or more")
        memory.symbols[below.row] = tensor.symbols
        made.append((tensor.grid, bins.astype(np.int32)))
    return made


def _read_entry(reader: Reader, below: Below, substreams: int) -> tuple[int, int, tuple[int, ...]]:
    flags = reader.byte()
    if flags & ~APART:
        raise CoderError(f"row {below.row}: flags {flags:#x}; a refinement has {APART:#x} at most")
    finer = int.from_bytes(reader.take(1), "little", signed=True)
    if finer not in FINER:
        raise CoderError(f"row {below.row}: finer by 2^{finer}; -17 to 24 allowed")
    reach = reader.count()
    if reach >= BIN_LIMIT:
        raise CoderError(f"row {below.row}: a reach of {reach}; below 2^28 allowed")
    parts = len(below.base.grid)
    places = tuple(reader.byte() for _ in range(parts if flags & APART else 1))
    for place in places:
        if place >= substreams:
            raise CoderError(f"row {below.row}: substream {place} of {substreams}")
    return finer, reach, places if flags & APART else places * parts
