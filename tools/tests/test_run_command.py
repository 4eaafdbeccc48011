"""``nmc run`` on the command line, and what evaluate, train and render have for it."""

from __future__ import annotations

import csv
import json
import re
import sys
from contextlib import contextmanager
from itertools import chain

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")
pytest.importorskip("av")
pytest.importorskip("matplotlib")

import torch

import nmc
from nmc_framework.evaluation.lpips import TRUNKS, _features
from nmc_framework.scene import arc_rig, film
from nmc_tools import checkpoints, cli
from nmc_tools.commands import chain_run

RIG = arc_rig(3, 1, (32, 32))
SCENE = {"cameras": 3, "held_out": 1, "size": "32x32", "frames": 2}
MODEL = {"cells": [4, 8], "occupancy": 8, "samples": 16, "warm_up": 4}
TINY = {
    "source": {"scene": SCENE},
    "model": {"family": "voxel_grid", "configuration": MODEL},
    "training": {"first": 6, "later": 3, "rays": 64},
}
OPTIONS = ["--iterations", 6, "--later", 3, "--rays", 64, "--family", "voxel_grid"]
for name, value in MODEL.items():
    OPTIONS += ["--set", f"{name}={json.dumps(value)}"]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def nmc_(command_line):
    """Return a function that runs the command line and gives what it printed."""

    def run(*arguments, code=0):
        text = command_line(*arguments)
        assert text.code == code, text
        if code == 1:
            assert re.fullmatch(r"error [\w-]+/[\w-]+ at .+\n", text.err), text.err
        return text.out if code == 0 else text.err

    return run


@pytest.fixture
def write(tmp_path):
    def write_(**sections):
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(sections))
        return path

    return write_


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder with captured frames, a package trained on them, and weights for LPIPS."""
    folder = tmp_path_factory.mktemp("trained")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        features = _features("alex").state_dict()
        heads = [torch.rand(1, n, 1, 1) for n in TRUNKS["alex"].channels]
    torch.save({f"features.{k}": v for k, v in features.items()}, folder / "b.pth")
    torch.save({f"lin{k}.model.1.weight": v for k, v in enumerate(heads)}, folder / "h.pth")
    film(folder / "footage", RIG.cameras, 2, 10)
    before = sys.argv
    frames, package = folder / "frames", folder / "x.nmc"
    rig = folder / "footage" / "cameras.json"
    for arguments in (
        ["capture", folder / "footage", "-o", frames, "--cameras", rig],
        ["train", frames, "-o", package, "--held-out", "test_00", *OPTIONS],
    ):
        sys.argv = ["nmc", *map(str, arguments)]
        try:
            cli.app(standalone_mode=False)
        finally:
            sys.argv = before
    return folder


# --- run ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_says_what_it_did_and_keeps_it(nmc_, write, trained, tmp_path):
    weights = {"backbone": str(trained / "b.pth"), "heads": str(trained / "h.pth")}
    path = write(**TINY, evaluate={"lpips": weights})
    planned = json.loads(nmc_("run", path, "--dry-run", "--json"))
    assert [s["action"] for s in planned["steps"]][:2] == ["to run", "unknown"]
    assert not (tmp_path / "work").exists()
    *lines, last = nmc_("run", path).splitlines()
    assert last == f"{tmp_path / 'work'}: 7 ran, 1 left out"
    assert [line.split()[:2] for line in lines] == [
        ["capture", "ran"], ["cameras", "ran"], ["train", "ran"], ["package", "ran"],
        ["check", "ran"], ["render", "left"], ["evaluate", "ran"], ["report", "ran"],
    ]  # fmt: skip
    again = json.loads(nmc_("run", path, "--json"))
    actions = {step["step"]: step["action"] for step in again["steps"]}
    assert set(actions.values()) == {"kept", "left out"}
    assert again["work"] == str(tmp_path / "work")
    assert again["steps"][-2]["result"]["views"] == ["test_00"]
    with nmc.open(tmp_path / "work" / "evaluate" / "chain.nmc") as sequence:
        stored = sequence.quality.metrics["lpips"]
    assert again["steps"][-2]["result"]["lpips"] == pytest.approx(stored.mean(), abs=1e-6)
    *_, forced, last = nmc_("run", path, "--force", "check", "--until", "check").splitlines()
    assert forced.startswith("check ran in") and last.endswith("4 kept, 1 ran")


def test_the_example_is_a_configuration(nmc_, tmp_path):
    text = nmc_("run", "--example")
    (tmp_path / "e.yaml").write_text(text)
    assert "train unknown" in nmc_("run", tmp_path / "e.yaml", "--dry-run", "--until", "train")


def test_help_has_examples(nmc_):
    assert "nmc run scene.yaml --until check --dry-run" in nmc_("run", "--help")
    assert "--lpips-net alex" in nmc_("evaluate", "--help")


def test_refusals_are_one_line(nmc_, write, tmp_path):
    told = nmc_("run", write(**TINY, packaging={}), code=1)
    assert "packaging is unknown; allowed are cameras, check, evaluate" in told
    assert "run.yaml: line" in told
    assert "no such file" in nmc_("run", tmp_path / "none.yaml", code=1)
    training = {"training": TINY["training"] | {"exclude_layers": [7]}}
    told = nmc_("run", write(**TINY | training), code=1)
    assert "run.yaml: training: exclude_layers names layer 7, but the model has layers" in told
    for wrong in ([], ["--example", "x.yaml"], ["run.yaml", "--until", "x"]):
        nmc_("run", *[str(tmp_path / w) if w.endswith(".yaml") else w for w in wrong], code=2)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("model.family", "hash_gird", "model: no model family 'hash_gird'; there are "),
        ("model.configuration", {"cell": [4]}, "model: voxel_grid knows no option cell; it has"),
        ("model.configuration", {"cells": 4}, "voxel_grid has cells such as [12, 24, 48, 80]"),
        ("model.configuration", {"samples": "many"}, "it cannot be 'many'"),
        ("model.configuration", {"samples": 0}, "samples 0, warm_up 4: float division by zero"),
        ("training.exclude_layers", [7], "names layer 7, but the model has layers 0 to 1"),
        ("training.exclude_back", 3, "training: cannot take 3 of 2 layers"),
        ("training.exclude_like", "dens*", "no layer is named like 'dens*'; there are levels.0"),
        ("training.device", "cuda:99", "training.device: cuda:99: "),
        ("training.device", "abacus", "training.device: 'abacus' is not a device"),
        ("training.device", "meta", "training.device: meta cannot be used here"),
        ("render.device", "cuda:99", "render.device: cuda:99"),
        ("evaluate.device", "cuda:99", "evaluate.device: cuda:99"),
        ("cameras.held_out", ["test_9"], "cameras.held_out names test_9; there are train_00"),
        ("cameras.held_out", ["train_00", "train_01", "train_02", "test_00"], "none is left"),
        ("source.reference", "cam", "source.reference names cam; there are train_00"),
        ("cameras.format", "colmapp", "cameras.format is 'colmapp'; allowed are"),
        ("cameras.sfm", {"camera_model": "lens"}, "cameras: no camera model 'lens'; there are"),
        ("render.anchor", "nobody", "render.anchor names nobody"),
        ("render.spline", "run.yaml", "render: run.yaml"),
        ("evaluate.lpips", {"backbone": "run.yaml"}, "evaluate: run.yaml holds no weights"),
    ],
)
def test_everything_is_refused_before_the_first_step(nmc_, write, tmp_path, place, value, said):
    sections = json.loads(json.dumps(TINY))
    section, _, name = place.partition(".")
    chosen = sections.setdefault(section, {})
    if name == "configuration":
        chosen[name] |= value
    else:
        chosen[name] = value
    if name == "format":
        chosen["file"] = "run.yaml"
    if name == "anchor":
        chosen["track"] = "run.yaml"
    (tmp_path / "run.yaml").write_text("")
    for option in ([], ["--dry-run"]):
        told = nmc_("run", write(**sections), *option, code=1)
        assert said in told and "run.yaml" in told
    assert not (tmp_path / "work").exists()


def test_what_is_kept_needs_no_validation(nmc_, write, tmp_path, monkeypatch):
    """A run that has nothing to do says so at once."""
    path = write(**TINY)
    nmc_("run", path, "--until", "capture")

    def never(_):
        raise AssertionError

    monkeypatch.setattr("nmc_framework.pipeline.validate", never)
    assert "1 kept" in nmc_("run", path, "--until", "capture")


def test_training_that_runs_away_keeps_the_frames_before(nmc_, write, tmp_path):
    model = {"family": "nerf_mlp", "configuration": {"width": 16, "depth": 3, "samples": 8}}
    model["configuration"]["fine_samples"] = 8
    training = TINY["training"] | {"later": 6, "later_learning_rate": 1e6}
    told = nmc_("run", write(**TINY | {"model": model, "training": training}), code=1)
    assert re.search(r"train: frame 1: training diverged, \S+ reached", told)
    left = [path.name for path in sorted((tmp_path / "work" / "train").iterdir())]
    assert left == ["chain.json", "frame_00000000.safetensors"]


# --- evaluate -------------------------------------------------------------------------------------


def test_scores_go_into_the_package_and_nothing_else_changes(nmc_, trained, tmp_path):
    package = tmp_path / "x.nmc"
    package.write_bytes((trained / "x.nmc").read_bytes())
    arguments = ["evaluate", package, trained / "frames", "--lpips-net", "alex"]
    weights = ["--lpips-backbone", trained / "b.pth", "--lpips-heads", trained / "h.pth"]
    plot, scores = tmp_path / "m.png", tmp_path / "s.csv"
    said = nmc_(*arguments, *weights, "--write", "--csv", scores, "--metrics-plot", plot)
    assert "LPIPS 0." in said and plot.stat().st_size > 5000
    with scores.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["lpips"]) > 0 for row in rows)
    with nmc.open(package) as now, nmc.open(trained / "x.nmc") as before:
        stored, known = now.quality, before.quality
        assert [now.coded(t) for t in range(2)] == [before.coded(t) for t in range(2)]
    np.testing.assert_allclose(
        stored.metrics["lpips"][:, 0], [float(r["lpips"]) for r in rows], rtol=1e-5
    )
    np.testing.assert_array_equal(stored.metrics["psnr"], known.metrics["psnr"])
    # One frame more of another view: what was known stays.
    more = ["--held-out", "train_01", "--frames", 1, "--write"]
    nmc_("evaluate", package, trained / "frames", *more)
    with nmc.open(package) as sequence:
        stored = sequence.quality
    assert stored.views == ["test_00", "train_01"]
    assert np.isnan(stored.metrics["psnr"]).tolist() == [[False, True], [False, False]]
    assert nmc.check(package).accepted
    assert "LPIPS is not measured without the weights of AlexNet" in nmc_(*arguments, code=1)
    # The linear heads come with torchmetrics.
    assert "LPIPS 0." in nmc_(*arguments, "--frames", 1, "--lpips-backbone", trained / "b.pth")
    assert "no such file" in nmc_(*arguments, "--lpips-backbone", tmp_path / "no", code=1)
    nmc_("evaluate", package, trained / "frames", "--lpips-heads", trained / "h.pth", code=2)


# --- train ----------------------------------------------------------------------------------------


def test_a_folder_of_checkpoints_is_gone_on_with(nmc_, trained, tmp_path):
    folder = tmp_path / "checkpoints"
    arguments = ["train", trained / "frames", "-o", folder, "--as", "checkpoints", *OPTIONS]
    arguments += ["--held-out", "test_00"]
    record = json.loads(nmc_(*arguments, "--frames", 1, "--json"))
    assert record["frames"] == 1 and record["raw_bytes"] < record["bytes"]
    assert "already exists" in nmc_(*arguments, code=1)
    assert "2 frames (1 of them before)" in nmc_(*arguments, "--resume")
    with nmc.open(trained / "x.nmc") as sequence:
        for t in range(2):  # what a package holds that was trained at one go
            state = checkpoints.read(folder / f"frame_{t:08d}.safetensors").state
            assert set(state) == set(sequence[t])
            for name, array in sequence[t].items():
                np.testing.assert_array_equal(np.asarray(state[name]), array)
    other = ["--resume", "--set", "cells=[4,6]"]
    assert "another configuration" in nmc_(*arguments, *other, code=1)
    assert "2 frames," in nmc_(*arguments, "--force")
    (tmp_path / "file").write_text("")
    nmc_("train", trained / "frames", "-o", tmp_path / "file", "--as", "checkpoints", code=1)


def test_curves_and_views_for_tensorboard(nmc_, trained, tmp_path, monkeypatch):
    board = tmp_path / "board"
    arguments = ["train", trained / "frames", "--held-out", "test_00", *OPTIONS]
    pytest.importorskip("tensorboard")
    nmc_(*arguments, "-o", tmp_path / "a.nmc", "--tensorboard", board)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(board))
    events.Reload()
    names = {"training/loss", "training/psnr", "training/learning_rate"}
    assert set(events.Tags()["scalars"]) == names | {"held_out/psnr", "held_out/ssim"}
    assert events.Tags()["images"] == ["held_out/test_00"]
    assert [e.step for e in events.Scalars("training/loss")] == [6, 9]
    assert events.Scalars("training/learning_rate")[0].value > 0
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    told = nmc_(*arguments, "-o", tmp_path / "b.nmc", "--tensorboard", board, code=1)
    assert "pip install 'neural-model-chain[tensorboard]'" in told


def test_a_budget_is_counted_by_what_it_allows(nmc_, trained, tmp_path, monkeypatch):
    told = []

    @contextmanager
    def bar(*_, **__):
        yield lambda done, total, said="", note="": told.append((done, total, said))

    monkeypatch.setattr(chain_run, "progress_bar", bar)
    budget = ["--budget", "0.4s", "--later-budget", "0.2s"]
    output = tmp_path / "x.nmc"
    arguments = ["train", trained / "frames", "-o", output, "--held-out", "test_00", *OPTIONS]
    record = json.loads(nmc_(*arguments, *budget, "--json"))
    iterations = [frame["iterations"] for frame in record["trained"]]
    done, totals, said = zip(*told, strict=True)
    assert done[-1] == totals[-1] == sum(iterations) > 9  # what the schedule has without a budget
    assert list(done) == sorted(done) and all(a <= b for a, b in zip(done, totals, strict=True))
    assert [number for number, words in zip(done, said, strict=True) if words] == [
        iterations[0],
        sum(iterations),
    ]


# --- render ---------------------------------------------------------------------------------------


def test_a_smooth_path_through_key_poses(nmc_, trained, tmp_path):
    from dataclasses import astuple

    from nmc_framework.cameras import Viewpoint

    keys, used = tmp_path / "keys.csv", tmp_path / "used.csv"
    poses = [Viewpoint.from_camera_to_world(c.camera_to_world) for c in RIG.training]
    lines = [
        ",".join([*map(repr, astuple(p)), str(t)])
        for p, t in zip(poses, (0, 0.2, 0.8), strict=True)
    ]
    keys.write_text("\n".join(["x,y,z,yaw,pitch,roll,time", *lines]) + "\n")
    arguments = ["render", trained / "x.nmc", "-o", tmp_path / "v.mp4"]
    said = nmc_(*arguments, "--spline", keys, "--save-track", used)
    assert "9 images of 32x32" in said  # 0.8 s at 10 frames a second, both ends
    with used.open(newline="") as file:
        found = [[float(row[axis]) for axis in "xyz"] for row in csv.DictReader(file)]
    for k, camera in zip((0, 2, 8), RIG.training, strict=True):
        np.testing.assert_allclose(found[k], camera.centre, atol=1e-9)
    said = nmc_(*arguments, "--spline", keys, "--length", 5, "--force")
    assert "5 images" in said
    keys.write_text("\n".join(["x,y,z,yaw,pitch,roll,time", lines[0], lines[0]]) + "\n")
    told = nmc_(*arguments, "--spline", keys, "--force", code=1)
    assert "keys.csv: key pose 1 is at 0 s, not after key pose 0" in told
    keys.write_text("x,y,z,yaw,pitch\n0,0,0,0,0\n")
    assert "lacks roll" in nmc_(*arguments, "--spline", keys, "--force", code=1)
    nmc_(*arguments, "--spline", keys, "--track", used, "--force", code=2)


# --- bad input ------------------------------------------------------------------------------------


def test_cameras_on_other_clocks_or_missing_are_named(nmc_, write, trained, tmp_path):
    names = [camera.name for camera in RIG.cameras]
    rows = {name: [f"{name},{t / 10 + (100 if k == 2 else 0)}" for t in range(2)]
            for k, name in enumerate(names)}  # fmt: skip
    stamps = tmp_path / "stamps.csv"
    source = {"folder": str(trained / "footage"), "stamps": "stamps.csv"}
    cameras = {"file": str(trained / "footage" / "cameras.json")}
    path = write(source=source, cameras=cameras)
    stamps.write_text("\n".join(["cam_id,frame_time", *chain(*rows.values())]) + "\n")
    told = nmc_("run", path, code=1)
    assert "capture: no frame is seen by all cameras within 50.0 ms; camera 'train_02'" in told
    del rows["train_01"]
    stamps.write_text("\n".join(["cam_id,frame_time", *chain(*rows.values())]) + "\n")
    assert "stamps.csv has no times of a video 'train_01'" in nmc_("run", path, code=1)
    lost = tmp_path / "lost.json"
    whole = json.loads((trained / "footage" / "cameras.json").read_text())
    lost.write_text(json.dumps(whole | {"cameras": whole["cameras"][1:]}))
    del source["stamps"]
    told = nmc_("run", write(source=source, cameras={"file": "lost.json"}), code=1)
    assert "cameras: no camera parameters for train_00; there are train_01" in told


def test_a_state_of_another_architecture_is_named(nmc_, trained, tmp_path):
    folder, package = tmp_path / "checkpoints", tmp_path / "other.nmc"
    nmc_("train", trained / "frames", "-o", folder, "--as", "checkpoints", "--frames", 1, *OPTIONS)
    (tmp_path / "c.json").write_text(json.dumps(MODEL | {"cells": [4, 6]}))
    model = ["--family", "voxel_grid", "--configuration", tmp_path / "c.json"]
    nmc_("pack", folder, "-o", package, *model)
    rig, keys = RIG.training, tmp_path / "keys.csv"
    lines = [f"{c.centre[0]},{c.centre[1]},{c.centre[2]},0,0,0" for c in rig]
    keys.write_text("\n".join(["x,y,z,yaw,pitch,roll", *lines]) + "\n")
    arguments = ["--spline", keys, "--length", 2, "-o", tmp_path / "v.mp4"]
    told = nmc_("render", package, *arguments, code=1)
    assert "of another architecture: 'levels.1.table' is" in told
    assert not list(tmp_path.glob("*.mp4"))
