"""What ``nmc diff`` says of the media of two packages: their bytes, and what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc_format.manifest.media_table import CHUNK_BYTES
from nmc_tools.terminal import printable, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    import nmc
    from nmc.reading.media import Medium


def media_differences(a: nmc.ChainSequence, b: nmc.ChainSequence) -> list[dict[str, Any]]:
    """Return a row for each difference of the media of two packages, which are paired by name.

    All bytes are verified first: equal digests are only what two manifests say.

    Raises
    ------
    FormatError
        If a medium is not what its manifest says.
    """
    for sequence in (a, b):
        for medium in sequence.media.values():
            for _ in medium.chunks():
                pass
    return [
        {"medium": name, **fact}
        for name in dict.fromkeys([*a.media, *b.media])
        for fact in _facts(a.media.get(name), b.media.get(name))
    ]


def _facts(a: Medium | None, b: Medium | None) -> Iterator[dict[str, Any]]:
    if a is None or b is None:
        yield {"what": "only in the second" if a is None else "only in the first"}
        return
    digests = a.record.chunk_sha256, b.record.chunk_sha256
    if digests[0] != digests[1]:
        pairs = enumerate(zip(*digests, strict=False))
        first = next((i for i, (x, y) in pairs if x != y), min(map(len, digests)))
        yield {"what": "bytes", "values": [a.size, b.size], "offset": first * CHUNK_BYTES}
    if a.type != b.type:
        yield {"what": "type", "values": [a.type, b.type]}
    if a.role != b.role:
        yield {"what": "role", "values": [a.role, b.role]}
    if a.map != b.map:
        yield {"what": "map", "values": [_map_text(a), _map_text(b)]}


def _map_text(medium: Medium) -> dict[str, Any] | None:
    served = medium.map
    if served is None:
        return None
    return {
        "timescale": served.timescale,
        "positions": list(served.positions),
        "frames": list(served.frames),
    }


def print_media(rows: list[dict[str, Any]]) -> None:
    """Print a line for each difference."""
    for row in rows:
        what, name = row["what"], printable(row["medium"])
        if what == "bytes":
            first, second = row["values"]
            text = f"bytes differ from {row['offset']} on"
            text += f", {first} against {second} bytes" if first != second else ""
        elif what == "map":
            text = "the maps differ"
        elif "values" in row:
            text = f"{what} {row['values'][0]!a} against {row['values'][1]!a}"
        else:
            text = what
        say(f"medium {name}: {text}")
