"""The framework's commands at toy sizes: each does its part, says so in one line, and refuses."""

from __future__ import annotations

import csv
import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("av")
pytest.importorskip("matplotlib")


import nmc
from nmc_framework.cameras import read_rig, write_rig
from nmc_framework.cameras.formats import Lens, RigDocument, Similarity, native
from nmc_framework.cameras.layout import layout
from nmc_framework.rendering import orbit, write_track
from nmc_framework.scene import TARGET, arc_rig, film
from nmc_framework.training import PackageStore
from nmc_tools import demo
from nmc_tools.commands.framework import package_cameras

SIZE = (24, 20)
RIG = arc_rig(5, 1, SIZE)
TINY = ["--iterations", 8, "--later", 3, "--rays", 128]
for setting in ("cells=[4,8]", "occupancy=8", "samples=24", "warm_up=4"):
    TINY += ["--set", setting]
TINY += ["--family", "voxel_grid"]


OTHER = ["--held-out", "train_00"]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(command_line):
    def run_(*arguments: object, code: int = 0):
        text = command_line(*arguments)
        assert text.code == code, text
        if code == 0:
            assert text.err == ""  # quiet in a pipe
        if code == 2:  # without its frame
            text.err = " ".join(text.err.replace("│", " ").split())
        if code == 1:
            assert text.out == ""
            assert re.fullmatch(r"error [\w-]+/[\w-]+ at .+\n", text.err), text.err
        return text

    return run_


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("footage")
    film(folder, RIG.cameras, 3, 10)
    return folder


@pytest.fixture
def frames(run, footage, tmp_path):
    run("capture", footage, "-o", tmp_path / "frames", "--cameras", footage / "cameras.json")
    return tmp_path / "frames"


# --- cameras --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["colmap", "nerfstudio", "miv", "metashape", "instant-ngp"])
def test_cameras_convert_there_and_back(run, footage, tmp_path, target):
    suffix = {"colmap": "", "metashape": ".xml"}.get(target, ".json")
    middle, back = tmp_path / f"there{suffix}", tmp_path / "back.json"
    said = run("cameras", "convert", footage / "cameras.json", "-o", middle, "--to", target)
    assert said.out == f"{middle}: 6 cameras, {target}\n"
    run("cameras", "convert", middle, "-o", back, "--from", target)
    found = native.read(back).in_source_units()
    for one, two in zip(RIG.cameras, found.cameras, strict=True):
        np.testing.assert_allclose(one.camera_to_world, two.camera_to_world, atol=1e-9)
        np.testing.assert_allclose(one.intrinsics, two.intrinsics, atol=1e-6)
    run("cameras", "convert", middle, "-o", back, code=1)  # it is there
    run("cameras", "convert", middle, "-o", back, "--force")  # and its format is recognised


def test_the_own_format_keeps_lens_and_normalisation(run, tmp_path):
    lens = Lens("opencv", {"k1": -0.1, "p2": 1e-3})
    applied = Similarity(2.5, np.diag([1.0, -1, -1]), np.array([1.0, 2, 3]))
    document = RigDocument(RIG.cameras[:1], (lens,)).normalised(applied)
    native.write(tmp_path / "a.json", document)
    run("cameras", "convert", tmp_path / "a.json", "-o", tmp_path / "b.json")
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()
    shown = run("cameras", "inspect", tmp_path / "a.json").out
    assert "opencv" in shown and "scale 2.5, turned by 180 degrees, shifted by 1 2 3" in shown
    record = json.loads(run("cameras", "inspect", tmp_path / "a.json", "--json").out)
    assert record["cameras"][0]["lens"]["coefficients"] == {"k1": -0.1, "p2": 1e-3}
    told = run("cameras", "convert", tmp_path / "a.json", "-o", tmp_path / "c.npy", code=1)
    assert "LLFF cannot say that camera 'train_00' has the lens opencv" in told.err
    assert not list(tmp_path.glob("*c.npy"))


def test_the_picture_of_a_rig(run, footage, tmp_path):
    run("cameras", "plot", footage / "cameras.json", "-o", tmp_path / "r.png", "--mark", "test_00")
    with Image.open(tmp_path / "r.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert {(0x1F, 0x6F, 0x78), (0xB5, 0x44, 0x2E)} <= colours
    run("cameras", "plot", footage / "cameras.json", "-o", tmp_path / "r.gif", code=2)


def test_layout_finds_target_and_up_in_any_world():
    turn = Similarity(2.0, np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), np.array([1.0, 2, 3]))
    for similarity in (Similarity(), turn):
        found = layout([similarity.apply(camera) for camera in RIG.cameras])
        expected = similarity.scale * similarity.rotation @ TARGET + similarity.translation
        np.testing.assert_allclose(found.target, expected, atol=1e-6)
        np.testing.assert_allclose(found.up, similarity.rotation[:, 2], atol=1e-6)
        np.testing.assert_allclose(found.levelled() @ found.up, [0, 0, 1], atol=1e-9)
        assert found.distance == pytest.approx(3.5 * similarity.scale)


def test_camera_files_that_are_none(run, tmp_path):
    out = ["-o", tmp_path / "x.json"]
    for name, text in [("a.json", "{"), ("b.json", '{"frames": 3}'), ("c.xml", "<"), ("d", "")]:
        (tmp_path / name).write_text(text)
        run("cameras", "convert", tmp_path / name, *out, code=1)
    write_rig(tmp_path / "rig.json", RIG.cameras)
    told = run("cameras", "convert", tmp_path / "rig.json", *out, "--from", "bogus", code=2).err
    assert "no camera format 'bogus'; there are nmc, colmap" in told
    told = run("cameras", "convert", tmp_path / "rig.json", *out, "--to", "caliscope", code=2).err
    assert "--to: caliscope is only read" in told


# --- capture --------------------------------------------------------------------------------------


def test_capture_reports_and_leaves_frames_with_their_cameras(run, footage, tmp_path):
    arguments = ["capture", *sorted(footage.glob("*.mp4")), "-o", tmp_path / "f", "--json"]
    arguments += ["--cameras", footage / "cameras.json", "--size", "12x10", "--every", 2]
    record = json.loads(run(*arguments).out)
    assert record["written"] == 2 and record["rate"] == 5
    assert record["synchrony"]["frames"] == 2 and record["synchrony"]["dropped"] == []
    assert record["warnings"] == []
    assert {row["worst_skew"] for row in record["synchrony"]["cameras"]} == {0.0}
    rig = read_rig(tmp_path / "f" / "cameras.json")
    assert {(camera.width, camera.height) for camera in rig} == {(12, 10)}
    assert len(list((tmp_path / "f").glob("*/*.png"))) == 12
    assert "already" in run(*arguments, code=1).err
    (tmp_path / "f" / "capture.json").unlink()
    # Without its record it is a folder of pictures like any other; without cameras it is none.
    (tmp_path / "f" / "cameras.json").unlink()
    told = run("train", tmp_path / "f", "-o", tmp_path / "x.nmc", code=1).err
    assert "camera" in told and not (tmp_path / "x.nmc").exists()


def test_capture_refuses_by_name(run, footage, tmp_path):
    out = ["-o", tmp_path / "f"]
    assert "no such file" in run("capture", tmp_path / "none.mp4", *out, code=1).err
    write_rig(tmp_path / "few.json", RIG.cameras[1:])
    told = run("capture", footage, *out, "--cameras", tmp_path / "few.json", code=1).err
    assert "no camera parameters for train_00" in told
    larger = [camera.resized(48, 40) for camera in RIG.cameras]
    write_rig(tmp_path / "large.json", larger)
    told = run("capture", footage, *out, "--cameras", tmp_path / "large.json", code=1).err
    assert "its pictures are 24x20, its parameters are for 48x40" in told
    run("capture", footage, *out, "--size", "big", code=2)


# --- train, render, evaluate ----------------------------------------------------------------------


def test_a_killed_run_goes_on_to_the_same_package(run, frames, tmp_path, monkeypatch):
    whole, killed = tmp_path / "whole.nmc", tmp_path / "killed.nmc"
    arguments = ["train", frames, "--held-out", "test_00", "--seed", 3, *TINY]
    record = json.loads(run(*arguments, "-o", whole, "--json", "--exclude-layers", -1).out)
    assert [row["frozen_layers"] for row in record["trained"]] == [[], [1], [1]]
    assert record["frames"] == 3 and record["rate"] == 10
    append = PackageStore.append

    def stop(self, frame):
        if frame.index == 2:
            raise KeyboardInterrupt
        append(self, frame)

    monkeypatch.setattr(PackageStore, "append", stop)
    run(*arguments, "-o", killed, "--exclude-back", 1, code=130)
    monkeypatch.undo()
    again = run(*arguments, "-o", killed, "--exclude-back", 1, "--resume")
    assert "3 frames (2 of them before)" in again.out
    with nmc.open(whole) as one, nmc.open(killed) as two:
        for a, b in zip(one.frames, two.frames, strict=True):
            assert a.state_digest == b.state_digest and a.exclude_layers == b.exclude_layers
        psnr = [s.quality.metrics["psnr"][:, 0] for s in (one, two)]
    assert np.isfinite(psnr[0]).all() and np.isnan(psnr[1][:2]).all()
    assert psnr[1][2] == psnr[0][2]


def test_both_readings_of_the_erratum(run, tmp_path):
    frozen = {}
    scene = ["train", "--scene", "--frames", 2, "--size", "16x16", *TINY, "--json"]
    for reading in ("table", "code"):
        out = ["-o", tmp_path / f"{reading}.nmc", "--exclude-front", 1, "--reading", reading]
        frozen[reading] = json.loads(run(*scene, *out).out)["trained"][1]["frozen_layers"]
    assert frozen == {"table": [0], "code": [1]}


def test_train_refuses_before_it_trains(run, frames, tmp_path):
    out = ["-o", tmp_path / "x.nmc", *TINY]
    assert "layers 0 to 1" in run("train", frames, *out, "--exclude-layers", 7, code=2).err
    assert "nothing is left" in run("train", frames, *out, "--exclude-front", 2, code=2).err
    told = run("train", frames, *out, "--family", "bogus", code=2).err
    assert "there are coin, " in told
    assert "knows no option colour" in run("train", frames, *out, "--set", "colour=1", code=2).err
    told = run("train", frames, *out, "--set", "samples=0", code=2).err
    assert "voxel_grid cannot be built with" in told
    assert "it cannot be 'x'" in run("train", frames, *out, "--set", 'cells="x"', code=2).err
    for wrong in (["--set", "x"], ["--held-out", "cam"], ["--device", "cuda:99"], ["--scene"],
                  ["--device", "meta"], ["--device", "abacus"]):  # fmt: skip
        run("train", frames, *out, *wrong, code=2)
    assert not list(tmp_path.glob("x.nmc*"))


def test_evaluate_and_render_what_was_trained(run, frames, tmp_path):
    package = tmp_path / "x.nmc"
    run("train", frames, "-o", package, "--held-out", "test_00", *TINY)
    scores, plot = tmp_path / "s.csv", tmp_path / "p.png"
    record = json.loads(
        run("evaluate", package, frames, "--csv", scores, "--plot", plot, "--json").out
    )
    assert record["views"] == ["test_00"] and record["scores"]["flicker"][0] == [None]
    with nmc.open(package) as sequence:
        stored = sequence.quality.metrics["psnr"]
    np.testing.assert_allclose(record["scores"]["psnr"], stored)
    with scores.open(newline="") as file:
        assert [row["frame"] for row in csv.DictReader(file)] == ["0", "1", "2"]
    assert plot.stat().st_size > 5000
    # The same cameras on the scene itself: the truth without video coding.
    assert "1 frame, 1 held-out view:" in run("evaluate", package, "--scene", "--frames", 1).out
    assert "dB PSNR" in run("evaluate", package, frames, "--held-out", "train_00").out

    every = [camera.name for camera in RIG.cameras]
    named = [part for name in every for part in ("--held-out", name)]
    assert "3 frames, 1 held-out view:" in run("evaluate", package, frames, *named).out
    told = run("evaluate", package, frames, "--held-out", "nobody", code=2).err
    assert "no camera nobody" in " ".join(told.split())

    video, track = tmp_path / "v.mp4", tmp_path / "t.csv"
    said = run("render", package, "-o", video, "--length", 4, "--save-track", track).out
    assert "4 images of 24x20" in said
    for viewpoint in orbit(TARGET, 1, distance=3.5, azimuths=(0, 9), elevations=(9, 9)):
        write_track(tmp_path / "one.csv", [viewpoint])
    again = ["render", package, "-o", tmp_path / "again.mp4", "--track"]
    run(*again, track, "--length", 4)
    assert (tmp_path / "again.mp4").read_bytes() == video.read_bytes()
    told = run(*again, tmp_path / "one.csv", "--force", code=1).err
    assert "1 viewpoints for 3 frames" in told
    assert "no such track" in run(*again, tmp_path / "none.csv", "--force", code=1).err
    assert not list(tmp_path.glob(".partial*"))


@pytest.mark.slow(minutes=0.03)
def test_pictures_and_a_page_to_show_others(run, frames, tmp_path):
    package, page = tmp_path / "x&<y>.nmc", tmp_path / "page.html"
    run("train", frames, "-o", package, "--held-out", "test_00", *TINY)
    before = package.read_bytes()
    images = ["--images", tmp_path / "cmp", "--html", page, "--align-colour"]
    record = json.loads(run("evaluate", package, frames, "--all-cameras", *images, "--json").out)
    assert record["views"][0] == "test_00" and len(record["views"]) == 6
    assert record["trained"] == record["views"][1:]
    table = np.array(record["scores"]["psnr"])
    assert record["mean"]["psnr"] == pytest.approx(table[:, 0].mean())
    assert record["mean_trained"]["psnr"] == pytest.approx(table[:, 1:].mean())
    assert (np.array(record["scores"]["psnr_aligned"]) >= table).all()
    assert record["mean"]["static_flicker"] >= 0 and package.read_bytes() == before
    names = {path.name for path in (tmp_path / "cmp").iterdir()}
    expected = {f"{view}_{t:08d}.png" for view in record["views"] for t in range(3)}
    assert names == expected | {"contact.png"}
    with Image.open(tmp_path / "cmp" / "test_00_00000001.png") as image:
        width, height = image.size
        assert width == 3 * 8 * 24 and height == 8 * 20 + 22  # enlarged by whole pixels
        truth = np.asarray(image)[22 + 4 :: 8, 4 : width // 3 : 8]
    with Image.open(frames / "test_00" / "00000001.png") as image:
        np.testing.assert_array_equal(truth, np.asarray(image))
    text = page.read_text()
    assert "<title>x&amp;&lt;y&gt;.nmc</title>" in text and "<y>" not in text
    assert "http:" not in text and "https:" not in text and str(tmp_path) not in text
    assert 'src="data:video/mp4' in text
    for part in ("Film", "Truth, rendering, error", "Curves", "Cameras", "Settings"):
        assert f"<h2>{part}</h2>" in text
    # The pictures score the same where they lie without the record of a capture.
    (frames / "capture.json").unlink()
    again = json.loads(run("evaluate", package, frames, "--json").out)
    np.testing.assert_array_equal(again["scores"]["psnr"], table[:, :1])
    # What is written holds the held-out view alone.
    run("evaluate", package, frames, "--all-cameras", "--write")
    with nmc.open(package) as sequence:
        assert sequence.quality.views == ["test_00"]
    for wrong in (["--html", "x.pdf"], ["--film", package], ["--all-cameras", *OTHER]):
        run("evaluate", package, frames, *wrong, code=2)
    told = run("evaluate", package, frames, "--html", page, "--film", tmp_path / "no", code=1)
    assert "host/not-found" in told.err


def test_a_folder_of_checkpoints_is_not_begun_again_unasked(run, frames, tmp_path):
    arguments = ["train", frames, "-o", tmp_path / "c", "--as", "checkpoints", "--frames", 1, *TINY]
    run(*arguments)
    first = (tmp_path / "c" / "frame_00000000.safetensors").read_bytes()
    told = run(*arguments, "--seed", 5, code=1).err
    assert "host/exists" in told
    assert "go on with --resume, or begin again with --force" in told
    assert (tmp_path / "c" / "frame_00000000.safetensors").read_bytes() == first
    run(*arguments, "--seed", 5, "--force")
    assert (tmp_path / "c" / "frame_00000000.safetensors").read_bytes() != first


def test_a_head_trace_begins_at_the_camera_it_is_anchored_to(run, frames, tmp_path):
    package, trace, used = tmp_path / "x.nmc", tmp_path / "eye.csv", tmp_path / "used.csv"
    run("train", frames, "-o", package, "--frames", 1, *TINY)
    head = "ViewIndex,PositionX,PositionY,PositionZ,QuaternionW,QuaternionX,QuaternionY"
    rows = [f"{eye},1,2,{t},1,0,0,0,{t}" for t in range(0, 500, 100) for eye in (0, 1)]
    trace.write_text("\n".join([f"{head},QuaternionZ,timestep", *rows]) + "\n")
    arguments = ["render", package, "-o", tmp_path / "v.mp4", "--track", trace]
    run(*arguments, "--anchor", "train_02", "--save-track", used)
    with used.open(newline="") as file:
        first = next(csv.DictReader(file))
    place = [float(first[axis]) for axis in "xyz"]
    np.testing.assert_allclose(place, RIG.training[2].centre, atol=1e-9)
    told = run(*arguments, "--length", 99, "--force", code=1).err
    assert "is outside" in told
    run(*arguments, "--anchor", "nobody", "--force", code=2)


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [["capture"], ["train"], ["render"], ["evaluate"], ["cameras", "convert"]]
)
def test_help_has_examples(run, command):
    assert f"nmc {' '.join(command)} " in run(*command, "--help").out


def test_a_missing_extra_is_one_line(run, footage, tmp_path, monkeypatch):
    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name in {"nmc_framework.capture", "nmc_framework.training"}:
                raise ModuleNotFoundError("No module named 'torch'", name="torch")

    for name in [n for n in sys.modules if n.startswith("nmc_framework.capture")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "nmc_framework.training")
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    for command in (["capture", footage, "-o", tmp_path / "f"], ["train", "--scene", "-o", "x"]):
        told = run(*command, code=1).err
        assert "it needs torch (pip install 'neural-model-chain[framework]')" in told


@pytest.mark.slow(minutes=0.1)
def test_the_demo_says_little_in_a_pipe(capfd, tmp_path):
    demo.run(tmp_path, quick=True)
    text = capfd.readouterr()
    assert text.err == ""
    assert len(text.out.splitlines()) == 10 and "PSNR dB" not in text.out


@pytest.mark.slow
def test_the_demo_trained_for_rate_decodes_to_what_was_trained(run, tmp_path):
    told = run("demo", "--quick", "--scene", "thin", "--rate", 0.5, "-o", tmp_path).out
    assert "trained for rate at 0.5 dB a kB" in told
    assert "every frame decoded to the trained bits; the check found nothing" in told
    with nmc.open(tmp_path / "scene.nmc") as sequence:
        assert sequence.manifest.profile == "lossy"
        assert [frame.coding for frame in sequence.frames] == ["key", "delta", "key"]
        raw, coded = (
            sum(getattr(frame, name) for frame in sequence.frames)
            for name in ("state_bytes", "segment_length")
        )
    assert coded < raw / 8
    assert "a finite number of decibels" in run("demo", "--rate", "nan", "-o", tmp_path, code=2).err


def test_package_cameras_keep_the_normalisation():
    applied = Similarity(3.0)
    found = package_cameras(RigDocument(RIG.cameras).normalised(applied))
    np.testing.assert_array_equal(found.normalisation, applied.matrix)


def test_a_rig_on_a_map_is_moved_to_the_origin(run, tmp_path):
    far = RigDocument(RIG.cameras[:3]).normalised(Similarity(translation=np.array([5e5, 4e6, 9.0])))
    native.write(tmp_path / "a.json", far)
    run("cameras", "convert", tmp_path / "a.json", "-o", tmp_path / "b.json", "--centre")
    near = native.read(tmp_path / "b.json")
    assert max(np.abs(camera.centre).max() for camera in near.cameras) < 10
    assert "shifted by" in run("cameras", "inspect", tmp_path / "b.json").out
