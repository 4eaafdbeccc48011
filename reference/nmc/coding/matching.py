"""Finds where the slices of tensors went that were pruned, added to or shuffled (clause 6.2.6).

Splats and other sets of points have one slice of several tensors for each point. Where a tensor
names the points, slices of one name belong together. Else they are found by values: training moves
a slice a little, so that most upper bits of its words stay. They are compared as keys, over other
columns and other bits in each round, until nearly all slices have found theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from nmc_format.issues import refuse
from nmc_format.manifest import columns
from nmc_format.slices import FRESH, SliceMap, map_of

if TYPE_CHECKING:
    from nmc.coding.state import State, Tensor

_FEWEST = 16
"""Slices that are worth looking for."""
_SMALLEST = 8
"""Bytes of a slice, in all tensors that share its number, that are more than saying which it is."""
_WORTH = 0.5
"""Share of slices with an origin from which on differences are smaller than the tensors."""
_COLUMNS = 24
_ROUNDS = ((3, 12), (4, 14), (5, 16), (6, 18), (8, 19))
"""Columns of a key, and how many lower bits of 32 are left out, from the strictest on."""
_TRIES = 3

Column = NDArray[np.uint64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Matching:
    """What became of the slices of some tensors whose number or order changed.

    Attributes
    ----------
    rows : tuple of int
        The tensors, by row.
    count : int
        Slices of each of them in frame t.
    found : int
        How many have an origin in frame t-1; 0 where the tensors are coded whole.
    by : {"values", "ids"}
        How they were looked for.
    """

    rows: tuple[int, ...]
    count: int
    found: int
    by: Literal["values", "ids"]


def check_ids(state: State, row: int | None, name: str) -> None:
    """Refuse a tensor that is to name the slices of frame t and does not.

    Raises
    ------
    FormatError
        ``input/unsupported``, if it is missing, has no slices, or two of them are equal.
    """
    tensor = None if row is None else state.get(row)
    hint = "give each point a number of its own that it keeps, or leave the name out"
    if tensor is None:
        reason = f"there is no tensor {name!r}, by which slices are to be matched"
    elif not tensor.shape:
        reason = f"tensor {name!r}, by which slices are to be matched, is a single number"
    elif tensor.words.size:
        ids, counts = np.unique(_slices(tensor), axis=0, return_counts=True)
        if ids.shape[0] == tensor.shape[0]:
            return
        twice = np.flatnonzero((_slices(tensor) == ids[counts > 1][0]).all(1))
        reason = (
            f"slices are to be matched by tensor {name!r}, of which {tensor.shape[0]} slices have "
            f"{ids.shape[0]} values: slices {twice[0]} and {twice[1]} are equal"
        )
    else:
        return
    raise refuse("input/unsupported", pointer=columns.TENSORS, reason=reason, hint=hint)


def _slices(tensor: Tensor) -> NDArray[np.unsignedinteger]:
    """Return the words of a tensor, a row for each slice."""
    return tensor.words.reshape(tensor.shape[0], -1)


def maps_by_ids(state: State, before: State, ids: int) -> list[SliceMap]:
    """Return a map of the rows that have as many slices as one that names them.

    Parameters
    ----------
    state, before : mapping of int to Tensor
        The states of frames t and t-1.
    ids : int
        The row of the tensor that names the slices, each with a name of its own.
    """
    if not _fits(state, before, ids):
        return []
    old, new = _slices(before[ids]), _slices(state[ids])
    keys = np.unique(np.concatenate([old, new]), axis=0, return_inverse=True)[1].reshape(-1)
    places = np.full(int(keys.max()) + 1, FRESH, np.int64)
    places[keys[: len(old)]] = np.arange(len(old))
    origins = places[keys[len(old) :]]
    if np.array_equal(origins, np.arange(len(old))):
        return []  # all slices are where they were
    sizes = len(old), len(new)
    rows = [
        row
        for row in state
        if _fits(state, before, row) and (before[row].shape[0], state[row].shape[0]) == sizes
    ]
    return [map_of(tuple(sorted(rows)), origins)]


def maps_of(state: State, before: State, moved: Sequence[int]) -> list[SliceMap]:
    """Return maps of the rows whose slices are found again by their values.

    Parameters
    ----------
    state, before : mapping of int to Tensor
        The states of frames t and t-1.
    moved : sequence of int
        Rows whose tensor has another shape in frame t, or is unrelated to the one before.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    wanted = {
        (before[row].shape[0], state[row].shape[0]) for row in moved if _fits(state, before, row)
    }
    for row in state:
        if _fits(state, before, row):
            groups.setdefault((before[row].shape[0], state[row].shape[0]), []).append(row)
    found = []
    for sizes, rows in groups.items():
        if sizes not in wanted or min(sizes) < _FEWEST:
            continue
        if len(set(sizes)) == 1 and _slice_bytes(state, rows) < _SMALLEST:
            continue
        origins = match([before[row] for row in rows], [state[row] for row in rows])
        if (origins >= 0).mean() >= _WORTH:
            found.append(map_of(tuple(sorted(rows)), origins))
    return sorted(found, key=lambda made: made.rows)


def _slice_bytes(state: State, rows: Sequence[int]) -> int:
    """Return the bytes that a slice has in all of some rows."""
    return sum(state[row].words.nbytes // state[row].shape[0] for row in rows)


def _fits(state: State, before: State, row: int) -> bool:
    """Whether the slices of a row can come from others (clause 6.2.6)."""
    old, new = before.get(row), state[row]
    return (
        old is not None
        and new.quantised is None
        and len(new.shape) == len(old.shape) > 0
        and new.shape[1:] == old.shape[1:]
        and old.dtype.bits >= 8
        and 0 not in (*old.shape, *new.shape)
    )


def match(before: Sequence[Tensor], after: Sequence[Tensor]) -> Indices:
    """Return for each slice of frame t the one of frame t-1 that it comes from, or FRESH.

    Parameters
    ----------
    before, after : sequence of Tensor
        Tensors of one number of slices in each frame.
    """
    count = after[0].shape[0]
    origins: Indices = np.full(count, FRESH, np.int64)
    free = np.ones(before[0].shape[0], bool)
    for old, new in _keys(before, after):
        if not ((origins < 0).any() and free.any()):
            break
        lost, left = np.flatnonzero(origins < 0), np.flatnonzero(free)
        at, origin = _same(left, old[left], lost, new[lost])
        origins[at] = origin
        free[origin] = False
    for step in (1, -1):
        _follow(origins, free, before, after, step)
    return origins


def _keys(before: Sequence[Tensor], after: Sequence[Tensor]) -> Iterator[tuple[Column, Column]]:
    """Yield one key for each slice of both frames: names, whole slices, then some upper bits."""
    columns = _columns(before, after)
    for old, new in zip(before, after, strict=True):
        if not old.dtype.exponent_bits and old.words.size == old.shape[0] > 1:
            names = old.words.astype(np.uint64), new.words.astype(np.uint64)
            if all(np.unique(side).size == side.size for side in names):
                yield names
    yield _hash([c[0] for c in columns], 0, 0), _hash([c[1] for c in columns], 0, 0)
    rng = np.random.default_rng(len(columns))
    for number, low in _ROUNDS:
        for attempt in range(_TRIES):
            some = rng.permutation(len(columns))[:number]
            half = attempt & 1
            yield tuple(  # type: ignore[misc]
                _hash([columns[k][side] for k in some], low, half) for side in (0, 1)
            )


def _columns(before: Sequence[Tensor], after: Sequence[Tensor]) -> list[tuple[Column, Column]]:
    """Return some columns of both frames, as words of 32 bits at the top: those that tell most."""
    found = []
    for old, new in zip(before, after, strict=True):
        bits = 8 * old.words.itemsize
        sides = [t.words.reshape(t.shape[0], -1) for t in (old, new)]
        width = sides[0].shape[1]
        for k in np.unique(np.linspace(0, width - 1, min(width, _COLUMNS)).astype(int)):
            pair = tuple(_top(side[:, k], bits) for side in sides)
            found.append((np.unique(pair[0][:4096] >> np.uint64(16)).size, pair))
    found.sort(key=lambda each: -each[0])
    return [pair for _, pair in found[:_COLUMNS]]  # type: ignore[misc]


def _top(words: NDArray[np.unsignedinteger], bits: int) -> Column:
    """Return words as if they had 32 bits, the lower ones lost or 0."""
    wide = words.astype(np.uint64)
    return wide >> np.uint64(bits - 32) if bits > 32 else wide << np.uint64(32 - bits)


def _hash(columns: Sequence[Column], low: int, half: int) -> Column:
    key = np.zeros(columns[0].size, np.uint64)
    for column in columns:
        part = (column + np.uint64((half << low) >> 1)) >> np.uint64(low)
        key = (key ^ part) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


def _same(left: Indices, old: Column, lost: Indices, new: Column) -> tuple[Indices, Indices]:
    """Return the slices of both frames whose key no other slice of their frame has."""
    keys, first, counts = np.unique(old, return_index=True, return_counts=True)
    keys, first = keys[counts == 1], first[counts == 1]
    wanted, where, seen = np.unique(new, return_index=True, return_counts=True)
    wanted, where = wanted[seen == 1], where[seen == 1]
    _, k, j = np.intersect1d(keys, wanted, assume_unique=True, return_indices=True)
    return lost[where[j]], left[first[k]]


def _follow(
    origins: Indices,
    free: NDArray[np.bool_],
    before: Sequence[Tensor],
    after: Sequence[Tensor],
    step: int,
) -> None:
    """Let a slice without an origin follow its neighbour's, if that one is free and alike."""
    columns = _columns(before, after)
    for _ in range(64):
        lost = np.flatnonzero(origins < 0)
        near = lost - step
        lost = lost[(near >= 0) & (near < origins.size)]
        wanted = origins[lost - step] + step
        ok = (origins[lost - step] >= 0) & (wanted >= 0) & (wanted < free.size)
        lost, wanted = lost[ok], wanted[ok]
        ok = free[wanted]
        lost, wanted = lost[ok], wanted[ok]
        if lost.size:
            alike = np.zeros(lost.size, np.int64)
            for old, new in columns:
                distance = old[wanted].astype(np.int64) - new[lost].astype(np.int64)
                alike += np.abs(distance) < 1 << 26
            ok = 2 * alike > len(columns)
            lost, wanted = lost[ok], wanted[ok]
        if not lost.size:
            return
        _, first = np.unique(wanted, return_index=True)
        origins[lost[first]] = wanted[first]
        free[wanted] = False
