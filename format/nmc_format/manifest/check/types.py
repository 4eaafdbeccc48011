"""Checks of what a manifest holds (clauses 5.3.3 and 5.4.1): presence, types and dimensions."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc_spec
from nmc_format.issues import Finding, finding
from nmc_format.manifest import columns, media_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmc_format.manifest.objects import RawObjects

_NUMPY_TYPES = {"u1": "|u1", "u4": "<u4", "u8": "<u8", "i4": "<i4", "i8": "<i8", "f8": "<f8"}

_TOGETHER = (
    {columns.REQUIRES_GRAD, columns.REQUIRES_GRAD_KNOWN},
    {columns.EXCLUDE_LAYERS, columns.EXCLUDE_LAYERS_COUNT},
    {columns.COLOUR_VIEW, columns.COLOUR},
    {
        columns.CAMERA_NAME,
        columns.CAMERA_SIZE,
        columns.INTRINSICS,
        columns.CAMERA_TO_WORLD,
        columns.CONVENTION,
        columns.NORMALISATION,
    },
    {columns.DISTORTION_MODEL, columns.DISTORTION},
    {columns.REFINEMENT_START, columns.REFINED_DIGEST},
    media_table.OBJECTS,
)
"""Objects of which all are there, or none (clause 5.3.3)."""


def other_format(objects: RawObjects) -> Finding | None:
    """Say so at once where format or version is unknown: all else may have another meaning then."""
    if columns.FORMAT not in objects:
        return finding("manifest/object-missing", pointer=columns.FORMAT)
    known = " and ".join(nmc_spec.FORMAT_VERSIONS)
    name, version = (_text(objects.get(path)) for path in (columns.FORMAT, columns.FORMAT_VERSION))
    if name is not None and name != "nmc":
        return finding(
            "manifest/value", pointer=columns.FORMAT, reason=f"format is {name!r}, not 'nmc'"
        )
    if version is None or re.fullmatch(
        known.split(".", maxsplit=1)[0] + r"\.(0|[1-9][0-9]*)", version
    ):
        return None
    return finding("manifest/version", pointer=columns.FORMAT_VERSION, version=version, known=known)


def _text(array: np.ndarray[Any, Any] | None) -> str | None:
    """Return a scalar text, or None where the layout is about to be refused for another type."""
    if array is None or array.dtype.kind != "S" or array.ndim:
        return None
    text: str = array.item().decode("utf-8", "replace")
    return text


def type_findings(objects: RawObjects) -> Iterator[Finding]:
    """Compare what a manifest holds with the manifest layout: presence, types and dimensions."""
    layout = nmc_spec.manifest_layout()
    measured = set(columns.METRICS.values())
    for path in sorted(set(objects) - set(layout)):
        yield finding("manifest/object-unknown", pointer=path)
    sizes = _common_sizes(objects)
    for path, column in layout.items():
        array = objects.get(path)
        if array is None:
            if column.required or _half_there(path, objects):
                yield finding("manifest/object-missing", pointer=path)
            continue
        actual = "str" if array.dtype.kind == "S" else array.dtype.str
        if actual != _NUMPY_TYPES.get(column.type, "str"):
            yield finding("manifest/object-type", pointer=path, actual=actual, expected=column.type)
            continue
        expected = [
            int(dim) if dim.isdigit() else sizes.get(dim, size)
            for dim, size in zip(column.dims, array.shape, strict=False)
        ]
        if list(array.shape) != expected or array.ndim != len(column.dims):
            wanted = " x ".join(str(sizes.get(d, d)) for d in column.dims) or "scalar"
            yield finding(
                "manifest/object-shape", pointer=path, actual=list(array.shape), expected=wanted
            )
        elif column.type == "f8" and path not in measured and not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            yield finding("manifest/not-a-number", pointer=path, count=count)
        elif column.type == "str":
            yield from _text_findings(path, array)


def _common_sizes(objects: RawObjects) -> dict[str, int]:
    """Return the size of each symbolic dimension: that of most objects, so that one is blamed."""
    found: dict[str, Counter[int]] = {}
    for path, column in nmc_spec.manifest_layout().items():
        array = objects.get(path)
        if array is not None and array.ndim == len(column.dims):
            for dim, size in zip(column.dims, array.shape, strict=True):
                found.setdefault(dim, Counter())[size] += 1
    return {dim: counts.most_common(1)[0][0] for dim, counts in found.items()}


def _half_there(path: str, objects: RawObjects) -> bool:
    """Whether other objects of the same record are there, so that this one has to be."""
    if path == columns.QUALITY_VIEW:
        return not objects.keys().isdisjoint(columns.METRICS.values())
    if path == columns.REFINEMENT_START and columns.REFINED_PSNR in objects:
        return True
    return any(path in together and together & set(objects) for together in _TOGETHER)


def _text_findings(path: str, array: np.ndarray[Any, Any]) -> Iterator[Finding]:
    for i, raw in enumerate(array.reshape(-1).tolist()):
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            reason = "the text is not UTF-8"
        else:
            reason = "the text holds a NUL" if b"\0" in raw else ""
        if reason:
            place = f"{path}/{i}" if array.ndim else path
            yield finding("manifest/value", pointer=place, reason=reason)
            return
