"""Segments with more or fewer refinements (clauses 7.4 and 12.7): no stream is coded again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc_format.segment import parse
from nmc_format.segment_header import REFINED_STREAM, canonical_header, parse_header

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
    whole = parse_header(data, file)
    kept = {
        name: end - start
        for name, (start, end) in whole.spans.items()
        if not (found := REFINED_STREAM.fullmatch(name)) or int(found[1]) <= stop
    }
    header = canonical_header(kept, whole.parent, whole.states[: 1 + stop])
    return [header, memoryview(data).cast("B")[whole.nbytes : segment.refinements[stop].start]]


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
    whole = parse_header(base, "")
    sizes = {name: end - start for name, (start, end) in whole.spans.items()}
    named = [
        {f"stop{k}.{name}": given[name] for name in sorted(given)}
        for k, (_, given) in enumerate(added, 1)
    ]
    for streams in named:
        sizes |= {name: memoryview(stream).nbytes for name, stream in streams.items()}
    header = canonical_header(sizes, whole.parent, [*whole.states, *(s for s, _ in added)])
    made: list[Buffer] = [header, base[whole.nbytes :]]
    at, starts = len(header) + len(base) - whole.nbytes, []
    for streams in named:
        starts.append(at)
        made += streams.values()
        at += sum(memoryview(stream).nbytes for stream in streams.values())
    return made, starts
