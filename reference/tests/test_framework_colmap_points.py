"""Points of COLMAP models, as COLMAP itself writes them, and of PLY files; and damaged ones."""

import numpy as np
import pytest
from PIL import Image

from nmc_framework.cameras import CameraError
from nmc_framework.cameras.formats import RigDocument, camera_files
from nmc_framework.cameras.formats.colmap_points import read_points
from nmc_framework.capture.points import points_beside, read_cloud, write_cloud
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
    with pytest.raises(CameraError, match="is not a file of points"):
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


def test_points_of_ply_files(tmp_path):
    path = tmp_path / "points.ply"
    assert points_beside(tmp_path / "cameras.json") is None
    write_cloud(path, PLACES)
    assert np.array_equal(points_beside(tmp_path / "cameras.json"), PLACES)
    head = "ply\nformat {} 1.0\ncomment a\nelement vertex 2\nproperty uchar red\n"
    head += "property float x\nproperty float y\nproperty float z\nelement face 1\n"
    head += "property list uchar int vertex_index\nend_header\n"
    path.write_text(head.format("ascii") + "9 1 2 3\n9 4 5 6.5\n3 0 0 1\n")
    assert read_cloud(path).tolist() == [[1, 2, 3], [4, 5, 6.5]]
    lines = head.format("ascii").replace("\n", "\r\n")
    path.write_bytes(lines.encode() + b"9 1 2 3\r\n9 4 5 6.5\r\n3 0 0 1\r\n")
    assert read_cloud(path).tolist() == [[1, 2, 3], [4, 5, 6.5]]
    row = np.dtype([("red", "u1"), ("x", ">f4"), ("y", ">f4"), ("z", ">f4")])
    rows = np.array([(9, 1, 2, 3), (9, 4, 5, 6.5)], row)
    path.write_bytes(head.format("binary_big_endian").encode() + rows.tobytes() + bytes(13))
    assert read_cloud(path).tolist() == [[1, 2, 3], [4, 5, 6.5]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-1], "not a file of points"),
        (lambda data: data.replace(b"vertex 150", b"vertex 99999999999999999999"), "do not fit"),
        (lambda data: data.replace(b"double z", b"double w"), "have no x, y and z"),
        (lambda data: data.replace(b"double z", b"quad z"), "not a file of points"),
        (lambda data: data.replace(b"end_header", b"no_header"), 'end with "end_header"'),
        (
            lambda data: data.replace(b"element vertex", b"element face"),
            "vertices with properties as first element",
        ),
    ],
)
def test_damaged_ply_files_are_refused(tmp_path, change, said):
    path = tmp_path / "points.ply"
    write_cloud(path, PLACES)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CameraError, match=said):
        read_cloud(path)
