"""Camera files of data sets against the formulae of those who made them, and real ones."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from shared_data import shared

from nmc_framework.cameras import Camera, look_at
from nmc_framework.cameras.camera import CameraError
from nmc_framework.cameras.distortion import distort, project
from nmc_framework.cameras.extent import scene_extent
from nmc_framework.cameras.formats import Lens, RigDocument, camera_files
from nmc_framework.cameras.formats.rig_document import brown

BENT = {"k1": -0.21, "k2": 0.07, "p1": 1e-3, "p2": -2e-3, "k3": 0.013, "k4": 0.05}


def rig(lens: Lens | None = None) -> RigDocument:
    cameras = tuple(
        Camera(300.0 + k, 310.0, 161.5, 88.25, 320, 180, look_at((k, -3, 1), (0, 0, 0)), name)
        for k, name in enumerate(("0", "3", "10"))
    )
    return RigDocument(cameras, () if lens is None else (lens,) * 3)


def same(a: RigDocument, b: RigDocument, points=((0.1, 0.2, -0.3), (0.5, -0.4, 0.2))) -> None:
    assert [c.name for c in a.cameras] == [c.name for c in b.cameras]
    for (x, f), (y, g) in zip(
        zip(a.cameras, a.lenses, strict=True), zip(b.cameras, b.lenses, strict=True), strict=True
    ):
        assert (x.width, x.height) == (y.width, y.height)
        np.testing.assert_allclose(project(x, f, points)[0], project(y, g, points)[0], atol=1e-8)


def nerfstudio_distorts(x, y, k1, k2, k3, k4, p1, p2):
    """Distort as nerfstudio's ``_compute_residual_and_jacobian`` does, from its docstring."""
    r = x * x + y * y
    d = 1 + k1 * r + k2 * r**2 + k3 * r**3 + k4 * r**4
    return (
        d * x + 2 * p1 * x * y + p2 * (r + 2 * x * x),
        d * y + 2 * p2 * x * y + p1 * (r + 2 * y * y),
    )


def test_k4_of_nerfstudio_is_that_of_the_eighth_power_both_ways(tmp_path):
    frame = {"file_path": "a.png", "transform_matrix": np.eye(4).tolist(), **BENT}
    document = {"w": 320, "h": 180, "fl_x": 200, "fl_y": 200, "cx": 160, "cy": 90}
    (tmp_path / "transforms.json").write_text(json.dumps(document | {"frames": [frame]}))
    read = camera_files.read(tmp_path / "transforms.json")
    points = np.random.default_rng(2).uniform(-0.8, 0.8, (40, 2))
    expected = np.stack(nerfstudio_distorts(*points.T, **BENT), axis=1)
    np.testing.assert_allclose(distort(read.lenses[0], points), expected, atol=1e-14)
    # OpenCV's k4 is of a denominator: at the picture's corner pixels apart.
    rational = distort(Lens("opencv", BENT), [[0.8, 0.45]]) - distort(
        Lens("brown", BENT), [[0.8, 0.45]]
    )
    assert 200 * np.abs(rational).max() > 5
    camera_files.write(tmp_path / "back.json", read, "nerfstudio")
    again = json.loads((tmp_path / "back.json").read_text())["frames"][0]
    assert {name: again[name] for name in BENT} == BENT
    for name in ("colmap", "opencv"):
        with pytest.raises(CameraError, match="k4"):
            camera_files.write(tmp_path / name, read, name)
    with pytest.raises(CameraError, match="nerfstudio cannot say the lens of '0': opencv"):
        camera_files.write(tmp_path / "x.json", rig(Lens("opencv", {"k4": 0.1})), "nerfstudio")


def test_nerfstudio_reads_coefficients_whatever_the_perspective_model_is_called(tmp_path):
    frame = {"file_path": "a.png", "transform_matrix": np.eye(4).tolist()}
    head = {"w": 320, "h": 180, "fl_x": 200, "frames": [frame]}
    path = tmp_path / "transforms.json"
    for member in ({"k1": 0.1}, {"distortion_params": [0.1, 0, 0, 0, 0, 0]}):
        path.write_text(json.dumps(head | {"camera_model": "SIMPLE_RADIAL"} | member))
        assert camera_files.read(path).lenses[0].get("k1") == 0.1
    path.write_text(json.dumps(head | {"camera_model": "EQUIRECTANGULAR"}))
    with pytest.raises(CameraError, match="EQUIRECTANGULAR cannot be converted"):
        camera_files.read(path)


@pytest.mark.parametrize("name", ["nerfstudio", "metashape", "realitycapture"])
def test_a_fourth_radial_coefficient_goes_through(tmp_path, name):
    lens = brown(BENT)
    assert lens.model == "brown"
    cameras = tuple(replace(c, fy=c.fx) for c in rig().cameras)
    document = RigDocument(cameras, (lens,) * 3)
    path = (
        tmp_path / {"nerfstudio": "t.json", "metashape": "c.xml", "realitycapture": "c.csv"}[name]
    )
    camera_files.write(path, document, name)
    same(camera_files.read(path, name, (320, 180)), document)


def test_instant_ngp_has_four_coefficients(tmp_path):
    path = tmp_path / "t.json"
    frame = {"file_path": "a.png", "transform_matrix": np.eye(4).tolist()}
    head = {"w": 320, "h": 180, "x_fov": 90.0, "aabb_scale": 4, "frames": [frame]}
    path.write_text(json.dumps(head | {"k1": 0.1, "k3": 0.5, "k4": 0.5, "p1": 0.01}))
    read = camera_files.read(path)
    assert read.cameras[0].fx == pytest.approx(160)
    assert read.lenses[0].coefficients == {"k1": 0.1, "k2": 0.0, "p1": 0.01, "p2": 0.0}
    path.write_text(json.dumps(head | {"k1": 0.1, "k3": 0.5, "is_fisheye": True}))
    read = camera_files.read(path)
    assert read.lenses[0].model == "opencv_fisheye" and read.lenses[0].get("k3") == 0.5
    camera_files.write(tmp_path / "back.json", read, "instant-ngp")
    assert camera_files.read(tmp_path / "back.json").lenses[0] == read.lenses[0]
    for member in ({"latlong": True}, {"ftheta_p0": 0.1}, {"equirectangular": True}):
        path.write_text(json.dumps(head | member))
        with pytest.raises(CameraError, match=f"the lens {next(iter(member))} cannot be converted"):
            camera_files.read(path)


def test_panoptic_both_ways(tmp_path):
    document = rig(Lens("opencv", {k: v for k, v in BENT.items() if k != "k4"}))
    camera_files.write(tmp_path / "calibration.json", document, "panoptic")
    assert camera_files.detect(tmp_path / "calibration.json") == "panoptic"
    same(camera_files.read(tmp_path / "calibration.json"), document)
    # A pixel's centre has whole numbers there.
    record = json.loads((tmp_path / "calibration.json").read_text())["cameras"][0]
    assert record["K"][0][2] == 161.0
    with pytest.raises(CameraError, match="Panoptic's form cannot say the lens of '0'"):
        camera_files.write(tmp_path / "x.json", rig(Lens("opencv_fisheye")), "panoptic")


def test_dynamic_gaussians_both_ways(tmp_path):
    for camera in ("0", "3", "10"):
        (tmp_path / "ims" / camera).mkdir(parents=True)
        for frame in range(3):
            (tmp_path / "ims" / camera / f"{frame:06d}.jpg").write_bytes(b"")
    path = tmp_path / "train_meta.json"
    assert camera_files.write(path, rig()) == "dynamic-gaussians"
    whole = json.loads(path.read_text())
    assert whole["w"] == 320 and np.shape(whole["k"]) == (3, 3, 3, 3)
    assert np.shape(whole["w2c"]) == (3, 3, 4, 4)
    assert whole["fn"][2] == ["0/000002.jpg", "3/000002.jpg", "10/000002.jpg"]
    assert whole["cam_id"][0] == [0, 3, 10]
    same(camera_files.read(path), rig())
    whole["w2c"][1][2][0][3] += 0.5
    path.write_text(json.dumps(whole))
    with pytest.raises(CameraError, match="camera '10' moves or changes in frame 1"):
        camera_files.read(path)
    (tmp_path / "ims" / "10" / "000002.jpg").unlink()
    with pytest.raises(CameraError, match="different numbers of pictures: 0 3, 3 3, 10 2"):
        camera_files.write(path, rig())


def test_real_panoptic_cameras():
    path = shared("cameras", "panoptic_shelf_campus", "panoptic_body3d", "160906_band1")
    found = camera_files.read(next(path.glob("*.json")))
    kept = [k for k, c in enumerate(found.cameras) if c.name.startswith("00_")]
    cameras = [found.cameras[k] for k in kept]
    assert len(cameras) == 31 and found.lenses[kept[0]].get("k1") < 0
    # The dome looks inward from all sides: metres above a floor at y = 0, which points down.
    extent = scene_extent(cameras)
    assert extent.arrangement == "surrounding" and not extent.unbounded
    assert contains(extent, [(0, 0, 0), (50, -150, 30)]) and 15 < extent.near < 120
    record = json.loads(next(path.glob("*.json")).read_text())["cameras"]
    truth = next(r for r in record if r["name"] == "00_05")
    point = np.array([[20.0], [-100.0], [35.0]])
    x, y, z = (np.array(truth["R"]) @ point + np.array(truth["t"])).ravel()
    x, y = x / z, y / z
    k, d = truth["K"], truth["distCoef"]
    r = x * x + y * y
    radial = 1 + d[0] * r + d[1] * r * r + d[4] * r**3
    bent_x = x * radial + 2 * d[2] * x * y + d[3] * (r + 2 * x * x)
    index = next(i for i, c in enumerate(found.cameras) if c.name == "00_05")
    pixel, _ = project(found.cameras[index], found.lenses[index], point.T)
    # Rotations are rounded in the file.
    assert pixel[0, 0] - 0.5 == pytest.approx(k[0][0] * bent_x + k[0][2], abs=0.05)


def contains(extent, points) -> bool:
    return bool(((np.array(points) > extent.lower) & (np.array(points) < extent.upper)).all())


def test_real_shelf_and_campus_cameras_stand_around_people():
    for name, size in (("shelf", (1032, 776)), ("campus", (360, 288))):
        path = shared("cameras", "panoptic_shelf_campus", name, f"calibration_{name}.json")
        found = camera_files.read(path, size=size)
        assert camera_files.detect(path) == "voxelpose" and len(found.cameras) >= 3
        for camera in found.cameras:
            assert 500 < camera.centre[2] < 6000  # millimetres above the floor


def test_real_ncore_sensors():
    folder = shared("cameras", "gsplat_camera_json")
    found = camera_files.read(folder / "test_pinhole_camera_params.json")
    front = next(c for c in found.cameras if c.name == "camera_front")
    # It looks along the rig's x axis, and right is its -y.
    np.testing.assert_allclose(front.rotation[:, 2], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(front.rotation[:, 0], [0, -1, 0], atol=1e-6)
    with pytest.raises(CameraError, match="looks through a windscreen"):
        camera_files.read(folder / "test_fisheye_camera_params.json")
    with pytest.raises(CameraError, match="is ftheta, which no lens model here can say"):
        camera_files.read(folder / "test_ftheta_camera_params.json")


def test_easymocap_with_rotation_vectors_alone(tmp_path):
    camera_files.write(tmp_path / "a", rig(), "opencv")
    text = (tmp_path / "a" / "extri.yml").read_text()
    matrices = {c.name: c.rotation.T for c in rig().cameras}
    for name, turn in matrices.items():
        angle = np.arccos((np.trace(turn) - 1) / 2)
        axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
        vector = angle * axis / (2 * np.sin(angle))
        head, _, rest = text.partition(f"Rot_{name}:")
        rest = rest[rest.index("]\n") + 2 :]
        data = ", ".join(map(repr, map(float, vector)))
        shape = "   rows: 3\n   cols: 1\n   dt: d\n"
        text = f"{head}R_{name}: !!opencv-matrix\n{shape}   data: [{data}]\n{rest}"
    (tmp_path / "a" / "extri.yml").write_text(text)
    same(camera_files.read(tmp_path / "a"), rig())
