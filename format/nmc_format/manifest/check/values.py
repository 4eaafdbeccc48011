"""Checks of the values of a manifest (clauses 5.4.1 to 5.4.4), and of all its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nmc_spec
from nmc_format.dtypes import DTYPES
from nmc_format.encryption import FEATURE
from nmc_format.issues import Finding, finding
from nmc_format.manifest import columns
from nmc_format.manifest.check.cameras import camera_findings
from nmc_format.manifest.check.encryption import encryption_findings
from nmc_format.manifest.check.levels import level_findings
from nmc_format.manifest.check.media import media_findings
from nmc_format.manifest.check.refinements import refinement_findings
from nmc_format.manifest.check.sources import source_findings
from nmc_format.manifest.check.training import training_findings
from nmc_format.manifest.columns import frame_pointer, tensor_pointer
from nmc_format.manifest.frame_table import Coding
from nmc_format.manifest.json_object import configuration_fault
from nmc_format.manifest.objects import texts_of
from nmc_format.manifest.tensor_table import BUFFER, NO_LAYER, PARAMETER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmc_format.manifest.record import Manifest
    from nmc_format.manifest.tensor_table import TensorRow

MAX_RANK = 32
MAX_NAME_BYTES = 1024
RESERVED_NAME = "__metadata__"
"""The one name that no tensor of a safetensors file can have (clause 5.4.3)."""


def value_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield everything that is wrong with the values of a manifest whose types are right."""
    yield from _root_findings(manifest)
    yield from _tensor_findings(manifest)
    yield from _frame_findings(manifest)
    yield from source_findings(manifest)
    yield from refinement_findings(manifest)
    yield from encryption_findings(manifest)
    yield from level_findings(manifest)
    yield from training_findings(manifest)
    yield from camera_findings(manifest)
    yield from media_findings(manifest)


def _root_findings(manifest: Manifest) -> Iterator[Finding]:
    reason = configuration_fault(manifest.model.configuration)
    if reason:
        yield finding("manifest/value", pointer=columns.CONFIGURATION, reason=reason)
    for feature in manifest.root.features:
        if feature != FEATURE:
            place = columns.MUST_UNDERSTAND
            yield finding("manifest/must-understand", pointer=place, feature=feature)
    if manifest.profile not in nmc_spec.profiles():
        yield finding(
            "profile/unknown",
            pointer=columns.PROFILE,
            profile=manifest.profile,
            known=", ".join(nmc_spec.profiles()),
        )
    if manifest.timescale == 0:
        yield finding("manifest/value", pointer=columns.TIMESCALE, reason="the timescale is 0")


def _tensor_findings(manifest: Manifest) -> Iterator[Finding]:
    shapes = manifest.table.shape
    if not 1 <= shapes.shape[1] <= MAX_RANK:
        yield finding(
            "manifest/tensor-shape",
            pointer=columns.TENSOR_SHAPE,
            reason=f"it has {shapes.shape[1]} columns; 1 to {MAX_RANK} are allowed",
        )
        return
    frames, before = len(manifest), 0
    rows: dict[tuple[str, str], int] = {}
    dtypes = texts_of(manifest.table.dtype)
    for i, row in enumerate(manifest.tensors):
        yield from _name_findings(row.name, i)
        if dtypes[i] not in DTYPES:
            place = tensor_pointer(i, columns.TENSOR_DTYPE)
            yield finding("manifest/tensor-dtype", pointer=place, dtype=dtypes[i])
        first = rows.setdefault((row.name, dtypes[i]), i)
        if first != i:
            yield finding(
                "manifest/tensor-duplicate",
                pointer=tensor_pointer(i),
                first=first,
                second=i,
                name=row.name,
                dtype=dtypes[i],
            )
        if row.role not in {PARAMETER, BUFFER}:
            place = tensor_pointer(i, columns.TENSOR_ROLE)
            yield finding("manifest/tensor-role", pointer=place, role=row.role)
        if row.layer < NO_LAYER:
            place = tensor_pointer(i, columns.TENSOR_LAYER)
            yield finding("manifest/value", pointer=place, reason=f"layer is {row.layer}")
        if not before <= row.first_frame < frames:
            yield finding(
                "manifest/value",
                pointer=tensor_pointer(i, columns.FIRST_FRAME),
                reason=f"first_frame is {row.first_frame}; it shall not fall from row to row "
                f"and lie below the {frames} frames",
            )
        before = row.first_frame
        yield from _shape_findings(shapes[i].tolist(), row, i)


def name_fault(name: str) -> str:
    """Say why a text is not a name of a tensor (clause 5.4.3); empty where it is one."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if not 0 < size <= MAX_NAME_BYTES:
        return f"it has {size} bytes; 1 to {MAX_NAME_BYTES} are allowed"
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in name):
        return "it is Unicode text without NUL"
    return "safetensors keeps it for its metadata" if name == RESERVED_NAME else ""


def _name_findings(name: str, index: int) -> Iterator[Finding]:
    reason = name_fault(name)
    if reason:
        place = tensor_pointer(index, columns.TENSOR_NAME)
        yield finding("manifest/tensor-name", pointer=place, name=repr(name), reason=reason)


def _shape_findings(dims: list[int], row: TensorRow, index: int) -> Iterator[Finding]:
    rank = len(row.shape)
    reason = ""
    if dims[:rank] != list(row.shape) or any(d != -1 for d in dims[rank:]):
        reason = f"dimensions {dims}: sizes of at least 0 come first, then -1 as filler"
    else:
        try:
            row.byte_size(row.shape)
        except ValueError as error:
            reason = str(error)
    if reason:
        place = tensor_pointer(index, columns.TENSOR_SHAPE)
        yield finding("manifest/tensor-shape", pointer=place, reason=reason)


def _frame_findings(manifest: Manifest) -> Iterator[Finding]:
    coding = manifest.frames.coding
    unknown = coding > Coding.DELTA.number
    if unknown.any():
        t = int(unknown.argmax())
        place = frame_pointer(t, columns.CODING)
        yield finding("manifest/frame-coding", pointer=place, coding=int(coding[t]))
    if coding[0] == Coding.DELTA.number:
        yield finding("manifest/first-frame-key", pointer=frame_pointer(0, columns.CODING))
    time = manifest.frames.presentation_time
    late = time[1:] <= time[:-1]
    if late.any():
        t = int(late.argmax())
        yield finding(
            "manifest/time-order",
            pointer=frame_pointer(t + 1, columns.PRESENTATION_TIME),
            time=int(time[t + 1]),
            before=int(time[t]),
        )
