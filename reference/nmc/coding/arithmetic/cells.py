"""Which cells of a tensor are live: chosen, coded and decoded (clauses 8.7.2 to 8.7.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import chances as chance_sets
from nmc.coding.arithmetic import sparse_kernel as kernels
from nmc.coding.arithmetic.chances import ChanceSet
from nmc.coding.arithmetic.history import History
from nmc.coding.arithmetic.payload import SPARE, Reader, count_bytes, join
from nmc.coding.arithmetic.sparse_words_kernel import find_changes, join_cells
from nmc.coding.arithmetic.tensors import CodedTensor, CoderError, widths_of
from nmc.coding.threads import in_threads, parts_of
from nmc_format.dtypes import Words

ALL_WORDS = 0
_OWN_CHANCES = 512
"""Live cells from which on a tensor is worth chances of its own."""
_LARGEST_CELL = 256
_LANE_BYTES = 4

Indices = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class LiveCells:
    """The words of a tensor that are coded (clause 8.7.1).

    Attributes
    ----------
    size : int
        Words of a cell; ALL_WORDS where all words are coded.
    cells : ndarray of uint32 or uint64
        The live cells, ascending.
    count : int
        Words of the tensor.
    """

    size: int
    cells: Indices
    count: int

    @property
    def every(self) -> bool:
        """Whether all words are coded, and no cell is looked at."""
        return self.size == ALL_WORDS

    def words(self) -> Indices:
        """Return the indices of the words of these cells."""
        if self.size == 1:
            return self.cells
        start, inside = self.cells.dtype.type(self.size), np.arange(self.size)
        flat = (self.cells[:, None] * start + inside.astype(self.cells.dtype)).reshape(-1)
        return flat[: flat.searchsorted(self.count)]

    def starts(self) -> range:
        """First cell of each piece (clause 8.7.2)."""
        return range(0, -(-self.count // self.size), kernels.PIECE)

    def pieces(self) -> list[Indices]:
        """Return the live cells of each piece."""
        return np.split(self.cells, self.cells.searchsorted(self.starts()[1:]))


def _no_cells(tensor: CodedTensor, size: int) -> LiveCells:
    return LiveCells(size, np.empty(0, _index_of(tensor)), tensor.count)


def _index_of(tensor: CodedTensor) -> type[np.unsignedinteger]:
    return np.uint32 if tensor.count < 1 << 31 else np.uint64


def live_cells(tensor: CodedTensor, current: Words, changes: int) -> LiveCells:
    """Return the cells in which words differ, of the size that takes fewer bits.

    Parameters
    ----------
    changes : int
        How many words differ.
    """
    if 2 * changes > tensor.count or tensor.count == 0:
        return _no_cells(tensor, ALL_WORDS)
    found = np.empty(changes + 1, _index_of(tensor))
    find_changes(tensor.reference, current, found)
    words = found[:changes]
    one = LiveCells(1, words, tensor.count)
    size = tensor.shape[-1] if tensor.shape else 1
    if not 1 < size <= _LARGEST_CELL or not changes:
        return one
    cells = np.empty_like(words)
    many = LiveCells(size, cells[: join_cells(words, size, cells)], tensor.count)
    return min(one, many, key=lambda live: _bits(live, changes))


def _bits(live: LiveCells, changes: int) -> float:
    """Estimate what it takes to say which words changed, were they anywhere."""
    words = max(live.cells.size * live.size, changes)
    return _entropy(live.cells.size, -(-live.count // live.size)) + _entropy(changes, words)


def _entropy(some: int, of: int) -> float:
    if not 0 < some < of:
        return 0.0
    share = some / of
    return float(-of * (share * np.log2(share) + (1 - share) * np.log2(1 - share)))


def encode(
    tensors: Sequence[CodedTensor],
    lives: Sequence[LiveCells],
    history: History,
    threads: int = 1,
) -> list[bytes]:
    """Return the field `cells` of a body (clause 8.7.1), in parts."""
    return [
        part
        for run in _runs(tensors, lives)
        for part in _encode_run([(tensors[i], lives[i]) for i in run], history, threads)
    ]


def _runs(tensors: Sequence[CodedTensor], lives: Sequence[LiveCells]) -> list[list[int]]:
    """Return runs of tensors that share their chances: one that is large has a run to itself."""
    runs: list[list[int]] = [[]]
    for i in range(len(lives)):
        widths = {tensors[k].bits for k in [*runs[-1], i] if lives[k].cells.size}
        large = any(lives[k].cells.size >= _OWN_CHANCES for k in [*runs[-1][-1:], i])
        if large or len(widths) > 1:
            runs.append([])
        runs[-1].append(i)
    return runs


def _encode_run(
    run: list[tuple[CodedTensor, LiveCells]], history: History, threads: int
) -> list[bytes]:
    known = [(view(t, live.size, history), live) for t, live in run if live.cells.size]
    chances, codes = ChanceSet.empty(), list[list[bytes]]()
    for exact in (False, True):
        try:
            chances = chance_sets.choose([(seen, live.cells) for seen, live in known], exact=exact)
            codes = [_encode_pieces(seen, live, chances, threads) for seen, live in known]
            break
        except _ChanceMissingError:
            continue
    parts = []
    for _, live in run:
        parts.append(count_bytes(live.size))
        if live.every:
            continue
        parts += [count_bytes(piece.size) for piece in live.pieces()]
        if live.cells.size:
            first = len(codes) == len(known)
            parts.append(chances.serialize() if first else bytes([chance_sets.SAME]))
            parts += codes.pop(0)
    return parts


def view(tensor: CodedTensor, size: int, history: History) -> kernels.View:
    """Return what the kernels see of a tensor in which live cells are looked for."""
    rest, recent, past = history.recent(tensor)
    if size > 1 and recent.size:
        cells = np.empty_like(recent)
        recent = cells[: join_cells(recent, size, cells)]
    return kernels.View(tensor.reference, widths_of(tensor), size, rest, recent, past)


class _ChanceMissingError(Exception):
    """A cell is live whose chance is 0: it was not among those that were counted."""


def _encode_pieces(
    seen: kernels.View, live: LiveCells, chances: ChanceSet, threads: int
) -> list[bytes]:
    pieces = [
        (begin, cells)
        for begin, cells in zip(live.starts(), live.pieces(), strict=True)
        if cells.size
    ]
    coded = [b""] * len(pieces)

    def encode_some(part: slice) -> None:
        table, block, sums = chances.table(), kernels.new_block(), kernels.new_sums()
        symbols = np.empty(kernels.PIECE + max(c.size for _, c in pieces[part]), np.uint64)
        for k in range(part.start, part.stop):
            begin, cells = pieces[k]
            number = kernels.encode_cells(
                *seen, chances.first, begin, cells, table, block, sums, symbols
            )
            if number == kernels.MISSED:
                raise _ChanceMissingError
            octets = np.empty(3 * number + 8, np.uint8)
            lane = np.empty(1, np.int64)
            code = octets[kernels.code_symbols(symbols[:number], octets, lane) :].tobytes()
            coded[k] = join([count_bytes(len(code)), int(lane[0]).to_bytes(4, "little"), code])

    in_threads([partial(encode_some, part) for part in parts_of(len(pieces), threads)], threads)
    return coded


@dataclass(frozen=True)
class _Head:
    """What goes before the pieces of a tensor (clause 8.7.2).

    Attributes
    ----------
    none : LiveCells
        Its cells, none of them live.
    numbers : list of int
        Live cells of each piece.
    chances : ChanceSet or None
        Those that hold after it.
    """

    none: LiveCells
    numbers: list[int]
    chances: ChanceSet | None


def decode(
    reader: Reader,
    tensors: Sequence[CodedTensor],
    history: History,
    wanted: Collection[int] | None = None,
    threads: int = 1,
) -> list[LiveCells]:
    """Read the field `cells` of a body.

    Parameters
    ----------
    wanted : collection of int or None
        Tensors whose live cells are looked for, by index; None: all. The others have so many live
        cells, and which ones is not said.
    threads : int
        How many pieces are decoded at the same time.

    Raises
    ------
    CoderError
        If it is malformed, as far as it is looked at.
    """
    chances: ChanceSet | None = None
    lives = []
    jobs: list[Callable[[], None]] = []
    for i, tensor in enumerate(tensors):
        head = _read_head(reader, tensor, chances)
        chances = head.chances
        if wanted is None or i in wanted:
            live, pieces = _read_pieces(reader, tensor, history, head)
            lives.append(live)
            jobs += pieces
        else:
            _pass_by_pieces(reader, head)
            number = np.broadcast_to(head.none.cells.dtype.type(0), sum(head.numbers))
            lives.append(LiveCells(head.none.size, number, tensor.count))
    in_threads(jobs, threads)
    return lives


def ragged(reader: Reader, tensors: Sequence[CodedTensor]) -> list[int]:
    """Return the tensors of which only the live cells themselves say how many words they have.

    Their last cell is shorter, and can be live.
    """
    found = []
    chances: ChanceSet | None = None
    for i, tensor in enumerate(tensors):
        head = _read_head(reader, tensor, chances)
        chances = head.chances
        _pass_by_pieces(reader, head)
        if not head.none.every and tensor.count % head.none.size and head.numbers[-1]:
            found.append(i)
    return found


def _pass_by_pieces(reader: Reader, head: _Head) -> None:
    for number in head.numbers:
        if number:
            reader.pass_by(reader.count() + _LANE_BYTES)


def _read_head(reader: Reader, tensor: CodedTensor, chances: ChanceSet | None) -> _Head:
    size = reader.count()
    if size > tensor.count:
        raise CoderError(f"row {tensor.row}: cells of {size} words; it has {tensor.count}")
    none = _no_cells(tensor, size)
    if none.every:
        return _Head(none, [], chances)
    cells = -(-tensor.count // size)
    numbers = [reader.count() for _ in none.starts()]
    for begin, number in zip(none.starts(), numbers, strict=True):
        if number > min(kernels.PIECE, cells - begin):
            raise CoderError(f"row {tensor.row}: {number} live cells in a piece with fewer")
    return _Head(none, numbers, chance_sets.parse(reader, chances) if any(numbers) else chances)


def _read_pieces(
    reader: Reader, tensor: CodedTensor, history: History, head: _Head
) -> tuple[LiveCells, list[Callable[[], None]]]:
    """Read all pieces; return room for their live cells, and what finds them there."""
    if head.chances is None or not any(head.numbers):
        return head.none, []
    seen = view(tensor, head.none.size, history)
    table = head.chances.table()
    found = np.empty(sum(head.numbers), _index_of(tensor))
    jobs: list[Callable[[], None]] = []
    at = 0
    for begin, number in zip(head.none.starts(), head.numbers, strict=True):
        if number:
            size = reader.count()
            lane = np.array([int.from_bytes(reader.take(_LANE_BYTES), "little")], np.int64)
            code = reader.octets(size), lane
            where = begin, found[at : at + number]
            jobs.append(partial(_decode_piece, tensor.row, seen, head.chances, table, where, code))
        at += number
    return LiveCells(head.none.size, found, tensor.count), jobs


def _decode_piece(
    row: int,
    seen: kernels.View,
    chances: ChanceSet,
    table: NDArray[np.uint32],
    where: tuple[int, Indices],
    code: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> None:
    """Write the live cells of a piece, which begins with a cell, from its octets and its lane."""
    (begin, out), (octets, lane) = where, code
    if not kernels.FIRST_LANE <= lane[0] < kernels.FIRST_LANE << 8:
        raise CoderError(f"row {row}: the lane of a piece begins with {int(lane[0])}")
    block = kernels.new_block()
    used = kernels.decode_cells(*seen, chances.first, begin, out, table, block, octets, lane)
    if used == kernels.TOO_FEW:
        raise CoderError(f"row {row}: a piece ends before its {out.size} live cells")
    if used != octets.size - SPARE or lane[0] != kernels.FIRST_LANE:
        raise CoderError(f"row {row}: the code of a piece does not end where its live cells do")
