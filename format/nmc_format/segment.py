"""Segments: the safetensors file of one coded frame (chapter 6), between bytes and structures."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from nmc_format.issues import refuse
from nmc_format.slices import SliceMap
from nmc_format.slices import parse as parse_slices
from nmc_format.state_digest import DIGEST_BYTES

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

MAX_HEADER_BYTES: Final = 4096
"""A header names at most 8 + 3 * 8 streams and ten digests, under 3000 bytes (clause 6.1.2)."""

MOST_REFINEMENTS: Final = 8

BELOW: Final = 0
REFINE: Final = 2
REFINED_MODE_NAMES: Final = ("below", "skip", "refine")
"""Modes of a refinement by number (clause 12.7.2)."""

HEAD_BYTES: Final = 8 + MAX_HEADER_BYTES
"""Where the streams of a segment begin at the latest."""

SEGMENT_VERSION: Final = "1.0"

_ALIGNMENT = 64
REFINED_STREAM = re.compile(r"stop([1-8])\.(bins\.nmc|bounds|modes)")
"""Streams of a refinement (clause 12.7.1); they come after all of the base."""
_STREAMS = frozenset(
    {
        "modes",
        "shapes",
        "raw",
        "raw.zstd",
        "integer",
        "integer.zstd",
        "integer.nmc",
        "bins.nmc",
        "bounds",
        "digests",
        "slices",
    }
)
"""Every stream that a segment of this version may have (clause 6.2.1)."""


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


def canonical_header(
    sizes: Mapping[str, int], parent: bytes | None, states: Sequence[bytes]
) -> bytes:
    """Return the one header that these contents have (clause 6.1.3), its length field included."""
    metadata = {"nmc": SEGMENT_VERSION}
    if parent is not None:
        metadata["parent"] = parent.hex()
    metadata["state"] = states[0].hex()
    for k, state in enumerate(states[1:], 1):
        metadata[f"stop{k}"] = state.hex()
    entries: dict[str, Any] = {"__metadata__": metadata}
    start = 0
    for name in sorted(sizes):
        end = start + sizes[name]
        entries[name] = {"dtype": "U8", "shape": [end - start], "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode("ascii")
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


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
    view = memoryview(data).cast("B")
    header, body = read_header(view, file)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict):
        raise refuse(
            "segment/metadata", file=file, offset=8, key="__metadata__", reason="is missing"
        )
    parent = _digest(metadata, "parent", file) if "parent" in metadata else None
    state = _digest(metadata, "state", file)
    named = [f"stop{k}" for k in range(1, MOST_REFINEMENTS + 1) if f"stop{k}" in metadata]
    refined = [_digest(metadata, name, file) for name in named]
    _check_version(metadata, file)
    spans = _spans(header, len(view) - body, file)
    sizes = {name: end - start for name, (start, end) in spans.items()}
    if canonical_header(sizes, parent, [state, *refined]) != view[:body]:
        raise refuse(
            "segment/not-canonical",
            file=file,
            offset=8,
            reason="keys are sorted, data is dense, there is no other space than the padding to 64",
        )
    streams = {name: view[body + start : body + end] for name, (start, end) in spans.items()}
    offsets = {name: body + start for name, (start, _) in spans.items()}
    if "modes" not in streams:
        raise refuse("segment/stream-missing", file=file, offset=8, stream="modes")
    shapes = streams.get("shapes", memoryview(b""))
    if "shapes" in streams and not shapes:
        raise refuse("segment/stream-surplus", file=file, offset=8, stream="shapes")
    return Segment(
        file=file,
        parent=parent,
        state=state,
        modes=np.frombuffer(streams["modes"], np.uint8),
        shapes=_shapes(shapes, file, offsets.get("shapes", 0)),
        raw=_stream("raw", streams, offsets, file),
        integer=_stream("integer", streams, offsets, file),
        bins=_stream("bins", streams, offsets, file),
        bounds=_bounds("bounds", streams, offsets, file),
        digests=_stream("digests", streams, offsets, file),
        slices=_slices(streams, offsets, file),
        refinements=_refinements(refined, streams, offsets, file),
    )


def spans_of(data: Buffer, file: str) -> dict[str, tuple[int, int]]:
    """Return where each stream begins and ends in a segment; only its header is looked at.

    Raises
    ------
    FormatError
        If the header is malformed.
    """
    view = memoryview(data).cast("B")
    header, body = read_header(view, file)
    header.pop("__metadata__", None)
    spans = _spans(header, len(view) - body, file)
    return {name: (body + start, body + end) for name, (start, end) in spans.items()}


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


def read_header(view: memoryview, file: str) -> tuple[dict[str, Any], int]:
    """Return the header as JSON has it, and how many bytes it has with its length."""
    if len(view) < 8:
        raise refuse(
            "segment/header", file=file, offset=0, reason="it ends before its length field"
        )
    size = int.from_bytes(view[:8], "little")
    if not 2 <= size <= min(MAX_HEADER_BYTES, len(view) - 8):
        raise refuse(
            "segment/header",
            file=file,
            offset=0,
            reason=f"length field {size}; 2 to {MAX_HEADER_BYTES} are allowed, "
            f"{len(view) - 8} bytes follow",
        )
    try:
        header = json.loads(bytes(view[8 : 8 + size]))
    except (ValueError, RecursionError):
        raise refuse("segment/header", file=file, offset=8, reason="it is not JSON") from None
    if not isinstance(header, dict):
        raise refuse("segment/header", file=file, offset=8, reason="it is not a JSON object")
    return header, 8 + size


def _digest(metadata: Mapping[str, Any], key: str, file: str) -> bytes:
    text = metadata.get(key)
    try:
        digest = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        raise refuse(
            "segment/metadata",
            file=file,
            offset=8,
            key=key,
            reason="is not a digest of 64 hex digits",
        )
    return digest


def _check_version(metadata: Mapping[str, Any], file: str) -> None:
    """Refuse another version of a segment than the one of clause 6.1.3."""
    version = metadata.get("nmc")
    if version != SEGMENT_VERSION:
        raise refuse(
            "segment/metadata",
            file=file,
            offset=8,
            key="nmc",
            reason=f"is {version!a}, expected {SEGMENT_VERSION}",
        )


def _spans(header: Mapping[str, Any], room: int, file: str) -> dict[str, tuple[int, int]]:
    """Return the data offsets of each stream; they fill the data without gaps or overlaps."""
    spans = {}
    for name, entry in header.items():
        if name not in _STREAMS and not REFINED_STREAM.fullmatch(name):
            raise refuse("segment/stream-unknown", file=file, offset=8, stream=name)
        match entry:
            case {"dtype": "U8", "shape": [int()], "data_offsets": [int(start), int(end)]} if (
                0 <= start <= end <= room
            ):
                spans[name] = (start, end)
            case _:
                raise refuse(
                    "segment/stream-type",
                    file=file,
                    offset=8,
                    stream=name,
                    actual=json.dumps(entry),
                    expected=f"U8 of one dimension within {room} bytes",
                )
    used = sum(end - start for start, end in spans.values())
    if used != room:
        raise refuse(
            "segment/header", file=file, offset=8, reason=f"streams fill {used} of {room} bytes"
        )
    return spans


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
