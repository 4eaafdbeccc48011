"""Segments that are read part by part (clause 6.1): the structure first, then what is asked for."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import numpy as np

from nmc_format.package.members import segment_name
from nmc_format.segment import parse
from nmc_format.segment_header import HEAD_BYTES, parse_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nmc_format.package.members import Package
    from nmc_format.segment import Stream

_SMALL = ("modes", "shapes", "slices", "bounds", "digests")
"""Streams that are read of every frame; they have a few bytes for each tensor or slice."""

_BLOCK = 1 << 20
"""Bytes of a stream that are read at a time where they are not kept."""


class SegmentParts:
    """A segment of which some parts have been read.

    Parameters
    ----------
    package : Package
        Where it lies.
    index : int
        The frame.
    length : int
        Its bytes, as the manifest says; a checked manifest bounds them.
    later : callable
        Says by their names which streams are not read now.

    Attributes
    ----------
    segment : Segment
        Its structure; of the streams, only what was :meth:`read` is there.
    """

    def __init__(
        self,
        package: Package,
        index: int,
        length: int,
        later: Callable[[str], bool] = lambda name: name not in _SMALL,
    ) -> None:
        self._package = package
        self._index = index
        head = package.part(index, length, 0, min(length, HEAD_BYTES))  # it has that length, then
        # Pages that nothing is read into take no memory, and do not count as data of the process.
        self._data = np.frombuffer(mmap.mmap(-1, max(length, 1)), np.uint8, length)
        self._data[: len(head)] = np.frombuffer(head, np.uint8)
        name = segment_name(index)
        for stream, (start, end) in parse_header(self._data.data, name).spans.items():
            if not later(stream):
                self._load(start, end - start)
        self.segment = parse(self._data.data, name)

    def _load(self, start: int, size: int) -> None:
        data = self._package.part(self._index, self._data.size, start, size)
        self._data[start : start + size] = np.frombuffer(data, np.uint8)

    @property
    def data(self) -> memoryview:
        """The bytes of the segment, of which only those that were read are right."""
        return self._data.data

    def blocks(self, stream: Stream) -> Iterator[bytes]:
        """Yield the bytes of a stream, which are not kept."""
        for start in range(0, len(stream.data), _BLOCK):
            size = min(_BLOCK, len(stream.data) - start)
            yield self._package.part(self._index, self._data.size, stream.offset + start, size)

    def read(self, stream: Stream, start: int = 0, size: int | None = None) -> None:
        """Read a part of a stream, or all of it."""
        self._load(stream.offset + start, len(stream.data) if size is None else size)
