"""The growing tensor table of a package that is written (clause 5.4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nmc.coding.scratch import IN_MEMORY, Scratch
from nmc.coding.state import Tensor
from nmc.writing import describe
from nmc.writing.tensor_input import as_array, check_state_type
from nmc_format.dtypes import dtype_of, to_words
from nmc_format.manifest.tensor_table import BUFFER, NO_LAYER, PARAMETER, TensorRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from nmc.coding.state import State


_FIRST_WORDS = 8192
"""Words of a tensor that are compared before the others."""


class GrowingTable:
    """Rows by name and dtype, in the order of their first appearance.

    Parameters
    ----------
    layers : mapping of str to int
        Layer index by tensor name.
    buffers : collection of str
        Names of the tensors that are buffers.
    """

    def __init__(self, layers: Mapping[str, int], buffers: Collection[str]) -> None:
        self._layers = dict(layers)
        self._buffers = frozenset(buffers)
        self.rows: list[TensorRow] = []
        self._index: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def extend(self, rows: Iterable[TensorRow]) -> None:
        """Add rows that are known already."""
        for row in rows:
            self._index[row.name, row.dtype.name] = len(self.rows)
            self.rows.append(row)

    def truncate(self, keep: int) -> None:
        """Forget the rows that a refused frame added."""
        for row in self.rows[keep:]:
            del self._index[row.name, row.dtype.name]
        del self.rows[keep:]

    def tensors(
        self,
        state: Mapping[str, Any],
        before: State,
        frame: int,
        memory: int | None = None,
        scratch: Scratch = IN_MEMORY,
    ) -> dict[int, Tensor]:
        """Return the tensors of a state by row, ascending; new rows are added.

        A tensor with the bits of the frame before is the very object of ``before``; the others
        share the memory of ``state``, which is asked for one tensor after the other.

        Parameters
        ----------
        state : mapping of str to array
            numpy arrays, packed arrays or torch tensors; or tensors of another sequence, whose
            bins are kept.
        before : mapping of int to Tensor
            The state of the frame before.
        frame : int
            Index of this frame.
        memory : int or None
            Bytes of tensors after which the next ones are copied; None: all share memory.
        scratch : Scratch
            Where these copies are made.

        Raises
        ------
        FormatError
            If a tensor cannot be stored.
        """
        check_state_type(state)
        found: dict[int, Tensor] = {}
        held = 0
        for name in state:
            tensor = _tensor(name, state[name])
            row = self._row(name, tensor, frame)
            describe.check_shape(self.rows[row], tensor.shape, row)
            reference = before.get(row)
            kept = reference is not None and tensor.quantised is None and _same(reference, tensor)
            if kept and reference:
                found[row] = reference
                continue
            held += tensor.words.nbytes
            large = memory is not None and held > memory and tensor.quantised is None
            found[row] = tensor.copied(scratch) if large else tensor
        return {row: found[row] for row in sorted(found)}

    def _row(self, name: str, tensor: Tensor, frame: int) -> int:
        known = self._index.get((name, tensor.dtype.name))
        if known is not None:
            return known
        row = TensorRow(
            name=name,
            dtype=tensor.dtype,
            role=BUFFER if name in self._buffers else PARAMETER,
            layer=self._layers.get(name, NO_LAYER),
            shape=tensor.shape,
            first_frame=frame,
        )
        describe.check_row(row, len(self.rows))
        self.extend([row])
        return len(self.rows) - 1


def _tensor(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    array = as_array(name, value)
    return Tensor(dtype_of(array), tuple(array.shape), to_words(array))


def _same(reference: Tensor, tensor: Tensor) -> bool:
    """Whether two tensors are the same; most of those that are not differ in their first words."""
    if reference.shape != tensor.shape:
        return False
    first, rest = slice(None, _FIRST_WORDS), slice(_FIRST_WORDS, None)
    return all(np.array_equal(reference.words[w], tensor.words[w]) for w in (first, rest))
