"""``nmc train``, ``render`` and ``evaluate`` of groups of frames, and their experiments."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("bjontegaard")
from PIL import Image
from safetensors.numpy import load_file, save_file

import nmc
from nmc_framework.cameras.formats.rig_document import OPENGL
from nmc_framework.capture import open_moving
from nmc_framework.evaluation.warped import block_motion, warped_error
from nmc_framework.scene import orbit_camera, scenes
from nmc_tools.bench_rd import nncodec_peer
from nmc_tools.commands.footage import film_scene
from nmc_tools.experiments.films import Film

TINY = [
    "--scene", "room", "--frames", 5, "--size", "16x16", "--family", "mixvoxels", "--group", 2,
    "--iterations", 20, "--later", 6, "--rays", 64, "--set", "levels=2", "--set", "hidden=8",
    "--set", "samples=16", "--set", "log2_entries=8", "--set", "static_entries=8",
]  # fmt: skip
SMALL = ["--size", "24x24", "--frames", 3, "--share", 0.004, "--json"]


def flat(text):
    """Return what stands in a box as one line."""
    return " ".join(text.replace("│", " ").split())


@pytest.fixture
def package(run, tmp_path):
    path = tmp_path / "moving.nmc"
    done = run("train", "-o", path, *TINY)
    assert done.code == 0, done
    assert "frame 3 of 3, 1 instants, loss" in done.progress[-1]
    return path


def test_groups_go_the_whole_way(run, package, tmp_path):
    assert run("check", package).code == 0
    with nmc.open(package) as sequence:
        assert [f.presentation_time for f in sequence.frames] == [0, 2, 4]
        assert [f.extras for f in sequence.frames] == [{"instants": n} for n in (2, 2, 1)]
        assert sequence.quality.metrics["psnr"].shape == (3, 3)
        assert np.isfinite(sequence.quality.metrics["psnr"]).all()
    assert "instants" in run("inspect", package).out
    film = tmp_path / "out.mp4"
    done = run("render", package, "-o", film, "--size", "16x16")
    assert "out.mp4: 5 images" in done.out, done
    assert open_moving(film).count == 5
    assert "2 images" in run("render", package, "-o", film, "--frames", 1, "--force").out
    scores = tmp_path / "s.csv"
    done = run("evaluate", package, "--scene", "--csv", scores, "--json", "--write")
    record = json.loads(done.out)
    assert record["frames"] == [0, 1, 2, 3, 4]
    rows = list(csv.DictReader(scores.read_text().splitlines()))
    assert [int(row["frame"]) for row in rows] == [k for k in range(5) for _ in range(3)]
    with nmc.open(package) as sequence:
        means = np.array(record["scores"]["psnr"])
        np.testing.assert_allclose(sequence.quality.metrics["psnr"][1], means[2:4].mean(axis=0))
    images = tmp_path / "compared"
    assert run("evaluate", package, "--scene", "--frames", 2, "--images", images).code == 0
    assert any(path.suffix == ".png" for path in images.rglob("*"))


@pytest.mark.slow(minutes=0.1)
def test_a_stopped_run_goes_on(run, package, tmp_path):
    options = [*TINY, "--as", "checkpoints"]
    run("train", "-o", tmp_path / "c", *options, "--frames", 2)
    assert run("train", "-o", tmp_path / "c", *options, "--resume").code == 0
    with nmc.open(package) as sequence:
        for frame in range(3):
            state = load_file(tmp_path / "c" / f"frame_{frame:08d}.safetensors")
            assert all(np.array_equal(state[key], sequence[frame][key]) for key in state)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--group", 9], "there are 5 frames: give --group 5 or less"),
        (["--colour", "on"], "learn no exposures"),
        (["--set", "cells=[4]"], "mixvoxels knows no option cells"),
        (["--set", "instants=0"], "1 to 65536 instants"),
        (["--family", "hash_grid", "--group", 2], "not a model of pictures, nor of groups"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_trains(run, tmp_path, options, told):
    done = run("train", "-o", tmp_path / "x.nmc", *TINY, *options)
    assert done.code == 2 and told in flat(done.err), done
    assert not (tmp_path / "x.nmc").exists()


@pytest.mark.slow(minutes=0.08)
def test_one_camera_that_moves_goes_the_whole_way(run, tmp_path):
    folder, scene, frames = tmp_path / "set", scenes()["room"], []
    (folder / "train").mkdir(parents=True)
    for k in range(5):
        camera = orbit_camera(205 + 10 * k, 15 + 4 * k, (16, 16))
        Image.fromarray(scene.render(camera, 0.2 * k)).save(folder / "train" / f"r_{k:03d}.png")
        pose = (camera.camera_to_world @ OPENGL).tolist()
        frames.append({"file_path": f"./train/r_{k:03d}", "time": k / 4, "transform_matrix": pose})
    text = json.dumps({"camera_angle_x": np.radians(46.0), "frames": frames})
    (folder / "transforms_train.json").write_text(text)
    small = ["--iterations", 10, "--rays", 64, "--set", "levels=2", "--set", "samples=16"]
    package = tmp_path / "m.nmc"
    told = [*small, "--held-out", "r_002", "-o", package]
    done = run("train", folder, "--family", "dnerf", *told)
    assert done.code == 0, done
    with nmc.open(package) as sequence:
        assert sequence.configuration["instants"] == 5
        assert [f.extras for f in sequence.frames] == [{"instants": 5}]
    assert "5 images" in run("render", package, "-o", tmp_path / "m.mp4").out
    record = json.loads(run("evaluate", package, folder, "--json").out)
    assert record["views"] == ["r_002"] and record["scores"]["psnr"][0][0] > 3
    for options, why in (
        (["--family", "mixvoxels"], "cameras that stand still"),
        (["--family", "dnerf", "--group", 2], "they are one group"),
    ):
        refused = run("train", folder, *options, *told, "--force")
        assert refused.code == 2 and why in flat(refused.err), refused


def test_a_pipeline_refuses_groups(run, tmp_path):
    (tmp_path / "run.yaml").write_text(
        f"work: {tmp_path / 'out'}\nsource: {{scene: {{frames: 2, size: 16x16}}}}\n"
        "model: {family: dnerf}\n"
    )
    done = run("run", tmp_path / "run.yaml")
    assert done.code != 0 and "train it with 'nmc train'" in flat(done.err), done


@pytest.mark.slow
def test_consistency_measures_each_method_and_keeps_what_it_found(run, tmp_path):
    done = run("experiment", "consistency", "-o", tmp_path, *SMALL)
    assert done.code == 0, done
    found = json.loads(done.out)
    methods = ["frame-wise", "shared", "shared and frozen", "dynerf", "mixvoxels"]
    assert list(dict.fromkeys(row["method"] for row in found["rows"])) == methods
    assert len(found["rows"]) == 3 * len(methods)
    for row in found["rows"]:
        assert len(row["by_frame"]) == 3 and row["size"] > 1000
        assert row["psnr"] == pytest.approx(np.mean(row["by_frame"]))
        assert 0 <= row["static_flicker"] < 1 and 0 <= row["warped"] < 1
    assert "Where the scene stands still, frame-wise training changes by" in found["answer"]
    names = {path.name for path in tmp_path.iterdir()}
    assert {
        "consistency.html", "consistency.md", "consistency.json", "consistency.png",
        "consistency.mp4", "reconstructed.png",
    } <= names  # fmt: skip
    with Image.open(tmp_path / "reconstructed.png") as image:
        assert image.size == (6 * 6 * 24, 3 * 6 * 24)
    results = set((tmp_path / "kept").iterdir())
    again = run("experiment", "consistency", "-o", tmp_path, *SMALL)
    assert json.loads(again.out)["rows"] == found["rows"]
    assert set((tmp_path / "kept").iterdir()) == results


@pytest.mark.slow
def test_compression_of_moving_scenes_is_measured(run, tmp_path):
    options = [*SMALL, "--no-nncodec", "--family", "dynerf", "-o", tmp_path]
    done = run("experiment", "compression-3d", *options)
    assert done.code == 0, done
    rows = json.loads(done.out)["rows"]
    assert {row["coder"] for row in rows} == {"32-bit floats", "nmc lossy"}
    uncoded = [row for row in rows if row["picture"].endswith("before it is coded")]
    assert len(uncoded) == 6 and len(rows) == 13
    assert uncoded[0]["psnr"] > uncoded[-1]["psnr"] + 3
    assert all(row["size"] < rows[0]["size"] / 2 for row in uncoded)
    assert "is left out" in (tmp_path / "compression-3d.html").read_text()


def test_what_nncodec_leaves_has_the_shapes_that_it_was_given(tmp_path, monkeypatch):
    def left(command, what):
        job = json.loads(Path(command[-1]).read_text())
        for t, path in enumerate(job["frames"]):
            arrays = {name: np.atleast_1d(array) for name, array in load_file(path).items()}
            save_file(arrays, Path(job["output"]) / f"{t}.safetensors")
        told = {"bytes": [1] * len(job["frames"]), "encode": 0.0, "decode": 0.0}
        (Path(job["output"]) / "result.json").write_text(json.dumps(told))

    monkeypatch.setattr(nncodec_peer, "_run", left)
    state = {"length": np.array(3), "weight": np.ones((2, 3), np.float32)}
    codec = nncodec_peer.codecs(tmp_path / "python", (-38,))[1]
    coded = codec.code([state], -38, tmp_path)
    assert {name: array.shape for name, array in coded.states[0].items()} == {
        "length": (),
        "weight": (2, 3),
    }


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--frames", 1], "greater than or equal to 2"),
        (["--method", "magic"], "magic; there are frame-wise, shared"),
        (["--held-out", "nobody"], "no camera nobody"),
    ],
)
def test_experiments_refuse_what_there_is_not(run, tmp_path, options, told):
    done = run("experiment", "consistency", "-o", tmp_path / "x", *options)
    assert done.code == 2 and told in flat(done.err), done


def test_what_moves_in_a_film_is_found():
    film = Film.of("room", film_scene("room", (24, 24), frames=4), None)
    assert 0 < film.moving.mean() < 0.5
    assert film.psnr(film.truth) == pytest.approx(100) == film.psnr(film.truth, moving=True)
    wrong = film.truth.copy()
    wrong[film.moving] = 0
    assert film.psnr(wrong, moving=True) < film.psnr(wrong)
    assert film.of_view(1).truth.shape[1] == 1


def test_warped_error_follows_what_moves():
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    before = np.kron(noise[:10, :10], np.ones((4, 4, 1), np.uint8))
    now = np.roll(before, (2, -3), axis=(0, 1))
    shifts, apart = block_motion(now, before)
    middle = np.s_[1:-1, 1:-1]
    assert (shifts[middle] == (-2, 3)).all() and not apart[middle].any()
    assert warped_error(now, before, now, before) == pytest.approx(0, abs=1e-3)
    # A rendering that stays where the scene moves is not steady along its motion.
    assert warped_error(before, before, now, before) > 0.1
    assert warped_error(now, now, now, now) == 0


@pytest.mark.slow
def test_nncodec_that_fails_in_the_middle_is_left_out(run, tmp_path, monkeypatch):
    def broken(command, what):
        raise nncodec_peer.PeerError("it is gone")

    monkeypatch.setattr(nncodec_peer, "environment", lambda folder: folder / "python")
    monkeypatch.setattr(nncodec_peer, "_run", broken)
    done = run("experiment", "compression-3d", *SMALL, "--family", "mixvoxels", "-o", tmp_path)
    assert done.code == 0 and "and 4 more points: it is gone" in flat(done.err), done
    assert {row["coder"] for row in json.loads(done.out)["rows"]} == {"32-bit floats", "nmc lossy"}
