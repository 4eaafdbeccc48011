"""A valid manifest, made without the writer; the tests may import what stands beside them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from nmc_format.dtypes import DTYPES
from nmc_format.manifest.columns import tensor_objects
from nmc_format.manifest.objects import text_array, text_scalar
from nmc_format.manifest.tensor_table import BUFFER, TensorRow, TensorTable

sys.path.insert(0, str(Path(__file__).resolve().parent))

ROWS = (
    TensorRow("fc.weight", DTYPES["F32"], layer=0, shape=(2, 3)),
    TensorRow("fc.bias", DTYPES["BF16"], layer=0, shape=(2,)),
    TensorRow("steps", DTYPES["I64"], role=BUFFER, shape=()),
)


def build_objects(frames: int = 3) -> dict[str, np.ndarray]:
    """Return every object of a manifest of some frames, all of table 5-6 but the digest."""
    digests = np.arange(32 * frames, dtype="u1").reshape(frames, 32)
    return {
        "/@format": text_scalar("nmc"),
        "/@format_version": text_scalar("1.0"),
        "/@profile": text_scalar("main"),
        "/@level": np.array(1, "<u4"),
        "/@must_understand": text_scalar(""),
        "/@sequence_id": text_scalar("순서 1"),
        "/@creator": text_scalar("a test"),
        "/model@family": text_scalar("mlp"),
        "/model@configuration": text_scalar('{"width": 3}'),
        **tensor_objects(TensorTable.of(ROWS)),
        "/frames@timescale": np.array(30, "<u4"),
        "/frames/coding": np.array([0] + [1] * (frames - 1), "u1"),
        "/frames/presentation_time": np.arange(frames, dtype="<i8"),
        "/frames/segment_length": np.full(frames, 500, "<u8"),
        "/frames/segment_sha256": digests,
        "/frames/state_bytes": np.full(frames, 36, "<u8"),
        "/frames/state_digest": digests[::-1].copy(),
        "/training/trained_from": np.arange(-1, frames - 1, dtype="<i8"),
        "/training/iterations": np.full(frames, 100, "<i8"),
        "/training/seconds": np.full(frames, 1.5, "<f8"),
        "/training/requires_grad": np.full((frames, 1), 0b011, "u1"),
        "/training/requires_grad_known": np.ones(frames, "u1"),
        "/training/exclude_layers": np.zeros(0, "<i4"),
        "/training/exclude_layers_count": np.zeros(frames, "<i4"),
        "/cameras/name": text_array(["left", "오른쪽"]),
        "/cameras/size": np.array([[640, 480], [640, 480]], "<u4"),
        "/cameras/intrinsics": np.array([[500, 500, 320, 240]] * 2, "<f8"),
        "/cameras/distortion_model": text_array(["none", "opencv"]),
        "/cameras/distortion": np.zeros((2, 5), "<f8"),
        "/cameras/camera_to_world": np.tile(np.eye(3, 4), (2, 1, 1)).astype("<f8"),
        "/cameras@convention": text_scalar("camera-to-world opencv corner"),
        "/cameras@normalisation": np.eye(4, dtype="<f8"),
        "/quality/view": text_array(["left"]),
        "/quality/psnr": np.array([[30.0], [np.nan], [31.5]] * frames, "<f8")[:frames],
    }


@pytest.fixture(scope="session")
def objects_of():
    """A function of the number of frames that returns the objects of a valid manifest."""
    return build_objects
