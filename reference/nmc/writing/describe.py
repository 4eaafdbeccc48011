"""The manifest of a package from the entries of its frames (clauses 5.3 to 5.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import nmc_spec
from nmc.writing.journal import FrameEntry, RowEntry
from nmc.writing.sources import colour_of, source_columns
from nmc_format.dtypes import DTYPES
from nmc_format.issues import FormatError, first_error, refuse
from nmc_format.manifest import columns
from nmc_format.manifest.check.values import MAX_RANK, name_fault, value_findings
from nmc_format.manifest.digest import manifest_digest
from nmc_format.manifest.frame_table import DELTA_FRAME, KEY_FRAME, Frames, Training
from nmc_format.manifest.read import typed_manifest
from nmc_format.manifest.record import Manifest, Model, Root
from nmc_format.manifest.tensor_table import TensorRow, TensorTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nmc_format.manifest.objects import RawObjects

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
    reason = name_fault(row.name)
    if reason:
        place = columns.tensor_pointer(index, columns.TENSOR_NAME)
        raise refuse("manifest/tensor-name", pointer=place, name=ascii(row.name), reason=reason)


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
            row.byte_size(shape)
        except ValueError as error:
            reason = str(error)
    if reason:
        place = columns.tensor_pointer(index, columns.TENSOR_SHAPE)
        raise refuse("manifest/tensor-shape", pointer=place, reason=reason)


def described(
    settings: dict[str, Any],
    rows: Sequence[TensorRow],
    entries: Sequence[FrameEntry],
    records: Iterable[RawObjects],
) -> Manifest:
    """Return the manifest, its digest included.

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
    manifest = Manifest(
        root=Root(
            profile=settings["profile"],
            level=_level(rows, entries),
            sequence_id=settings["sequence_id"] or entries[0].state_digest[:32],
            creator=CREATOR,
        ),
        model=Model(settings["family"], settings["configuration"]),
        table=TensorTable.of(rows),
        frames=_frames(settings["timescale"], entries),
        training=_training(len(rows), entries),
    )
    objects = columns.objects_of(manifest)
    for record in records:
        objects |= record
    objects[columns.MANIFEST_DIGEST] = np.frombuffer(manifest_digest(objects), "u1")
    checked, findings = typed_manifest(objects)
    error = first_error(findings) or first_error(value_findings(checked) if checked else ())
    if error is not None or checked is None:
        raise FormatError(error or findings[0])
    return checked


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


def _hex_column(values: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(bytes.fromhex("".join(values)), np.uint8).reshape(len(values), -1)


def _frames(timescale: int, entries: Sequence[FrameEntry]) -> Frames:
    source_name, extras = source_columns(entries)
    return Frames(
        timescale=timescale,
        coding=np.array([DELTA_FRAME if e.delta else KEY_FRAME for e in entries], "u1"),
        presentation_time=np.array([e.presentation_time for e in entries], "<i8"),
        segment_length=np.array([e.segment_length for e in entries], "<u8"),
        segment_sha256=_hex_column([e.segment_sha256 for e in entries]),
        state_bytes=np.array([e.state_bytes for e in entries], "<u8"),
        state_digest=_hex_column([e.state_digest for e in entries]),
        source_name=source_name,
        extras=extras,
    )


def _training(rows: int, entries: Sequence[FrameEntry]) -> Training:
    """Return the training record; a column of which nothing was recorded is left out."""
    made: dict[str, Any] = {}
    if any(e.iterations >= 0 for e in entries):
        made["iterations"] = np.array([e.iterations for e in entries], "<i8")
    if any(e.seconds >= 0 for e in entries):
        made["seconds"] = np.array([e.seconds for e in entries], "<f8")
    if any(e.requires_grad is not None for e in entries):
        flags = np.zeros((len(entries), rows), "u1")
        for t, entry in enumerate(entries):
            flags[t, : len(entry.requires_grad or ())] = entry.requires_grad or ()
        made["requires_grad"] = np.packbits(flags, axis=1, bitorder="little")
        known = [entry.requires_grad is not None for entry in entries]
        made["requires_grad_known"] = np.array(known, "u1")
    if any(e.exclude_layers is not None for e in entries):
        listed = [layer for e in entries for layer in e.exclude_layers or ()]
        counts = [-1 if e.exclude_layers is None else len(e.exclude_layers) for e in entries]
        made["exclude_layers"] = np.array(listed, "<i4")
        made["exclude_layers_count"] = np.array(counts, "<i4")
    lineage = np.array([e.trained_from for e in entries], "<i8")
    return Training(trained_from=lineage, colour=colour_of(entries), **made)
