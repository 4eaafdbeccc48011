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
