"""Some tensors of a payload of the lossless coder (clauses 8.3.1 and 8.6.1): their chunks alone."""

from __future__ import annotations

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

    from nmc.coding.arithmetic import CodedTensor, History
    from nmc.coding.arithmetic.static import Section
    from nmc_format.dtypes import Words
    from nmc_format.manifest.tensor_table import TensorRow
    from nmc_format.plan import PlannedTensor
    from nmc_format.segment import Segment, Stream

STORED, STATIC = 0, 1
"""Variants that have each tensor apart from the others."""


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
            self._parts.read(self._stream, start, end - start)
            self._loaded = end
        return end

    def take(self, size: int) -> memoryview:
        self.ready(size)
        return super().take(size)


def is_apart(parts: Parts, stream: Stream) -> bool:
    """Whether a payload has each tensor apart from the others."""
    parts.read(stream, 0, min(1, len(stream.data)))
    return len(stream.data) > 0 and stream.data[0] in (STORED, STATIC)


def decode(
    table: Sequence[TensorRow],
    segment: Segment,
    parts: Parts,
    tensors: Sequence[PlannedTensor],
    references: Mapping[int, Tensor],
    history: History,
    threads: int = 1,
) -> dict[int, Words]:
    """Decode some tensors of stream integer, which :func:`is_apart`.

    Parameters
    ----------
    table : sequence of TensorRow
        The tensor table.
    segment, parts
        The frame's segment, of which nothing has to be at hand but its structure.
    tensors : sequence of PlannedTensor
        All tensors of the stream, in order.
    references : mapping of int to Tensor
        What the tensors that are wanted are differences from, by row.
    history : History
        Of these tensors, in this group; moves on to this frame.
    threads : int
        Chunks that are decoded at the same time.

    Returns
    -------
    dict of int to ndarray
        The words of the tensors that are wanted, by row.

    Raises
    ------
    FormatError
        If what is read of the payload is malformed.
    """
    stream = segment.integer
    if stream is None:
        raise ValueError("the frame has no stream integer")
    coded = [
        settle([coded_tensor(p.row, table, references[p.row])])[0]
        if p.row in references
        else coded_tensor(p.row, table, _stand_in(p, table))
        for p in tensors
    ]
    wanted = {i: None for i, p in enumerate(tensors) if p.row in references}  # in order
    reader = _LoadingReader(parts, stream)
    try:
        if reader.byte() == STORED:
            history.forget_ways(references)
            return _stored(coded, wanted, reader)
        from nmc.coding.arithmetic import static

        found: dict[int, Words] = {}
        for section in static.read_sections(reader, coded):
            own = [i for i in section.indices if i in wanted]
            if own:
                _load(section, own, parts, stream)
                made = {i: static.Part.of(coded[i], history) for i in own}
                octets = static.payload_of(reader)
                static.decode_section(section, octets, coded, made, threads)
                found.update({coded[i].row: part.words for i, part in made.items()})
                history.ways.update({coded[i].row: part.after for i, part in made.items()})
    except arithmetic.CoderError as error:
        raise coder_refused(segment, stream, error) from None
    empty = {coded[i].row: coded[i].reference for i in wanted if not coded[i].count}
    return found | empty


def _stand_in(planned: PlannedTensor, table: Sequence[TensorRow]) -> Tensor:
    """Return a tensor of this size without memory, for one whose words are not looked at."""
    dtype = table[planned.row].dtype
    none = np.zeros(1, word_dtype(dtype))
    words = np.broadcast_to(none, planned.size // dtype.word_bytes)
    return Tensor(dtype, planned.shape, words)


def _stored(
    coded: Sequence[CodedTensor], wanted: Collection[int], reader: Reader
) -> dict[int, Words]:
    found = {}
    for i, tensor in enumerate(coded):
        size = tensor.count * tensor.reference.dtype.itemsize
        if i in wanted:
            words = np.frombuffer(reader.take(size), tensor.reference.dtype.newbyteorder("<"))
            found[tensor.row] = words.astype(tensor.reference.dtype)
        else:
            reader.pass_by(size)
    return found


def _load(section: Section, own: Sequence[int], parts: Parts, stream: Stream) -> None:
    """Read the chunks of some tensors of a section."""
    from nmc.coding.arithmetic import static_chunk_kernel as kernels

    for i in own:
        chunks = section.chunks_of([i])
        start, end = int(chunks[0, kernels.START]), int(chunks[-1, kernels.RAW_END])
        parts.read(stream, start, end - start)
