"""What the coder remembers between the delta frames of one group (clause 8.3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic.tensors import CodedTensor, WordFormat
from nmc.coding.quantised.memory import Memory
from nmc.coding.scratch import IN_MEMORY, Scratch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

CHUNK = 1 << 16  # words of a chunk of the static variant
NOT_YET = 1  # way and entry of a word that has had no frame before it
_WENT = 2  # the least way of a word that changed


@dataclass(frozen=True)
class Predictor:
    """Adaptive probabilities of one word format and variant (clauses 8.5.3 and 8.5.8).

    Attributes
    ----------
    slots : uint32[...]
        Probabilities of the adaptive coder.
    tables, weights : uint32[...], int64[...]
        Probabilities and weights of the mixture; empty where nothing is mixed.
    """

    slots: NDArray[np.uint32]
    tables: NDArray[np.uint32]
    weights: NDArray[np.int64]

    def copy(self) -> Predictor:
        """Return a predictor that learns alone."""
        return Predictor(self.slots.copy(), self.tables.copy(), self.weights.copy())


Indices = NDArray[np.unsignedinteger]
_DENSE = 32
"""One word in so many is wanted: then writing all ways down is faster than merging two lists."""


@dataclass(frozen=True)
class SparseWays:
    """Ways of a row of which few words changed in the frame before.

    Attributes
    ----------
    count : int
        Words of the row.
    words : ndarray of uint32 or uint64
        The words that were coded and are not equal, ascending.
    ways : uint8[number of words]
        Their ways; those of all others are 0.
    """

    count: int
    words: Indices
    ways: NDArray[np.uint8]

    def dense(self) -> NDArray[np.uint8]:
        """Return the ways of all words."""
        from nmc.coding.arithmetic.sparse_words_kernel import scatter

        ways = np.zeros(self.count, np.uint8)
        scatter(self.ways, self.words, ways)
        return ways

    def part(self, first: int, last: int) -> NDArray[np.uint8]:
        """Return the ways of the words from first to last."""
        start, end = np.searchsorted(self.words, (first, last))
        ways = np.zeros(last - first, np.uint8)
        ways[self.words[start:end].astype(np.int64) - first] = self.ways[start:end]
        return ways

    def at(self, words: Indices) -> NDArray[np.uint8]:
        """Return the ways of some words, ascending."""
        from nmc.coding.arithmetic.sparse_words_kernel import gather, look_among

        ways = np.empty(words.size, np.uint8)
        if _DENSE * words.size > self.count:
            gather(self.dense(), words, ways)
        else:
            look_among(self.words, self.ways, words, ways)
        return ways


@dataclass(frozen=True)
class PackedWays:
    """Ways of a row, four in an octet: an encoder keeps those of this frame and the one before.

    Attributes
    ----------
    count : int
        Words of the row.
    octets : uint8[...]
        Chunk by chunk: octet i has ways i, i + n, i + 2 n and i + 3 n, where n is their number.
    """

    count: int
    octets: NDArray[np.uint8]

    @classmethod
    def of(cls, count: int, scratch: Scratch) -> PackedWays:
        """Return those of so many words; what they are is put there chunk by chunk."""
        return cls(count, scratch.empty((count + 3) // 4, np.uint8))

    def put(self, first: int, ways: NDArray[np.uint8]) -> None:
        """Put those of a chunk, which begins at word first."""
        from nmc.coding.arithmetic.static_encode_kernel import pack_ways

        pack_ways(ways, self._chunk(first, ways.size))

    def part(self, first: int, last: int) -> NDArray[np.uint8]:
        """Return those of a chunk, from word first to word last."""
        from nmc.coding.arithmetic.static_encode_kernel import unpack_ways

        ways = np.empty(last - first, np.uint8)
        unpack_ways(self._chunk(first, ways.size), ways)
        return ways

    def _chunk(self, first: int, count: int) -> NDArray[np.uint8]:
        """Return the octets of a chunk."""
        return self.octets[first // 4 : first // 4 + (count + 3) // 4]

    def dense(self) -> NDArray[np.uint8]:
        """Return the ways of all words."""
        ways = np.empty(self.count, np.uint8)
        for first in range(0, self.count, CHUNK):
            last = min(self.count, first + CHUNK)
            ways[first:last] = self.part(first, last)
        return ways


@dataclass
class History:
    """What the coder remembers inside one group; make a fresh one at each key frame.

    Attributes
    ----------
    entries : dict of int to uint16[count]
        For each row of the tensor table, the last change of each word (clause 8.4.2).
    ways : dict of int to uint8[count], SparseWays or PackedWays
        For each row, which way each word went in the frame before (clause 8.6.2).
    trends : dict of int to int64[8]
        For each row, the forecast the adaptive coder has learnt (clause 8.5.4).
    predictors : dict of (portion, mixing, word format) to Predictor
        The portion is 0 where a payload is not divided (clause 8.8.1).
    quantised : Memory
        What the coder of quantised tensors remembers (clause 12.4.1).
    scratch : Scratch
        Where an encoder keeps entries and ways.
    """

    entries: dict[int, NDArray[np.uint16]] = field(default_factory=dict)
    ways: dict[int, NDArray[np.uint8] | SparseWays | PackedWays] = field(default_factory=dict)
    trends: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    predictors: dict[tuple[int, bool, WordFormat], Predictor] = field(default_factory=dict)
    quantised: Memory = field(default_factory=Memory)
    scratch: Scratch = IN_MEMORY

    def entries_of(self, tensor: CodedTensor) -> NDArray[np.uint16]:
        """Return the last entries of a tensor's words, in an array of its own."""
        entries = self.entries.get(tensor.row)
        known = entries is not None and entries.size == tensor.count
        own = self.scratch.empty(tensor.count, np.uint16)
        own[:] = entries if known else NOT_YET
        return own

    def take_entries(self, tensor: CodedTensor) -> NDArray[np.uint16]:
        """Return the last entries of a tensor's words, which this history has no more."""
        entries = self.entries.pop(tensor.row, None)
        if entries is None or entries.size != tensor.count:
            return np.full(tensor.count, NOT_YET, np.uint16)
        return entries

    def ways_of(self, tensor: CodedTensor) -> NDArray[np.uint8]:
        """Return which ways a tensor's words went last."""
        ways = self._known(tensor)
        if ways is None:
            return np.full(tensor.count, NOT_YET, np.uint8)
        return ways.dense() if isinstance(ways, SparseWays) else ways

    def ways_at(self, tensor: CodedTensor, words: Indices) -> NDArray[np.uint8]:
        """Return which ways some words of a tensor went last, ascending."""
        ways = self._known(tensor)
        if ways is None:
            return np.full(words.size, NOT_YET, np.uint8)
        return ways.at(words) if isinstance(ways, SparseWays) else ways[words]

    def recent(self, tensor: CodedTensor) -> tuple[int, Indices, int]:
        """Return the way of most words, and the others with their past (clause 8.7.3).

        Their past is 2 where it is known which way they went, 1 where the inner payload of a sparse
        one stored them: then it is not known of any of them.
        """
        ways = self._known(tensor)
        if ways is None:
            return NOT_YET, np.empty(0, np.uint32), _WENT
        if isinstance(ways, SparseWays):
            past = min(int(ways.ways[0]), _WENT) if ways.ways.size else _WENT
            return 0, ways.words, past
        return 0, np.flatnonzero(ways).astype(np.uint64), _WENT

    def ways_part(self, tensor: CodedTensor, first: int, last: int) -> NDArray[np.uint8]:
        """Return which ways the words of one chunk of a tensor went last."""
        ways = self.ways.get(tensor.row)
        if isinstance(ways, PackedWays) and ways.count == tensor.count:
            return ways.part(first, last)
        if isinstance(ways, np.ndarray) and ways.size == tensor.count:
            return ways[first:last]
        if isinstance(ways, SparseWays) and ways.count == tensor.count:
            return ways.part(first, last)
        return np.full(last - first, NOT_YET, np.uint8)

    def _known(self, tensor: CodedTensor) -> NDArray[np.uint8] | SparseWays | None:
        ways = self.ways.get(tensor.row)
        if isinstance(ways, PackedWays):
            return ways.dense() if ways.count == tensor.count else None
        if isinstance(ways, SparseWays):
            return ways if ways.count == tensor.count else None
        return ways if ways is not None and ways.size == tensor.count else None

    def forget_entries(self, rows: Iterable[int]) -> None:
        """Forget what variants 2, 3 and 5 remember of rows (clause 8.3.3)."""
        for row in rows:
            self.entries.pop(row, None)
            self.trends.pop(row, None)

    def forget_ways(self, rows: Iterable[int]) -> None:
        """Forget what variants 1 and 4 remember of rows (clause 8.3.3)."""
        for row in rows:
            self.ways.pop(row, None)

    def keep(self, rows: Collection[int]) -> None:
        """Forget every row but these: those that a frame skips or codes by difference (8.3.3)."""
        for known in (self.entries, self.ways, self.trends):
            for row in known.keys() - set(rows):
                del known[row]

    def copy(self) -> History:
        """Return a history that moves on alone; entries of entries are replaced, never edited.

        What is remembered of quantised tensors is shared: the lossless coder does not touch it.
        """
        return History(
            dict(self.entries),
            dict(self.ways),
            {row: trend.copy() for row, trend in self.trends.items()},
            {key: predictor.copy() for key, predictor in self.predictors.items()},
            self.quantised,
            self.scratch,
        )

    def adopt(self, other: History) -> None:
        """Become what another history is."""
        self.entries, self.ways = other.entries, other.ways
        self.trends, self.predictors = other.trends, other.predictors
