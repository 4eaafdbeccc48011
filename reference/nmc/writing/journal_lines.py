"""The lines of a journal as structures: what a writer writes, and nothing else, is read back.

A journal may come from a stranger like any other file. So each line is checked by itself for types,
ranges and digests, and against the lines before; what the frames say together is checked as the
manifest that is made of them.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc_spec
from nmc_format.dtypes import DTYPES
from nmc_format.manifest.check.sources import extras_fault, source_name_fault
from nmc_format.manifest.check.values import MAX_RANK
from nmc_format.manifest.columns import group_of
from nmc_format.manifest.json_object import configuration_fault
from nmc_format.manifest.tensor_table import BUFFER, NO_LAYER, PARAMETER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nmc_format.manifest.objects import RawObjects

RECORDS = ("cameras", "quality")
"""Groups of the manifest that a writer is told as a whole."""

_HEX64 = re.compile(r"[0-9a-f]{64}")
_TYPE = re.compile(r"\|u1|<[iu][248]|<[iu]4|<f8|\|S[1-9][0-9]{0,6}")


class Unsound(Exception):  # noqa: N818 - the journal ends there, which is no error
    """A line is none that a writer of this version writes."""


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
    """What the manifest will say of one finished frame (clauses 5.4.4 and 5.5)."""

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


@dataclass
class Rows:
    """The tensor table so far: what a new row may not repeat."""

    seen: set[tuple[str, str]] = field(default_factory=set)


def _integer(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value < high


def _text(value: Any) -> bool:
    """Whether a value is Unicode text without NUL; JSON can hold halves of surrogate pairs."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _digest(value: Any) -> bool:
    return isinstance(value, str) and _HEX64.fullmatch(value) is not None


def _list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _seconds(value: Any) -> bool:
    return type(value) is float and (value == -1 or (math.isfinite(value) and value >= 0))


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _colour(value: Any) -> bool:
    """Whether a value is a view's name and the twelve finite numbers of its affine map."""
    if not isinstance(value, list) or len(value) != 2 or not _text(value[0]):
        return False
    numbers = value[1]
    return (
        isinstance(numbers, list)
        and len(numbers) == 12
        and all(type(number) is float and math.isfinite(number) for number in numbers)
    )


_SETTINGS: dict[str, Callable[[Any], bool]] = {
    "profile": lambda value: isinstance(value, str) and value in nmc_spec.profiles(),
    "entropy": _text,
    "effort": _text,
    "key_every": _integer(0, 2**63),
    "family": _text,
    "configuration": lambda value: _text(value) and not configuration_fault(value),
    "timescale": _integer(1, 2**32),
    "sequence_id": _or_none(_text),
    "directory": _flag,
    "replaces": _flag,
}

_ROW: dict[str, Callable[[Any], bool]] = {
    "name": _text,
    "dtype": lambda value: isinstance(value, str) and value in DTYPES,
    "role": lambda value: type(value) is int and value in {PARAMETER, BUFFER},
    "layer": _integer(NO_LAYER, 2**31),
    "shape": lambda value: _list_of(_integer(0, 2**48))(value) and len(value) <= MAX_RANK,
}

_FRAME: dict[str, Callable[[Any], bool]] = {
    "delta": _flag,
    "presentation_time": _integer(-(2**63), 2**63),
    "segment_length": _integer(1, 2**63),
    "segment_sha256": _digest,
    "state_digest": _digest,
    "state_bytes": _integer(0, 2**63),
    "trained_from": _integer(-1, 2**63),
    "iterations": _integer(-1, 2**63),
    "seconds": _seconds,
    "requires_grad": _or_none(_list_of(_integer(0, 2))),
    "exclude_layers": _or_none(_list_of(_integer(0, 2**31))),
    "rows": _list_of(lambda value: _fits(value, _ROW)),
    "source_name": lambda value: _text(value) and not source_name_fault(value),
    "extras": lambda value: _text(value) and not (value and extras_fault(value)),
    "colour": _or_none(_list_of(_colour)),
}


def _fits(value: Any, checks: dict[str, Callable[[Any], bool]]) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == checks.keys()
        and all(check(value[name]) for name, check in checks.items())
    )


def settings(line: dict[str, Any], version: int) -> dict[str, Any]:
    """Return the settings of a first line.

    Raises
    ------
    Unsound
        If it is none of this version.
    """
    given = dict(line)
    if given.pop("nmc_journal", None) != version or not _fits(given, _SETTINGS):
        raise Unsound
    return given


def frame(line: dict[str, Any], before: Sequence[FrameEntry], rows: Rows) -> FrameEntry:
    """Return a finished frame; its rows are added to the table.

    Parameters
    ----------
    line : dict
        The line.
    before : sequence of FrameEntry
        The frame before, or none.
    rows : Rows
        The tensor table so far.

    Raises
    ------
    Unsound
        If it is not a frame, or does not follow the one before.
    """
    if not _fits(line, _FRAME):
        raise Unsound
    if not before and line["delta"]:
        raise Unsound
    if before and line["presentation_time"] <= before[0].presentation_time:
        raise Unsound
    new = tuple(RowEntry(**{**row, "shape": tuple(row["shape"])}) for row in line["rows"])
    names = [(row.name, row.dtype) for row in new]
    if len(set(names)) < len(names) or not rows.seen.isdisjoint(names):
        raise Unsound
    flags = line["requires_grad"]
    if flags is not None and len(flags) > len(rows.seen) + len(names):
        raise Unsound
    rows.seen.update(names)
    lists = {
        name: None if line[name] is None else tuple(line[name])
        for name in ("requires_grad", "exclude_layers")
    }
    colour = line["colour"]
    if colour is not None:
        colour = tuple((view, tuple(numbers)) for view, numbers in colour)
        if len({view for view, _ in colour}) < len(colour):
            raise Unsound
    return FrameEntry(**{**line, **lists, "rows": new, "colour": colour})


def record_fields(name: str, objects: RawObjects) -> dict[str, Any]:
    """Return a record of the manifest as a line: type, shape and bytes of each object."""
    return {
        "record": name,
        "objects": {
            path: [array.dtype.str, list(array.shape), base64.b64encode(array.tobytes()).decode()]
            for path, array in objects.items()
        },
    }


def record(line: dict[str, Any]) -> tuple[str, RawObjects]:
    """Return name and objects of a record.

    Raises
    ------
    Unsound
        If it is none, or its objects are not of its group.
    """
    name, given = line.get("record"), line.get("objects")
    if line.keys() != {"record", "objects"} or name not in RECORDS or not isinstance(given, dict):
        raise Unsound
    layout = nmc_spec.manifest_layout()
    if not all(path in layout and group_of(path) == name for path in given):
        raise Unsound
    return str(name), {path: _array(value) for path, value in given.items()}


def _array(value: Any) -> np.ndarray[Any, Any]:
    if not isinstance(value, list) or len(value) != 3:
        raise Unsound
    kind, shape, text = value
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind) or not isinstance(text, str):
        raise Unsound
    if not _list_of(_integer(0, 2**48))(shape) or len(shape) > MAX_RANK:
        raise Unsound
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unsound from None
    dtype = np.dtype(kind)
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise Unsound
    return np.frombuffer(data, dtype).reshape(shape)


def closing(line: dict[str, Any]) -> str:
    """Return the digest of the manifest that a closing line names.

    Raises
    ------
    Unsound
        If there is none.
    """
    if line.keys() != {"manifest"} or not _digest(line["manifest"]):
        raise Unsound
    return str(line["manifest"])


assert _FRAME.keys() == {field.name for field in fields(FrameEntry)}
