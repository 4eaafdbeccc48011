"""``nmc pack``: what it says of doubtful inputs, and what it keeps of their sources."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import nmc

torch = pytest.importorskip("torch")


@pytest.fixture
def run(tmp_path):
    """Three epochs of a small model, and the best of them under another name."""
    folder = tmp_path / "run"
    folder.mkdir()
    for epoch in (2, 10, 1):
        weights = {"a.weight": torch.full((4, 4), float(epoch)), "a.bias": torch.zeros(4)}
        state = {"state": {0: {"exp_avg": torch.ones(4, 4)}}, "param_groups": [{"lr": 0.1}]}
        value = {"epoch": epoch, "loss": 1 / epoch, "model": weights, "optimizer": state}
        torch.save(value, folder / f"epoch_{epoch}.pth")
    torch.save({"model": weights}, folder / "best.pth")
    return folder


def frames(path):
    with nmc.open(path) as sequence:
        return [
            (f.source_name, json.loads(f.extras_text or "{}"), sorted(sequence[t]))
            for t, f in enumerate(sequence.frames)
        ]


def test_names_and_figures_of_the_sources_are_kept(command_line, run, tmp_path):
    outcome = command_line("pack", run, "-o", tmp_path / "a.nmc")
    assert outcome.code == 0, outcome.err
    assert "best.pth: has no number" in outcome.err
    found = frames(tmp_path / "a.nmc")
    assert [name for name, _, _ in found] == ["epoch_1.pth", "epoch_2.pth", "epoch_10.pth"]
    assert found[2][1] == {"epoch": 10, "loss": 0.1}
    assert found[0][2] == ["a.bias", "a.weight"]


def test_all_is_kept(command_line, run, tmp_path):
    outcome = command_line("pack", run, "-o", tmp_path / "a.nmc", "--keep", "all")
    assert outcome.code == 0, outcome.err
    found = frames(tmp_path / "a.nmc")
    assert found[0][2] == ["a.bias", "a.weight", "optimizer.state.0.exp_avg"]
    assert "tree_changes" in found[2][1]
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert sequence.configuration["checkpoint"]["keep"] == "all"
    described = json.loads(command_line("inspect", tmp_path / "a.nmc", "--json").out)
    roles = {row["name"]: row["role"] for row in described["model"]["tensors"]}
    assert roles["optimizer.state.0.exp_avg"] != roles["a.weight"]


def test_the_order_of_the_command_line(command_line, run, tmp_path):
    given = [run / f"epoch_{i}.pth" for i in (10, 1, 2)]
    assert command_line("pack", *given, "-o", tmp_path / "a.nmc").code == 0
    assert [name for name, _, _ in frames(tmp_path / "a.nmc")] == [p.name for p in given]


def test_several_keys(command_line, run, tmp_path):
    outcome = command_line(
        "pack", run, "-o", tmp_path / "a.nmc", "--key", "model", "--key", "optimizer.state"
    )
    assert outcome.code == 0, outcome.err
    expected = ["model.a.bias", "model.a.weight", "optimizer.state.0.exp_avg"]
    assert frames(tmp_path / "a.nmc")[0][2] == expected


def test_unrelated_models(command_line, tmp_path):
    save_file({"a": np.ones(3, np.float32)}, tmp_path / "m_1.safetensors")
    save_file({"b": np.ones((2, 2), np.float32)}, tmp_path / "m_2.safetensors")
    outcome = command_line("pack", tmp_path, "-o", tmp_path / "out" / ".." / "a.nmc")
    assert outcome.code == 1
    assert "is another model than the one before it" in outcome.err
    assert "--unrelated" in outcome.err
    arguments = ["pack", tmp_path, "-o", tmp_path / "b.nmc", "--unrelated"]
    outcome = command_line(*arguments)
    assert outcome.code == 0, outcome.err
    assert "is it of the same chain?" in outcome.err


def test_models_that_were_not_trained_from_each_other(command_line, tmp_path):
    """Where a delta would be larger, a key frame is made: it is said, and not only done."""
    rng = np.random.default_rng(0)
    for t in range(3):
        state = {"w": rng.integers(0, 256, 4000, np.uint8)}
        save_file(state, tmp_path / f"m_{t}.safetensors")
    outcome = command_line("pack", tmp_path, "-o", tmp_path / "a.nmc")
    assert outcome.code == 0, outcome.err
    with nmc.open(tmp_path / "a.nmc") as sequence:
        keys = sum(frame.coding == "key" for frame in sequence.frames)
    assert outcome.err.count("became a key frame") == keys - 1
