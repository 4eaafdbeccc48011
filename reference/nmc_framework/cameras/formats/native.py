"""NMC's own camera file: canonical, with each lens and the normalisation (clause 5.1).

What :func:`~nmc_framework.cameras.rig_json.write_rig` writes, and beside it what other formats may
hold: ``lens`` in a camera's record, ``normalisation`` and ``depths`` of the whole.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from nmc_framework.cameras.camera import Camera
from nmc_framework.cameras.formats.format import Format, Found, plain
from nmc_framework.cameras.formats.rig_document import (
    ConversionError,
    Lens,
    RigDocument,
    Similarity,
)
from nmc_framework.cameras.rig_json import CONVENTION


def read(path: Path) -> RigDocument:
    """Read a camera file of NMC's own."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get("convention") != CONVENTION:
        raise ConversionError(f"{path.name}: expected the convention {CONVENTION!r}")
    records = document["cameras"]
    lenses = [record.get("lens") or {"model": "pinhole", "coefficients": {}} for record in records]
    depths = document.get("depths")
    return RigDocument(
        tuple(Camera.from_json(record) for record in records),
        tuple(Lens(lens["model"], dict(lens["coefficients"])) for lens in lenses),
        Similarity.from_matrix(document.get("normalisation", np.eye(4))),
        None if depths is None else np.array(depths, dtype=np.float64),
    )


def as_json(document: RigDocument) -> dict[str, Any]:
    """Return everything that a document holds as JSON values."""
    records = []
    for camera, lens in zip(document.cameras, document.lenses, strict=True):
        record = camera.as_json()
        if not lens.straight:
            record["lens"] = {"model": lens.model, "coefficients": lens.coefficients}
        records.append(record)
    whole: dict[str, Any] = {"convention": CONVENTION, "cameras": records}
    whole["normalisation"] = document.normalisation.matrix.tolist()
    if document.depths is not None:
        whole["depths"] = document.depths.tolist()
    return whole


def write(path: Path, document: RigDocument) -> None:
    """Write a camera file; Python's shortest decimal form keeps every bit."""
    path.write_text(json.dumps(as_json(document), indent=1) + "\n", encoding="utf-8")


def _detected(found: Found) -> bool:
    return found.members.get("convention") == CONVENTION


FORMATS = (Format("nmc", plain(read), write, _detected, files="*.json"),)
