"""Encoder and decoder of the stream `bins.nmc` (clauses 12.3 and 12.4)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic.payload import SPARE, Reader, check_rest, count_bytes
from nmc.coding.arithmetic.range_kernel import FULL_SPAN, finish
from nmc.coding.arithmetic.tensors import CoderError
from nmc.coding.quantised import symbol_kernel as kernels
from nmc.coding.quantised.basis import Bases
from nmc.coding.quantised.grid import Grid, Integers, Quantised, slices_of
from nmc.coding.quantised.memory import Memory, Predictor
from nmc.coding.quantised.payload import SUBSTREAMS, Entry, Target, read_entries, write_entry
from nmc.coding.quantised.symbols import CodedSymbols, SymbolError, added, changes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ADAPTIVE: Final = 2
MIXED: Final = 3

_FEW = 1 << 16
"""Symbols below which threads cost more than they save."""
_Result = TypeVar("_Result")


@dataclass(frozen=True, eq=False)
class _Block:
    """One part in its substream: views of the arrays of its tensor."""

    symbols: Integers
    before: Integers
    bins: Integers
    dependent: bool


@dataclass(frozen=True, eq=False)
class TensorInCode:
    """One coded tensor with all that its blocks need.

    Attributes
    ----------
    grid : tuple of Part
    substreams : tuple of int
        One for each part.
    symbols, before : int32[R, C]
        Those of this frame, and those that were coded here last.
    bins : int32[R, C]
        What the contexts know of each element (clause 12.4.3).
    dependent, updated : bool
    """

    grid: Grid
    substreams: tuple[int, ...]
    symbols: Integers
    before: Integers
    bins: Integers
    dependent: bool
    updated: bool


def first_predictor() -> Predictor:
    """Return a predictor that has seen nothing."""
    return Predictor(kernels.first_slots(), kernels.first_weights())


def encode(
    targets: Sequence[Target],
    coded: Sequence[CodedSymbols],
    grids: Sequence[Grid],
    memory: Memory,
    *,
    mixing: bool,
    threads: int = 1,
) -> bytes:
    """Encode the symbols of one frame; memory moves on to it.

    Parameters
    ----------
    targets : sequence of Target
        The tensors, in the order of their rows.
    coded : sequence of CodedSymbols
        Their symbols.
    grids : sequence of tuple of Part
        Their grids.
    memory : Memory
        Of the group.
    mixing : bool
        Whether probabilities are mixed: smaller, at half the speed.
    threads : int
        Substreams that are coded at the same time; the bytes are the same.
    """
    entries = [
        Entry(grid, c.shifts, c.substreams, c.dependent, c.transformed, c.learning)
        for grid, c in zip(grids, coded, strict=True)
    ]
    tensors = [
        _tensor(target, entry, c.symbols, memory, c.base)
        for target, entry, c in zip(targets, entries, coded, strict=True)
    ]
    written = [
        write_entry(entry, with_grid=target.grid is None)
        for target, entry in zip(targets, entries, strict=True)
    ]
    return encode_tensors(tensors, written, memory, mixing=mixing, threads=threads)


def encode_tensors(
    tensors: Sequence[TensorInCode],
    entries: Sequence[bytes],
    memory: Memory,
    *,
    mixing: bool,
    threads: int = 1,
) -> bytes:
    """Return the payload of some tensors, given what is said of each; predictors move on."""
    substreams = _substreams(tensors)
    _ready(substreams, memory)
    bodies = _on_each(
        lambda substream: _encode_substream(
            substream, substreams[substream], memory, mixing=mixing
        ),
        substreams,
        threads,
    )
    out = bytearray([MIXED if mixing else ADAPTIVE]) + count_bytes(len(substreams))
    out += b"".join(entries)
    for code, raw in bodies:
        out += count_bytes(len(code) // 2) + count_bytes(len(raw))
    for code, raw in bodies:
        out += code + raw
    return bytes(out)


def decode(
    payload: bytes | memoryview,
    targets: Sequence[Target],
    bases: Mapping[int, Quantised],
    memory: Memory,
    threads: int = 1,
) -> list[tuple[Grid, Integers]]:
    """Decode one frame: the grid and the bins of each tensor; memory moves on to it.

    Parameters
    ----------
    payload : bytes or memoryview
        The stream.
    targets : sequence of Target
        The tensors, in the order of their rows.
    bases : mapping of int to Quantised
        What is updated, by row; a row that brings a grid has none.
    memory : Memory
        Of the group; undefined where an error is raised.
    threads : int
        Substreams that are decoded at the same time; the bins are the same.

    Raises
    ------
    CoderError
        If the payload is malformed.
    """
    reader = Reader(memoryview(payload).cast("B"))
    mixing, count = read_head(reader)
    entries = read_entries(reader, targets, count)
    tensors = [
        _tensor(t, e, np.zeros(t.shape, np.int32), memory, bases.get(t.row))
        for t, e in zip(targets, entries, strict=True)
    ]
    decode_tensors(reader, tensors, memory, count, mixing=mixing, threads=threads)
    made = []
    for target, entry, tensor in zip(targets, entries, tensors, strict=True):
        coded = CodedSymbols(
            tensor.symbols,
            entry.shifts,
            entry.substreams,
            entry.dependent,
            entry.transformed,
            entry.learning,
            bases.get(target.row),
        )
        try:
            made.append((entry.grid, settle(target.row, coded, entry.grid, memory)))
        except SymbolError as error:
            raise CoderError(f"row {target.row}: {error}") from None
    return made


def read_head(reader: Reader) -> tuple[bool, int]:
    """Return whether probabilities are mixed, and how many substreams there are.

    Raises
    ------
    CoderError
        If a field is out of its range.
    """
    variant = reader.byte()
    if variant not in (ADAPTIVE, MIXED):
        raise CoderError(f"byte 0: variant {variant}; this decoder knows 2 and 3")
    count = reader.count()
    if not 1 <= count <= SUBSTREAMS:
        raise CoderError(f"{count} substreams; 1 to {SUBSTREAMS} allowed")
    return variant == MIXED, count


def decode_tensors(
    reader: Reader,
    tensors: Sequence[TensorInCode],
    memory: Memory,
    count: int,
    *,
    mixing: bool,
    threads: int = 1,
) -> None:
    """Read the symbols of some tensors into their arrays; predictors move on.

    Raises
    ------
    CoderError
        If the substreams are malformed.
    """
    substreams = _substreams(tensors)
    sizes = [(reader.count(), reader.count()) for _ in range(count)]
    bodies = [(reader.words(words), reader.octets(octets)) for words, octets in sizes]
    reader.end()
    _ready(substreams, memory)
    _on_each(
        lambda substream: _decode_substream(
            substream, substreams[substream], memory, bodies[substream], mixing=mixing
        ),
        substreams,
        threads,
    )


def settle(row: int, coded: CodedSymbols, grid: Grid, memory: Memory) -> Integers:
    """Return the bins that symbols make, and remember what the next frame needs (clause 12.3.3).

    Raises
    ------
    SymbolError
        If a bin or a coefficient is out of range.
    """
    bases = None
    if coded.transformed or coded.learning:
        bases = memory.bases.get(row) or Bases.first(*coded.symbols.shape)
    changes = changes_of(coded, grid, bases)
    after = added(coded.base.bins if coded.base else None, changes)
    if bases is not None and coded.learning:
        memory.bases[row] = bases.learned(changes)
    memory.symbols[row] = coded.symbols
    return after


def _tensor(
    target: Target, entry: Entry, symbols: Integers, memory: Memory, base: Quantised | None
) -> TensorInCode:
    nothing = np.zeros(target.shape, np.int32)
    before = memory.symbols.get(target.row, nothing) if base else nothing
    bins = base.bins if base and not entry.transformed else nothing
    return TensorInCode(
        entry.grid,
        entry.substreams,
        symbols,
        before,
        bins,
        dependent=entry.dependent,
        updated=target.grid is not None,
    )


def _substreams(tensors: Sequence[TensorInCode]) -> dict[int, list[tuple[bool, _Block]]]:
    """Return the blocks of each substream, in order, each with whether bins are updated."""
    used = [substream for tensor in tensors for substream in tensor.substreams]
    substreams: dict[int, list[tuple[bool, _Block]]] = {
        substream: [] for substream in range(max(used) + 1)
    }
    for tensor in tensors:
        for (_, rows), substream in zip(slices_of(tensor.grid), tensor.substreams, strict=True):
            block = _Block(
                tensor.symbols[rows],
                tensor.before[rows],
                tensor.bins[rows],
                tensor.dependent,
            )
            substreams[substream].append((tensor.updated, block))
    return substreams


def _ready(substreams: dict[int, list[tuple[bool, _Block]]], memory: Memory) -> None:
    """Make the predictors that the substreams need and the group does not have yet."""
    for substream, blocks in substreams.items():
        for updating, _ in blocks:
            if (updating, substream) not in memory.predictors:
                memory.predictors[updating, substream] = first_predictor()


def _on_each(
    work: Callable[[int], _Result],
    substreams: dict[int, list[tuple[bool, _Block]]],
    threads: int,
) -> list[_Result]:
    """Return the results of all substreams, ascending; large ones are worked on in parallel."""
    order = sorted(substreams)
    size = sum(block.symbols.size for blocks in substreams.values() for _, block in blocks)
    if threads <= 1 or len(order) == 1 or size < _FEW:
        return [work(substream) for substream in order]
    with ThreadPoolExecutor(min(threads, len(order))) as pool:
        return list(pool.map(work, order))


def _net(predictor: Predictor) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    return np.zeros(kernels.TABLES, np.int64), np.zeros(kernels.INPUTS, np.int64), predictor.weights


def _run(
    substream: int,
    blocks: Sequence[tuple[bool, _Block]],
    memory: Memory,
    streams: tuple[NDArray[np.uint16], NDArray[np.uint8], NDArray[np.int64]],
    *,
    encoding: bool,
    mixing: bool,
) -> bool:
    """Code the blocks of one substream; False where its streams are too short."""
    for updating, block in blocks:
        predictor = memory.predictors[updating, substream]
        done = kernels.code_block(
            encoding,
            mixing,
            block.dependent,
            block.symbols,
            block.before,
            block.bins,
            np.zeros(block.symbols.shape[1], np.int64),
            predictor.slots,
            _net(predictor),
            *streams,
        )
        if done != kernels.OK:
            return False
    return True


def _encode_substream(
    substream: int, blocks: Sequence[tuple[bool, _Block]], memory: Memory, *, mixing: bool
) -> tuple[bytes, bytes]:
    if not blocks:
        return b"", b""
    count = sum(block.symbols.size for _, block in blocks)
    known = {key: p.copy() for key, p in memory.predictors.items() if key[1] == substream}
    for room in (2, kernels.MOST_WORDS):  # words for each symbol: enough, and enough for the worst
        words = np.zeros(count * room + 4 * SPARE, np.uint16)
        octets = np.zeros(count * 4 + 2 * SPARE, np.uint8)
        registers = np.array([FULL_SPAN, 0, 0, 0], np.int64)
        streams = words, octets, registers
        if _run(substream, blocks, memory, streams, encoding=True, mixing=mixing):
            break
        memory.predictors.update(known)
    finish(words, registers)
    code = words[: int(registers[2]) + 2].astype("<u2").tobytes()
    return code, octets[: (int(registers[3]) + 7) // 8].tobytes()


def _decode_substream(
    substream: int,
    blocks: Sequence[tuple[bool, _Block]],
    memory: Memory,
    body: tuple[NDArray[np.uint16], NDArray[np.uint8]],
    *,
    mixing: bool,
) -> None:
    words, octets = body
    if not blocks:
        if words.size or octets.size > SPARE:
            raise CoderError(f"substream {substream} has bytes, and no part")
        return
    if words.size < 2:
        raise CoderError(f"substream {substream}: {words.size} code words, expected 2 or more")
    low = int(words[0]) << 16 | int(words[1])
    if low >= FULL_SPAN:
        raise CoderError(f"substream {substream}: the code begins with FFFF FFFF")
    registers = np.array([FULL_SPAN, low, 2, 0], np.int64)
    whole = _run(
        substream, blocks, memory, (words, octets, registers), encoding=False, mixing=mixing
    )
    raw_size = (int(registers[3]) + 7) // 8
    if not whole or registers[2] != words.size or raw_size != octets.size - SPARE:
        raise CoderError(
            f"substream {substream}: the code words or raw bits do not end where the symbols do"
        )
    check_rest(octets, int(registers[3]))
