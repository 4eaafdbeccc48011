"""Some tensors of a payload of the lossless coder, read part by part (clauses 8.3.1 and 8.3.2)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nmc.coding import arithmetic
from nmc.coding.arithmetic.payload import Reader
from nmc.coding.arithmetic.tensors import settle
from nmc.coding.decode import coded_tensor, coder_refused
from nmc.coding.state import Tensor
from nmc_format.dtypes import word_dtype

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from nmc.coding.arithmetic import History
    from nmc.coding.arithmetic.selection import Selection, Slots, Spans
    from nmc_format.dtypes import Words
    from nmc_format.manifest.tensor_table import TensorRow
    from nmc_format.plan import PlannedTensor
    from nmc_format.segment import Segment, Stream

_AHEAD = 1 << 12
"""Bytes that are read at least: heads have many small fields."""


class Parts(Protocol):
    """A segment that is read part by part."""

    def read(self, stream: Stream, start: int = 0, size: int | None = None) -> None:
        """Read a part of a stream."""


class _LoadingReader(Reader):
    """A reader of a payload that reads from the package what it comes to."""

    def __init__(self, parts: Parts, stream: Stream) -> None:
        super().__init__(stream.data)
        self._parts = parts
        self._stream = stream
        self._loaded = 0

    def ready(self, size: int) -> int:
        end = super().ready(size)
        start = max(self._loaded, self.position)
        if end > start:
            end = super().ready(max(size, _AHEAD))
            self._parts.read(self._stream, start, end - start)
            self._loaded = end
        return super().ready(size)

    def take(self, size: int) -> memoryview:
        self.ready(size)
        return super().take(size)


def select(
    table: Sequence[TensorRow],
    segment: Segment,
    parts: Parts,
    tensors: Sequence[PlannedTensor],
    wanted: Mapping[int, Spans],
    later: Collection[Slots],
) -> Selection:
    """Return what of stream integer has to be decoded for some tensors.

    Parameters
    ----------
    table : sequence of TensorRow
        The tensor table.
    segment, parts
        The frame's segment, of which nothing has to be at hand but its structure.
    tensors : sequence of PlannedTensor
        All tensors of the stream, in order.
    wanted : mapping of int to Spans
        The words that are wanted, by row.
    later : collection of Slots
        What later frames of the group go on with.

    Raises
    ------
    FormatError
        If what is read of the payload is malformed.
    """
    from nmc.coding.arithmetic import selection

    stream = _stream(segment)
    coded = [coded_tensor(p.row, table, _stand_in(p, table)) for p in tensors]
    spans = {i: wanted[p.row] for i, p in enumerate(tensors) if p.row in wanted}
    try:
        return selection.select(_LoadingReader(parts, stream), coded, spans, later)
    except arithmetic.CoderError as error:
        raise coder_refused(segment, stream, error) from None


def decode(
    table: Sequence[TensorRow],
    segment: Segment,
    parts: Parts,
    tensors: Sequence[PlannedTensor],
    selected: Selection,
    references: Mapping[int, Tensor],
    history: History,
    threads: int = 1,
) -> dict[int, Words]:
    """Decode what was selected of stream integer.

    Parameters
    ----------
    table, segment, parts, tensors
        As for :func:`select`.
    selected : Selection
        What that returned.
    references : mapping of int to Tensor
        What the tensors that are decoded are differences from, by row.
    history : History
        Of these tensors, in this group; moves on to this frame.
    threads : int
        Parts of them that are decoded at the same time.

    Returns
    -------
    dict of int to ndarray
        The words of the selected tensors, by row; those that were not selected are not right.

    Raises
    ------
    FormatError
        If what is read of the payload is malformed.
    """
    from nmc.coding.arithmetic import selection

    stream = _stream(segment)
    coded = [
        settle([coded_tensor(p.row, table, references[p.row])])[0]
        if i in selected.words
        else coded_tensor(p.row, table, _stand_in(p, table))
        for i, p in enumerate(tensors)
    ]
    load, reader = partial(parts.read, stream), _LoadingReader(parts, stream)
    try:
        found = selection.decode_some(reader, coded, selected, history, load, threads)
    except arithmetic.CoderError as error:
        raise coder_refused(segment, stream, error) from None
    return {tensors[i].row: words for i, words in found.items()}


def _stream(segment: Segment) -> Stream:
    if segment.integer is None:
        raise ValueError("the frame has no stream integer")
    return segment.integer


def _stand_in(planned: PlannedTensor, table: Sequence[TensorRow]) -> Tensor:
    """Return a tensor of this size without memory, for one whose words are not looked at."""
    dtype = table[planned.row].dtype
    none = np.zeros(1, word_dtype(dtype))
    words = np.broadcast_to(none, planned.size // dtype.word_bytes)
    return Tensor(dtype, planned.shape, words)
