"""Which part of a training checkpoint is taken, and what is said about the rest."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError

torch = pytest.importorskip("torch")

W = torch.ones(2)
NET = {"fc.weight": W, "fc.bias": W}
ADAM = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": W}}, "param_groups": [{"lr": 0.1}]}


def read(tmp_path, value, key=None):
    torch.save(value, tmp_path / "a.ckpt")
    return checkpoints.read(tmp_path / "a.ckpt", key=key)


@pytest.mark.parametrize(
    ("value", "key", "names"),
    [
        (NET, "", ["fc.weight", "fc.bias"]),
        ({"state_dict": NET}, "state_dict", ["fc.weight", "fc.bias"]),
        ({"state_dict": {"model": NET}}, "state_dict.model", ["fc.weight", "fc.bias"]),
        ({"anything": NET, "epoch": 3}, "anything", ["fc.weight", "fc.bias"]),
        ({"fc": {"weight": W}}, "", ["fc.weight"]),
        ({"params": {"Dense_0": {"kernel": W}}}, "params", ["Dense_0.kernel"]),
        ({"coarse": NET, "fine": NET, "optimizer": ADAM}, "",
         ["coarse.fc.weight", "coarse.fc.bias", "fine.fc.weight", "fine.fc.bias"]),
        ({"model": NET, "ema": NET, "step": 1}, "model", ["fc.weight", "fc.bias"]),
        ({"ema": NET, "optim_state": {"m": W}}, "ema", ["fc.weight", "fc.bias"]),
        ({"net_ema": {"w": W}, "net_swa": {"w": W}}, "", ["net_ema.w", "net_swa.w"]),
        ({"params": {"a": W}, "batch_stats": {"b": W}}, "", ["params.a", "batch_stats.b"]),
        ({"model": {"w": W}, "temperature": torch.tensor(0.5)}, "", ["model.w", "temperature"]),
        ({"model": {"w": W}, "best_psnr": torch.tensor(30.0)}, "model", ["w"]),
        ({"splats": {"means": W, "sh0": W}, "step": 7}, "splats", ["means", "sh0"]),
        (([2, W, W, ADAM, 1.0], 30000), "0", ["1", "2"]),
        ({"model": [{"w": W}, {"w": W}]}, "model", ["0.w", "1.w"]),
        ({"loss": torch.tensor(1.0), "w": W}, "", ["loss", "w"]),
        (W, "", ["tensor"]),
    ],
)  # fmt: skip
def test_the_rule(tmp_path, value, key, names):
    checkpoint = read(tmp_path, value)
    assert (checkpoint.key, list(checkpoint.state)) == (key, names)


def test_what_is_left_out_is_named(tmp_path):
    value = {
        "model": NET,
        "model_ema": NET,
        "optimizer": ADAM,
        "lr_scheduler": {"last": torch.ones(1)},
        "scaler": {"scale": torch.ones(1)},
        "rng_state": torch.ones(1),
        "loss": torch.tensor(0.5),
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1),
        "score": np.float64(3.0),
    }
    del value["rng_state"]
    assert read(tmp_path, value).skipped == (
        "model_ema: an averaged copy of the weights; to take it, key='model_ema'",
        "optimizer: optimizer state; to take it, key='optimizer'",
        "lr_scheduler: scheduler state; to take it, key='lr_scheduler'",
        "scaler: gradient scaler state; to take it, key='scaler'",
        "loss: a metric",
        "epoch: int, not a tensor",
        "args: argparse.Namespace, not a tensor",
        f"score: {np.float64.__reduce__(np.float64(3))[0].__module__}.scalar, not a tensor",
    )


def test_thousands_of_loose_numbers_make_a_short_list(tmp_path):
    checkpoint = read(tmp_path, {"w": W, **{f"n{i}": i for i in range(1000)}})
    assert len(checkpoint.skipped) == 32
    assert checkpoint.skipped[-1] == "969 more entries"


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("optimizer", ["state.0.step", "state.0.exp_avg"]),
        ("optimizer.state.0", ["step", "exp_avg"]),
        ("nets.fine", ["fc.weight", "fc.bias"]),
        ("nets", ["coarse.fc.weight", "fine.fc.weight", "fine.fc.bias"]),
        ("nets.fine.fc", ["weight", "bias"]),
        ("a.b.c", ["w"]),
        ("nets.coarse.fc.weight", ["tensor"]),
    ],
)
def test_a_key_takes_exactly_what_lies_there(tmp_path, key, names):
    nets = {"coarse": {"fc.weight": W}, "fine": NET}
    checkpoint = read(tmp_path, {"nets": nets, "optimizer": ADAM, "a.b": {"c": {"w": W}}}, key)
    assert (checkpoint.key, list(checkpoint.state)) == (key, names)


def test_a_key_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match=r"no key 'model\.x': under 'model' there is fc"):
        read(tmp_path, {"model": NET}, key="model.x")
    with pytest.raises(CheckpointError, match="no tensor was found under key 'epoch'"):
        read(tmp_path, {"model": NET, "epoch": 1}, key="epoch")


@pytest.mark.parametrize("value", [{"optimizer": ADAM}, {"epoch": 3}, [1, "a"], 5, None, {}])
def test_no_weights(tmp_path, value):
    with pytest.raises(CheckpointError, match="no tensor was found in it"):
        read(tmp_path, value)


def test_two_tensors_of_one_name(tmp_path):
    with pytest.raises(CheckpointError, match="two tensors have the name"):
        read(tmp_path, {"a": {"b": W}, "a.b": W})


def test_flat_formats_take_a_key_too(tmp_path):
    state = {"fine.fc.weight": np.ones(2), "fine.fc.running_mean": np.ones(2), "g": np.ones(1)}
    for to in ("safetensors", "npz"):
        checkpoints.write(tmp_path / "a", state, to=to)
        checkpoint = checkpoints.read(tmp_path / "a", key="fine")
        assert list(checkpoint.state) == ["fc.weight", "fc.running_mean"]
        assert checkpoint.buffers == {"fc.running_mean"}
        assert list(checkpoints.read(tmp_path / "a", key="g").state) == ["g"]
        with pytest.raises(CheckpointError, match="the file holds 3 tensors"):
            checkpoints.read(tmp_path / "a", key="coarse")


def test_a_container_that_holds_itself(tmp_path):
    value = {"w": W, "me": {}}
    value["me"]["again"] = value
    with pytest.raises(CheckpointError, match="nest over 64 deep"):
        read(tmp_path, value)
    value = {"w": W, "me": []}
    value["me"].append(value["me"])
    assert list(read(tmp_path, value).state) == ["w"]


def test_keys_of_odd_kinds(tmp_path):
    odd = {(1, 2): W, None: W, 2.5: W, b"b": W, ((1, 2), 3): W}
    checkpoint = read(tmp_path, {"net": odd})
    assert list(checkpoint.state) == ["1.2", "None", "2.5", "b'b'", "Object"]


def test_containers_shared_many_times_over(tmp_path):
    node = {"w": W}
    for _ in range(40):
        node = {"a": node, "b": node}
    with pytest.raises(CheckpointError, match="ask for more"):
        read(tmp_path, node)
