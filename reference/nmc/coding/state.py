"""States in memory (clause 4.4): the tensors of one frame, shared between frames where equal."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from nmc.coding.scratch import IN_MEMORY, Scratch
from nmc.coding.threads import in_threads, parts_of
from nmc_format.dtypes import Dtype, PackedArray, Words, byte_size, from_words
from nmc_format.state_digest import state_digest, tensor_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc.coding.quantised.grid import Quantised
    from nmc_format.dtypes import Array
    from nmc_format.manifest.tensor_table import TensorRow
    from nmc_format.slices import SliceMap


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor as bit patterns; never changed once made, so that frames can share it.

    Attributes
    ----------
    dtype : Dtype
        Element type.
    shape : tuple of int
        Shape in elements.
    words : numpy.ndarray, flat, unsigned
        The bit patterns.
    known_digest : bytes or None
        Its digest, where that was computed before.
    quantised : Quantised or None
        Grid and bins, where it is quantised (clause 12.1.3).
    stored_digest : bytes or None
        The digest that the segment says it has (clause 6.2.5).
    """

    dtype: Dtype
    shape: tuple[int, ...]
    words: Words
    known_digest: bytes | None = None
    quantised: Quantised | None = None
    stored_digest: bytes | None = None
    _computed: list[bytes] = field(default_factory=list, init=False, repr=False)

    @property
    def digest(self) -> bytes:
        """Digest of the tensor (clause 4.5.1), computed at most once."""
        return self.hash_in(1)

    @property
    def digest_so_far(self) -> bytes | None:
        """The digest where it is known or was computed; None where it was not asked for."""
        return self.known_digest or next(iter(self._computed), None)

    def hash_in(self, threads: int) -> bytes:
        """Return the digest; where it is not known, compute it with so many threads."""
        known = self.digest_so_far
        if known is None:
            known = tensor_digest(self.dtype, self.shape, self.words, threads)
            self._computed.append(known)
        return known

    def copied(self, scratch: Scratch = IN_MEMORY) -> Tensor:
        """Return the same tensor in memory of its own; it is not hashed again.

        How an encoder meant to code it is let go, so that it is what a decoder would have.
        """
        bins = self.quantised and replace(self.quantised, coded=None)
        words = scratch.empty(self.words.size, self.words.dtype)
        words[:] = self.words
        return replace(self, words=words, known_digest=self.digest, quantised=bins)

    def array(self) -> Array:
        """Return the tensor as a read-only array that shares its memory."""
        words = self.words.view()
        words.flags.writeable = False
        array = from_words(words, self.dtype, self.shape)
        if isinstance(array, PackedArray):
            return array
        array.flags.writeable = False
        return array


_LARGE = 1 << 22
"""Bytes from which on a tensor is worth threads of its own."""

State: TypeAlias = "Mapping[int, Tensor]"
"""The present tensors of a frame, by row of the tensor table, in the order of the table."""

EMPTY_STATE: State = MappingProxyType({})


def owned(state: State, before: dict[int, Tensor], scratch: Scratch = IN_MEMORY) -> State:
    """Return a state that shares memory with the state before, scratch, and with nothing else.

    What is in ``before`` is taken out of it tensor by tensor, so that its memory can be used again.
    """
    return {
        row: t if before.pop(row, None) is t or scratch.holds(t.words) else t.copied(scratch)
        for row, t in state.items()
    }


def taken(reference: Tensor, slices: SliceMap) -> Tensor:
    """Return the slices that a map takes from a tensor; those that are fresh are 0 (6.2.6)."""
    shape = (slices.count, *reference.shape[1:])
    count = byte_size(reference.dtype, shape) // reference.dtype.word_bytes
    origins = slices.origin_of_each()
    known = origins >= 0
    words = np.zeros((slices.count, count // max(slices.count, 1)), reference.words.dtype)
    words[known] = reference.words.reshape(-1, words.shape[1] or 1)[origins[known]]
    return Tensor(reference.dtype, shape, words.reshape(-1))


def hash_all(state: State, threads: int) -> None:
    """Have each tensor know its digest: a large one in threads, small ones beside each other."""
    if threads <= 1:
        return  # each is computed where it is wanted
    tensors = list(state.values())
    for tensor in tensors:
        if tensor.words.nbytes >= _LARGE:
            tensor.hash_in(threads)
    small = [tensor for tensor in tensors if tensor.words.nbytes < _LARGE]
    jobs = [partial(_hash_all, small[part]) for part in parts_of(len(small), threads)]
    in_threads(jobs, threads if sum(t.words.nbytes for t in small) >= _LARGE else 1)


def _hash_all(tensors: Sequence[Tensor]) -> None:
    for tensor in tensors:
        tensor.hash_in(1)


def digest_of(state: State, rows: Sequence[TensorRow], threads: int = 1) -> bytes:
    """Return the digest of a state (clause 4.5.2); so many tensors are hashed at the same time."""
    hash_all(state, threads)
    return state_digest((rows[row].name, tensor.digest) for row, tensor in state.items())


def arrays_of(state: State, rows: Sequence[TensorRow]) -> dict[str, Array]:
    """Return a state as read-only arrays by name, in the order of the tensor table."""
    return {rows[row].name: tensor.array() for row, tensor in state.items()}
