"""Runs by configuration, the whole way: pictures to package, film and scores."""

import json

import numpy as np
import pytest
from PIL import Image
from run_samples import SCENE, write

import nmc
from nmc_framework.cameras.extent import scene_extent
from nmc_framework.cameras.formats import RigDocument, camera_files
from nmc_framework.capture.captured_folder import read_capture
from nmc_framework.models import build
from nmc_framework.pipeline import (
    STEPS,
    ConfigurationError,
    PipelineError,
    read_configuration,
    run_steps,
    validate,
)
from nmc_framework.pipeline.content import content_digest
from nmc_framework.training import CheckpointFolder

TINY = {
    "model": {"family": "voxel_grid",
              "configuration": {"cells": [4, 8], "occupancy": 8, "samples": 24, "warm_up": 4}},
    "training": {"first": 8, "later": 3, "rays": 128, "exclude_back": 1},
    "render": {"length": 3},
    "evaluate": {},
}  # fmt: skip
SMALL = {"model": TINY["model"], "training": TINY["training"] | {"first": 2, "later": 1}}


pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_whole_way_and_then_other_packing(tmp_path):
    path = write(tmp_path, source=SCENE, **TINY)
    reports = {r.step: r for r in run_steps(STEPS, read_configuration(path))}
    assert list(reports) == [step.name for step in STEPS]
    work = tmp_path / "work"
    with nmc.open(work / "evaluate" / "chain.nmc") as sequence:
        assert [frame.exclude_layers for frame in sequence.frames] == [(), (1,)]
        stored = sequence.quality
    assert stored.views == ["test_00"] and np.isfinite(stored.metrics["psnr"]).all()
    scores = json.loads((work / "evaluate" / "scores.json").read_text())
    assert scores["mean"]["psnr"] == pytest.approx(stored.metrics["psnr"].mean(), abs=1e-5)
    assert reports["evaluate"].result["psnr"] == scores["mean"]["psnr"]
    for picture in ("cameras/rig.png", "evaluate/scores.png", "evaluate/chain.png"):
        assert (work / picture).stat().st_size > 5000
    assert reports["render"].result["images"] == 3

    video = content_digest(work / "render" / "video.mp4")
    write(tmp_path, source=SCENE, **TINY, package={"key_every": 1})
    again = {r.step: r for r in run_steps(STEPS, read_configuration(path))}
    ran = [name for name, report in again.items() if report.action == "ran"]
    assert ran == ["package", "check", "render", "evaluate", "report"]
    assert content_digest(work / "render" / "video.mp4") == video  # the states are the same


def test_a_run_that_trains_for_rate_is_packaged_as_it_was_trained(tmp_path):
    tiny = {**TINY, "training": {"first": 12, "later": 3, "rays": 128, "rate": 1.0}}
    path = write(tmp_path, source=SCENE, **tiny, package={"key_every": 1})
    with pytest.raises(ConfigurationError, match="renew_every is 32 and package"):
        validate(read_configuration(path))
    path = write(tmp_path, source=SCENE, **tiny, package={"profile": "baseline"})
    with pytest.raises(ConfigurationError, match="profile is 'baseline'"):
        validate(read_configuration(path))
    path = write(tmp_path, source=SCENE, **tiny)
    list(run_steps(STEPS, read_configuration(path), until="check"))
    store = CheckpointFolder(tmp_path / "work" / "train", _model_of(tmp_path / "work" / "train"))
    with nmc.open(tmp_path / "work" / "package" / "chain.nmc") as sequence:
        assert sequence.manifest.profile == "lossy"
        for index, state in enumerate(sequence):
            for name, levels in store.steps(index).levels(store[index]).items():
                assert np.array_equal(state[name], store[index][name])
                assert levels.any() or not state[name].any()
    assert len(store) == 2


def _model_of(folder):
    head = json.loads((folder / "chain.json").read_text())
    return build(head["family"], head["configuration"])


@pytest.mark.slow(minutes=0.02)
def test_an_interrupted_training_goes_on_at_the_last_finished_frame(tmp_path, monkeypatch):
    path = write(tmp_path, source={"scene": SCENE["scene"] | {"frames": 3}}, **TINY)
    append, trained = CheckpointFolder.append, []

    def stop(self, frame):
        if frame.index == 2:
            raise KeyboardInterrupt
        append(self, frame)

    monkeypatch.setattr(CheckpointFolder, "append", stop)
    with pytest.raises(KeyboardInterrupt):
        list(run_steps(STEPS, read_configuration(path), until="train"))

    def note(self, frame):
        trained.append(frame.index)
        append(self, frame)

    monkeypatch.setattr(CheckpointFolder, "append", note)
    reports = {r.step: r for r in run_steps(STEPS, read_configuration(path), until="train")}
    assert trained == [2] and reports["train"].why == "it was interrupted"
    assert reports["cameras"].action == "kept"
    # Other options: nothing of the interrupted run may be mixed in.
    monkeypatch.setattr(CheckpointFolder, "append", stop)
    other = TINY | {"training": TINY["training"] | {"later": 4}}
    write(tmp_path, source={"scene": SCENE["scene"] | {"frames": 3}}, **other)
    with pytest.raises(KeyboardInterrupt):
        list(run_steps(STEPS, read_configuration(path), until="train"))
    monkeypatch.setattr(CheckpointFolder, "append", note)
    trained.clear()
    write(tmp_path, source={"scene": SCENE["scene"] | {"frames": 3}}, **TINY)
    list(run_steps(STEPS, read_configuration(path), until="train"))
    assert trained == [0, 1, 2]


def test_wrong_choices_are_named_with_their_step(tmp_path):
    def told(**sections):
        path = write(tmp_path, **({"source": SCENE} | TINY | sections))
        with pytest.raises(PipelineError) as caught:
            list(run_steps(STEPS, read_configuration(path)))
        return str(caught.value)

    held_out = {"held_out": ["cam_9"]}
    assert "cameras: cameras.held_out names cam_9; there are train_00" in told(cameras=held_out)
    training = TINY["training"] | {"exclude_back": 9}
    assert "train: cannot take 9 of 2 layers" in told(training=training)
    assert "train: no model family 'bogus'" in told(model={"family": "bogus"})
    device = TINY["training"] | {"device": "cuda:99"}
    assert "train: cuda:99: " in told(training=device)
    (tmp_path / "short.csv").write_text("frame,x,y,z,yaw,pitch,roll\n0,0,0,0,0,0,0\n")
    track = {"track": "short.csv"}
    assert "render: short.csv: 1 viewpoints for 2 frames" in told(render=track)


@pytest.mark.slow(minutes=0.03)
def test_estimated_cameras_take_the_place_of_given_ones(tmp_path, monkeypatch):
    from nmc_framework import sfm
    from nmc_framework.cameras.formats import Lens, RigDocument
    from nmc_framework.cameras.formats.native import read
    from nmc_framework.scene import arc_rig

    true = arc_rig(4, 1, (24, 20)).cameras
    asked = []

    def solve(images, folder, options, **more):
        asked.append((images, folder, options, more["intrinsics"]))
        found = RigDocument(true[1:], (Lens("opencv", {"k1": -0.02}),) * 4)
        fits = tuple(sfm.CameraFit(c.name, 9, 8, 0.25) for c in found.cameras)
        corners = np.tile([[-0.2, 0.0, 0.1], [0.3, 0.5, 0.2]], (100, 1))
        astray = np.full((1, 3), 900.0)  # less than the percentile that is left out
        positions = np.concatenate([corners, astray])
        points = sfm.PointCloud(
            positions, np.zeros((201, 3), np.uint8), np.zeros(201), np.ones(201, np.int64)
        )
        return sfm.RigSolution(found, points, fits, (true[0].name,))

    monkeypatch.setattr(sfm, "solve_rig", solve)
    options = {
        "frames": [1],
        "allow_partial": True,
        "intrinsics": "work/capture/scene/cameras.json",
    }
    path = write(tmp_path, source=SCENE, **TINY)
    list(run_steps(STEPS, read_configuration(path), until="capture"))
    path = write(tmp_path, source=SCENE, cameras={"sfm": options}, **TINY)
    reports = {r.step: r for r in run_steps(STEPS, read_configuration(path))}
    told = reports["cameras"].result
    assert told["missing"] == ["train_00"] and told["reprojection_px"] == 0.25
    chain = json.loads((tmp_path / "work" / "train" / "chain.json").read_text())
    # The points' cuboid and a margin, without the point that went astray.
    lower, upper = np.array(chain["configuration"]["bounds"])
    assert (lower < [-0.2, 0.0, 0.1]).all() and (upper > [0.3, 0.5, 0.2]).all()
    assert np.abs([lower, upper]).max() < 5
    assert told["held_out"] == ["test_00"]
    images, folder, settings, known = asked[0]
    assert folder == tmp_path / "work" / "sfm" and settings.allow_partial
    assert [len(pictures) for pictures in images.values()] == [1] * 5
    assert images["train_02"][0] == tmp_path / "work" / "capture" / "train_02" / "00000001.png"
    assert [camera.name for camera in known.cameras] == list(images)
    left = read(tmp_path / "work" / "cameras" / "cameras.json")
    assert [camera.name for camera in left.cameras] == [c.name for c in true[1:]]
    assert all(lens.straight for lens in left.lenses)
    assert reports["evaluate"].result["views"] == ["test_00"]
    path = write(tmp_path, source=SCENE, cameras={"sfm": {"frames": [2]}}, **TINY)
    with pytest.raises(PipelineError, match=r"sfm.frames names frame 2; there are 2, from 0"):
        list(run_steps(STEPS, read_configuration(path)))


@pytest.mark.slow(minutes=0.04)
def test_videos_and_cameras_of_ones_own(tmp_path):
    from nmc_framework.cameras.formats import Lens, RigDocument, native
    from nmc_framework.scene import arc_rig, film

    rig = arc_rig(3, 1, (24, 20))
    film(tmp_path / "footage", rig.cameras, 2, 10)
    lenses = (Lens("opencv", {"k1": -0.05}), Lens("opencv", {"k1": 0.6}), Lens(), Lens())
    native.write(tmp_path / "rig.json", RigDocument(rig.cameras, lenses))
    videos = [f"footage/{camera.name}.mp4" for camera in rig.cameras]
    cameras = {"file": "rig.json", "held_out": ["test_00"], "size": "16x12"}
    longer = TINY | {"training": TINY["training"] | {"first": 80, "later": 8}}
    path = write(tmp_path, source={"videos": videos}, cameras=cameras, **longer)
    reports = {r.step: r for r in run_steps(STEPS, read_configuration(path))}
    assert reports["cameras"].result["held_out"] == ["test_00"]
    left = native.read(tmp_path / "work" / "cameras" / "cameras.json")
    assert {(c.width, c.height) for c in left.cameras} == {(16, 12)}
    assert all(lens.straight for lens in left.lenses)
    truth = read_capture(tmp_path / "work" / "cameras").picture("test_00", 1) / 255.0
    guessed = -10 * np.log10(truth.var(axis=(0, 1)).mean())
    assert reports["evaluate"].result["psnr"] > guessed + 1
    # The second lens took corners from outside of its picture: its camera sees less, and no black.
    narrowed = reports["cameras"].result["narrowed_by"]
    assert reports["cameras"].result["narrowed"] == ["train_01"] and 1 < narrowed["train_01"] < 1.3
    before, after = rig.training[1].resized(16, 12), left.cameras[1]
    assert after.fx == pytest.approx(before.fx * narrowed["train_01"], rel=1e-4)
    picture = np.asarray(Image.open(tmp_path / "work" / "cameras" / "train_01" / "00000000.png"))
    assert picture.max(axis=2).min() > 20
    chosen = json.loads((tmp_path / "work" / "train" / "chain.json").read_text())["configuration"]
    extent = scene_extent([c for c in left.cameras if c.name != "test_00"])
    assert chosen["background"] is None and chosen["near"] >= extent.near
    lower, upper = np.array(chosen["bounds"])
    assert (lower <= extent.lower + 1e-9).all() and (upper >= extent.upper - 1e-9).all()


@pytest.mark.slow(minutes=0.03)
def test_a_data_sets_own_cameras_to_test_with_and_its_points(tmp_path):
    from nmc_framework.capture.points import write_cloud
    from nmc_framework.scene import arc_rig, film

    rig = arc_rig(4, 0, (24, 20))
    film(tmp_path / "footage", rig.cameras, 2, 10)
    names = [camera.name for camera in rig.cameras]
    transforms = tmp_path / "transforms.json"
    camera_files.write(transforms, RigDocument(rig.cameras), "nerfstudio")
    values = json.loads(transforms.read_text())
    transforms.write_text(json.dumps(values | {"train_filenames": names[:3]}))
    points = np.random.default_rng(1).uniform(-0.4, 0.4, (200, 3))
    write_cloud(tmp_path / "points.ply", points)
    source, cameras = {"folder": "footage"}, {"file": "transforms.json"}
    path = write(tmp_path, source=source, cameras=cameras, evaluate={}, **SMALL)
    reports = {r.step: r for r in run_steps(STEPS, read_configuration(path), until="train")}
    assert reports["cameras"].result["held_out"] == names[3:]
    assert np.array_equal(np.load(tmp_path / "work" / "cameras" / "points.npy"), points)
    lower, upper = np.array(
        json.loads((tmp_path / "work" / "train" / "chain.json").read_text())["configuration"][
            "bounds"
        ]
    )
    assert (lower > -1).all() and (upper < 1).all()  # not as far as the cameras alone would have it
    # Points that change are other inputs; a person's own choice goes before the data set's.
    write_cloud(tmp_path / "points.ply", points / 2)
    again = list(run_steps(STEPS, read_configuration(path), until="cameras"))
    assert [report.action for report in again] == ["kept", "ran"]
    path = write(tmp_path, source=source, cameras=cameras | {"held_out": names[:1]}, **SMALL)
    *_, report = run_steps(STEPS, read_configuration(path), until="cameras")
    assert report.result["held_out"] == names[:1]
    transforms.write_text(json.dumps(values))
    path = write(tmp_path, source=source, cameras=cameras, evaluate={}, **SMALL)
    with pytest.raises(ConfigurationError, match=r"cameras.file sets none apart: cameras.held_out"):
        validate(read_configuration(path))


def test_training_that_runs_away_without_a_nan_is_refused(tmp_path):
    training = TINY["training"] | {"learning_rate": 1e6}
    path = write(tmp_path, source=SCENE, **(TINY | {"training": training}))
    with pytest.raises(PipelineError, match=r"train: frame 0: training diverged, levels.* reached"):
        list(run_steps(STEPS, read_configuration(path)))
    assert not list((tmp_path / "work" / "train").glob("*.safetensors"))
