"""Segments: the safetensors file of one coded frame (chapter 6), between bytes and structures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from nmc_format.issues import refuse
from nmc_format.segment_header import REFINED_STREAM, canonical_header, parse_header
from nmc_format.slices import SliceMap
from nmc_format.slices import parse as parse_slices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Buffer

ABSENT: Final = 0
SKIP: Final = 1
RAW: Final = 2
INTEGER: Final = 3
QUANTISED: Final = 4
UPDATE: Final = 5
MODE_NAMES: Final = ("absent", "skip", "raw", "integer", "quantised", "update")
"""Coding modes by number (clause 6.2.2)."""

CODINGS: Final = ("none", "zstd", "nmc")
"""Entropy codings; the stream ``integer`` coded with zstd is named ``integer.zstd`` (6.3)."""

BELOW: Final = 0
REFINE: Final = 2
REFINED_MODE_NAMES: Final = ("below", "skip", "refine")
"""Modes of a refinement by number (clause 12.7.2)."""


@dataclass(frozen=True)
class Stream:
    """One coded stream of a segment.

    Attributes
    ----------
    name : str
        Name in the header, such as ``"integer.zstd"``.
    coding : str
        One of ``CODINGS``.
    data : memoryview
        The coded bytes.
    offset : int
        Byte offset in the segment, for messages.
    """

    name: str
    coding: str
    data: memoryview
    offset: int


@dataclass(frozen=True)
class Refinement:
    """One refinement of a segment (clause 12.7.1).

    Attributes
    ----------
    start : int
        The byte of the segment at which its streams begin.
    state : bytes
        Digest of the state that it makes, 32 bytes.
    modes : numpy.ndarray of uint8, shape (rows,)
        ``BELOW``, ``SKIP`` or ``REFINE`` of each tensor row.
    bins : Stream or None
        What is refined.
    bounds : numpy.ndarray of float32 or None
        As of a segment.
    """

    start: int
    state: bytes
    modes: np.ndarray[tuple[int], np.dtype[np.uint8]]
    bins: Stream | None
    bounds: np.ndarray[tuple[int], np.dtype[np.float32]] | None


@dataclass(frozen=True)
class Segment:
    """A parsed segment; its streams are still coded.

    Attributes
    ----------
    file : str
        Name for messages.
    parent : bytes or None
        Digest of the state it builds on, 32 bytes; None in a key frame.
    state : bytes
        Digest of the state it makes, 32 bytes.
    modes : numpy.ndarray of uint8, shape (rows,)
        Mode of each tensor row.
    shapes : mapping of int to tuple of int
        Shape by row, where it is not the one of the table.
    raw, integer, bins : Stream or None
        The payloads.
    bounds : numpy.ndarray of float32 or None
        Declared errors of the quantised tensors (clause 12.6); None where there is no such stream.
    digests : Stream or None
        Tensor digests (clause 6.2.5).
    slices : tuple of SliceMap
        Where the slices of tensors come from (clause 6.2.6).
    refinements : tuple of Refinement
        The coarsest first.
    """

    file: str
    parent: bytes | None
    state: bytes
    modes: np.ndarray[tuple[int], np.dtype[np.uint8]]
    shapes: Mapping[int, tuple[int, ...]]
    raw: Stream | None
    integer: Stream | None
    bins: Stream | None = None
    bounds: np.ndarray[tuple[int], np.dtype[np.float32]] | None = None
    digests: Stream | None = None
    slices: tuple[SliceMap, ...] = ()
    refinements: tuple[Refinement, ...] = ()


@dataclass(frozen=True)
class Pieces:
    """Bytes of a stream that are made piece by piece, when they are written.

    Attributes
    ----------
    nbytes : int
        How many they are.
    make : callable
        Yields the pieces in order; they need not be kept.
    """

    nbytes: int
    make: Callable[[], Iterator[Buffer]]


Bytes: TypeAlias = "Buffer | Pieces"


def size_of(data: Bytes) -> int:
    """Return the number of bytes."""
    return data.nbytes if isinstance(data, Pieces) else memoryview(data).nbytes


def made(parts: Iterable[Bytes]) -> Iterator[Buffer]:
    """Yield all bytes in order; what is made is made one piece at a time."""
    for part in parts:
        if isinstance(part, Pieces):
            yield from part.make()
        else:
            yield part


def serialize(
    *,
    parent: bytes | None,
    state: bytes,
    modes: np.ndarray[Any, np.dtype[np.uint8]],
    shapes: Mapping[int, tuple[int, ...]],
    payloads: Mapping[str, Bytes],
) -> list[Bytes]:
    """Return the bytes of a segment, in pieces.

    Parameters
    ----------
    parent, state : bytes
        State digests; ``parent`` is None in a key frame.
    modes : numpy.ndarray of uint8, shape (rows,)
        Mode of each row.
    shapes : mapping of int to tuple of int
        Shapes of raw tensors that differ from those of the table.
    payloads : mapping of str to bytes-like or Pieces
        Coded streams by full name, such as ``"integer.zstd"``.
    """
    streams: dict[str, Bytes] = {"modes": modes.tobytes(), **payloads}
    if shapes:
        words = [w for row in sorted(shapes) for w in (row, len(shapes[row]), *shapes[row])]
        streams["shapes"] = np.array(words, "<u8").tobytes()
    sizes = {name: size_of(data) for name, data in streams.items()}
    return [canonical_header(sizes, parent, [state]), *(streams[name] for name in sorted(streams))]


def parse(data: Buffer, file: str) -> Segment:
    """Parse the bytes of a segment.

    Parameters
    ----------
    data : bytes-like
        The whole segment.
    file : str
        Name for messages.

    Raises
    ------
    FormatError
        If the segment is malformed.
    """
    header = parse_header(data, file)
    view = memoryview(data).cast("B")
    streams = {name: view[start:end] for name, (start, end) in header.spans.items()}
    offsets = {name: start for name, (start, _) in header.spans.items()}
    if "modes" not in streams:
        raise refuse("segment/stream-missing", file=file, offset=8, stream="modes")
    shapes = streams.get("shapes", memoryview(b""))
    if "shapes" in streams and not shapes:
        raise refuse("segment/stream-surplus", file=file, offset=8, stream="shapes")
    return Segment(
        file=file,
        parent=header.parent,
        state=header.states[0],
        modes=np.frombuffer(streams["modes"], np.uint8),
        shapes=_shapes(shapes, file, offsets.get("shapes", 0)),
        raw=_stream("raw", streams, offsets, file),
        integer=_stream("integer", streams, offsets, file),
        bins=_stream("bins", streams, offsets, file),
        bounds=_bounds("bounds", streams, offsets, file),
        digests=_stream("digests", streams, offsets, file),
        slices=_slices(streams, offsets, file),
        refinements=_refinements(header.states[1:], streams, offsets, file),
    )


def _slices(
    streams: Mapping[str, memoryview], offsets: Mapping[str, int], file: str
) -> tuple[SliceMap, ...]:
    if "slices" not in streams:
        return ()
    return parse_slices(streams["slices"], file, offsets["slices"])


def _refinements(
    states: Sequence[bytes],
    streams: Mapping[str, memoryview],
    offsets: Mapping[str, int],
    file: str,
) -> tuple[Refinement, ...]:
    """Return the refinements, as many as there are digests (clause 12.7.1)."""
    for name in streams:
        found = REFINED_STREAM.fullmatch(name)
        if found and int(found[1]) > len(states):
            raise refuse("segment/stream-surplus", file=file, offset=8, stream=name)
    made = []
    for k, state in enumerate(states, 1):
        names = {part: f"stop{k}.{part}" for part in ("bins.nmc", "bounds", "modes")}
        if names["modes"] not in streams:
            raise refuse("segment/stream-missing", file=file, offset=8, stream=names["modes"])
        there = [name for name in names.values() if name in streams]
        bins = names["bins.nmc"]
        made.append(
            Refinement(
                start=min(offsets[name] for name in there),
                state=state,
                modes=np.frombuffer(streams[names["modes"]], np.uint8),
                bins=Stream(bins, "nmc", streams[bins], offsets[bins]) if bins in streams else None,
                bounds=_bounds(names["bounds"], streams, offsets, file),
            )
        )
    return tuple(made)


def _shapes(data: memoryview, file: str, offset: int) -> dict[int, tuple[int, ...]]:
    def bad(reason: str) -> Exception:
        return refuse("segment/shapes", file=file, offset=offset, reason=reason)

    if len(data) % 8:
        raise bad("its length is not a multiple of 8")
    words = np.frombuffer(data, "<u8").tolist()
    shapes: dict[int, tuple[int, ...]] = {}
    at, last = 0, -1
    while at < len(words):
        if at + 2 > len(words) or words[at + 1] > 32 or at + 2 + words[at + 1] > len(words):
            raise bad("it ends within a record, or a rank is over 32")
        row, rank = words[at], words[at + 1]
        if row <= last:
            raise bad("rows are not in ascending order")
        shapes[row] = tuple(words[at + 2 : at + 2 + rank])
        at, last = at + 2 + rank, row
    return shapes


def _bounds(
    name: str, streams: Mapping[str, memoryview], offsets: Mapping[str, int], file: str
) -> np.ndarray[tuple[int], np.dtype[np.float32]] | None:
    """Return the declared errors, each a finite number of at least 0 (clause 12.6.1)."""
    data = streams.get(name)
    if data is None:
        return None

    def bad(reason: str) -> Exception:
        return refuse("segment/bounds", file=file, offset=offsets[name], reason=reason)

    if not data or len(data) % 4:
        raise bad(f"it has {len(data)} bytes, expected four for each quantised tensor")
    bounds = np.frombuffer(data, "<f4").astype(np.float32)
    if not np.isfinite(bounds).all() or np.signbit(bounds).any():
        raise bad("a declared error is negative, infinite or NaN")
    return bounds


def _stream(
    name: str, streams: Mapping[str, memoryview], offsets: Mapping[str, int], file: str
) -> Stream | None:
    found = [full for full in streams if full.partition(".")[0] == name]
    if not found:
        return None
    if len(found) > 1:
        raise refuse("segment/stream-surplus", file=file, offset=8, stream=found[1])
    full = found[0]
    return Stream(full, full.partition(".")[2] or "none", streams[full], offsets[full])
