"""``nmc bench inverse``: all its steps at a toy size, kept, and told as tables."""

import json

import pytest

pytest.importorskip("torch")

from nmc_tools.bench_inverse import run as bench
from nmc_tools.bench_inverse.table import tables
from nmc_tools.commands import inverse_generator


@pytest.fixture
def toy(monkeypatch):
    tiny = {"sides": [4, 8, 16, 32], "layers": [1, 3, 6, 5], "channels": [4, 4, 4, 4]}
    monkeypatch.setitem(inverse_generator.SIZES, 32, tiny)
    monkeypatch.setattr(bench, "ITERATIONS", dict.fromkeys(bench.ITERATIONS, 2))
    real = bench.trained_annotator
    monkeypatch.setattr(bench, "trained_annotator", lambda *a: real(*a, iterations=2))


@pytest.mark.slow
def test_every_step_is_measured_and_kept(run, toy, tmp_path):
    options = ["-o", tmp_path, "--size", 32, "--objects", 8]
    done = run("bench", "inverse", *options, "--only", "multi-view", "--json")
    assert done.code == 0 and list(json.loads(done.out)) == ["multi-view"], done
    before = (tmp_path / "multi-view.json").stat().st_mtime_ns
    done = run("bench", "inverse", *options, "--json")
    assert done.code == 0, done
    assert (tmp_path / "multi-view.json").stat().st_mtime_ns == before
    found = json.loads(done.out)
    assert list(found) == list(bench.STEPS)
    assert found["multi-view"]["iterations"] == found["generator"]["iterations"] == 2
    assert found["closed"]["iterations"] in (0, 2)
    assert [v["layers"] for v in found["variants"]["variants"]] == [[1, 4], [13, 16]]
    text = tables(found, 32, "a machine")
    for told in ("| multi-view |", "| single-view |", "| 13 to 16 |", "| background |",
                 "| another viewpoint | 1 to 4 |", "pictures shown"):  # fmt: skip
        assert told in text, told


def test_a_step_brings_along_what_it_begins_with_and_keeps_what_was_measured(tmp_path, monkeypatch):
    """The order, the needs and what is kept; nothing is trained."""
    done = []

    def step(name):
        def work(request, tell):
            done.append(name)
            request.package(name).write_bytes(b"")
            (tmp_path / bench.GENERATED).mkdir(exist_ok=True)
            (tmp_path / bench.GENERATED / "views.json").write_text("{}")
            return {"share": request.share}

        return work

    monkeypatch.setattr(bench, "STEPS", {name: step(name) for name in bench.STEPS})

    def carried_out(*only, share=1.0, size=32):
        done.clear()
        request = bench.Request(tmp_path, size=size, share=share, only=only)
        return bench.run(request, lambda *_: None)

    found = carried_out("layers", share=0.25)
    assert done == ["multi-view", "generator", "layers"] == list(found)
    found = carried_out("generator", "layers")
    assert done == ["generator", "layers"]
    assert {name: f["share"] for name, f in found.items()} == {
        "multi-view": 0.25, "generator": 1.0, "layers": 1.0
    }  # fmt: skip
    carried_out("generator", "layers")
    assert done == []
    assert list(carried_out("variants", size=64)) == [
        "variants"
    ]  # other figures are of another set


def test_tables_say_what_layers_change_and_what_learned_from_the_set():
    shares = dict.fromkeys(("viewpoint", "shape", "colour", "background"), (0.1, 0.5))
    found = {
        "layers": {
            "azimuth_off": 4.0,
            "groups": [{"first": 1, "last": 4, **shares}],
            "set": {"kept": 50, "made": 60, "spread": 3.0},
        },
        "closed": {
            "iterations": 9, "objects": 50, "same": 0.8, "other": 0.7, "processor_seconds": 3.0
        },
    }  # fmt: skip
    text = tables(found, 64, "a machine")
    assert "| 1 to 4 | 50% | 50% | 50% | 50% |" in text
    assert "learned from 50 objects of that set alone: IoU 0.800" in text
    assert "no set of it" in tables({"layers": found["layers"] | {"set": None}}, 64, "x")
