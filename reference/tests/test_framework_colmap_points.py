"""Points of COLMAP models, as COLMAP itself writes them, and damaged ones."""

import numpy as np
import pytest
from PIL import Image

from nmc_framework.cameras import CameraError
from nmc_framework.cameras.formats import RigDocument, camera_files
from nmc_framework.cameras.formats.colmap_points import read_points
from nmc_framework.scene.rig import arc_rig
from nmc_tools.commands.footage import open_footage

PLACES = np.random.default_rng(3).uniform(-1, 1, (150, 3))


def model(folder, places=PLACES):
    pycolmap = pytest.importorskip("pycolmap")
    made = pycolmap.Reconstruction()
    for place in places:
        made.add_point3D(place, pycolmap.Track(), np.zeros(3, np.uint8))
    folder.mkdir(parents=True, exist_ok=True)
    return made


@pytest.mark.parametrize("form", ["binary", "text"])
def test_points_are_read_as_colmap_writes_them(tmp_path, form):
    made = model(tmp_path)
    getattr(made, f"write_{form}")(str(tmp_path))
    found = read_points(tmp_path)
    np.testing.assert_allclose(sorted(map(tuple, found)), sorted(map(tuple, PLACES)), atol=1e-5)


def test_a_folder_without_points_has_none(tmp_path):
    assert read_points(tmp_path) is None


def test_damaged_files_are_refused(tmp_path):
    made = model(tmp_path)
    made.write_binary(str(tmp_path))
    path = tmp_path / "points3D.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(CameraError, match="in the middle of a record"):
        read_points(tmp_path)
    endless = bytearray(whole)
    endless[8 + 43 : 8 + 51] = (2**60).to_bytes(8, "little")
    path.write_bytes(endless)
    with pytest.raises(CameraError, match="pictures have it"):
        read_points(tmp_path)
    path.unlink()
    (tmp_path / "points3D.txt").write_text("1 a b c\n")
    with pytest.raises(CameraError, match="is no file of points"):
        read_points(tmp_path)


def test_a_data_set_is_bounded_by_its_points(tmp_path):
    """Cameras on an arc alone tell of no end; the points beside them do."""
    cameras = arc_rig(9, 0, (32, 24)).training
    (tmp_path / "images").mkdir()
    for camera in cameras:
        Image.new("RGB", (32, 24)).save(tmp_path / "images" / f"{camera.name}.png")
    sparse = tmp_path / "sparse" / "0"
    camera_files.write(sparse, RigDocument(cameras), "colmap-bin")
    known = {"bounds": None, "contracted": False, "near": 0.0}
    names = [camera.name for camera in cameras]
    assert open_footage(tmp_path, scene=None).options(known, names)["contracted"]
    model(tmp_path / "made").write_binary(str(tmp_path / "made"))
    (tmp_path / "made" / "points3D.bin").replace(sparse / "points3D.bin")
    assert not open_footage(tmp_path, scene=None).options(known, names)["contracted"]
