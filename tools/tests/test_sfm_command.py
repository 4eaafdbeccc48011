"""``nmc sfm`` at toy size: what it leaves, what it says, and what it refuses in one line."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")
pytest.importorskip("torch")
pytest.importorskip("pycolmap")

from nmc_framework.cameras import Camera
from nmc_framework.cameras.formats import RigDocument, camera_files, native
from nmc_framework.scene import film, render
from nmc_framework.scene.rig import AZIMUTH, orbit_camera

PIXELS = 192
OPTIONS = ("--shared-intrinsics", "--camera-model", "simple_pinhole")


@pytest.fixture
def run(command_line):
    def run_(*arguments: object, code: int = 0):
        outcome = command_line(*arguments)
        assert outcome.code == code, outcome
        assert "Traceback" not in outcome.err
        return outcome

    return run_


def rig() -> tuple[Camera, ...]:
    places = [(-15, 20), (-7, 34), (0, 22), (8, 36), (16, 24)]
    return tuple(
        orbit_camera(AZIMUTH + azimuth, elevation, (PIXELS, PIXELS), name=f"cam_{k}")
        for k, (azimuth, elevation) in enumerate(places)
    )


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("footage")
    film(folder, rig(), frames=2, rate=1)
    return folder


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stills")
    for camera in rig():
        Image.fromarray(render(camera, 0.0)).save(folder / f"{camera.name}.png")
    native.write(folder / "known.json", RigDocument(rig()))
    return folder


@pytest.mark.slow
def test_videos_to_cameras_compared_with_the_truth(run, footage, tmp_path):
    out = tmp_path / "rig"
    known = ("--known", footage / "cameras.json", "--extent", "2.24")
    text = run("sfm", footage, "-o", out, *OPTIONS, *known, "--to", "colmap")
    assert "5 cameras" in text.out and "against the known rig" in text.out
    files = ["cameras.json", "colmap", "points.ply", "report.json", "rig.png", "work"]
    assert sorted(path.name for path in out.iterdir()) == files
    report = json.loads((out / "report.json").read_text())
    assert report["frames"] == 2 and report["error"] < 1 and report["missing"] == []
    assert report["alignment"]["worst_centre"] < 0.06
    assert {"keypoints", "observations", "error", "centre_error"} <= report["cameras"][0].keys()
    # The cameras are those of the known rig, and their normalisation leads back to COLMAP's model.
    found, model = (
        camera_files.read(out / "cameras.json"),
        camera_files.read(out / "work" / "model"),
    )
    for camera, truth in zip(found.cameras, rig(), strict=True):
        assert np.linalg.norm(camera.centre - truth.centre) < 0.06 * 2.24
    theirs = {camera.name: camera for camera in model.cameras}
    for camera in found.in_source_units().cameras:
        np.testing.assert_allclose(camera.centre, theirs[camera.name].centre, atol=1e-6)
    with Image.open(out / "rig.png") as picture:
        assert picture.size[0] > 500
    # Once more: refused, then from what is kept, with the same bytes.
    before = (out / "cameras.json").read_bytes()
    assert "--force" in run("sfm", footage, "-o", out, *OPTIONS, *known, code=1).err
    text = run("sfm", footage, "-o", out, *OPTIONS, *known, "--force", "--json")
    assert json.loads(text.out)["error"] == report["error"]
    assert (out / "cameras.json").read_bytes() == before


@pytest.mark.slow(minutes=0.06)
def test_captured_frames_are_read_where_they_lie(run, footage, tmp_path):
    run("capture", footage, "-o", tmp_path / "frames")
    text = run(
        "sfm", tmp_path / "frames", "-o", tmp_path / "rig", *OPTIONS, "--frames", 1, "--json"
    )
    report = json.loads(text.out)
    assert report["frames"] == 1 and len(report["cameras"]) == 5
    assert "alignment" not in report


@pytest.mark.slow(minutes=0.02)
def test_one_image_a_camera(run, stills, tmp_path):
    known = ("--intrinsics", stills / "known.json")
    run("sfm", stills, "-o", tmp_path / "rig", *known)
    for camera, truth in zip(
        camera_files.read(tmp_path / "rig/cameras.json").cameras, rig(), strict=True
    ):
        assert camera.intrinsics.tolist() == truth.intrinsics.tolist()


def test_a_camera_that_cannot_be_placed_is_named_or_left_out(run, stills, tmp_path):
    for path in stills.glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    Image.new("RGB", (PIXELS, PIXELS), (90, 90, 90)).save(tmp_path / "lens_cap.png")
    text = run("sfm", tmp_path, "-o", tmp_path / "rig", *OPTIONS, code=1)
    assert "lens_cap" in text.err and len(text.err.splitlines()) == 1
    report = json.loads((tmp_path / "rig" / "report.json").read_text())
    assert report["verdict"] == "wrong" and report["missing"] == ["lens_cap"]
    worst = [reason["name"] for reason in report["reasons"] if reason["verdict"] == "wrong"]
    assert worst == ["unplaced"] and not (tmp_path / "rig" / "cameras.json").exists()
    text = run("sfm", tmp_path, "-o", tmp_path / "rig", *OPTIONS, "--allow-partial")
    assert "left out, not registered: lens_cap" in text.out


@pytest.mark.slow(minutes=0.04)
def test_what_is_wrong_is_said_in_one_line(run, stills, footage, tmp_path):
    out = ("-o", tmp_path / "rig")
    assert "no such file" in run("sfm", tmp_path / "none", *out, code=1).err
    told = run("sfm", stills, *out, "--camera-model", "lens", code=2).err
    assert "--camera-model: no camera model 'lens'" in " ".join(told.split())
    assert "cannot be written as obj" in run("sfm", stills, *out, "--to", "obj", code=2).err
    one = run("sfm", footage / "cam_0.mp4", *out, code=1)
    assert "two cameras at least; given: cam_0" in one.err
    (tmp_path / "empty").mkdir()
    assert "no video files" in run("sfm", tmp_path / "empty", *out, code=1).err
    # A work folder that is that of other images stays as it is.
    run("sfm", stills, *out, *OPTIONS)
    (tmp_path / "rig" / "cameras.json").unlink()
    text = run("sfm", footage, *out, *OPTIONS, code=1)
    assert "work folder of other images: those of cam_0" in text.err
    run("sfm", stills, *out, *OPTIONS)


def test_without_pycolmap_it_says_what_to_install(run, stills, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    text = run("sfm", stills, "-o", tmp_path / "rig", code=1)
    assert "it needs pycolmap" in text.err and "pip install" in text.err
