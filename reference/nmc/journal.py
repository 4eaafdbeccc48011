"""The journal of an unfinished package (clause 5.1.5): one checked line for each finished frame."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOURNAL_VERSION = 1


@dataclass(frozen=True)
class RowEntry:
    """A tensor row that a frame adds to the table."""

    name: str
    dtype: str
    role: int
    layer: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class FrameEntry:
    """What the manifest will say of one finished frame (clauses 5.4.4, 5.4.5 and 5.5)."""

    delta: bool
    presentation_time: int
    segment_length: int
    segment_sha256: str
    state_digest: str
    state_bytes: int
    trained_from: int
    iterations: int
    seconds: float
    requires_grad: tuple[int, ...] | None
    exclude_layers: tuple[int, ...] | None
    rows: tuple[RowEntry, ...]
    source_name: str = ""
    extras: str = ""
    colour: tuple[tuple[str, tuple[float, ...]], ...] | None = None


def _line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
    return f"{zlib.crc32(text.encode()):08x} {text}\n".encode()


def start(path: Path, settings: dict[str, Any]) -> None:
    """Begin a journal with what the package as a whole says."""
    path.write_bytes(_line({"nmc_journal": JOURNAL_VERSION, **settings}))


def append(path: Path, entry: FrameEntry) -> None:
    """Add one finished frame; its segment is on disk already."""
    size = path.stat().st_size
    try:
        with path.open("ab") as file:
            file.write(_line(asdict(entry)))
    except OSError:
        os.truncate(path, size)  # a torn line would hide every line after it
        raise


def _sound_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines up to the first that is torn or damaged."""
    for line in path.read_bytes().split(b"\n"):
        check, _, text = line.partition(b" ")
        if f"{zlib.crc32(text):08x}".encode() != check:
            return
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return
        if not isinstance(content, dict):
            return
        yield content


def read(path: Path) -> tuple[dict[str, Any], list[FrameEntry]] | None:
    """Return the settings and the finished frames, or None where not even the first line is sound.

    A torn last line, as a crash leaves it, ends the list.
    """
    lines = _sound_lines(path)
    settings = next(lines, None)
    if settings is None or settings.pop("nmc_journal", None) != JOURNAL_VERSION:
        return None
    entries = []
    for line in lines:
        try:
            entries.append(_entry(line))
        except (KeyError, TypeError, ValueError):
            break
    return settings, entries


def _entry(line: dict[str, Any]) -> FrameEntry:
    rows = tuple(RowEntry(**{**r, "shape": tuple(r["shape"])}) for r in line.pop("rows"))
    for name in ("requires_grad", "exclude_layers"):
        if line[name] is not None:
            line[name] = tuple(line[name])
    if line.get("colour") is not None:
        line["colour"] = tuple((view, tuple(values)) for view, values in line["colour"])
    return FrameEntry(**line, rows=rows)


def rewrite(path: Path, settings: dict[str, Any], entries: list[FrameEntry]) -> None:
    """Replace a journal by its sound part."""
    fresh = path.with_suffix(".new")
    start(fresh, settings)
    for entry in entries:
        append(fresh, entry)
    fresh.replace(path)
