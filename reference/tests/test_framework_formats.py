"""Camera files: exact round trips, each convention against an independent statement of it."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc_framework.cameras import Camera
from nmc_framework.cameras.distortion import distort, project, undistorted
from nmc_framework.cameras.formats import (
    ConversionError,
    Lens,
    RigDocument,
    Similarity,
    calibration,
    colmap,
    llff,
    miv,
    photogrammetry,
    transforms,
)
from nmc_framework.cameras.formats.colmap import quaternion_from_rotation, rotation_from_quaternion
from nmc_framework.cameras.viewpoint import rotation_from_angles

SHARED = Path(os.environ.get("NMC_SHARED_DATA", "../shared/data")).resolve() / "cameras"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the shared camera files are not here"
)


def rig(seed=0, count=6, *, centred=False, square=False, same=False):
    rng = np.random.default_rng(seed)
    cameras = []
    for index in range(count):
        draw = np.random.default_rng(99) if same else rng
        fx = draw.uniform(300, 900)
        fy = fx if square else draw.uniform(300, 900)
        size = (640, 480)
        centre = (320.0, 240.0) if centred else draw.uniform(200, 300, 2)
        pose = np.eye(4)
        pose[:3, :3] = rotation_from_angles(*rng.uniform(-180, 180, 3))
        pose[:3, 3] = rng.uniform(-5, 5, 3)
        cameras.append(Camera(fx, fy, *centre, *size, pose, f"view_{index:02d}.png"))
    return RigDocument(tuple(cameras))


def assert_same(one, two, *, names=True):
    assert len(one.cameras) == len(two.cameras)
    for a, b in zip(one.cameras, two.cameras, strict=True):
        turn = a.rotation.T @ b.rotation
        angle = np.arcsin(min(1.0, np.linalg.norm(turn - turn.T) / np.sqrt(8)))
        assert angle <= 1e-9 and np.trace(turn) > 2.9
        np.testing.assert_allclose(a.centre, b.centre, atol=1e-9)
        np.testing.assert_allclose(a.intrinsics, b.intrinsics, atol=1e-6, rtol=0)
        assert (a.width, a.height) == (b.width, b.height)
        assert a.name == b.name or not names
    for a, b in zip(one.lenses, two.lenses, strict=True):
        for name in set(a.coefficients) | set(b.coefficients):
            assert a.get(name) == b.get(name)


def test_colmap_text_and_binary_round_trip(tmp_path):
    lenses = (
        Lens(),
        Lens("opencv", {"k1": -0.1, "k2": 0.02, "p1": 1e-3, "p2": -2e-3}),
        Lens("opencv", {"k1": 0.1, "k3": 0.01, "k6": -0.2}),
        Lens("opencv_fisheye", {"k1": 0.1, "k4": 1e-4}),
        Lens(),
        Lens("opencv", {"p2": 1e-3}),
    )
    document = RigDocument(rig().cameras, lenses)
    colmap.write_text(tmp_path / "text", document)
    colmap.write_binary(tmp_path / "binary", document)
    assert_same(colmap.read_text(tmp_path / "text"), document)
    assert_same(colmap.read_binary(tmp_path / "binary"), document)


def test_colmap_is_world_to_camera(tmp_path):
    (tmp_path / "cameras.txt").write_text("# x\n7 SIMPLE_RADIAL 100 80 50 49 39 0.25\n")
    half = np.sqrt(0.5)
    # A quarter turn about x: the world's z axis becomes the camera's -y axis (up).
    (tmp_path / "images.txt").write_text(
        f"3 {half} {half} 0 0 1 2 3 7 my picture.jpg\n10 20 -1\n4 1 0 0 0 0 0 5 7 b.jpg\n\n"
    )
    document = colmap.read_text(tmp_path)
    first, second = document.cameras
    assert first.name == "my picture.jpg" and document.lenses[0].coefficients == {"k1": 0.25}
    np.testing.assert_allclose(first.rotation.T @ [0, 0, 1], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(first.rotation.T @ first.centre, [-1, -2, -3], atol=1e-12)
    np.testing.assert_allclose(second.centre, [0, 0, -5])


def test_colmap_faults_are_named(tmp_path):
    (tmp_path / "cameras.txt").write_text("1 FOV 100 80 50 50 49 39 0.2\n")
    (tmp_path / "images.txt").write_text("")
    with pytest.raises(ConversionError, match="camera model FOV cannot be converted; known are"):
        colmap.read_text(tmp_path)
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 100 80 50 50 49 39\n")
    (tmp_path / "images.txt").write_text("1 1 0 0 0 0 0 0 2 a.png\n\n")
    with pytest.raises(ConversionError, match=r"'a.png' names camera 2, which is not listed"):
        colmap.read_text(tmp_path)
    colmap.write_binary(tmp_path, rig(count=2))
    data = (tmp_path / "images.bin").read_bytes()
    (tmp_path / "images.bin").write_bytes(data[:-9])
    with pytest.raises(ConversionError, match=r"images.bin ends at byte"):
        colmap.read_binary(tmp_path)


@given(st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_quaternions_round_trip(values):
    rotation = rotation_from_quaternion(values)
    again = rotation_from_quaternion(quaternion_from_rotation(rotation))
    np.testing.assert_allclose(again, rotation, atol=1e-12)


def test_nerfstudio_round_trip_keeps_the_normalisation(tmp_path):
    rotation = rotation_from_angles(20, 30, 40)
    applied = Similarity(2.5, rotation, np.array([1.0, 2, 3]))
    lenses = (Lens("opencv", {"k1": 0.1, "p2": -0.01}), Lens("opencv_fisheye", {"k2": 0.1})) * 3
    document = RigDocument(rig().cameras, lenses).normalised(applied)
    transforms.write_nerfstudio(tmp_path / "t.json", document)
    again = transforms.read_nerfstudio(tmp_path / "t.json")
    assert_same(again, document)
    np.testing.assert_allclose(again.normalisation.matrix, applied.matrix, atol=1e-12)
    assert_same(again.in_source_units(), RigDocument(rig().cameras, lenses))


def test_nerfstudio_axes_are_opengl_and_a_missing_transform_is_the_legacy_one(tmp_path):
    frame = {"file_path": "a.png", "transform_matrix": np.eye(4).tolist()}
    document = {"fl_x": 50, "w": 20, "h": 10, "frames": [frame]}
    (tmp_path / "t.json").write_text(json.dumps(document))
    read = transforms.read_nerfstudio(tmp_path / "t.json")
    np.testing.assert_allclose(read.cameras[0].camera_to_world[:3, 2], [0, 0, -1])
    # Rows (x, z, -y): what was COLMAP's y, down, has become -z, down.
    np.testing.assert_allclose(read.normalisation.rotation @ [0, 1, 0], [0, 0, -1])


def test_blender_round_trip_and_field_of_view(tmp_path):
    document = rig(centred=True, square=True, same=True)
    transforms.write_blender(tmp_path / "t.json", document)
    again = transforms.read_blender(tmp_path / "t.json", (640, 480))
    assert_same(again, document)
    written = json.loads((tmp_path / "t.json").read_text())
    focal = 0.5 * 640 / np.tan(0.5 * written["camera_angle_x"])
    assert focal == pytest.approx(document.cameras[0].fx, abs=1e-9)
    with pytest.raises(ConversionError, match="one set of intrinsics"):
        transforms.write_blender(tmp_path / "u.json", rig(centred=True, square=True))
    with pytest.raises(ConversionError, match="principal point at the centre"):
        transforms.write_blender(tmp_path / "u.json", rig(square=True, same=True))


def test_instant_ngp_is_the_programs_own_arithmetic(tmp_path):
    document = rig(same=True)
    transforms.write_instant_ngp(tmp_path / "t.json", document)
    again = transforms.read_instant_ngp(tmp_path / "t.json")
    for source, cube in zip(document.cameras, again.cameras, strict=True):
        # nerf_loader.h: scale and shift, negate columns 1 and 2, rows (x, y, z) <- (y, z, x).
        matrix = source.camera_to_world[:3] @ np.diag([1.0, -1, -1, 1])
        matrix[:, 1:3] *= -1
        matrix[:, 3] = matrix[:, 3] * 0.33 + 0.5
        np.testing.assert_allclose(cube.camera_to_world[:3], matrix[[1, 2, 0]], atol=1e-12)
    assert_same(again.in_source_units(), document)
    transforms.write_instant_ngp(tmp_path / "u.json", again)
    assert_same(transforms.read_instant_ngp(tmp_path / "u.json"), again)


def test_llff_round_trip_and_columns(tmp_path):
    document = rig(centred=True, square=True)
    llff.write(tmp_path / "poses_bounds.npy", document)
    again = llff.read(tmp_path / "poses_bounds.npy")
    assert_same(again, document, names=False)
    row = np.load(tmp_path / "poses_bounds.npy")[0, :15].reshape(3, 5)
    # In OpenGL: R_gl = [c1, -c0, c2].
    gl = document.cameras[0].camera_to_world[:3, :3] @ np.diag([1.0, -1, -1])
    np.testing.assert_allclose(np.stack([row[:, 1], -row[:, 0], row[:, 2]], axis=1), gl)
    assert row[:, 4].tolist() == [480, 640, document.cameras[0].fx]
    with pytest.raises(ConversionError, match="the lens opencv"):
        llff.write(
            tmp_path / "x.npy", RigDocument(document.cameras, (Lens("opencv", {"k1": 1.0}),) * 6)
        )
    np.save(tmp_path / "bad.npy", np.zeros((3, 16)))
    with pytest.raises(ConversionError, match=r"expected finite numbers N x 17, got \(3, 16\)"):
        llff.read(tmp_path / "bad.npy")


def test_miv_round_trip(tmp_path):
    document = rig()
    miv.write(tmp_path / "rig.json", document)
    assert_same(miv.read(tmp_path / "rig.json"), document)
    text = (tmp_path / "rig.json").read_text()
    (tmp_path / "rig.json").write_text(text.replace("Perspective", "Equirectangular"))
    with pytest.raises(ConversionError, match=r"camera 'view_00.png' is Equirectangular"):
        miv.read(tmp_path / "rig.json")


def test_a_similarity_is_undone_exactly_and_moves_points_with_cameras():
    similarity = Similarity(0.4, rotation_from_angles(5, 6, 7), np.array([1.0, -2, 3]))
    document = rig()
    moved = document.normalised(similarity)
    point = np.array([[0.3, 0.4, 0.5]])
    there = (similarity.matrix[:3, :3] @ point.T).T + similarity.translation
    for a, b in zip(document.cameras, moved.cameras, strict=True):
        np.testing.assert_allclose(a.project(point)[0], b.project(there)[0], atol=1e-8)
    assert_same(moved.in_source_units(), document)
    np.testing.assert_allclose(moved.in_source_units().normalisation.matrix, np.eye(4), atol=1e-12)
    with pytest.raises(ConversionError, match="mirrors"):
        Similarity.from_matrix(np.diag([1.0, 1, -1, 1]))


@pytest.mark.parametrize("model", ["opencv", "opencv_fisheye"])
def test_distortion_is_never_dropped_in_silence(tmp_path, model):
    lenses = (Lens(model, {"k1": 0.1}),) * 6
    document = RigDocument(rig(centred=True, square=True, same=True).cameras, lenses)
    for write in (llff.write, miv.write, transforms.write_blender):
        with pytest.raises(ConversionError, match=r"camera 'view_00.png' has the lens"):
            write(tmp_path / "x", document)


def test_lenses_are_checked():
    with pytest.raises(ConversionError, match="unknown lens model 'fov'"):
        Lens("fov")
    with pytest.raises(ConversionError, match="has no coefficient k9"):
        Lens("opencv", {"k9": 1.0})
    assert not Lens("opencv_fisheye").straight


@needs_shared
@pytest.mark.parametrize("name", ["ULB_Unicorn", "TechnicolorMuseum", "TechnicolorHijack"])
def test_real_mpeg_files(name, tmp_path):
    path = SHARED / "mpeg_rvs_json" / f"{name}.json"
    records = json.loads(path.read_text())["cameras"]
    if any(record["Projection"] != "Perspective" for record in records):
        with pytest.raises(ConversionError, match="only Perspective"):
            miv.read(path)
        return
    document = miv.read(path)
    for camera, record in zip(document.cameras, records, strict=True):
        assert camera.centre.tolist() == record["Position"] and camera.fx == record["Focal"][0]
    for write, read, file in (
        (miv.write, miv.read, "m.json"),
        (transforms.write_nerfstudio, transforms.read_nerfstudio, "n.json"),
        (colmap.write_text, colmap.read_text, "c"),
    ):
        write(tmp_path / file, document)
        assert_same(read(tmp_path / file), document)


@needs_shared
def test_real_blender_file():
    path = SHARED / "nerfstudio_tests" / "lego_test" / "transforms_train.json"
    camera = transforms.read_blender(path, (800, 800)).cameras[0]
    assert camera.fx == pytest.approx(1111.1111, abs=1e-3)
    # The lego scene's cameras face its origin.
    image, depth = camera.project([[0.0, 0, 0]])
    assert depth > 0 and np.abs(image - 400).max() < 40


BROWN = (Lens("opencv", {"k1": 0.1, "k2": -0.2, "k3": 0.01, "p1": 1e-3, "p2": 2e-3}), Lens()) * 3


def test_metashape_round_trip(tmp_path):
    similarity = Similarity(3.0, rotation_from_angles(10, 20, 30), np.array([4.0, 5, 6]))
    document = RigDocument(rig().cameras, BROWN).normalised(similarity)
    photogrammetry.write_metashape(tmp_path / "cameras.xml", document)
    again = photogrammetry.read_metashape(tmp_path / "cameras.xml")
    assert_same(again, document)
    np.testing.assert_allclose(again.normalisation.matrix, similarity.matrix, atol=1e-12)


def test_metashape_counts_from_the_centre_and_swaps_p1_and_p2(tmp_path):
    text = (
        '<document><chunk><sensors><sensor id="0" type="frame">'
        '<resolution width="100" height="80"/>'
        "<calibration><f>90</f><cx>2</cx><cy>-3</cy><b1>5</b1><p1>0.1</p1><p2>0.2</p2>"
        '{extra}</calibration></sensor></sensors><cameras><camera id="0" sensor_id="0" label="a">'
        "<transform>1 0 0 7 0 1 0 8 0 0 1 9 0 0 0 1</transform></camera>"
        '<camera id="1" sensor_id="0" label="lost"/></cameras></chunk></document>'
    )
    path = tmp_path / "c.xml"
    path.write_text(text.format(extra=""))
    document = photogrammetry.read_metashape(path)
    (camera,) = document.cameras
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (95, 90, 52, 37)
    assert camera.centre.tolist() == [7, 8, 9]
    assert document.lenses[0].get("p1") == 0.2 and document.lenses[0].get("p2") == 0.1
    path.write_text(text.format(extra="<b2>1</b2>"))
    with pytest.raises(ConversionError, match="'a' has b2, which has no equal"):
        photogrammetry.read_metashape(path)
    path.write_text("<!DOCTYPE x [<!ENTITY a 'b'>]><document/>")
    with pytest.raises(ConversionError, match="a document type is not accepted"):
        photogrammetry.read_metashape(path)


def test_reality_capture_round_trip_and_clockwise_heading(tmp_path):
    document = RigDocument(rig(square=True).cameras, BROWN)
    photogrammetry.write_reality_capture(tmp_path / "c.csv", document)
    assert_same(photogrammetry.read_reality_capture(tmp_path / "c.csv", (640, 480)), document)
    head = (tmp_path / "c.csv").read_text().splitlines()[0]
    # Pitch 90 looks at the horizon, due north (y); heading 90 turns it clockwise, to the east (x).
    (tmp_path / "d.csv").write_text(f"{head}\na.jpg,1,2,3,90,90,0,36,0.01,0,0,0,0,0,0,0\n")
    camera = photogrammetry.read_reality_capture(tmp_path / "d.csv", (640, 480)).cameras[0]
    np.testing.assert_allclose(camera.camera_to_world[:3, 2], [1, 0, 0], atol=1e-12)
    assert camera.fx == pytest.approx(640) and camera.cx == pytest.approx(326.4)


def test_opencv_yaml_round_trip_and_half_a_pixel(tmp_path):
    lenses = (*BROWN[:5], Lens("opencv", {"k1": 0.1, "k6": 0.2}))
    document = RigDocument(rig().cameras, lenses)
    calibration.write_opencv(tmp_path, document)
    again = calibration.read_opencv(tmp_path, (1, 1))
    assert_same(again, document, names=False)
    assert again.cameras[0].name == "view_00_png"
    matrices = calibration._opencv_matrices(tmp_path / "intri.yml")
    assert matrices["K_view_00_png"][0, 2] == pytest.approx(document.cameras[0].cx - 0.5)
    (tmp_path / "extri.yml").write_text("%YAML:1.0\n")
    with pytest.raises(ConversionError, match=r"extri.yml: Rot_view_00_png is missing"):
        calibration.read_opencv(tmp_path, (1, 1))


def test_arkit_round_trip_and_cropped_borders(tmp_path):
    document = rig()
    paths = calibration.write_arkit(tmp_path, document)
    assert_same(calibration.read_arkit(paths), document, names=False)
    cropped = calibration.read_arkit(paths, border=15).cameras[0]
    assert cropped.cx == document.cameras[0].cx - 15 and cropped.width == 610


@pytest.mark.skipif(
    not (SHARED.parent / "video-4cam").is_dir(),
    reason="the shared video of four cameras is not here",
)
def test_real_calibration_reprojects_its_own_points():
    folder = SHARED.parent / "video-4cam"
    document = calibration.read_caliscope(folder / "camera_array.toml")
    assert [camera.name for camera in document.cameras] == ["cam_0", "cam_1", "cam_2", "cam_3"]
    shots = folder / "calibration" / "extrinsic"
    points = {}
    with (shots / "CHARUCO" / "xyz_CHARUCO.csv").open() as file:
        for row in csv.DictReader(file):
            key = row["sync_index"], row["keypoint_id"]
            points[key] = [float(row[f"{axis}_coord"]) for axis in "xyz"]
    seen = {str(index): ([], []) for index in range(4)}
    with (shots / "xy.csv").open() as file:
        for row in csv.DictReader(file):
            key = row["sync_index"], row["keypoint_id"]
            if key in points:
                seen[row["cam_id"]][0].append(points[key])
                seen[row["cam_id"]][1].append([float(row["img_loc_x"]), float(row["img_loc_y"])])
    errors = []
    for index, (camera, lens) in enumerate(zip(document.cameras, document.lenses, strict=True)):
        world, image = (np.array(values) for values in seen[str(index)])
        found, depth = project(camera, lens, world)
        assert (depth > 0).all()
        # Corners were found in OpenCV's coordinates, which count from the centre of a pixel.
        errors.append(np.median(np.linalg.norm(found - (image + 0.5), axis=1)))
    assert max(errors) < 2.0, errors


def test_undistortion_straightens_what_the_lens_bent():
    camera = Camera.from_field_of_view(80, 120, 90, np.eye(4))
    lens = Lens("opencv", {"k1": -0.25, "k2": 0.05, "p1": 0.002})
    columns, rows = np.meshgrid(np.arange(120) + 0.5, np.arange(90) + 0.5)
    ideal = np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy], axis=-1)
    # Invert by fixed point: what the taken image shows at each of its pixels.
    guess = ideal.reshape(-1, 2)
    for _ in range(60):
        guess = guess - (distort(lens, guess) - ideal.reshape(-1, 2))
    texture = lambda p: np.stack([127 + 90 * np.sin(6 * p[:, k]) for k in (0, 1, 0)], axis=1)  # noqa: E731
    taken = np.rint(texture(guess)).astype(np.uint8).reshape(90, 120, 3)
    truth = texture(ideal.reshape(-1, 2)).reshape(90, 120, 3)
    straight = undistorted(taken, camera, lens).astype(float)
    inner = np.s_[15:-15, 20:-20]
    assert np.abs(straight - truth)[inner].max() < 3 < np.abs(taken - truth)[inner].max()


@given(st.floats(-0.8, 0.8), st.floats(-0.8, 0.8))
def test_a_fisheye_of_no_coefficients_is_equidistant(x, y):
    bent = distort(Lens("opencv_fisheye"), [[x, y]])[0]
    assert np.hypot(*bent) == pytest.approx(np.arctan(np.hypot(x, y)), abs=1e-12)
