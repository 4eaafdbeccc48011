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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc_spec
from nmc.writing import remembered
from nmc_format.dtypes import DTYPES
from nmc_format.manifest.check.refinements import SAME_PSNR
from nmc_format.manifest.check.sources import extras_fault, source_name_fault
from nmc_format.manifest.check.values import MAX_RANK
from nmc_format.manifest.columns import group_of
from nmc_format.manifest.frame_table import MOST_REFINEMENTS, Coding, FrameRecord, Refined
from nmc_format.manifest.json_object import configuration_fault
from nmc_format.manifest.tensor_table import BUFFER, NO_LAYER, PARAMETER, TensorRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nmc.writing.remembered import Remembered
    from nmc_format.manifest.objects import RawObjects

RECORDS = ("cameras", "quality", "media")
"""Groups of the manifest that a writer is told as a whole."""

_HEX64 = re.compile(r"[0-9a-f]{64}")
_TYPE = re.compile(r"\|u1|<[iu][248]|<[iu]4|<f8|\|S[1-9][0-9]{0,6}")


class Unsound(Exception):  # noqa: N818 - the journal ends there, which is no error
    """A line is none that a writer of this version writes."""


@dataclass(frozen=True)
class Settings:
    """What the package as a whole says, as the writer was told (clauses 5.4.1 and 5.4.2).

    Attributes
    ----------
    profile, entropy, effort, key_every, family, timescale, sequence_id, directory
        As in :class:`nmc.Writer`.
    configuration : str
        JSON.
    quantisation : str
        How tensors are quantised, as text; empty where every bit is kept.
    replaces : bool
        Whether it takes the place of what was there when it was begun.
    key_digest : str
        Digest of the key of the segments in hex (clause 14.1.1); empty where there is none.
    """

    profile: str
    entropy: str
    effort: str
    key_every: int
    family: str
    configuration: str
    timescale: int
    sequence_id: str | None
    directory: bool
    quantisation: str = ""
    replaces: bool = False
    key_digest: str = ""


@dataclass(frozen=True)
class FrameEntry:
    """One finished frame.

    Attributes
    ----------
    record : FrameRecord
        What the manifest will say of it (clauses 5.4.4, 5.4.5 and 5.5).
    rows : tuple of TensorRow
        The rows that it adds to the tensor table.
    colour : tuple of (str, 12 numbers), or None
        Names of views, and their affine maps row by row.
    remembered : Remembered or None
        What quantising the next frame takes; only the last frame needs it.
    """

    record: FrameRecord
    rows: tuple[TensorRow, ...]
    colour: tuple[tuple[str, tuple[float, ...]], ...] | None = None
    remembered: Remembered | None = None


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


def _psnr(value: Any) -> bool:
    return type(value) is float and (value == -1 or 0 <= value <= SAME_PSNR)


def _refined(value: Any) -> bool:
    """Whether a value is where a refinement begins, its digest and its PSNR."""
    if not isinstance(value, list) or len(value) != 3:
        return False
    start, digest, psnr = value
    return _integer(1, 2**63)(start) and _digest(digest) and _psnr(psnr)


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
    "quantisation": _text,
    "replaces": _flag,
    "key_digest": lambda value: value == "" or _digest(value),
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
    "declared_psnr": _psnr,
    "refinements": lambda value: _list_of(_refined)(value) and len(value) <= MOST_REFINEMENTS,
    "colour": _or_none(_list_of(_colour)),
    "quantiser": _or_none(remembered.is_line),
}


def _fits(value: Any, checks: dict[str, Callable[[Any], bool]]) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == checks.keys()
        and all(check(value[name]) for name, check in checks.items())
    )


def settings(line: dict[str, Any], version: int) -> Settings:
    """Return the settings of a first line.

    Raises
    ------
    Unsound
        If it is none of this version.
    """
    given = dict(line)
    if given.pop("nmc_journal", None) != version or not _fits(given, _SETTINGS):
        raise Unsound
    return Settings(**given)


def frame_fields(entry: FrameEntry) -> dict[str, Any]:
    """Return a finished frame as a line: digests in hex, -1 for what was not recorded."""
    record, flags = entry.record, entry.record.requires_grad
    return {
        "delta": record.coding is Coding.DELTA,
        "presentation_time": record.presentation_time,
        "segment_length": record.segment_length,
        "segment_sha256": record.segment_sha256.hex(),
        "state_digest": record.state_digest.hex(),
        "state_bytes": record.state_bytes,
        "trained_from": -1 if record.trained_from is None else record.trained_from,
        "iterations": -1 if record.iterations is None else record.iterations,
        "seconds": -1.0 if record.seconds is None else record.seconds,
        "requires_grad": None if flags is None else [int(flag) for flag in flags],
        "exclude_layers": record.exclude_layers,
        "rows": [
            {
                "name": row.name,
                "dtype": row.dtype.name,
                "role": row.role,
                "layer": row.layer,
                "shape": row.shape,
            }
            for row in entry.rows
        ],
        "source_name": record.source_name,
        "extras": record.extras_text,
        "declared_psnr": -1.0 if record.declared_psnr is None else record.declared_psnr,
        "refinements": [
            [r.start, r.state_digest.hex(), -1.0 if r.declared_psnr is None else r.declared_psnr]
            for r in record.refinements
        ],
        "colour": entry.colour,
        "quantiser": entry.remembered and remembered.line_of(entry.remembered),
    }


def frame(line: dict[str, Any], before: Sequence[FrameEntry], rows: Rows) -> FrameEntry:
    """Return a finished frame; its rows are added to the table.

    Parameters
    ----------
    line : dict
        The line.
    before : sequence of FrameEntry
        The frames before.
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
    if before and len(line["refinements"]) != len(before[-1].record.refinements):
        raise Unsound
    if before and line["presentation_time"] <= before[-1].record.presentation_time:
        raise Unsound
    names = [(row["name"], row["dtype"]) for row in line["rows"]]
    if len(set(names)) < len(names) or not rows.seen.isdisjoint(names):
        raise Unsound
    flags, layers, colour = line["requires_grad"], line["exclude_layers"], line["colour"]
    if flags is not None and len(flags) > len(rows.seen) + len(names):
        raise Unsound
    rows.seen.update(names)
    if colour is not None:
        colour = tuple((view, tuple(numbers)) for view, numbers in colour)
        if len({view for view, _ in colour}) < len(colour):
            raise Unsound
    t = len(before)
    record = FrameRecord(
        index=t,
        coding=Coding.DELTA if line["delta"] else Coding.KEY,
        presentation_time=line["presentation_time"],
        segment_length=line["segment_length"],
        segment_sha256=bytes.fromhex(line["segment_sha256"]),
        state_digest=bytes.fromhex(line["state_digest"]),
        state_bytes=line["state_bytes"],
        trained_from=_recorded(line["trained_from"]),
        iterations=_recorded(line["iterations"]),
        seconds=_recorded(line["seconds"]),
        requires_grad=None if flags is None else tuple(map(bool, flags)),
        exclude_layers=None if layers is None else tuple(layers),
        source_name=line["source_name"],
        extras_text=line["extras"],
        declared_psnr=_recorded(line["declared_psnr"]),
        refinements=tuple(
            Refined(start, bytes.fromhex(digest), _recorded(psnr))
            for start, digest, psnr in line["refinements"]
        ),
    )
    new = tuple(_row(row, t) for row in line["rows"])
    known = line["quantiser"] and remembered.of_line(line["quantiser"])
    return FrameEntry(record, new, colour, known)


def _recorded(value: Any) -> Any:
    return None if value < 0 else value


def _row(row: dict[str, Any], t: int) -> TensorRow:
    shape = tuple(row["shape"])
    return TensorRow(row["name"], DTYPES[row["dtype"]], row["role"], row["layer"], shape, t)


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
