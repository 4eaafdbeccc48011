"""Checkpoints of other programs: every tensor, name and element type as they are in the file."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import struct
import zipfile
import zlib
from collections import OrderedDict

import numpy as np
import pytest
from checkpoint_samples import assert_same, field
from importer_samples import onnx_tensor, pack, snapshot

from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError
from nmc_tools.checkpoints.nesting import changes, restore, tree_of


@pytest.mark.parametrize("name", ["a.msgpack", "a.ingp"])
def test_instant_ngp(tmp_path, name):
    data = pack(snapshot())
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("ingp") else data)
    checkpoint = checkpoints.read(tmp_path / name)
    expected = {
        "snapshot.params_binary": np.arange(10, dtype="<f2"),
        "snapshot.density_grid_binary": np.arange(16, dtype="<f2"),
        "snapshot.nerf.extra_dims_binary": np.frombuffer(b"abc", np.uint8),
    }
    assert_same(checkpoint.state, expected)
    assert checkpoint.scalars == {"snapshot.training_step": 1000, "snapshot.loss": 0.25}
    kept = checkpoint.extra["snapshot"]
    assert kept["encoding"] == {"otype": "HashGrid", "n_levels": 16, "per_level_scale": "inf"}
    assert kept["snapshot"]["nerf"] == {"aabb_scale": 2}
    assert checkpoint.skipped == ("snapshot.optimizer: optimizer state",)
    whole = checkpoints.read(tmp_path / name, keep="all")
    assert "snapshot.optimizer.first_moments_binary" in whole.state
    json.dumps(whole.extra, allow_nan=False)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"params_binary": b"abc"}, "not whole elements"),
        ({"n_params": 11}, "holds 10 parameters, and says that there are 11"),
        ({"density_grid_binary": bytes(18)}, "not cascades of 2 cubed"),
    ],
)
def test_snapshots_that_contradict_themselves(tmp_path, more, match):
    (tmp_path / "a.msgpack").write_bytes(pack(snapshot(**more)))
    with pytest.raises(CheckpointError, match=match):
        checkpoints.read(tmp_path / "a.msgpack")


def test_msgpack_that_is_no_snapshot(tmp_path):
    (tmp_path / "a.msgpack").write_bytes(pack({"params": {}}))
    with pytest.raises(CheckpointError, match="no snapshot of instant-ngp"):
        checkpoints.read(tmp_path / "a.msgpack")
    data = pack(snapshot())
    for end in (10, len(data) // 2, len(data) - 1):
        (tmp_path / "a.msgpack").write_bytes(data[:end])
        with pytest.raises(CheckpointError, match=r"claims|more than bytes are left"):
            checkpoints.read(tmp_path / "a.msgpack")


def test_onnx(tmp_path):
    w = np.arange(6, dtype="<f4").reshape(2, 3)
    inner = field(5, onnx_tensor("w", w.astype("<f2")))
    node = field(3, b"if_0") + field(5, field(1, b"then_branch") + field(6, inner))
    constant = field(2, b"c") + field(5, field(1, b"value") + field(5, onnx_tensor("", w)))
    graph = field(5, onnx_tensor("w", w)) + field(1, node) + field(1, constant)
    n = np.array([-2, 7])
    graph += field(5, onnx_tensor("n", n, raw=False))
    (tmp_path / "a.onnx").write_bytes(field(1, 8) + field(7, graph))
    expected = {"w": w, "if_0.then_branch.w": w.astype("<f2"), "c": w, "n": n}
    assert_same(checkpoints.read(tmp_path / "a.onnx").state, expected)
    external = onnx_tensor("w", w)[:-26] + field(14, 1)
    (tmp_path / "b.onnx").write_bytes(field(7, field(5, external)))
    with pytest.raises(CheckpointError, match="in another file"):
        checkpoints.read(tmp_path / "b.onnx")


def test_splats_of_viewers(tmp_path):
    row = np.arange(6, dtype="<f4").tobytes() + bytes(range(8))
    (tmp_path / "a.splat").write_bytes(row * 3)
    state = checkpoints.read(tmp_path / "a.splat").state
    assert {n: (a.dtype.name, a.shape) for n, a in state.items()} == {
        "position": ("float32", (3, 3)),
        "scale": ("float32", (3, 3)),
        "colors": ("uint8", (3, 4)),
        "rotation": ("uint8", (3, 4)),
    }
    (tmp_path / "a.splat").write_bytes(row + b"x")
    with pytest.raises(CheckpointError, match="not whole Gaussians"):
        checkpoints.read(tmp_path / "a.splat")
    data = b"NGSP" + struct.pack("<IIBBBB", 2, 3, 1, 12, 0, 0) + bytes(3 * 28)
    (tmp_path / "a.spz").write_bytes(gzip.compress(data))
    spz = checkpoints.read(tmp_path / "a.spz")
    assert spz.state["sh"].shape == (3, 9)
    (tmp_path / "a.spz").write_bytes(gzip.compress(data[:-1]))
    with pytest.raises(CheckpointError, match="promises 3 Gaussians"):
        checkpoints.read(tmp_path / "a.spz")
    assert zlib.crc32(data) != 0


torch = pytest.importorskip("torch")


def arrays(tensors):
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def test_tensorf_with_its_alpha_mask(tmp_path):
    volume = np.arange(64).reshape(4, 4, 4) % 3 == 0
    weights = OrderedDict(basis=torch.ones(3, 2), plane=torch.zeros(1, 4, 2, 2))
    value = {
        "kwargs": {"step_ratio": 0.5, "aabb": torch.ones(2, 3)},
        "state_dict": weights,
        "alphaMask.shape": volume.shape,
        "alphaMask.mask": np.packbits(volume.reshape(-1)),
        "alphaMask.aabb": torch.ones(2, 3),
    }
    torch.save(value, tmp_path / "a.th")
    (path,) = checkpoints.expand([tmp_path])
    checkpoint = checkpoints.read(path)
    assert np.array_equal(
        np.unpackbits(checkpoint.state["alphaMask.mask"])[:64].reshape(4, 4, 4), volume
    )
    assert {"state_dict.basis", "state_dict.plane", "alphaMask.aabb"} < checkpoint.state.keys()
    assert checkpoint.scalars["alphaMask.shape"] == [4, 4, 4]
    assert checkpoint.scalars["kwargs.step_ratio"] == 0.5


def test_nerfstudio_and_gsplat(tmp_path):
    pipeline = {"_model.field.mlp.params": torch.ones(4), "_model.camera.weight": torch.ones(2)}
    value = {
        "step": 29_999,
        "pipeline": pipeline,
        "optimizers": {"fields": {"state": {0: {"exp_avg": torch.ones(4)}}, "param_groups": []}},
        "schedulers": {"fields": {"last_epoch": 3}},
        "scalers": {"scale": 65536.0},
    }
    folder = tmp_path / "run" / "nerfstudio_models"
    folder.mkdir(parents=True)
    torch.save(value, folder / "step-000029999.ckpt")
    (path,) = checkpoints.expand([tmp_path / "run"])
    checkpoint = checkpoints.read(path)
    assert_same(checkpoint.state, arrays(pipeline))
    assert checkpoint.scalars["step"] == 29_999
    splats = {name: torch.ones(5, 3) for name in ("means", "scales", "sh0")}
    torch.save({"step": 10, "splats": splats}, tmp_path / "ckpt_10_rank0.pt")
    assert_same(checkpoints.read(tmp_path / "ckpt_10_rank0.pt").state, arrays(splats))
    torch.save({"step": 10, "splats": splats}, tmp_path / "ckpt_10_rank1.pt")
    with pytest.raises(CheckpointError, match="one of several processes"):
        checkpoints.expand([tmp_path])


def test_chkpnt_of_gaussian_splatting(tmp_path):
    names = ("xyz", "features_dc", "features_rest", "scaling", "rotation", "opacity")
    parameters = {name: torch.nn.Parameter(torch.rand(7, 3)) for name in names}
    optimizer = torch.optim.Adam(list(parameters.values()), lr=1e-3)
    sum(p.sum() for p in parameters.values()).backward()
    optimizer.step()
    training = torch.rand(7), torch.rand(7, 1), torch.rand(7, 1)
    value = ((3, *parameters.values(), *training, optimizer.state_dict(), 5.25), 7000)
    torch.save(value, tmp_path / "chkpnt7000.pth")
    checkpoint = checkpoints.read(tmp_path / "chkpnt7000.pth")
    assert_same(checkpoint.state, arrays(parameters))
    whole = checkpoints.read(tmp_path / "chkpnt7000.pth", keep="all")
    assert list(whole.state)[:6] == list(names)
    assert whole.buffers == frozenset(whole.state) - set(names)
    back = restored(whole.tree, whole.state)
    assert isinstance(back[0][1], torch.nn.Parameter)
    torch.optim.Adam([torch.nn.Parameter(p) for p in back[0][1:7]]).load_state_dict(back[0][10])
    assert (back[1], back[0][11]) == (7000, 5.25)


def restored(tree, state):
    def make_tensor(array, parameter, requires_grad):
        tensor = torch.from_numpy(array.copy())
        return torch.nn.Parameter(tensor, requires_grad=requires_grad) if parameter else tensor

    return restore(tree, state, make_tensor=make_tensor, make_other=lambda node: node)


def assert_equal(a, b):
    assert type(a) is type(b) or isinstance(b, argparse.Namespace)
    if isinstance(b, dict):
        assert list(a) == list(b)
        for key in b:
            assert_equal(a[key], b[key])
    elif isinstance(b, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    elif isinstance(b, torch.Tensor | np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert bool((a == b).all())
    elif isinstance(b, argparse.Namespace):
        assert a == {"object": "argparse.Namespace", "state": vars(b)}
    else:
        assert a == b or b != b


def training(epoch):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epoch):
        model(torch.rand(8, 3)).square().mean().backward()
        optimizer.step()
    return {
        "epoch": epoch,
        "loss": torch.tensor(0.5),
        "best": float("inf"),
        "big": 2**80,
        "raw": b"\x00\xff",
        "flags": {1: True, (1, "a"): None, 2.5: {3, 4}},
        "history": [0.1 * i for i in range(40 + epoch)],
        "curve": np.arange(3.0),
        "python_rng": random.Random(epoch).getstate(),
        "numpy_rng": ("MT19937", np.arange(4, dtype=np.uint32), 3, 0, 0.0),
        "torch_rng": torch.get_rng_state(),
        "args": argparse.Namespace(lr=1e-3, name="run"),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_all_of_a_training_is_kept(tmp_path, zipped):
    """Every frame comes back from the tree of the first and its own changes."""
    frames = [training(epoch) for epoch in range(3)]
    read = []
    for i, frame in enumerate(frames):
        path = tmp_path / f"{i}.pth"
        torch.save(frame, path, _use_new_zipfile_serialization=zipped)
        read.append(checkpoints.read(path, keep="all"))
    weights = checkpoints.read(tmp_path / "0.pth")
    assert set(weights.state) == set(frames[0]["model"])
    assert weights.scalars["epoch"] == 0
    assert weights.scalars["loss"] == 0.5
    # A manifest keeps no order of names in JSON objects.
    kept = json.loads(json.dumps(read[0].tree, sort_keys=True, allow_nan=False))
    configuration = {"checkpoint": {"tree": kept}}
    for frame, checkpoint in zip(frames, read, strict=True):
        assert list(checkpoint.state)[: len(frame["model"])] == list(frame["model"])
        changed = changes(read[0].tree, checkpoint.tree)
        extras = {"tree_changes": json.loads(json.dumps(changed, sort_keys=True))}
        back = restored(tree_of(configuration, extras), checkpoint.state)
        assert isinstance(back["flags"].pop(2.5), set)
        frame["flags"].pop(2.5)
        assert_equal(back, frame)
        assert back["model"]._metadata == frame["model"]._metadata


def test_agents_of_stable_baselines(tmp_path):
    def saved(value):
        stream = io.BytesIO()
        torch.save(value, stream)
        return stream.getvalue()

    policy = OrderedDict({"mlp_extractor.policy_net.0.weight": torch.rand(4, 3)})
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict()
    with zipfile.ZipFile(tmp_path / "ppo.zip", "w") as archive:
        data = {"num_timesteps": 2048, "gamma": 0.99, "policy_class": {":type:": "x"}}
        archive.writestr("data", json.dumps(data))
        archive.writestr("pytorch_variables.pth", saved({"log_ent_coef": torch.zeros(1)}))
        archive.writestr("policy.optimizer.pth", saved(optimizer))
        archive.writestr("policy.pth", saved(policy))
        archive.writestr("_stable_baselines3_version", "2.3.0")
    checkpoint = checkpoints.read(tmp_path / "ppo.zip")
    assert list(checkpoint.state) == [*policy, "pytorch_variables.log_ent_coef"]
    assert checkpoint.scalars == {"num_timesteps": 2048, "gamma": 0.99}
    assert checkpoint.skipped == ("policy.optimizer: optimizer state",)


def test_several_keys(tmp_path):
    torch.save({"coarse": {"w": torch.ones(1)}, "fine": {"w": torch.ones(2)}}, tmp_path / "a.pt")
    both = checkpoints.read(tmp_path / "a.pt", key=["fine", "coarse"])
    assert {n: a.shape for n, a in both.state.items()} == {"fine.w": (2,), "coarse.w": (1,)}
    with pytest.raises(CheckpointError, match="take the same tensors"):
        checkpoints.read(tmp_path / "a.pt", key=["fine", "fine"])
    np.savez(tmp_path / "a.npz", **{"a.w": np.ones(1), "b.w": np.ones(2), "c.w": np.ones(3)})
    assert set(checkpoints.read(tmp_path / "a.npz", key=["a", "b"]).state) == {"a.w", "b.w"}


def test_a_ply_file_with_two_models(tmp_path):
    part = b"element vertex 1\nproperty float x\n"
    data = b"ply\nformat ascii 1.0\n" + part + part + b"end_header\n1\n2\n"
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(CheckpointError, match="an element twice"):
        checkpoints.read(tmp_path / "a.ply")
