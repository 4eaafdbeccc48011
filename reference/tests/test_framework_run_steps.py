"""Runs by configuration: what is refused and where; which step is done again, and why."""

import pytest
import yaml
from run_samples import SCENE, write

from nmc_framework.pipeline import (
    STEPS,
    ConfigurationError,
    PipelineError,
    Step,
    example,
    read_configuration,
    run_steps,
)
from nmc_framework.pipeline.configuration import _schema

# --- the configuration ----------------------------------------------------------------------------


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
        ({"source": SCENE, "training": {"rate": "cheap"}}, "write such as 0.1, or auto"),
        ({"source": SCENE, "cameras": {"held_out": [1]}}, "is 1; expected a text: write it in quo"),
        ({"source": SCENE, "training": {"rate": []}}, "expected a number or a text"),
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
