"""A small package whose model a camera sees, which the tests of lossy packing share."""

from __future__ import annotations

import numpy as np
import pytest

import nmc


def before_the_scene():
    """Return one camera of 8x8 pixels that looks at the origin."""
    pose = np.eye(4)[None, :3].copy()
    pose[0, :, 3] = 0, 0, -3
    return nmc.Cameras(["c"], np.array([[8, 8]]), np.array([[8.0, 8, 4, 4]]), pose, np.eye(4))


def seen_by_a_camera(source, broken=()):
    """Write two frames of a small hash grid; return the model, the camera and who judges it.

    The frames in ``broken`` have nothing but NaN in one tensor.
    """
    pytest.importorskip("torch")
    from nmc_framework.cameras.packaged import cameras_in
    from nmc_framework.evaluation.fidelity import fidelity
    from nmc_framework.models import build

    configuration = {
        "bounds": [[-1, -1, -1], [1, 1, 1]], "background": [0, 0, 0], "levels": 2, "features": 2,
        "log2_entries": 8, "coarsest": 4, "finest": 8, "hidden": 16, "geometry": 7, "samples": 16,
    }  # fmt: skip
    model = build("hash_grid", configuration, seed=1)
    cameras = before_the_scene()
    rng = np.random.default_rng(0)
    with nmc.Writer(source, **model.in_package()) as writer:
        writer.set_cameras(cameras)
        for t in range(2):
            arrays = {name: np.asarray(value) for name, value in model.save().items()}
            moved = {
                name: (a + rng.normal(size=a.shape) * 0.3).astype(a.dtype)
                if a.dtype.kind == "f" and a.ndim > 1
                else a
                for name, a in arrays.items()
            }
            if t in broken:
                last = [name for name, a in moved.items() if a.dtype.kind == "f" and a.ndim > 1][-1]
                moved[last] = np.full_like(moved[last], np.nan)
            writer.append(moved)
    with nmc.open(source) as sequence:
        judge = fidelity(str(sequence.family), sequence.configuration, cameras_in(sequence))
    return model, cameras, judge
