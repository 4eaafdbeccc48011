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
    assert [v["layers"] for v in found["variants"]["variants"]] == [[1, 4], [13, 16]]
    text = tables(found, 32, "a machine")
    for told in ("| multi-view |", "| single-view |", "| 13 to 16 |", "| background |",
                 "| another viewpoint | 1 to 4 |", "pictures shown"):  # fmt: skip
        assert told in text, told
