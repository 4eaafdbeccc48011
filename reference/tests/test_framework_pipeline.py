"""Runs by configuration: what is refused and where, what is kept and why, and the whole way."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

import nmc
from nmc_framework.cameras.extent import scene_extent
from nmc_framework.models import build
from nmc_framework.pipeline import (
    STEPS,
    ConfigurationError,
    PipelineError,
    Step,
    example,
    read_configuration,
    run_steps,
    validate,
)
from nmc_framework.pipeline.configuration import _schema
from nmc_framework.pipeline.content import content_digest
from nmc_framework.training import CheckpointFolder

# --- the document ---------------------------------------------------------------------------------


# --- the configuration ----------------------------------------------------------------------------


def write(folder, **sections):
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(sections, sort_keys=False))
    return path


SCENE = {"scene": {"cameras": 4, "held_out": 1, "size": "24x20", "frames": 2}}


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({}, "'source' is missing"),
        ({"source": {}}, "line 1: source: give one of scene, videos, folder"),
        ({"source": SCENE | {"folder": "."}}, "source.folder: give one of scene, videos, folder"),
        ({"source": SCENE, "trainig": {}}, "trainig is unknown; allowed are cameras, check, evalu"),
        ({"source": SCENE, "training": {"later": "x"}}, 'later is "x"; expected a whole'),
        ({"source": SCENE, "training": {"later": -1}}, "training.later is -1; at least 0"),
        ({"source": SCENE, "training": {"learning_rate": 1e38}}, "rate is 1e.38; at most 1000000"),
        ({"source": SCENE, "training": {"speed": 1}}, "training.speed is unknown; allowed are "),
        ({"source": SCENE, "training": {"rate": -1}}, "training.rate is -1; at least 0"),
        ({"source": SCENE, "training": {"reading": "c"}}, 'is "c"; allowed are table, code'),
        ({"source": {"scene": {"size": "big"}}}, "source.scene.size is \"big\"; write such as"),
        ({"source": {"videos": []}}, r"source.videos is \[\]; it may not be empty"),
        ({"source": {"videos": ["no.mp4"]}, "cameras": {"sfm": {}}}, r"videos\[0\]: there is no"),
        ({"source": {"folder": "."}}, "footage needs cameras: give one of file, sfm"),
        ({"source": SCENE, "cameras": {"format": "miv"}}, "format belongs to file"),
        ({"source": SCENE, "training": {"exclude_front": 1, "exclude_back": 1}}, "one of excl"),
        ({"source": SCENE, "render": {"anchor": "a"}}, "render.anchor moves a head trace"),
        ({"source": SCENE, "evaluate": {"lpips": {}}}, "evaluate.lpips: 'backbone' is missing"),
        ({"source": {"folder": "."}, "cameras": {"sfm": {}}, "evaluate": {}}, "cameras.held_out"),
    ],
)  # fmt: skip
def test_configurations_that_are_refused(tmp_path, sections, told):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(sections) if sections else "work: w\n")
    with pytest.raises(ConfigurationError, match=told) as caught:
        read_configuration(path)
    assert str(caught.value).startswith("run.yaml, line ")


def test_defaults_are_filled_in_and_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "keys.csv").write_text("")
    found = read_configuration(write(tmp_path, source=SCENE, render={"spline": "keys.csv"}))
    assert found.work == tmp_path / "work"
    assert "first" not in found.section("training") and found.section("source")["by"] == "time"
    assert found.section("source")["scene"]["rate"] == 15
    assert found.file("render.spline") == tmp_path / "keys.csv"
    assert found.has("check") and not found.has("evaluate")
    lasting = found.lasting("render")
    assert lasting["spline"] == "keys.csv" and "workers" not in lasting
    empty = tmp_path / "empty.yaml"
    empty.write_text("source:\n  scene:\nrender:\n")
    assert read_configuration(empty).has("render")


def test_the_example_names_every_option_and_only_those(tmp_path):
    path = tmp_path / "example.yaml"
    path.write_text(example())
    assert read_configuration(path).section("model")["family"] == "voxel_grid"

    def names(schema):
        for name, inner in schema.get("properties", {}).items():
            yield name
            yield from names(inner)

    untold = {"device", "workers", "eye", "trace_scale", "field_of_view", "refine", "features"}
    untold |= {"allow_partial", "learning_rate", "later_learning_rate", "into_package"}
    missing = [name for name in names(_schema()) if name not in untold and name not in example()]
    assert missing == []


# --- what is kept ---------------------------------------------------------------------------------


class Calls(list):
    """Three steps in a row that note when they are carried out."""

    def steps(self, **versions):
        def one(name, sections, needs, content):
            def carry_out(task):
                self.append(name)
                (task.folder / "out.txt").write_text(content(task))
                return {"letters": len(content(task))}

            return Step(name, versions.get(name, 1), needs, sections, carry_out)

        def read(task, name):
            return (task.made_by(name) / "out.txt").read_text()

        return (
            one("a", ("source",), (), lambda t: str(t.configuration.section("source")["every"])),
            one("b", ("training",), ("a",), lambda t: f"{read(t, 'a')}"[:1]),
            one("c", ("render",), ("b",), lambda t: f"<{read(t, 'b')}>"),
        )

    def run(self, path, versions=None, **options):
        self.clear()
        steps = self.steps(**(versions or {}))
        reports = list(run_steps(steps, read_configuration(path), **options))
        return {report.step: (report.action, report.why) for report in reports}


def test_a_step_is_done_again_only_when_what_it_takes_has_changed(tmp_path):
    calls = Calls()
    path = write(tmp_path, source=SCENE, render={})
    assert set(calls.run(path).values()) == {("ran", "not done yet")} and calls == ["a", "b", "c"]
    assert {action for action, _ in calls.run(path).values()} == {"kept"} and calls == []

    write(tmp_path, source=SCENE, render={"length": 5})
    assert calls.run(path)["c"] == ("ran", "changed: render.length nothing to 5") and calls == ["c"]
    write(tmp_path, source=SCENE, render={"length": 5, "workers": 3})  # changes no byte
    calls.run(path)
    assert calls == []

    # b comes out as it was: what depends on it is kept.
    write(tmp_path, source=SCENE | {"every": 12}, render={"length": 5})
    found = calls.run(path)
    assert calls == ["a", "b"] and found["c"][0] == "kept"
    assert found["a"][1] == "changed: source.every 1 to 12"
    assert found["b"][1] == "changed: the content of a"

    assert calls.run(path, {"b": 2})["b"][1] == "the step itself changed: version 1 to 2"
    (tmp_path / "work" / "c" / "out.txt").write_text("other")
    assert calls.run(path, {"b": 2})["c"][1] == "its result was changed or removed"
    assert (tmp_path / "work" / "c" / "out.txt").read_text() == "<1>"


def test_files_count_by_content_not_by_date_or_folder(tmp_path):
    calls = Calls()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.csv").write_text("x")
    path = write(tmp_path, source=SCENE, render={"track": "one/t.csv"})
    calls.run(path)
    write(tmp_path, source=SCENE, render={"track": "two/t.csv"})
    assert calls.run(path)["c"][0] == "kept"
    (tmp_path / "two" / "t.csv").write_text("y")
    assert calls.run(path)["c"] == ("ran", "changed: the content of render.track")


def test_looking_force_and_until(tmp_path):
    calls = Calls()
    path = write(tmp_path, source=SCENE, render={})
    found = calls.run(path, dry=True)
    assert calls == [] and not (tmp_path / "work").exists()
    assert [action for action, _ in found.values()] == ["to run", "unknown", "unknown"]
    assert found["c"][1] == "depends on what b will make"
    assert list(calls.run(path, until="b")) == ["a", "b"]
    assert calls.run(path, force=["a"])["a"] == ("ran", "forced") and calls == ["a", "c"]
    with pytest.raises(PipelineError, match="no step 'd'; there are a, b, c"):
        calls.run(path, until="d")


def test_a_work_folder_with_other_files_is_left_alone(tmp_path):
    path = write(tmp_path, work=".", source=SCENE)
    with pytest.raises(ConfigurationError, match=r"holds other files and no run\.json"):
        list(run_steps(STEPS, read_configuration(path)))
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "run.json").write_text("{ damaged")
    calls = Calls()
    path = write(tmp_path, work="w", source=SCENE, render={})
    assert calls.run(path)["a"] == ("ran", "not done yet")


def test_a_step_that_fails_is_named_and_keeps_what_was_done(tmp_path):
    def fail(_):
        raise PipelineError("the sky is falling")

    steps = (*Calls().steps()[:1], Step("b", 1, ("a",), ("training",), fail))
    path = write(tmp_path, source=SCENE)
    with pytest.raises(PipelineError, match="b: the sky is falling"):
        list(run_steps(steps, read_configuration(path)))
    first = next(run_steps(steps, read_configuration(path)))
    assert first.action == "kept"


# --- the whole way --------------------------------------------------------------------------------

TINY = {
    "model": {"family": "voxel_grid",
              "configuration": {"cells": [4, 8], "occupancy": 8, "samples": 24, "warm_up": 4}},
    "training": {"first": 8, "later": 3, "rays": 128, "exclude_back": 1},
    "render": {"length": 3},
    "evaluate": {},
}  # fmt: skip


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
    assert "train: cuda:99: there are" in told(training=device)
    (tmp_path / "short.csv").write_text("frame,x,y,z,yaw,pitch,roll\n0,0,0,0,0,0,0\n")
    track = {"track": "short.csv"}
    assert "render: short.csv: 1 viewpoints for 2 frames" in told(render=track)


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


def test_videos_and_cameras_of_ones_own(tmp_path):
    from nmc_framework.cameras.formats import Lens, RigDocument, native
    from nmc_framework.scene import arc_rig, film

    rig = arc_rig(3, 1, (24, 20))
    film(tmp_path / "footage", rig.cameras, 2, 10)
    lenses = (Lens("opencv", {"k1": -0.05}), Lens("opencv", {"k1": 0.6}), Lens(), Lens())
    native.write(tmp_path / "rig.json", RigDocument(rig.cameras, lenses))
    videos = [f"footage/{camera.name}.mp4" for camera in rig.cameras]
    cameras = {"file": "rig.json", "held_out": ["test_00"], "size": "16x12"}
    path = write(tmp_path, source={"videos": videos}, cameras=cameras, **TINY)
    reports = {r.step: r for r in run_steps(STEPS, read_configuration(path))}
    assert reports["cameras"].result["held_out"] == ["test_00"]
    left = native.read(tmp_path / "work" / "cameras" / "cameras.json")
    assert {(c.width, c.height) for c in left.cameras} == {(16, 12)}
    assert all(lens.straight for lens in left.lenses)
    assert reports["evaluate"].result["psnr"] > 5
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


def test_training_that_runs_away_without_a_nan_is_refused(tmp_path):
    training = TINY["training"] | {"learning_rate": 1e6}
    path = write(tmp_path, source=SCENE, **(TINY | {"training": training}))
    with pytest.raises(PipelineError, match=r"train: frame 0: training diverged, levels.* reached"):
        list(run_steps(STEPS, read_configuration(path)))
    assert not list((tmp_path / "work" / "train").glob("*.safetensors"))
