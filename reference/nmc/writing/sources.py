"""What frames keep of their sources: name, extras and colour (clauses 5.4.5 and 5.5).

All of it lies in the entries of the journal, so that it outlives an interruption like the frames.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nmc_format.issues import refuse
from nmc_format.manifest.check.sources import MAX_ALL_EXTRAS, extras_fault, source_name_fault
from nmc_format.manifest.columns import COLOUR, COLOUR_VIEW, EXTRAS, SOURCE_NAME, frame_pointer
from nmc_format.manifest.frame_table import Colour
from nmc_format.manifest.objects import text_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nmc.writing.journal import FrameEntry
    from nmc_format.manifest.frame_table import FrameRecord, Texts

ColourEntry: TypeAlias = "tuple[tuple[str, tuple[float, ...]], ...]"
"""Colour of one frame: name of a view, and the 12 numbers of its 3 x 4 matrix, row by row."""

IDENTITY = np.eye(3, 4)
"""The affine map of a view of which nothing was recorded."""

_COLUMN_ROOM = {"source_name": 2**25, "extras": 2**26, "colour": 2**27}
"""Bytes that a column may take with its padding, so that the manifest stays below 256 MiB."""


def source_name_text(name: str | None, t: int) -> str:
    """Return the source name of frame t as the manifest has it.

    Raises
    ------
    FormatError
        If no manifest may hold it: it is not a name of a file alone, too long, or no Unicode text.
    """
    text = name or ""
    fault = source_name_fault(text)
    if fault:
        raise refuse("manifest/value", pointer=frame_pointer(t, SOURCE_NAME), reason=fault)
    return text


def extras_text(extras: Mapping[str, Any] | str | None, t: int) -> str:
    """Return the extras of frame t as the manifest has them: a text as it is, else as JSON.

    Numbers of numpy and torch become plain ones; JSON has none that is not finite: null.

    Raises
    ------
    FormatError
        If they are no JSON object, or more than a manifest may hold.
    """
    if not extras:
        return ""
    try:
        text = extras if isinstance(extras, str) else _json_text(extras)
        fault = extras_fault(text)
    except (TypeError, ValueError, RecursionError) as error:
        fault = f"the extras are no JSON object: {error}"
    if fault:
        raise refuse("manifest/value", pointer=frame_pointer(t, EXTRAS), reason=fault)
    return text


def _json_text(extras: Mapping[str, Any]) -> str:
    return json.dumps(_plain(dict(extras)), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return _plain(value.tolist()) if hasattr(value, "tolist") else value


def colour_entry(colour: Mapping[str, Any] | None, t: int) -> ColourEntry | None:
    """Return the colour of frame t, from views to arrays of shape (3, 4).

    Raises
    ------
    FormatError
        If an array has another shape, or a number that is not finite.
    """
    if not colour:
        return None
    entry = []
    for view, matrix in colour.items():
        array = np.asarray(matrix, np.float64)
        place = f"{COLOUR}/{t}"
        if "\0" in view or any("\ud800" <= c <= "\udfff" for c in view):
            reason = f"the name of view {view!a} is Unicode text without NUL"
            raise refuse("manifest/value", pointer=COLOUR_VIEW, reason=reason)
        if array.shape != (3, 4):
            shape = list(array.shape)
            raise refuse("manifest/object-shape", pointer=place, actual=shape, expected="3 x 4")
        if not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            raise refuse("manifest/not-a-number", pointer=place, count=count)
        entry.append((view, tuple(array.reshape(-1).tolist())))
    return tuple(entry)


def colour_maps(entry: ColourEntry | None) -> dict[str, Any] | None:
    """Return the colour of one frame as arrays (3, 4) float64 by view; undoes colour_entry."""
    if entry is None:
        return None
    return {view: np.reshape(np.array(values, np.float64), (3, 4)) for view, values in entry}


def with_colour(
    entries: Sequence[FrameEntry], views: Sequence[str], colour: Any
) -> list[FrameEntry]:
    """Return entries with the colour of an array of shape (frames, views, 3, 4).

    Raises
    ------
    FormatError
        If the shape is another one, two views have the same name, or a number is not finite.
    """
    array = np.asarray(colour, np.float64)
    expected = (len(entries), len(views), 3, 4)
    if array.shape != expected:
        raise refuse(
            "manifest/object-shape",
            pointer=COLOUR,
            actual=list(array.shape),
            expected=f"{list(expected)}: frames, views, 3, 4",
        )
    reason = "two views have the same name" if len(set(views)) < len(views) else ""
    if array.nbytes > _COLUMN_ROOM["colour"]:
        reason = f"{array.nbytes} bytes are more than fit into a manifest"
    if reason:
        raise refuse("manifest/value", pointer=COLOUR_VIEW, reason=reason)
    return [
        replace(entry, colour=colour_entry(dict(zip(views, array[t], strict=True)), t))
        for t, entry in enumerate(entries)
    ]


class Room:
    """What the columns of a manifest still have room for: one long entry widens a whole column.

    A frame that no manifest could hold is refused when it is appended, not when all are there.
    """

    def __init__(self) -> None:
        self._frames = 0
        self._longest = {"source_name": 0, "extras": 0}
        self._extras = 0
        self._views: set[str] = set()

    def checked(
        self,
        source_name: str | None,
        extras: Mapping[str, Any] | str | None,
        colour: Mapping[str, Any] | None,
    ) -> tuple[str, str, ColourEntry | None]:
        """Return name, extras and colour of the next frame as the journal has them.

        Raises
        ------
        FormatError
            If no manifest may hold one of them, or there is no room for it.
        """
        t = self._frames
        name, text = source_name_text(source_name, t), extras_text(extras, t)
        maps = colour_entry(colour, t)
        self._check(name, text, maps)
        return name, text, maps

    def _check(self, source_name: str, extras: str, colour: ColourEntry | None) -> None:
        """Refuse what there is no room for.

        Raises
        ------
        FormatError
            If a column would be longer than a manifest can be.
        """
        sizes = {"source_name": len(source_name.encode()), "extras": len(extras.encode())}
        views = self._views.union(view for view, _ in colour or ())
        widths = {n: max(self._longest[n], size) for n, size in sizes.items()}
        widths["colour"] = 96 * len(views)
        if self._extras + sizes["extras"] > MAX_ALL_EXTRAS:
            reason = f"the extras of all frames have more than {MAX_ALL_EXTRAS} bytes together"
            place = frame_pointer(self._frames, EXTRAS)
            raise refuse("manifest/value", pointer=place, reason=reason)
        for name, width in widths.items():
            if (self._frames + 1) * width > _COLUMN_ROOM[name]:
                reason = f"{self._frames + 1} frames of {width} bytes each are more than fit"
                place = frame_pointer(self._frames, name)
                raise refuse("manifest/value", pointer=place, reason=f"{name}: {reason}")

    def add(self, entries: Iterable[FrameEntry]) -> None:
        """Count frames that are there."""
        for entry in entries:
            self._frames += 1
            size = len(entry.record.extras_text.encode())
            self._extras += size
            self._longest["extras"] = max(self._longest["extras"], size)
            name = len(entry.record.source_name.encode())
            self._longest["source_name"] = max(self._longest["source_name"], name)
            self._views.update(view for view, _ in entry.colour or ())


def source_columns(records: Sequence[FrameRecord]) -> tuple[Texts | None, Texts | None]:
    """Return source names and extras (clause 5.4.5), shape (N,) each; None if nobody gave any."""
    names, extras = [r.source_name for r in records], [r.extras_text for r in records]
    return (
        text_array(names) if any(names) else None,
        text_array(extras) if any(extras) else None,
    )


def colour_of(entries: Sequence[FrameEntry]) -> Colour | None:
    """Return the colour record of clause 5.5, or None where nobody gave any."""
    views = list(dict.fromkeys(view for entry in entries for view, _ in entry.colour or ()))
    if not views:
        return None
    table = np.broadcast_to(IDENTITY, (len(entries), len(views), 3, 4)).astype("<f8")
    index = {view: k for k, view in enumerate(views)}
    for t, entry in enumerate(entries):
        for view, values in entry.colour or ():
            table[t, index[view]] = np.reshape(values, (3, 4))
    return Colour(views, table)
