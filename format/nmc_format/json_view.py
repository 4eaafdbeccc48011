"""The canonical JSON view of a manifest (clause 5.8; schemas ``inspect`` and ``table-5-1``)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import nmc_spec
from nmc_format.json_object import parse_object
from nmc_format.manifest import PARAMETER
from nmc_format.package import segment_name

if TYPE_CHECKING:
    import numpy as np

    from nmc_format.manifest import Manifest


def json_view(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest as JSON values; numbers that are not finite become null."""
    texts = manifest.texts
    return {
        "format": texts["/@format"],
        "format_version": texts["/@format_version"],
        "profile": manifest.profile,
        "level": manifest.level,
        "must_understand": list(manifest.must_understand),
        "sequence_id": texts["/@sequence_id"],
        "creator": texts.get("/@creator"),
        "manifest_digest": manifest.columns["/@manifest_digest"].tobytes().hex(),
        "model": _model(manifest),
        "timescale": manifest.timescale,
        "frames": [_frame(manifest, t) for t in range(len(manifest))],
        "colour": _colour(manifest),
        "cameras": _table(manifest, "/cameras"),
        "quality": _table(manifest, "/quality"),
    }


def _model(manifest: Manifest) -> dict[str, Any]:
    parsed = parse_object(manifest.texts["/model@configuration"])
    return {
        "family": manifest.texts["/model@family"],
        "configuration": _finite(parsed),
        "parameters": [row.name for row in manifest.tensors if row.role == PARAMETER],
        "tensors": [
            {
                "name": row.name,
                "dtype": row.dtype.name,
                "role": "parameter" if row.role == PARAMETER else "buffer",
                "layer": row.layer if row.layer >= 0 else None,
                "shape": list(row.shape),
                "first_frame": row.first_frame,
            }
            for row in manifest.tensors
        ],
    }


def _frame(manifest: Manifest, t: int) -> dict[str, Any]:
    frame = manifest.frame(t)
    flags = frame.requires_grad
    if flags is not None:
        rows = zip(manifest.tensors, flags, strict=True)
        flags = tuple(flag for row, flag in rows if row.role == PARAMETER)
    return {
        "index": t,
        "coding": frame.coding,
        "presentation_time": frame.presentation_time,
        "segment": {
            "name": segment_name(t),
            "length": frame.segment_length,
            "sha256": frame.segment_sha256.hex(),
        },
        "state_bytes": frame.state_bytes,
        "state_digest": frame.state_digest.hex(),
        "trained_from": frame.trained_from,
        "iterations": frame.iterations,
        "seconds": frame.seconds,
        "requires_grad": None if flags is None else list(flags),
        "exclude_layers": None if frame.exclude_layers is None else list(frame.exclude_layers),
        "source_name": frame.source_name or None,
        "extras": _finite(frame.extras) or None,
    }


def _colour(manifest: Manifest) -> dict[str, Any] | None:
    columns = manifest.columns
    if "/training/colour" not in columns:
        return None
    return {
        "view": _values(columns["/training/colour_view"], "str"),
        "affine": _values(columns["/training/colour"], "f8"),
    }


def _table(manifest: Manifest, group: str) -> dict[str, Any] | None:
    table = {}
    for path, column in nmc_spec.manifest_layout().items():
        parent, _, name = path.replace("@", "/").rpartition("/")
        if parent != group:
            continue
        if path in manifest.texts:
            table[name] = manifest.texts[path]
        elif path in manifest.columns:
            table[name] = _values(manifest.columns[path], column.type)
    return table or None


def _values(array: np.ndarray[Any, Any], kind: str) -> Any:
    if kind == "str":
        return [text.decode("utf-8") for text in array.tolist()]
    return _finite(array.tolist())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None
