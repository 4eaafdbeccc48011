"""What commands take from footage unasked: points beside cameras, and which frames are lost."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("av")
pytest.importorskip("matplotlib")

from nmc_framework.cameras import write_rig
from nmc_framework.capture.points import read_cloud, write_cloud
from nmc_framework.scene import arc_rig, film, render
from nmc_tools.commands.footage import open_footage

RIG = arc_rig(3, 0, (24, 20))
TINY = ["--iterations", 2, "--later", 1, "--rays", 64, "--family", "voxel_grid"]
MODEL = {"cells": [4], "occupancy": 8, "samples": 16}
for name, value in MODEL.items():
    TINY += ["--set", f"{name}={json.dumps(value)}"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def lossy(tmp_path):
    """A folder of pictures by camera with its cameras; one camera has lost the second picture."""
    folder = tmp_path / "lossy"
    for camera in RIG.cameras:
        (folder / camera.name).mkdir(parents=True)
        for number in range(3):
            if (camera.name, number) != ("train_01", 1):
                picture = Image.fromarray(render(camera, number / 10))
                picture.save(folder / camera.name / f"{number:04d}.png")
    write_rig(folder / "cameras.json", RIG.cameras)
    return folder


def test_capture_takes_the_points_beside_its_cameras_along(run, tmp_path):
    film(tmp_path / "footage", RIG.cameras, 2, 10)
    cameras = tmp_path / "footage" / "cameras.json"
    points = np.random.default_rng(0).normal(size=(150, 3))
    capture = ("capture", tmp_path / "footage", "-o", tmp_path / "frames", "--cameras", cameras)
    assert run(*capture).code == 0
    assert open_footage(tmp_path / "frames", scene=None).points is None
    write_cloud(cameras.with_name("points.ply"), points)
    assert run(*capture, "--force").code == 0
    assert np.array_equal(open_footage(tmp_path / "frames", scene=None).points, points)
    assert np.array_equal(read_cloud(tmp_path / "frames" / "points.ply"), points)
    cameras.with_name("points.ply").unlink()
    assert run(*capture, "--force").code == 0
    assert not (tmp_path / "frames" / "points.ply").exists()


def test_frames_that_are_lost_are_told_of(run, lossy, tmp_path):
    lost = "1 of 3 frames are dropped, the first at 0.033 s: camera 'train_01'"
    trained = run("train", lossy, "-o", tmp_path / "x.nmc", *TINY)
    assert trained.code == 0 and f"warning {lost}" in trained.err
    scored = run("evaluate", tmp_path / "x.nmc", lossy, "--all-cameras")
    assert scored.code == 0 and f"warning {lost}" in scored.err
    solved = run("sfm", lossy, "-o", tmp_path / "rig")  # pictures without anything to find
    assert solved.code == 1 and f"warning {lost}" in solved.err
    path = tmp_path / "run.yaml"
    given = {"file": str(lossy / "cameras.json")}
    path.write_text(yaml.safe_dump({"source": {"folder": str(lossy)}, "cameras": given}))
    ran = run("run", path, "--until", "capture")
    assert ran.code == 0 and f"warning {lost}" in ran.err and lost not in ran.out
