"""Rigs against rigs: Umeyama's alignment, and COLMAP's own reading and writing of rigs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nmc_framework.cameras import CameraError, look_at
from nmc_framework.cameras.alignment import align, umeyama
from nmc_framework.cameras.formats import Lens, RigDocument, Similarity, camera_files, colmap
from nmc_framework.cameras.formats.rig_document import ConversionError
from nmc_framework.scene import arc_rig

pycolmap = pytest.importorskip("pycolmap")


def random_motion(rng: np.random.Generator) -> Similarity:
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    return Similarity(float(rng.uniform(0.1, 9)), rotation, rng.normal(size=3) * 5)


def test_umeyama_finds_the_similarity_and_agrees_with_colmap():
    rng = np.random.default_rng(1)
    source = rng.normal(size=(9, 3))
    true = random_motion(rng)
    target = true.scale * source @ true.rotation.T + true.translation
    np.testing.assert_allclose(umeyama(source, target).matrix, true.matrix, atol=1e-9)
    noisy = target + rng.normal(size=target.shape) * 0.3
    theirs = pycolmap.estimate_sim3d(source, noisy).matrix()
    np.testing.assert_allclose(umeyama(source, noisy).matrix[:3], theirs, atol=1e-9)
    # The best rotation does not mirror, not even when a mirror image fits better.
    mirrored = umeyama(source, source * [1, 1, -1])
    assert np.linalg.det(mirrored.rotation) == pytest.approx(1)


def test_an_alignment_says_what_is_left():
    truth = RigDocument(arc_rig(5, 1).cameras)
    moved = truth.normalised(random_motion(np.random.default_rng(2)))
    exact = align(moved, truth)
    assert exact.worst_centre < 1e-9 and exact.worst_rotation < 1e-6
    off = moved.cameras[2]
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    cameras = list(moved.cameras)
    cameras[2] = replace(off, camera_to_world=off.camera_to_world @ turn, fx=off.fx * 1.1)
    found = align(RigDocument(tuple(cameras)), truth, extent=2.0)
    assert found.offsets[2].rotation == pytest.approx(np.degrees(0.1), abs=1e-6)
    assert found.offsets[2].focal == pytest.approx(1.1) and found.extent == 2.0


def test_alignments_that_cannot_be_are_refused():
    line = [(k, 0.0, 0.0) for k in range(4)]
    with pytest.raises(CameraError, match="on one line"):
        umeyama(line, line)
    with pytest.raises(CameraError, match="three cameras at least, not 2"):
        umeyama(line[:2], line[:2])
    with pytest.raises(CameraError, match=r"0 of the cameras are in the known rig.*train_00"):
        align(
            RigDocument(
                tuple(c.at(c.camera_to_world, f"x{k}") for k, c in enumerate(arc_rig(4, 0).cameras))
            ),
            RigDocument(arc_rig(4, 1).cameras),
        )


@pytest.mark.parametrize("kind", ["colmap", "colmap-bin"])
def test_colmap_reads_what_is_written_and_is_read_back(kind, tmp_path):
    lenses = (Lens(), Lens("opencv", {"k1": 0.1, "p2": -0.01}), Lens("opencv_fisheye", {"k4": 0.2}))
    document = RigDocument(arc_rig(3, 0).cameras, lenses)
    camera_files.write(tmp_path, document, kind)
    theirs = pycolmap.Reconstruction(tmp_path)
    points = np.random.default_rng(4).uniform(-1, 1, (20, 3))
    for camera, lens in zip(document.cameras, lenses, strict=True):
        image = theirs.find_image_with_name(camera.name)
        np.testing.assert_allclose(image.projection_center(), camera.centre, atol=1e-12)
        if lens.straight:
            expected, _ = camera.project(points)
            np.testing.assert_allclose([image.project_point(p) for p in points], expected)
    out = tmp_path / "theirs"
    out.mkdir()
    (theirs.write_text if kind == "colmap" else theirs.write_binary)(out)
    again = camera_files.read(out)
    for a, b in zip(again.cameras, document.cameras, strict=True):
        np.testing.assert_allclose(a.camera_to_world, b.camera_to_world, atol=1e-12)
        np.testing.assert_array_equal(a.intrinsics, b.intrinsics)
    assert [lens.model for lens in again.lenses] == [lens.model for lens in lenses]


def rigged() -> pycolmap.Reconstruction:
    """Two instants of a moving rig of two cameras, the second one turned and shifted."""
    model, sensor = pycolmap.Reconstruction(), pycolmap.SensorType.CAMERA
    for number in (1, 2):
        model.add_camera(
            pycolmap.Camera.create_from_model_name(number, "PINHOLE", 90 + number, 64, 48)
        )
    frame_poses = [np.linalg.inv(look_at((-3, k, 1), (0, 0, 0))) for k in (0.0, 0.5)]
    second = np.linalg.inv(look_at((0.3, 0.1, 0), (0.4, 2, 0.3)))
    rig_ = pycolmap.Rig(rig_id=1)
    rig_.add_ref_sensor(pycolmap.sensor_t(sensor, 1))
    rig_.add_sensor(pycolmap.sensor_t(sensor, 2), pycolmap.Rigid3d(second[:3]))
    model.add_rig(rig_)
    for k, pose in enumerate(frame_poses):
        frame = pycolmap.Frame(frame_id=k + 1, rig_id=1)
        for number in (1, 2):
            frame.add_data_id(pycolmap.data_t(pycolmap.sensor_t(sensor, number), 2 * k + number))
        frame.rig_from_world = pycolmap.Rigid3d(pose[:3])
        model.add_frame(frame)
        for number in (1, 2):
            image = pycolmap.Image(
                name=f"{k}_{number}.png", camera_id=number, image_id=2 * k + number
            )
            image.frame_id = k + 1
            model.add_image(image)
        model.register_frame(k + 1)
    return model


@pytest.mark.parametrize("suffix", ["txt", "bin"])
def test_poses_come_from_rigs_and_frames(suffix, tmp_path):
    model = rigged()
    (model.write_text if suffix == "txt" else model.write_binary)(tmp_path)
    # The poses of the images themselves are spoilt: only rigs and frames tell.
    read, name = (
        (colmap.read_text, "images.txt") if suffix == "txt" else (colmap.read_binary, "images.bin")
    )
    path = tmp_path / name
    if suffix == "txt":
        lines = [line.split(" ") for line in path.read_text().splitlines()]
        none = ["1", *["0"] * 6]
        spoilt = [[line[0], *none, *line[8:]] if len(line) == 10 else line for line in lines]
        path.write_text("\n".join(" ".join(line) for line in spoilt) + "\n")
    document = read(tmp_path)
    names = [camera.name for camera in document.cameras]
    assert names == ["0_1.png", "0_2.png", "1_1.png", "1_2.png"]
    for camera in document.cameras:
        truth = model.find_image_with_name(camera.name)
        np.testing.assert_allclose(camera.centre, truth.projection_center(), atol=1e-12)
        np.testing.assert_allclose(
            camera.rotation.T, truth.cam_from_world().rotation.matrix(), atol=1e-12
        )


def test_faults_of_rigs_and_frames_are_named(tmp_path):
    rigged().write_text(tmp_path)
    frames, rigs = (tmp_path / name for name in ("frames.txt", "rigs.txt"))
    whole = frames.read_text()
    frames.write_text(whole.replace(" CAMERA 2 4", " CAMERA 2 9"))
    with pytest.raises(ConversionError, match=r"image '1_2\.png' belongs to no frame"):
        colmap.read_text(tmp_path)
    frames.write_text(whole.replace(" CAMERA 2 4", " CAMERA 7 4"))
    with pytest.raises(ConversionError, match="frame 2 names camera 7 of rig 1: not listed"):
        colmap.read_text(tmp_path)
    frames.write_text(whole)
    parts = rigs.read_text().split(" CAMERA 2 1 ")
    rigs.write_text(parts[0] + " CAMERA 2 0\n")
    with pytest.raises(ConversionError, match="rig 1 does not say where its camera 2 is"):
        colmap.read_text(tmp_path)
    frames.unlink()
    with pytest.raises(ConversionError, match=r"there is rigs\.txt, but no frames\.txt"):
        colmap.read_text(tmp_path)
