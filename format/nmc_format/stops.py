"""Segments with more or fewer refinements (clauses 7.4 and 12.7): no stream is coded again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc_format.segment import REFINED_STREAM, canonical_header, parse, read_header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Buffer


def at_stop(data: Buffer, stop: int, file: str) -> list[Buffer]:
    """Return the segment without the refinements behind a stop (clause 12.7.4), in pieces.

    Parameters
    ----------
    data : bytes-like
        A segment.
    stop : int
        How many refinements are kept.
    file : str
        Name for messages.

    Raises
    ------
    FormatError
        If the segment is malformed.
    """
    segment = parse(data, file)
    if len(segment.refinements) <= stop:
        return [data]
    sizes, body = _sizes(data, file)
    kept = {
        name: size
        for name, size in sizes.items()
        if not (found := REFINED_STREAM.fullmatch(name)) or int(found[1]) <= stop
    }
    states = [segment.state, *(refined.state for refined in segment.refinements[:stop])]
    header = canonical_header(kept, segment.parent, states)
    return [header, memoryview(data).cast("B")[body : segment.refinements[stop].start]]


def refined(
    pieces: Sequence[Buffer], added: Sequence[tuple[bytes, Mapping[str, Buffer]]]
) -> tuple[list[Buffer], list[int]]:
    """Return a segment of a base with refinements, in pieces, and where each of them begins.

    Parameters
    ----------
    pieces : sequence of bytes-like
        The segment of the base.
    added : sequence of (bytes, mapping of str to bytes-like)
        Of each refinement the state digest, and its streams by name without the stop.
    """
    base = b"".join(pieces)
    segment = parse(base, "")
    sizes, body = _sizes(base, "")
    named = [
        {f"stop{k}.{name}": given[name] for name in sorted(given)}
        for k, (_, given) in enumerate(added, 1)
    ]
    for streams in named:
        sizes |= {name: memoryview(stream).nbytes for name, stream in streams.items()}
    header = canonical_header(sizes, segment.parent, [segment.state, *(s for s, _ in added)])
    made: list[Buffer] = [header, base[body:]]
    at, starts = len(header) + len(base) - body, []
    for streams in named:
        starts.append(at)
        made += streams.values()
        at += sum(memoryview(stream).nbytes for stream in streams.values())
    return made, starts


def _sizes(data: Buffer, file: str) -> tuple[dict[str, int], int]:
    """Return the bytes of each stream, and where the first one begins."""
    header, body = read_header(memoryview(data).cast("B"), file)
    header.pop("__metadata__")
    return {name: entry["shape"][0] for name, entry in header.items()}, body
