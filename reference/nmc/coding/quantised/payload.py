"""Fields of the stream `bins.nmc` before its substreams (clause 12.3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nmc.coding.arithmetic.payload import Reader, count_bytes
from nmc.coding.arithmetic.tensors import CoderError
from nmc.coding.quantised.grid import EXPONENT_RANGE, Grid, Part
from nmc.coding.quantised.symbols import SHIFT_LIMIT, TRANSFORM_SHIFT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Sequence

SUBSTREAMS: Final = 64
DEPENDENT, TRANSFORMED, LEARNING, APART = 1, 2, 4, 8
_FLAGS = DEPENDENT | TRANSFORMED | LEARNING | APART


@dataclass(frozen=True)
class Target:
    """One coded tensor, as the decoder knows it before it reads the payload.

    Attributes
    ----------
    row : int
    shape : tuple of int
        Rows and columns, both at least 1 (clause 12.1.1).
    grid : tuple of Part or None
        The grid of the bins that are updated; None where the payload brings a grid.
    """

    row: int
    shape: tuple[int, int]
    grid: Grid | None


@dataclass(frozen=True)
class Entry:
    """What the payload says of one coded tensor (clause 12.3.1)."""

    grid: Grid
    shifts: tuple[int, ...]
    substreams: tuple[int, ...]
    dependent: bool
    transformed: bool
    learning: bool


def read_entries(reader: Reader, targets: Sequence[Target], substreams: int) -> list[Entry]:
    """Read one entry for each coded tensor.

    Raises
    ------
    CoderError
        If a field is out of its range.
    """
    entries = [_read_entry(reader, target, substreams) for target in targets]
    used = 1 + max(substream for entry in entries for substream in entry.substreams)
    if used != substreams:
        raise CoderError(f"{substreams} substreams, of which {used} are used")
    return entries


def _read_entry(reader: Reader, target: Target, substreams: int) -> Entry:
    flags = reader.byte()
    if flags & ~_FLAGS:
        raise CoderError(f"row {target.row}: flags {flags:#x}; this decoder knows {_FLAGS:#x}")
    grid = _read_grid(reader, target) if target.grid is None else target.grid
    transformed = bool(flags & TRANSFORMED)
    if flags & (TRANSFORMED | LEARNING) and (target.grid is None or len(grid) > 1):
        raise CoderError(f"row {target.row}: a transform without bins before, or of several parts")
    pairs = len(grid) if flags & APART else 1
    shifts, places = [], []
    for _ in range(pairs):
        shift, substream = reader.byte(), reader.byte()
        limit = TRANSFORM_SHIFT_LIMIT if transformed else SHIFT_LIMIT
        if shift > limit:
            raise CoderError(f"row {target.row}: a shift of {shift}; at most {limit} allowed")
        if substream >= substreams:
            raise CoderError(f"row {target.row}: substream {substream} of {substreams}")
        shifts.append(shift)
        places.append(substream)
    if pairs == 1:
        shifts, places = shifts * len(grid), places * len(grid)
    return Entry(
        grid,
        tuple(shifts),
        tuple(places),
        bool(flags & DEPENDENT),
        transformed,
        bool(flags & LEARNING),
    )


def _read_grid(reader: Reader, target: Target) -> Grid:
    rows = target.shape[0]
    count = reader.count()
    if not 1 <= count <= rows:
        raise CoderError(f"row {target.row}: {count} parts for {rows} rows")
    parts: list[Part] = []
    left = rows
    for _ in range(count):
        size = reader.count()
        mantissa = int.from_bytes(reader.take(3), "little")
        exponent = int.from_bytes(reader.take(2), "little", signed=True)
        if not 1 <= size <= left:
            raise CoderError(f"row {target.row}: a part of {size} rows where {left} are left")
        if mantissa == 0 or exponent not in EXPONENT_RANGE:
            raise CoderError(f"row {target.row}: a scale of {mantissa} * 2^{exponent}")
        parts.append(Part(size, mantissa, exponent))
        left -= size
    if left:
        raise CoderError(f"row {target.row}: {left} rows belong to no part")
    return tuple(parts)


def write_entry(entry: Entry, *, with_grid: bool) -> bytes:
    """Return the bytes of one entry."""
    apart = len(set(zip(entry.shifts, entry.substreams, strict=True))) > 1
    flags = (
        DEPENDENT * entry.dependent
        | TRANSFORMED * entry.transformed
        | LEARNING * entry.learning
        | APART * apart
    )
    out = bytearray([flags])
    if with_grid:
        out += count_bytes(len(entry.grid))
        for part in entry.grid:
            out += count_bytes(part.rows)
            out += part.mantissa.to_bytes(3, "little")
            out += part.exponent.to_bytes(2, "little", signed=True)
    for shift, substream in zip(entry.shifts, entry.substreams, strict=True):
        out += bytes([shift, substream])
        if not apart:
            break
    return bytes(out)


__all__ = ["SUBSTREAMS", "Entry", "Target", "read_entries", "write_entry"]
