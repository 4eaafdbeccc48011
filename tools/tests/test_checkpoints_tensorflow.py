"""Checkpoints and saved models of TensorFlow, written here byte by byte."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from checkpoint_samples import assert_same
from importer_samples import bundle, version_1

from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError

END = "/.ATTRIBUTES/VARIABLE_VALUE"


OBJECTS = {
    f"layer/bias{END}": np.arange(3, dtype="<f4"),
    f"layer/kernel{END}": np.arange(6, dtype="<f8").reshape(2, 3),
    f"layer/scale{END}": np.ones((), ml_dtypes.bfloat16),
    f"layer/none{END}": np.empty((0, 2), "<f2"),
    f"layer/kernel/.OPTIMIZER_SLOT/optimizer/m{END}": np.zeros((2, 3)),
    f"optimizer/iter{END}": np.array(3),
    f"save_counter{END}": np.array(1),
}


@pytest.mark.parametrize("shards", [1, 3])
def test_tensorflow_2(tmp_path, shards):
    prefix = bundle(tmp_path / "ck pt-3", OBJECTS, shards=shards)
    (source,) = checkpoints.select([prefix]).sources
    checkpoint = checkpoints.read_source(source, checkpoints.read)
    expected = {n.removesuffix(END): a for n, a in sorted(OBJECTS.items())[1:]}
    weights = {n: a for n, a in expected.items() if "/." not in n and "layer" in n}
    weights["layer/bias"] = OBJECTS[f"layer/bias{END}"]
    assert_same(dict(sorted(checkpoint.state.items())), dict(sorted(weights.items())))
    assert checkpoint.source_format == "tensorflow"
    whole = checkpoints.read(source.paths[0], keep="all")
    assert len(whole.state) == len(OBJECTS)
    assert "save_counter" in whole.buffers


def test_slots_of_variables_by_name(tmp_path):
    tensors = {"w": np.ones(2), "w/Adam": np.ones(2), "Adam": np.ones(1), "global_step": np.ones(1)}
    path = bundle(tmp_path / "model.ckpt-5", tensors).with_name("model.ckpt-5.index")
    assert sorted(checkpoints.read(path).state) == ["Adam", "w"]


def test_a_saved_model(tmp_path):
    bundle(tmp_path / "model" / "variables" / "variables", OBJECTS)
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"\x08\x01")
    (source,) = checkpoints.select([tmp_path / "model"]).sources
    assert source.name == "model"
    by_file = checkpoints.read(tmp_path / "model" / "saved_model.pb")
    assert_same(checkpoints.read_source(source, checkpoints.read).state, by_file.state)
    assert len(by_file.state) == 4


def test_damaged_tensorflow(tmp_path):
    index = bundle(tmp_path / "a", OBJECTS).with_name("a.index")
    data = tmp_path / "a.data-00000-of-00001"
    good, content = index.read_bytes(), data.read_bytes()
    data.write_bytes(content[:-1])
    with pytest.raises(CheckpointError, match="data file is truncated"):
        checkpoints.read(index, keep="all")
    data.write_bytes(content.replace(np.float32(2).tobytes(), np.float32(3).tobytes()))
    with pytest.raises(CheckpointError, match="checksum of layer/bias"):
        checkpoints.read(index)
    data.unlink()
    with pytest.raises(CheckpointError, match="data-00000-of-00001 is not beside it"):
        checkpoints.read(index)
    data.write_bytes(content)
    for at in range(0, len(good), 7):
        index.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        try:
            checkpoints.read(index)
        except CheckpointError as error:
            assert "malformed: " not in str(error) or "\n" not in str(error)
        index.write_bytes(good[:at])
        with pytest.raises(CheckpointError):
            checkpoints.read(index)


def test_tensorflow_1(tmp_path):
    arrays = {"b": np.arange(3, dtype="<f4"), "n": np.array([-1, 5], "<i8")}
    (tmp_path / "model.ckpt").write_bytes(version_1(arrays))
    checkpoint = checkpoints.read(tmp_path / "model.ckpt")
    assert_same(checkpoint.state, arrays)
    assert checkpoint.source_format == "tensorflow-1"
