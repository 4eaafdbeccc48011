"""Encodes one frame (chapter 6): a state, and the state before, make the bytes of a segment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from nmc.coding import arithmetic, matching, nearness, streams
from nmc.coding.arithmetic import Effort, History
from nmc.coding.decode import coded_tensor
from nmc.coding.quantised import produce
from nmc.coding.scratch import IN_MEMORY
from nmc.coding.state import digest_of, hash_all, taken
from nmc_format.manifest.frame_table import Coding
from nmc_format.segment import (
    ABSENT,
    INTEGER,
    QUANTISED,
    RAW,
    SKIP,
    Bytes,
    Pieces,
    serialize,
    size_of,
)
from nmc_format.slices import serialize as serialize_maps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc.coding.cursor import Cursor
    from nmc.coding.scratch import Scratch
    from nmc.coding.state import State, Tensor
    from nmc_format.dtypes import Dtype, Words
    from nmc_format.manifest.tensor_table import TensorRow
    from nmc_format.slices import SliceMap

EFFORTS: tuple[Effort, ...] = get_args(Effort)

Entropy: TypeAlias = Literal["none", "zstd", "nmc"]
ENTROPIES: tuple[Entropy, ...] = get_args(Entropy)

_DIGESTS_SHARE = 256
"""Tensor digests are stored where they are at most one part in so many of a segment."""

_LARGE = 1 << 25
"""Bytes of a state from which on what is made of it is kept in scratch, which may be files."""

_WORTH_COMPARING = 0.8
"""A delta below this share of the state's bytes is never larger than a key frame in practice."""

ZSTD_LEVELS = {"fast": 1, "strong": 7, "max": 19}


@dataclass(frozen=True)
class CodedFrame:
    """One coded frame.

    Attributes
    ----------
    coding : Coding
        Whether it is a key or a delta frame.
    pieces : list of bytes-like or Pieces
        The bytes of the segment, in order; plain streams are made of the state as they are written.
    state_digest : bytes
        Digest of the state, 32 bytes.
    history : History
        What the lossless coder remembers after it.
    matchings : tuple of Matching
        What became of slices whose number or order changed; none was found where a key frame was
        smaller, which has every tensor whole.
    """

    coding: Coding
    pieces: list[Bytes]
    state_digest: bytes
    history: History
    matchings: tuple[matching.Matching, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the segment."""
        return sum(map(size_of, self.pieces))


def encode_frame(
    state: State,
    before: Cursor,
    rows: Sequence[TensorRow],
    parent: bytes | None,
    entropy: Entropy,
    effort: Effort,
    threads: int = 1,
    ids: int | None = None,
) -> CodedFrame:
    """Encode one frame: as a key frame where there is no parent, or where that is smaller.

    Parameters
    ----------
    state : mapping of int to Tensor
        Its state, by row. A tensor that is the same object in the state before is skipped without
        being looked at.
    before : Cursor
        The frame before; not changed.
    rows : sequence of TensorRow
        The tensor table up to this frame.
    parent : bytes or None
        State digest of the frame before; None asks for a key frame.
    entropy, effort
        How its streams are coded.
    threads : int
        Parts of the frame that are coded and hashed at the same time; the bytes are the same.
    ids : int or None
        Row of the tensor that names slices (`matching.check_ids`); None: they are found by values.
    """
    hash_all(state, threads)
    size = sum(tensor.words.nbytes for tensor in state.values())
    scratch = before.scratch if size >= _LARGE else IN_MEMORY
    how = _How(entropy, effort, threads, scratch)
    if parent is None or not before.known:
        return _key(state, rows, how)
    delta = _delta(state, before, rows, parent, how, ids)
    if delta.size > _WORTH_COMPARING * size:
        key = _key(state, rows, how)
        if key.size < delta.size:
            return replace(key, matchings=tuple(replace(m, found=0) for m in delta.matchings))
    return delta


@dataclass(frozen=True)
class _How:
    """How streams are coded, in how many threads, and where they are kept until written."""

    entropy: Entropy
    effort: Effort
    threads: int
    scratch: Scratch


def _key(state: State, rows: Sequence[TensorRow], how: _How) -> CodedFrame:
    """Encode a key frame: every tensor raw or quantised (clause 6.2.2)."""
    modes = np.full(len(rows), ABSENT, np.uint8)
    for row, tensor in state.items():
        modes[row] = RAW if tensor.quantised is None else QUANTISED
    history = History()
    payloads = _raw(state, [row for row in state if modes[row] == RAW], how)
    payloads |= _quantised(state, {}, modes, history, how)
    return _serialize(state, rows, modes, payloads, None, history)


def _quantised(
    state: State,
    before: State,
    modes: np.ndarray[tuple[int], np.dtype[np.uint8]],
    history: History,
    how: _How,
) -> dict[str, Bytes]:
    """Return the streams of the quantised tensors (chapter 12); history moves on."""
    by_row = {row: int(modes[row]) for row in state}
    history.quantised.keep(
        {row for row, t in state.items() if t.quantised is not None and by_row[row] != QUANTISED}
    )
    mixing = how.effort != "fast"
    streams = produce.streams_of(state, before, by_row, history, mixing=mixing, threads=how.threads)
    return {**streams}


def _delta(
    state: State,
    before: Cursor,
    rows: Sequence[TensorRow],
    parent: bytes,
    how: _How,
    ids: int | None,
) -> CodedFrame:
    """Encode a delta frame (clauses 6.2.2, 6.2.6 and 8.2)."""
    modes = np.full(len(rows), ABSENT, np.uint8)
    for row, tensor in state.items():
        modes[row] = _mode(tensor, before.state.get(row), how.entropy)
    maps, references = _references(state, before.state, modes, how.entropy, ids)
    moved = {row for slices in maps for row in slices.rows}
    for row in moved:
        modes[row] = INTEGER
    matchings = _matchings(state, before.state, modes, maps, ids)
    history = before.history.copy()
    history.scratch = how.scratch
    history.quantised = history.quantised.copy()
    history.keep({row for row in state if modes[row] in (SKIP, INTEGER)} - moved)
    changed = [row for row in state if modes[row] == INTEGER]
    raw = [row for row in state if modes[row] == RAW]
    payloads = _raw(state, raw, how)
    if any(state[row].words.size for row in changed):
        payloads |= _integer(state, references, rows, changed, how, history)
    payloads |= _quantised(state, before.state, modes, history, how)
    if maps:
        payloads["slices"] = serialize_maps(maps)
    coded = _serialize(state, rows, modes, payloads, parent, history)
    return replace(coded, matchings=matchings)


def _matchings(
    state: State,
    before: State,
    modes: np.ndarray[tuple[int], np.dtype[np.uint8]],
    maps: Sequence[SliceMap],
    ids: int | None,
) -> tuple[matching.Matching, ...]:
    """Return what became of slices: those with a map, and tensors of another shape without one."""
    by: Literal["ids", "values"] = "values" if ids is None else "ids"
    found = [
        matching.Matching(m.rows, m.count, int((m.origin_of_each() >= 0).sum()), by) for m in maps
    ]
    whole: dict[int, list[int]] = {}
    for row, tensor in state.items():
        if modes[row] == RAW and row in before and before[row].shape != tensor.shape:
            whole.setdefault(tensor.shape[0] if tensor.shape else 1, []).append(row)
    found += [matching.Matching(tuple(rows), count, 0, by) for count, rows in whole.items()]
    return tuple(found)


def _references(
    state: State,
    before: State,
    modes: np.ndarray[tuple[int], np.dtype[np.uint8]],
    entropy: Entropy,
    ids: int | None,
) -> tuple[list[SliceMap], State]:
    """Return where slices come from, and what tensors are differences from (clause 6.2.6).

    A map has the rows alone that are nearer to what it makes of the frame before.
    """
    spread = {
        row: nearness.spread(state[row], before[row])
        for row in state
        if modes[row] in (RAW, INTEGER) and row in before
    }
    lost = [
        row
        for row, far in spread.items()
        if far > nearness.FAR and nearness.strays(state[row], before[row])
    ]
    if entropy == "none" or (not lost and ids is None):
        return [], before
    maps, references = [], dict(before)
    if ids is None:
        candidates = matching.maps_of(state, before, lost)
    else:
        candidates = matching.maps_by_ids(state, before, ids)
    for slices in candidates:
        made = {row: taken(before[row], slices) for row in slices.rows}
        rows = tuple(
            row
            for row, old in made.items()
            if nearness.spread(state[row], old) < spread.get(row, 0) - nearness.NEARER
        )
        if rows:
            references.update({row: made[row] for row in rows})
            maps.append(replace(slices, rows=rows))
    return maps, references


def _mode(tensor: Tensor, reference: Tensor | None, entropy: Entropy) -> int:
    if reference is tensor:
        return SKIP
    if tensor.quantised is not None:
        return produce.mode_of(tensor.quantised, reference, tensor.shape)
    if reference is None or reference.shape != tensor.shape:
        return RAW
    if entropy != "none" and nearness.is_unrelated(tensor.words, reference.words):
        return RAW
    return INTEGER


def _serialize(
    state: State,
    rows: Sequence[TensorRow],
    modes: np.ndarray[tuple[int], np.dtype[np.uint8]],
    payloads: dict[str, Bytes],
    parent: bytes | None,
    history: History,
) -> CodedFrame:
    shapes = {
        row: tensor.shape
        for row, tensor in state.items()
        if modes[row] in (RAW, QUANTISED) and tensor.shape != rows[row].shape
    }
    digest = digest_of(state, rows)
    payloads |= _digests(state, modes, sum(map(size_of, payloads.values())))
    pieces = serialize(parent=parent, state=digest, modes=modes, shapes=shapes, payloads=payloads)
    coding = Coding.KEY if parent is None else Coding.DELTA
    return CodedFrame(coding, pieces, digest, history)


def _digests(
    state: State, modes: np.ndarray[tuple[int], np.dtype[np.uint8]], size: int
) -> dict[str, Bytes]:
    """Return the digests of the tensors that the segment brings, where they cost next to nothing.

    With them a reader of one tensor verifies it without decoding the others (clause 7.3).
    """
    digests = [tensor.digest for row, tensor in state.items() if modes[row] != SKIP]
    stored = b"".join(digests)
    return {"digests": stored} if 0 < len(stored) * _DIGESTS_SHARE <= size else {}


def _raw(state: State, raw: Sequence[int], how: _How) -> dict[str, Bytes]:
    return _plain("raw", [_Made(state[row], None) for row in raw], how)


@dataclass(frozen=True)
class _Made:
    """The words of a tensor in a plain stream; differences are made whenever they are asked for."""

    tensor: Tensor
    before: Tensor | None

    @property
    def dtype(self) -> Dtype:
        return self.tensor.dtype

    @property
    def nbytes(self) -> int:
        return self.tensor.words.nbytes

    def words(self) -> Words:
        if self.before is None:
            return self.tensor.words
        difference: Words = np.subtract(self.tensor.words, self.before.words)
        return difference  # unsigned: modulo 2^w (clause 8.2.1)


def _plain(name: str, tensors: Sequence[_Made], how: _How) -> dict[str, Bytes]:
    """Return a stream of words, coded with zstd where that is asked for and smaller."""
    size = sum(tensor.nbytes for tensor in tensors)
    if not size:
        return {}
    if how.entropy != "none":
        coded = streams.compress(
            tensors,
            ZSTD_LEVELS[how.effort],
            differences=name == "integer",
            threads=how.threads,
            scratch=how.scratch,
        )
        smaller = sum(map(len, coded))
        if smaller < size:
            return {f"{name}.zstd": Pieces(smaller, partial(how.scratch.yielded, coded))}
    return {name: Pieces(size, lambda: (tensor.words().view("u1").data for tensor in tensors))}


def _integer(
    state: State,
    before: State,
    rows: Sequence[TensorRow],
    changed: Sequence[int],
    how: _How,
    history: History,
) -> dict[str, Bytes]:
    if how.entropy == "nmc":
        inputs = [coded_tensor(row, rows, before[row]) for row in changed]
        words = [state[row].words for row in changed]
        coded = arithmetic.encode_pieces(inputs, words, history, how.effort, how.threads)
        return {"integer.nmc": Pieces(sum(map(len, coded)), partial(how.scratch.yielded, coded))}
    made = [_Made(state[row], before[row]) for row in changed]
    return _plain("integer", made, how)
