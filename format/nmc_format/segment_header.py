"""The header of a segment: the digests it links, and where its streams lie (clause 6.1)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nmc_format.issues import refuse
from nmc_format.state_digest import DIGEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Buffer

MAX_HEADER_BYTES: Final = 4096
"""A header names at most 8 + 3 * 8 streams and ten digests, under 3000 bytes (clause 6.1.2)."""

MOST_REFINEMENTS: Final = 8

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
class Header:
    """What the header of a segment says.

    Attributes
    ----------
    parent : bytes or None
        Digest of the state it builds on, 32 bytes; None in a key frame.
    states : tuple of bytes
        Digests of the state it makes, and of those of its refinements, the coarsest first.
    spans : mapping of str to tuple of int
        Where each stream begins and ends in the segment, by name.
    nbytes : int
        How many bytes the header has, its length field included.
    """

    parent: bytes | None
    states: tuple[bytes, ...]
    spans: Mapping[str, tuple[int, int]]
    nbytes: int


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


def parse_header(data: Buffer, file: str) -> Header:
    """Return the header of a segment; nothing behind it is looked at.

    Parameters
    ----------
    data : bytes-like
        The whole segment.
    file : str
        Name for messages.

    Raises
    ------
    FormatError
        If the header is malformed.
    """
    view = memoryview(data).cast("B")
    header, body = _read_header(view, file)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict):
        raise refuse(
            "segment/metadata", file=file, offset=8, key="__metadata__", reason="is missing"
        )
    parent = _digest(metadata, "parent", file) if "parent" in metadata else None
    state = _digest(metadata, "state", file)
    named = [f"stop{k}" for k in range(1, MOST_REFINEMENTS + 1) if f"stop{k}" in metadata]
    states = (state, *(_digest(metadata, name, file) for name in named))
    _check_version(metadata, file)
    spans = _spans(header, len(view) - body, file)
    sizes = {name: end - start for name, (start, end) in spans.items()}
    if canonical_header(sizes, parent, states) != view[:body]:
        raise refuse(
            "segment/not-canonical",
            file=file,
            offset=8,
            reason="keys are sorted, data is dense, there is no other space than the padding to 64",
        )
    placed = {name: (body + start, body + end) for name, (start, end) in spans.items()}
    return Header(parent, states, placed, body)


def _read_header(view: memoryview, file: str) -> tuple[dict[str, Any], int]:
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
