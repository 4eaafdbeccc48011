"""Manifest objects from the entries of frames (clauses 5.3 to 5.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import nmc_spec
from nmc.writing.journal import FrameEntry, RowEntry
from nmc.writing.sources import source_columns
from nmc_format.dtypes import DTYPES
from nmc_format.issues import FormatError, first_error, refuse
from nmc_format.manifest import TensorRow, build, manifest_digest, row_bytes, type_findings
from nmc_format.manifest_check import (
    MAX_NAME_BYTES,
    MAX_RANK,
    RESERVED_NAME,
    size_findings,
    value_findings,
)
from nmc_format.manifest_file import tensor_columns, text_scalar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nmc_format.hdf5 import RawObjects

CREATOR = "neural-model-chain"


def row_entry(row: TensorRow) -> RowEntry:
    """Return a row of the tensor table as the journal has it."""
    return RowEntry(row.name, row.dtype.name, row.role, row.layer, row.shape)


def row_of(entry: RowEntry, frame: int) -> TensorRow:
    """Return a row of the journal as the tensor table has it."""
    return TensorRow(
        entry.name, DTYPES[entry.dtype], entry.role, entry.layer, entry.shape, first_frame=frame
    )


def check_row(row: TensorRow, index: int) -> None:
    """Refuse a tensor that no manifest may hold, before any of it is written (clause 5.4.3).

    Raises
    ------
    FormatError
        If its name is not allowed.
    """
    reason = ""
    try:
        size = len(row.name.encode("utf-8"))
    except UnicodeEncodeError:
        reason = "it is no Unicode text"
    else:
        if not 0 < size <= MAX_NAME_BYTES or "\0" in row.name:
            reason = f"1 to {MAX_NAME_BYTES} bytes of UTF-8 without NUL are allowed"
        elif row.name == RESERVED_NAME:
            reason = "safetensors keeps it for its metadata"
    if reason:
        raise refuse(
            "manifest/tensor-name",
            pointer=f"/model/tensors/{index}/name",
            name=ascii(row.name),
            reason=reason,
        )


def check_shape(row: TensorRow, shape: tuple[int, ...], index: int) -> None:
    """Refuse a shape that no state may hold (clause 5.4.3).

    Raises
    ------
    FormatError
        If its rank is too high, or it has 2^48 elements or more.
    """
    reason = ""
    if len(shape) > MAX_RANK:
        reason = f"rank {len(shape)} is more than {MAX_RANK}"
    else:
        try:
            row_bytes(row, shape)
        except ValueError as error:
            reason = str(error)
    if reason:
        raise refuse(
            "manifest/tensor-shape", pointer=f"/model/tensors/{index}/shape", reason=reason
        )


def manifest_objects(
    settings: dict[str, Any],
    rows: Sequence[TensorRow],
    entries: Sequence[FrameEntry],
    records: Iterable[RawObjects],
) -> RawObjects:
    """Return every object of the manifest but its digest.

    Parameters
    ----------
    settings : dict
        What the journal says of the package as a whole.
    rows : sequence of TensorRow
        The tensor table.
    entries : sequence of FrameEntry
        The frames.
    records : iterable of objects by path
        Such as those of the cameras.

    Raises
    ------
    FormatError
        If the result would break the standard: the reader's own checks are run on it.
    """
    objects: RawObjects = {
        "/@format": text_scalar("nmc"),
        "/@format_version": text_scalar(nmc_spec.FORMAT_VERSION),
        "/@profile": text_scalar(settings["profile"]),
        "/@level": np.array(_level(rows, entries), "<u4"),
        "/@must_understand": text_scalar(""),
        "/@sequence_id": text_scalar(settings["sequence_id"] or entries[0].state_digest[:32]),
        "/@creator": text_scalar(CREATOR),
        "/model@family": text_scalar(settings["family"]),
        "/model@configuration": text_scalar(settings["configuration"]),
        "/frames@timescale": np.array(settings["timescale"], "<u4"),
        **tensor_columns(rows),
        **_frame_columns(entries),
        **_training_columns(rows, entries),
        **source_columns(entries),
    }
    for record in records:
        objects |= record
    _check(objects)
    return objects


def _check(objects: RawObjects) -> None:
    complete = {**objects, "/@manifest_digest": np.frombuffer(manifest_digest(objects), "u1")}
    error = first_error(type_findings(complete)) or first_error(size_findings(complete))
    error = error or first_error(value_findings(build(complete), complete))
    if error:
        raise FormatError(error)


def _level(rows: Sequence[TensorRow], entries: Sequence[FrameEntry]) -> int:
    """Return the lowest level that holds the package (clause 10.2)."""
    keys = [t for t, entry in enumerate(entries) if not entry.delta]
    group = max(b - a for a, b in zip(keys, [*keys[1:], len(entries)], strict=True))
    state_bytes = max(entry.state_bytes for entry in entries)
    for level in nmc_spec.levels():
        if (
            len(rows) <= level.max_tensors
            and state_bytes <= level.max_state_bytes
            and group <= level.max_group_frames
            and len(entries) <= level.max_frames
        ):
            return level.level
    return nmc_spec.levels()[-1].level  # the check that follows says what is too much


def _hex_column(values: Sequence[str]) -> np.ndarray[Any, Any]:
    return np.frombuffer(bytes.fromhex("".join(values)), np.uint8).reshape(len(values), -1)


def _frame_columns(entries: Sequence[FrameEntry]) -> RawObjects:
    columns = {
        "coding": np.array([e.delta for e in entries], "u1"),
        "presentation_time": np.array([e.presentation_time for e in entries], "<i8"),
        "segment_length": np.array([e.segment_length for e in entries], "<u8"),
        "segment_sha256": _hex_column([e.segment_sha256 for e in entries]),
        "state_bytes": np.array([e.state_bytes for e in entries], "<u8"),
        "state_digest": _hex_column([e.state_digest for e in entries]),
    }
    return {f"/frames/{name}": column for name, column in columns.items()}


def _training_columns(rows: Sequence[TensorRow], entries: Sequence[FrameEntry]) -> RawObjects:
    columns = {"trained_from": np.array([e.trained_from for e in entries], "<i8")}
    if any(e.iterations >= 0 for e in entries):
        columns["iterations"] = np.array([e.iterations for e in entries], "<i8")
    if any(e.seconds >= 0 for e in entries):
        columns["seconds"] = np.array([e.seconds for e in entries], "<f8")
    if any(e.requires_grad is not None for e in entries):
        flags = np.zeros((len(entries), len(rows)), "u1")
        for t, entry in enumerate(entries):
            flags[t, : len(entry.requires_grad or ())] = entry.requires_grad or ()
        columns["requires_grad"] = np.packbits(flags, axis=1, bitorder="little")
        known = [entry.requires_grad is not None for entry in entries]
        columns["requires_grad_known"] = np.array(known, "u1")
    if any(e.exclude_layers is not None for e in entries):
        listed = [layer for e in entries for layer in e.exclude_layers or ()]
        counts = [-1 if e.exclude_layers is None else len(e.exclude_layers) for e in entries]
        columns["exclude_layers"] = np.array(listed, "<i4")
        columns["exclude_layers_count"] = np.array(counts, "<i4")
    return {f"/training/{name}": column for name, column in columns.items()}
