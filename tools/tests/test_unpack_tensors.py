"""``nmc unpack --tensor``: some tensors of each frame."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

import nmc
from nmc_tools.cli import app


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "x.nmc"
    with nmc.Writer(path) as writer:
        for t in range(3):
            state = {f"layers.{i}.weight": np.full((3, 2), 10 * i + t, "f4") for i in range(3)}
            writer.append(state | {"step": np.array(t)})
    return path


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_pattern_chooses_tensors(package, tmp_path) -> None:
    out = tmp_path / "frames"
    done = run("unpack", package, "-o", out, "--tensor", "layers.[12].*", "--tensor", "step")
    assert done.exit_code == 0, done.output
    for t in range(3):
        state = load_file(out / f"frame_{t:08d}.safetensors")
        assert sorted(state) == ["layers.1.weight", "layers.2.weight", "step"]
        assert (state["layers.2.weight"] == 20 + t).all()


def test_a_pattern_that_names_nothing_is_refused(package, tmp_path) -> None:
    done = run("unpack", package, "-o", tmp_path / "f", "--tensor", "step", "--tensor", "Layers.*")
    assert done.exit_code == 1
    assert "no tensor 'Layers.*'" in f"{done.output} {done.exception}"


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_files_are_the_same_on_any_number_of_threads(tmp_path, jobs) -> None:
    path = tmp_path / "x.nmc"
    with nmc.Writer(path, key_every=2) as writer:
        for t in range(7):
            writer.append({"w": np.arange(40, dtype="f4") * (1 + t)})
    done = run("unpack", path, "-o", tmp_path / "f", "--jobs", jobs, "--frames", "6,0-4")
    assert done.exit_code == 0, done.output
    names = sorted(file.name for file in (tmp_path / "f").iterdir())
    assert names == [f"frame_{t:08d}.safetensors" for t in (0, 1, 2, 3, 4, 6)]
    for t in (0, 1, 2, 3, 4, 6):
        state = load_file(tmp_path / "f" / f"frame_{t:08d}.safetensors")
        assert (state["w"] == np.arange(40, dtype="f4") * (1 + t)).all()
    again = run("unpack", path, "-o", tmp_path / "f", "--jobs", jobs)
    assert again.exit_code == 1
    assert "host/exists" in f"{again.output} {again.exception!r}"
