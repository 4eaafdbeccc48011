"""What the coder remembers between the delta frames of one group (clause 8.3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic.tensors import CodedTensor
from nmc.coding.quantised.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Collection

NOT_YET = 1  # history entry of a word that has had no frame before it
WordFormat = tuple[int, int, int]


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


@dataclass(frozen=True)
class SparseEntries:
    """Entries of a row of which few changed in the frame before.

    Attributes
    ----------
    count : int
        Words of the row.
    words : ndarray of uint32 or uint64
        The words that changed, ascending.
    entries : uint16[number of words]
        Their entries; those of all others are 0.
    """

    count: int
    words: Indices
    entries: NDArray[np.uint16]

    def dense(self) -> NDArray[np.uint16]:
        """Return the entries of all words."""
        entries = np.zeros(self.count, np.uint16)
        entries[self.words] = self.entries
        return entries

    def at(self, words: Indices) -> NDArray[np.uint16]:
        """Return the entries of some words, ascending."""
        from nmc.coding.arithmetic.sparse_kernel import look_among

        entries = np.empty(words.size, np.uint16)
        look_among(self.words, self.entries, words, entries)
        return entries


@dataclass
class History:
    """What the coder remembers inside one group; make a fresh one at each key frame.

    Attributes
    ----------
    entries : dict of int to uint16[count] or SparseEntries
        For each row of the tensor table, the last change of each word (clause 8.4.2).
    trends : dict of int to int64[8]
        For each row, the forecast the adaptive coder has learnt (clause 8.5.4).
    predictors : dict of (mixing, word format) to Predictor
    quantised : Memory
        What the coder of quantised tensors remembers (clause 12.4.1).
    """

    entries: dict[int, NDArray[np.uint16] | SparseEntries] = field(default_factory=dict)
    trends: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    predictors: dict[tuple[bool, WordFormat], Predictor] = field(default_factory=dict)
    quantised: Memory = field(default_factory=Memory)

    def entries_of(self, tensor: CodedTensor) -> NDArray[np.uint16]:
        """Return the last entries of a tensor's words."""
        entries = self._known(tensor)
        if entries is None:
            return np.full(tensor.count, NOT_YET, np.uint16)
        return entries.dense() if isinstance(entries, SparseEntries) else entries

    def entries_at(self, tensor: CodedTensor, words: Indices) -> NDArray[np.uint16]:
        """Return the last entries of some words of a tensor, ascending."""
        entries = self._known(tensor)
        if entries is None:
            return np.full(words.size, NOT_YET, np.uint16)
        return entries.at(words) if isinstance(entries, SparseEntries) else entries[words]

    def recent(self, tensor: CodedTensor) -> tuple[int, Indices]:
        """Return the words that changed in the frame before, and the entry of all others."""
        entries = self._known(tensor)
        if entries is None:
            return NOT_YET, np.empty(0, np.uint32)
        if isinstance(entries, SparseEntries):
            return 0, entries.words
        return 0, np.flatnonzero(entries).astype(np.uint64)

    def _known(self, tensor: CodedTensor) -> NDArray[np.uint16] | SparseEntries | None:
        entries = self.entries.get(tensor.row)
        if isinstance(entries, SparseEntries):
            return entries if entries.count == tensor.count else None
        return entries if entries is not None and entries.size == tensor.count else None

    def keep(self, rows: Collection[int]) -> None:
        """Forget every row but these: those that a frame skips or codes by difference (8.3.3)."""
        for known in (self.entries, self.trends):
            for row in known.keys() - set(rows):
                del known[row]

    def copy(self) -> History:
        """Return a history that moves on alone; entries of entries are replaced, never edited.

        What is remembered of quantised tensors is shared: the lossless coder does not touch it.
        """
        return History(
            dict(self.entries),
            {row: trend.copy() for row, trend in self.trends.items()},
            {key: predictor.copy() for key, predictor in self.predictors.items()},
            self.quantised,
        )

    def adopt(self, other: History) -> None:
        """Become what another history is."""
        self.entries, self.trends, self.predictors = other.entries, other.trends, other.predictors
