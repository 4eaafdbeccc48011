"""Footage told from names: flat folders, by camera or by frame, numbers for names, gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shared_data import SHARED

from nmc_framework.cameras import CameraError
from nmc_framework.cameras.formats import Lens, RigDocument, camera_files
from nmc_framework.capture import CaptureError, find_sources, synchronise
from nmc_framework.capture.dataset import open_dataset
from nmc_framework.scene import render
from nmc_framework.scene.rig import orbit_camera


def place(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (9, 9, 9)).save(path)
    return folder


def told(folder: Path) -> dict[str, list[float]]:
    return {s.name: [round(30 * t) for t in s.times()] for s in find_sources(folder)}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # One instant, in natural order.
        (["10.png", "3.png", "0.png"], {"0": [0], "3": [0], "10": [0]}),
        (["images/b.jpg", "images/a.jpg", "masks/a.png"], {"a": [0], "b": [0]}),
        # By camera, however frames are called; one that lacks the middle picture keeps its times.
        (
            ["cam_a/frame_0001.png", "cam_a/frame_0002.png", "cam_b/frame_0001.png"],
            {"cam_a": [0, 1], "cam_b": [0]},
        ),
        (
            ["0/000000.jpg", "0/000001.jpg", "0/000002.jpg", "1/000000.jpg", "1/000002.jpg"],
            {"0": [0, 1, 2], "1": [0, 2]},
        ),
        (["ims/27/000000.jpg", "ims/3/000000.jpg"], {"3": [0], "27": [0]}),
        # By frame.
        (
            ["frame_0001/cam_a.png", "frame_0001/cam_b.png", "frame_0002/cam_a.png"],
            {"cam_a": [0, 1], "cam_b": [0]},
        ),
        (["frame_1/0.png", "frame_1/00.png", "frame_3/0.png"], {"0": [0, 2], "00": [0]}),
        (["0001/0.png", "0001/1.png", "0002/0.png", "0002/1.png"], {"0": [0, 1], "1": [0, 1]}),
        # Counted by every camera from a number of its own: by their places.
        (["a/101.png", "a/102.png", "b/7.png", "b/8.png"], {"a": [0, 1], "b": [0, 1]}),
    ],
)
def test_cameras_and_frames_are_told_from_names(tmp_path, names, expected):
    assert told(place(tmp_path, *names)) == expected


def test_a_missing_picture_drops_its_frame_alone(tmp_path):
    names = [f"cam_{c}/frame_{k:04d}.png" for c in "ab" for k in range(5)]
    names.remove("cam_b/frame_0002.png")
    sources = find_sources(place(tmp_path, *names))
    found = synchronise(sources)
    assert [i.pictures for i in found.instants] == [(0, 0), (1, 1), (3, 2), (4, 3)]
    assert len(found.dropped) == 1


def test_nothing_there_is_said(tmp_path):
    (tmp_path / "sub").mkdir()
    with pytest.raises(CaptureError, match="no video files, no pictures and no folders of images"):
        find_sources(tmp_path)


def stills(folder: Path, suffix: str = ".png") -> RigDocument:
    cameras = tuple(orbit_camera(225 + 9 * k, 25, (32, 24), name=str(k)) for k in range(3))
    folder.mkdir(parents=True, exist_ok=True)
    for camera in cameras:
        Image.fromarray(render(camera, 0.0)).save(folder / f"{camera.name}{suffix}")
    return RigDocument(cameras, (Lens("opencv", {"k1": -0.1}), Lens(), Lens()))


def test_pictures_of_one_instant_are_opened_with_the_cameras_beside_them(tmp_path):
    document = stills(tmp_path / "images")
    camera_files.write(tmp_path / "transforms.json", document)
    found = open_dataset(tmp_path)
    assert len(found) == 1 and [c.name for c in found.rig.cameras] == ["0", "1", "2"]
    assert all(lens.straight for lens in found.rig.lenses) and not found.left_out
    (views,) = found.views(["2", "0"])
    np.testing.assert_array_equal(views.images[0], render(document.cameras[2], 0.0))
    # The first is freed of its lens.
    assert (views.images[1] != render(document.cameras[0], 0.0)).any()
    assert list(found.views(["1"], 1)) == []


def test_pictures_without_a_camera_are_left_out_and_named(tmp_path):
    document = stills(tmp_path)
    kept = RigDocument(document.cameras[:2])
    camera_files.write(tmp_path / "cameras.json", kept, "nmc")
    assert open_dataset(tmp_path).left_out == ("2",)
    (tmp_path / "cameras.json").unlink()
    with pytest.raises(CaptureError, match="no camera file in it"):
        open_dataset(tmp_path)
    others = tuple(c.at(c.camera_to_world, f"x{c.name}") for c in document.cameras)
    camera_files.write(tmp_path / "o.json", RigDocument(others), "nmc")
    with pytest.raises(CaptureError, match=r"o\.json has no cameras of 0, 1, 2; it has x0"):
        open_dataset(tmp_path, tmp_path / "o.json")


def test_cameras_without_names_are_those_of_the_pictures_in_order(tmp_path):
    """Neural 3D Video lacks cameras here and there, and its rows do not: cam04 is the third."""
    cameras = stills(tmp_path / "own").cameras
    for camera, name in zip(cameras, ("cam00", "cam01", "cam04"), strict=True):
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(render(camera, 0.0)).save(path)
    camera_files.write(tmp_path / "poses_bounds.npy", RigDocument(cameras))
    found = open_dataset(tmp_path)
    assert [c.name for c in found.rig.cameras] == ["cam00", "cam01", "cam04"]
    for one, camera in zip(found.rig.cameras, cameras, strict=True):
        np.testing.assert_allclose(one.centre, camera.centre)
    Image.new("RGB", (32, 24)).save(tmp_path / "images" / "cam07.png")
    with pytest.raises(CameraError, match="3 cameras without names, and there are pictures of 4"):
        open_dataset(tmp_path)


def test_cameras_to_test_with_are_read_from_the_file_beside(tmp_path):
    """Dynamic 3D Gaussians keeps them in a file of their own."""
    cameras = stills(tmp_path / "own").cameras
    for camera in cameras:
        path = tmp_path / "ims" / camera.name / "000000.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(render(camera, 0.0)).save(path)
    for name, part in (("train", cameras[:2]), ("test", cameras[2:])):
        camera_files.write(tmp_path / f"{name}_meta.json", RigDocument(tuple(part)))
    found = open_dataset(tmp_path)
    assert [c.name for c in found.rig.cameras] == ["0", "1", "2"]
    assert found.tested == ("2",) and not found.left_out
    (tmp_path / "test_meta.json").unlink()
    assert open_dataset(tmp_path).left_out == ("2",)


@pytest.mark.skipif(not (SHARED / "scenes/fox").is_dir(), reason="the shared fox is not here")
def test_the_fox_is_opened_as_it_lies():
    found = open_dataset(SHARED / "scenes" / "fox")
    assert len(found) == 1 and len(found.rig.cameras) == 50
    names = [camera.name for camera in found.rig.cameras]
    assert names[:2] == ["0001", "0002"]
    (views,) = found.views(names[:1])
    assert views.images[0].shape == (480, 270, 3)
