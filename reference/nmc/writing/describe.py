"""The manifest of a package from the entries of its frames (clauses 5.3 to 5.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import nmc_spec
from nmc.writing.media import RECORD, records_in
from nmc.writing.sources import colour_of, source_columns
from nmc_format.encryption import FEATURE, VERSION
from nmc_format.issues import FormatError, first_error, refuse
from nmc_format.manifest import columns
from nmc_format.manifest.check.values import MAX_RANK, name_fault, value_findings
from nmc_format.manifest.digest import manifest_digest
from nmc_format.manifest.frame_table import Coding, Frames, Refinements, Training
from nmc_format.manifest.media_table import MediaTable, with_frames
from nmc_format.manifest.read import typed_manifest
from nmc_format.manifest.record import Manifest, Model, Root
from nmc_format.manifest.tensor_table import TensorTable
from nmc_spec import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc.writing.journal import Content, FrameEntry
    from nmc_format.manifest.frame_table import FrameRecord
    from nmc_format.manifest.tensor_table import TensorRow

CREATOR = "neural-model-chain"


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


def described(content: Content, rows: Sequence[TensorRow], *, unfinished: bool = False) -> Manifest:
    """Return the manifest, its digest included.

    Parameters
    ----------
    content : Content
        What the journal says: the package as a whole, its frames, and records such as the cameras.
    rows : sequence of TensorRow
        The tensor table.
    unfinished : bool
        More frames may come: those that maps of media name, and that are not there, are left out.

    Raises
    ------
    FormatError
        If the result would break the standard: the reader's own checks are run on it.
    """
    settings, entries = content.settings, content.entries
    key_digest = bytes.fromhex(settings.key_digest)
    manifest = Manifest(
        root=Root(
            profile=settings.profile,
            level=_level(rows, entries),
            sequence_id=settings.sequence_id or entries[0].record.state_digest.hex()[:32],
            creator=CREATOR,
            must_understand=FEATURE if key_digest else "",
            format_version=VERSION if key_digest or RECORD in content.records else FORMAT_VERSION,
            key_digest=key_digest,
        ),
        model=Model(settings.family, settings.configuration),
        table=TensorTable.of(rows),
        frames=_frames(settings.timescale, entries),
        refinements=_refinements(entries),
        training=_training(len(rows), entries),
    )
    objects = columns.objects_of(manifest)
    for record in content.records.values():
        objects |= record
    if unfinished and RECORD in content.records:
        there = {t: t for t in range(len(entries))}
        objects |= MediaTable.of(with_frames(records_in(content.records), there)).objects()
    objects[columns.MANIFEST_DIGEST] = np.frombuffer(manifest_digest(objects), "u1")
    checked, findings = typed_manifest(objects)
    error = first_error(findings) or first_error(value_findings(checked) if checked else ())
    if error is not None or checked is None:
        raise FormatError(error or findings[0])
    return checked


def _level(rows: Sequence[TensorRow], entries: Sequence[FrameEntry]) -> int:
    """Return the lowest level that holds the package (clause 10.2)."""
    keys = [entry.record.index for entry in entries if entry.record.coding is Coding.KEY]
    group = max(b - a for a, b in zip(keys, [*keys[1:], len(entries)], strict=True))
    state_bytes = max(entry.record.state_bytes for entry in entries)
    for level in nmc_spec.levels():
        if (
            len(rows) <= level.max_tensors
            and state_bytes <= level.max_state_bytes
            and group <= level.max_group_frames
            and len(entries) <= level.max_frames
        ):
            return level.level
    return nmc_spec.levels()[-1].level  # the check that follows says what is too much


def _digests(values: Sequence[bytes]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), -1)


def _frames(timescale: int, entries: Sequence[FrameEntry]) -> Frames:
    records = [entry.record for entry in entries]
    source_name, extras = source_columns(records)
    psnr = [_stored(r.declared_psnr) for r in records]
    return Frames(
        timescale=timescale,
        coding=np.array([r.coding.number for r in records], "u1"),
        presentation_time=np.array([r.presentation_time for r in records], "<i8"),
        segment_length=np.array([r.segment_length for r in records], "<u8"),
        segment_sha256=_digests([r.segment_sha256 for r in records]),
        state_bytes=np.array([r.state_bytes for r in records], "<u8"),
        state_digest=_digests([r.state_digest for r in records]),
        source_name=source_name,
        extras=extras,
        declared_psnr=np.array(psnr, "<f8") if max(psnr) >= 0 else None,
    )


def _refinements(entries: Sequence[FrameEntry]) -> Refinements | None:
    """Return the refinements; None where frames have none."""
    found = [entry.record.refinements for entry in entries]
    count = len(found[0])
    if not count:
        return None
    psnr = np.array([[_stored(r.declared_psnr) for r in refined] for refined in found], "<f8")
    digests = b"".join(r.state_digest for refined in found for r in refined)
    return Refinements(
        start=np.array([[r.start for r in refined] for refined in found], "<u8"),
        state_digest=np.frombuffer(digests, np.uint8).reshape(len(found), count, -1),
        declared_psnr=psnr if psnr.max() >= 0 else None,
    )


def _training(rows: int, entries: Sequence[FrameEntry]) -> Training:
    """Return the training record; a column of which nothing was recorded is left out."""
    records = [entry.record for entry in entries]
    made: dict[str, Any] = {}
    if any(r.iterations is not None for r in records):
        made["iterations"] = np.array([_stored(r.iterations) for r in records], "<i8")
    if any(r.seconds is not None for r in records):
        made["seconds"] = np.array([_stored(r.seconds) for r in records], "<f8")
    if any(r.requires_grad is not None for r in records):
        made |= _flag_columns(records, rows)
    if any(r.exclude_layers is not None for r in records):
        listed = [layer for r in records for layer in r.exclude_layers or ()]
        counts = [-1 if r.exclude_layers is None else len(r.exclude_layers) for r in records]
        made["exclude_layers"] = np.array(listed, "<i4")
        made["exclude_layers_count"] = np.array(counts, "<i4")
    lineage = np.array([_stored(r.trained_from) for r in records], "<i8")
    return Training(trained_from=lineage, colour=colour_of(entries), **made)


def _flag_columns(records: Sequence[FrameRecord], rows: int) -> dict[str, Any]:
    """Return ``requires_grad`` as bits, and of which frames it is known."""
    flags = np.zeros((len(records), rows), "u1")
    for t, record in enumerate(records):
        flags[t, : len(record.requires_grad or ())] = record.requires_grad or ()
    return {
        "requires_grad": np.packbits(flags, axis=1, bitorder="little"),
        "requires_grad_known": np.array([r.requires_grad is not None for r in records], "u1"),
    }


def _stored(value: float | None) -> float:
    """Return a number as the columns have it: -1 where nothing was recorded."""
    return -1 if value is None else value
