"""Cameras in the coordinates of a map: refused with what to do, and at home once moved."""

import numpy as np
import pytest

from nmc_framework.cameras import CameraError
from nmc_framework.cameras.extent import scene_extent
from nmc_framework.cameras.formats import RigDocument, camera_files
from nmc_framework.cameras.formats.rig_document import Similarity
from nmc_framework.models import family
from nmc_framework.models.radiance.fitting import fit
from nmc_framework.scene import scenes

MAP = (500_000.0, 4_100_000.0, 120.0)


def fitted(cameras):
    return fit(family("hash_grid").defaults(), cameras, scene_extent(cameras))


def on_the_map(scale=1.0) -> RigDocument:
    rig = RigDocument(scenes()["dome"].rig((64, 36)).training)
    return rig.normalised(Similarity(scale, translation=scale * np.array(MAP)))


@pytest.mark.parametrize("scale", [1.0, 100.0, 0.01])
def test_what_single_precision_cannot_hold_is_refused(scale):
    with pytest.raises(CameraError, match=r"cameras convert CAMERAS -o cameras\.json --centre"):
        fitted(on_the_map(scale).cameras)


def test_a_rig_that_stands_a_little_aside_is_taken():
    rig = RigDocument(scenes()["dome"].rig((64, 36)).training)
    moved = rig.normalised(Similarity(translation=np.array((300.0, -200.0, 50.0))))
    edges = [np.subtract(*fitted(r.cameras)["bounds"][::-1]) for r in (rig, moved)]
    np.testing.assert_allclose(*edges, rtol=1e-6)


def test_centred_cameras_are_fitted_and_the_shift_is_recorded(tmp_path):
    far = on_the_map()
    camera_files.write(tmp_path / "cameras.json", far.centred(), "nmc")
    near = camera_files.read(tmp_path / "cameras.json")
    fitted(near.cameras)
    assert max(np.abs(camera.centre).max() for camera in near.cameras) < 6
    back = near.in_source_units()
    own = far.in_source_units()
    for one, other in zip(back.cameras, own.cameras, strict=True):
        np.testing.assert_allclose(one.centre, other.centre, atol=1e-6)
