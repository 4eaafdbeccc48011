"""Small sound inputs of every kind that ``fuzz_inputs`` damages."""

from __future__ import annotations

import base64
import gzip
import io
import json
import pickle
import struct
import sys
import warnings
import zipfile
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from safetensors.numpy import save_file

import nmc
from nmc_tools.adaptive.describe import present
from nmc_tools.checkpoints.writing import write

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "tests"))

import bridge_samples
from checkpoint_samples import field
from gaussian_samples import gaussians
from importer_samples import (
    bundle,
    glb,
    onnx_tensor,
    pack,
    persistent_pickle,
    snapshot,
    strangers,
    version_1,
)

MEDIA = (bytes(300_000), b"sound")
"""What unfinished packages carry."""


def journals(folder: Path) -> list[Path]:
    """Leave packages unfinished, in both forms, with media and without."""
    made = []
    for directory, carried in product((False, True), ((), MEDIA)):
        path = folder / f"{'m' * bool(carried)}{'d' if directory else 'f.nmc'}"
        media = [nmc.Media(data, name=f"{i}.bin", map={0: i}) for i, data in enumerate(carried)]
        writer = nmc.Writer(path, directory=directory, layers={"a": 0}, media=media)
        for t in range(3):
            state = {"a": np.full((4, 5), t, "f4"), "b": np.arange(t + 1)}
            colour = {"v": np.eye(3, 4)}
            writer.append(state, source_name=f"{t}.pth", extras={"t": t}, colour=colour)
        writer.set_quality(nmc.Quality(["v"], {"psnr": np.ones((3, 1))}))
        del writer
        made.append(path if directory else path.with_name(f"{path.name}.partial"))
    return made


def checkpoints(folder: Path) -> list[Path]:
    """Write a small checkpoint of each kind that is read."""
    state = {"w": np.arange(12, dtype="f4").reshape(3, 4), "b": np.ones(3, "f8")}
    save_file(state, folder / "a.safetensors")
    np.savez(folder / "a.npz", **state)
    np.savez_compressed(folder / "c.npz", **state)
    (folder / "p.pth").write_bytes(pickle.dumps(state, protocol=4))
    _torch(folder, state)
    with h5py.File(folder / "a.h5", "w") as file:
        for name, array in state.items():
            file[f"layer/{name}"] = array
    _keras(folder)
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 2\n"
    fields = "".join(f"property float {name}\n" for name in ("x", "y", "z", "opacity"))
    values = np.arange(8, dtype="<f4").tobytes()
    (folder / "a.ply").write_bytes((head + fields + "end_header\n").encode() + values)
    for to in ("ply", "spz", "gltf"):
        write(folder / f"g.{'glb' if to == 'gltf' else to}", gaussians(8, 1), to=to)
    (folder / "s.glb").write_bytes(glb(*strangers()))
    (folder / "s.splat").write_bytes(np.arange(64, dtype="u1").tobytes())
    data = pack(snapshot())
    (folder / "a.msgpack").write_bytes(data)
    (folder / "a.ingp").write_bytes(gzip.compress(data))
    (folder / "a.onnx").write_bytes(field(7, field(5, onnx_tensor("w", state["w"]))))
    bundle(folder / "tf", {"w/.ATTRIBUTES/VARIABLE_VALUE": state["w"], "n": np.arange(3)})
    _tensorflow(folder, state)
    _other_gaussians(folder)
    shards = folder / "shards"
    shards.mkdir()
    for i, (name, array) in enumerate(state.items(), 1):
        save_file({name: array}, shards / f"model-{i:05d}-of-00002.safetensors")
    owners = {name: f"model-{i:05d}-of-00002.safetensors" for i, name in enumerate(state, 1)}
    index = json.dumps({"metadata": {}, "weight_map": owners})
    (shards / "model.safetensors.index.json").write_text(index)
    return sorted(path for path in folder.iterdir() if path.name != "out")


def _tensorflow(folder: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint of version 1, and a SavedModel."""
    arrays = {"w": state["w"], "n": np.arange(3, dtype="<i8")}
    (folder / "model.ckpt").write_bytes(version_1(arrays))
    variables = {"w/.ATTRIBUTES/VARIABLE_VALUE": state["w"]}
    bundle(folder / "saved" / "variables" / "variables", variables)
    (folder / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")


def _other_gaussians(folder: Path) -> None:
    """Write glTF as JSON, .spz as it was before, and what the two trainers save."""
    import torch

    document, binary = strangers()
    kind = "data:application/octet-stream;base64,"
    document["buffers"][0]["uri"] = kind + base64.b64encode(binary).decode()
    (folder / "j.gltf").write_text(json.dumps(document))
    body = np.random.default_rng(0).integers(0, 256, 5 * 28, "u1").tobytes()
    packed = b"NGSP" + struct.pack("<IIBBBB", 2, 5, 1, 12, 1, 0) + body
    (folder / "old.spz").write_bytes(gzip.compress(packed))
    splats = {name: torch.ones(5, 3) for name in ("means", "scales", "sh0")}
    torch.save({"step": 10, "splats": splats}, folder / "gsplat.pt")
    names = ("xyz", "features_dc", "features_rest", "scaling", "rotation", "opacity")
    parameters = {name: torch.nn.Parameter(torch.ones(7, 3)) for name in names}
    optimizer = {"state": {0: {"step": 1}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    more = torch.ones(7), torch.ones(7, 1), torch.ones(7, 1)
    value = ((3, *parameters.values(), *more, optimizer, 5.25), 7000)
    torch.save(value, folder / "chkpnt7000.pth")


def _torch(folder: Path, state: dict[str, Any]) -> None:
    """Write the kinds of PyTorch: both its forms, TensoRF, and an agent of Stable-Baselines3."""
    import torch

    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    whole = {"model": tensors, "epoch": 3, "optimizer": {"state": {0: {"step": 1}}, "lr": [0.1]}}
    torch.save(whole, folder / "a.pt")
    torch.save(whole, folder / "b.pth", _use_new_zipfile_serialization=False)
    torch.save({"pipeline": {"_model.w": tensors["w"]}, "step": 3}, folder / "n.ckpt")
    mask = {"alphaMask.shape": (2, 2, 2), "alphaMask.mask": np.packbits(np.ones(8, bool))}
    mask |= {"alphaMask.aabb": torch.ones(2, 3)}
    tensorf = {"kwargs": {"aabb": torch.ones(2, 3)}, "state_dict": tensors, **mask}
    torch.save(tensorf, folder / "t.th")
    convs = {"head.0.weight": torch.ones(4, 3, 3, 3), "tail.1.bias": torch.ones(3)}
    torch.save(convs, folder / "edsr_x2.pt", _use_new_zipfile_serialization=False)
    network = {"G": None, "G_ema": torch.nn.Linear(3, 2)}
    (folder / "stylegan2.pkl").write_bytes(persistent_pickle(network))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions would have it written otherwise
        torch.jit.trace(torch.nn.Linear(3, 2), torch.ones(1, 3)).save(str(folder / "script.jit"))
    stream = io.BytesIO()
    torch.save(tensors, stream)
    with zipfile.ZipFile(folder / "ppo.zip", "w") as archive:
        archive.writestr("data", json.dumps({"num_timesteps": 8, "gamma": 0.9}))
        archive.writestr("policy.pth", stream.getvalue())
        archive.writestr("_stable_baselines3_version", "2.3.0")


def _keras(folder: Path) -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["layers/dense/vars/0"] = np.ones((2, 3), "f4")
    with zipfile.ZipFile(folder / "a.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0"}))
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", stream.getvalue())


def documents(folder: Path) -> list[Path]:
    """Describe two packages as qualities of one sequence."""
    for name, effort in (("low.nmc", "fast"), ("high.nmc", "strong")):
        with nmc.Writer(folder / name, key_every=2, effort=effort) as writer:
            for t in range(6):
                writer.append({"w": np.arange(60, dtype="f4") + t})
    made = present([folder / "low.nmc", folder / "high.nmc"], folder / "x.json", 0.01)
    (folder / "x.json").write_text(json.dumps(made.to_json()), encoding="utf-8")
    return [folder / "x.json"]


def keys(folder: Path) -> list[Path]:
    """Write a pair of keys, with a passphrase and without."""
    for name, passphrase in (("open", None), ("locked", "secret")):
        nmc.PrivateKey.generate("studio").write(folder / name, passphrase=passphrase)
    allowed = (folder / "open.pub").read_text().strip()
    (folder / "allowed").write_text(f'a@b namespaces="nmc-package,file" {allowed}\n# no key\n')
    return sorted(folder.iterdir())


def messages(folder: Path) -> list[Path]:
    """Write messages of a chain, each with the state that it builds on beside it."""
    states = bridge_samples.chain(3)
    made = []
    for number, (before, after) in enumerate(zip([None, *states], states, strict=False)):
        for entropy in ("none", "zstd", "nmc"):
            path = folder / f"{number}-{entropy}.nmcmsg"
            path.write_bytes(nmc.encode_delta(before, after, entropy=entropy))
            made.append(path)
    return made


def state_before(message: Path) -> dict[str, Any]:
    """Return the state that one of those messages builds on."""
    number = int(message.name.partition("-")[0])
    return bridge_samples.chain(3)[number - 1] if number else {}


def chains(folder: Path) -> list[Path]:
    """Write chains of delta checkpoints, each in a folder of its own."""
    states = bridge_samples.chain(3)
    for encoding in ("xor", "overwrite"):
        place = folder / encoding
        place.mkdir()
        save_file(states[0], place / "base.safetensors")
        for number, (old, new) in enumerate(pairwise(states), 1):
            bridge_samples.version(place / "versions", number, new, old, encoding)
    for encoding in ("gap_delta", "raw"):
        place = folder / encoding
        (place / "versions").mkdir(parents=True)
        save_file(states[0], place / "base.safetensors")
        for number, (old, new) in enumerate(pairwise(states), 1):
            file = place / "versions" / f"{number}.safetensors"
            bridge_samples.patch_of_trl(file, new, old, number, encoding)
    return sorted(folder.iterdir())
