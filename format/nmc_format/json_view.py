"""The canonical JSON view of a manifest (clause 5.8; schemas ``inspect`` and ``table-5-1``)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nmc_format.encryption import FEATURE
from nmc_format.manifest.json_object import parse_object
from nmc_format.manifest.tensor_table import PARAMETER
from nmc_format.package.members import medium_name, segment_name

if TYPE_CHECKING:
    from nmc_format.manifest.media_table import MediumRecord
    from nmc_format.manifest.record import Cameras, Manifest, Quality, Root


def json_view(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest as JSON values; numbers that are not finite become null."""
    root, cameras, quality = manifest.root, manifest.cameras, manifest.quality
    return {
        "format": root.format,
        "format_version": root.format_version,
        "profile": root.profile,
        "level": root.level,
        "must_understand": list(root.features),
        "sequence_id": root.sequence_id,
        "creator": root.creator,
        "manifest_digest": root.manifest_digest.hex(),
        "encryption": _encryption(root),
        "model": _model(manifest),
        "timescale": manifest.timescale,
        "frames": [_frame(manifest, t) for t in range(len(manifest))],
        "colour": _colour(manifest),
        "cameras": None if cameras is None else _cameras(cameras),
        "quality": None if quality is None else _quality(quality),
        "media": [_medium(medium) for medium in manifest.media_records],
    }


def _encryption(root: Root) -> dict[str, str] | None:
    if not root.is_encrypted:
        return None
    return {"algorithm": FEATURE, "key_digest": root.key_digest.hex()}


def _model(manifest: Manifest) -> dict[str, Any]:
    parsed = parse_object(manifest.model.configuration)
    return {
        "family": manifest.model.family,
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
        "declared_psnr": frame.declared_psnr,
        "refinements": [
            {
                "start": refined.start,
                "state_digest": refined.state_digest.hex(),
                "declared_psnr": refined.declared_psnr,
            }
            for refined in frame.refinements
        ],
    }


def _colour(manifest: Manifest) -> dict[str, Any] | None:
    colour = manifest.training.colour
    if colour is None:
        return None
    return {"view": list(colour.views), "affine": _finite(colour.affine.tolist())}


def _cameras(cameras: Cameras) -> dict[str, Any]:
    table = {
        "name": list(cameras.names),
        "size": cameras.size.tolist(),
        "intrinsics": _finite(cameras.intrinsics.tolist()),
    }
    if cameras.distortion_model is not None and cameras.distortion is not None:
        table["distortion_model"] = list(cameras.distortion_model)
        table["distortion"] = _finite(cameras.distortion.tolist())
    return {
        **table,
        "camera_to_world": _finite(cameras.camera_to_world.tolist()),
        "convention": cameras.convention,
        "normalisation": _finite(cameras.normalisation.tolist()),
    }


def _quality(quality: Quality) -> dict[str, Any]:
    metrics = {name: _finite(values.tolist()) for name, values in quality.metrics.items()}
    return {"view": list(quality.views), **metrics}


def _medium(medium: MediumRecord) -> dict[str, Any]:
    served = medium.map
    return {
        "member": medium_name(medium.index),
        "file": medium.name,
        "type": medium.type,
        "role": medium.role or None,
        "length": medium.length,
        "chunk_sha256": [digest.hex() for digest in medium.chunk_sha256],
        "map": served
        and {
            "timescale": served.timescale or None,
            "position": list(served.positions),
            "frame": list(served.frames),
        },
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None
