"""safetensors, npz and Keras: what is written is read back, to the bit."""

from __future__ import annotations

import zipfile

import h5py
import ml_dtypes
import numpy as np
import pytest
import safetensors
from checkpoint_samples import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nmc_format.dtypes import DTYPES, PackedArray, numpy_dtype
from nmc_format.issues import FormatError
from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError

NUMBERS = [numpy_dtype(d) for d in DTYPES.values() if d.numpy_name]
NUMPY_ONLY = [dtype for dtype in NUMBERS if dtype.type.__module__ == "numpy"]


@st.composite
def states(draw, dtypes):
    names = draw(st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True))
    state = {}
    for name in names:
        dtype = draw(st.sampled_from(dtypes))
        shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
        count = int(np.prod(shape)) * dtype.itemsize
        data = np.frombuffer(draw(st.binary(min_size=count, max_size=count)), np.uint8)
        data = data & 1 if dtype == np.bool_ else data
        array = data.view(dtype).reshape(shape)
        state[name] = array.T if draw(st.booleans()) else array
    return state


def valid_text(name):
    return not any(0xD800 <= ord(c) < 0xE000 for c in name)


@pytest.mark.parametrize(("to", "dtypes"), [("safetensors", NUMBERS), ("npz", NUMPY_ONLY)])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_round_trip(tmp_path_factory, to, dtypes, data):
    state = data.draw(states(dtypes))
    path = tmp_path_factory.mktemp("any") / "a"
    if not all(valid_text(n) and (to != "npz" or "\0" not in n) for n in state):
        with pytest.raises(CheckpointError):
            checkpoints.write(path, state, to=to)
        assert not path.exists()
        return
    checkpoints.write(path, state, to=to)
    first = path.read_bytes()
    checkpoint = checkpoints.read(path)
    assert_same(checkpoint.state, state)
    assert checkpoint.source_format == to
    checkpoints.write(path, checkpoint.state, to=to, extra=checkpoint.extra)
    assert path.read_bytes() == first


def test_safetensors_of_packed_elements_and_metadata(tmp_path):
    state = {
        "i": np.arange(3, dtype=np.int8),
        "d": np.ones(2),
        "f4": PackedArray("F4", (2, 3), np.arange(3, dtype=np.uint8)),
        "f6": PackedArray("F6_E2M3", (4,), np.arange(3, dtype=np.uint8)),
    }
    path = tmp_path / "a.safetensors"
    checkpoints.write(path, state, to="safetensors", extra={"metadata": {"format": "pt"}})
    checkpoint = checkpoints.read(path)
    assert_same(checkpoint.state, state)
    assert checkpoint.extra == {"metadata": {"format": "pt"}}
    entries = dict(safetensors.deserialize(path.read_bytes()))
    assert bytes(entries["d"]["data"]) == np.ones(2).tobytes()
    for to in ("npz", "pt"):
        with pytest.raises(CheckpointError, match=r"'f4' is F4, which .* cannot hold"):
            checkpoints.write(tmp_path / "b", {"f4": state["f4"]}, to=to)


def test_safetensors_loads_in_torch(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    state = {"b": np.array([True]), "w": np.arange(4, dtype=ml_dtypes.bfloat16), "d": np.ones(2)}
    checkpoints.write(tmp_path / "a.safetensors", state, to="safetensors")
    loaded = load_file(tmp_path / "a.safetensors")
    assert torch.equal(loaded["w"], torch.arange(4).to(torch.bfloat16))
    assert torch.equal(loaded["d"], torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_npz_holds_no_bfloat16(tmp_path, dtype):
    with pytest.raises(CheckpointError, match=r"'w' is .*write safetensors or pt instead"):
        checkpoints.write(tmp_path / "a.npz", {"w": np.zeros(2, dtype)}, to="npz")
    np.savez(tmp_path / "b.npz", w=np.zeros(2, dtype))
    with pytest.raises(CheckpointError, match=r"array 'w'.*cannot be stored"):
        checkpoints.read(tmp_path / "b.npz")


def test_npz_of_numpy(tmp_path):
    state = {
        "a": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "b": np.arange(3, dtype=">i4"),
        "c": np.float16(2.5),
        "d": np.empty((0, 4)),
    }
    path = tmp_path / "a.npz"
    for save in (np.savez, np.savez_compressed):
        save(path, **state, who=np.array(["text"]), when=np.array(0, "M8[s]"))
        checkpoint = checkpoints.read(path)
        assert_same(checkpoint.state, {n: np.asarray(a) for n, a in state.items()})
        assert checkpoint.skipped == tuple(
            f"{name}: text or time, not a tensor" for name in ("who", "when")
        )
    with np.load(path, allow_pickle=False) as loaded:
        assert loaded["b"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "array",
    [np.array([{}], object), np.zeros(2, "f4,O"), np.zeros(2, "f4,i4"), np.zeros(2, "c16")],
    ids=["objects", "records with objects", "records", "complex128"],
)
def test_npz_arrays_that_are_refused_by_name(tmp_path, array):
    np.savez(tmp_path / "a.npz", ok=np.ones(1), odd=array)
    with pytest.raises(CheckpointError, match="array 'odd'"):
        checkpoints.read(tmp_path / "a.npz")


KERAS = {
    "dense/dense/kernel:0": np.arange(6, dtype=np.float32).reshape(2, 3),
    "dense/dense/bias:0": np.ones(3, np.float32),
    "bn/bn/moving_mean:0": np.ones(3, np.float32),
    "dense_10/dense_10/kernel:0": np.ones((3, 1), np.float16),
}


def keras_2(file, *, chunked=False):
    layers = ["dense", "pool", "bn", "dense_10"]
    names = [name.encode() for name in layers]
    if chunked:
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:2], names[2:]
    else:
        file.attrs["layer_names"] = names
    for layer in layers:
        weights = [n[len(layer) + 1 :] for n in KERAS if n.startswith(f"{layer}/")]
        group = file.create_group(layer)
        group.attrs["weight_names"] = [w.encode() for w in weights]
        for weight in weights:
            group[weight] = KERAS[f"{layer}/{weight}"]


@pytest.mark.sweep(4)
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_keras_2(tmp_path, chunked, whole):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        keras_2(file.create_group("model_weights") if whole else file, chunked=chunked)
        if whole:
            file["optimizer_weights/Adam/m:0"] = np.ones(3)
            file.attrs["model_config"] = "{}"
    checkpoint = checkpoints.read(path)
    assert_same(checkpoint.state, KERAS)
    assert checkpoint.source_format == "keras"
    assert checkpoint.buffers == {"bn/bn/moving_mean:0"}
    assert checkpoint.skipped == (("optimizer_weights: optimizer state",) if whole else ())
    assert list(checkpoints.read(path, key="dense").state) == ["dense/kernel:0", "dense/bias:0"]
    assert list(checkpoints.layers_of(list(KERAS)).values()) == [0, 0, 1, 2]


def keras_3(file):
    file["layers/dense_10/vars/0"] = np.ones(2, ">f4")
    file["layers/dense_2/vars/0"] = np.zeros((2, 2), np.float32)
    file.create_dataset("layers/dense_2/vars/10", data=np.ones(100), compression="gzip")
    file["layers/dense_2/vars/9"] = np.arange(2).astype(ml_dtypes.bfloat16)
    file["layers/dense_2/vars/9"].attrs["dtype"] = "bfloat16"
    file["layers/dense_2/vars/11"] = np.arange(2, dtype=np.float32)
    file["layers/dense_2/vars/11"].attrs["dtype"] = "bfloat16"
    file["layers/flag/vars/0"] = np.array([True, False])
    file["layers/text"] = "words"
    file["layers/none"] = h5py.Empty("f4")
    file.create_group("layers/relu/vars")
    file["optimizer/vars/0"] = np.ones(1)
    file["metrics/mean/vars/0"] = np.ones(1)


EXPECTED_3 = {
    "layers/dense_2/vars/0": np.zeros((2, 2), np.float32),
    "layers/dense_2/vars/9": np.arange(2).astype(ml_dtypes.bfloat16),
    "layers/dense_2/vars/10": np.ones(100),
    "layers/dense_2/vars/11": np.arange(2).astype(ml_dtypes.bfloat16),
    "layers/dense_10/vars/0": np.ones(2, np.float32),
    "layers/flag/vars/0": np.array([True, False]),
}
SKIPPED_3 = {
    "optimizer: optimizer state",
    "metrics: metric state",
    "layers/text: not a tensor",
    "layers/none: not a tensor",
}


def test_keras_3(tmp_path):
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        keras_3(file)
    plain = checkpoints.read(path)
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", "{}")
        archive.write(path, "model.weights.h5")
    for checkpoint in (plain, checkpoints.read(tmp_path / "a.keras")):
        assert_same(checkpoint.state, EXPECTED_3)
        assert set(checkpoint.skipped) == SKIPPED_3


@pytest.mark.sweep(3)
@pytest.mark.parametrize("form", ["3", "2", "zip"])
def test_keras_as_a_whole(tmp_path, form):
    """To resume from: the optimizer and the metrics too, as buffers, which are no weights."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        if form == "2":
            keras_2(file.create_group("model_weights"))
            file["optimizer_weights/Adam/m:0"] = np.ones(3)
        else:
            keras_3(file)
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
            archive.write(path, "model.weights.h5")
        path = tmp_path / "a.keras"
    found = checkpoints.read(path, keep="all")
    more = {"metrics/mean/vars/0": np.ones(1), "optimizer/vars/0": np.ones(1)}
    if form == "2":
        more = {"optimizer_weights/Adam/m:0": np.ones(3)}
    assert_same(found.state, (KERAS if form == "2" else EXPECTED_3) | more)
    assert more.keys() <= found.buffers
    assert found.buffers - more.keys() == checkpoints.read(path).buffers
    assert not any("state" in note for note in found.skipped)


def test_hdf5_that_reaches_outside_itself(tmp_path):
    def refused(fill, match):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            fill(file)
        with pytest.raises(CheckpointError, match=match):
            checkpoints.read(tmp_path / "a.h5")

    def external(file):
        file.create_dataset("w", (2,), "f4", external=[("other.bin", 0, 8)])

    def virtual(file):
        layout = h5py.VirtualLayout((2,), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "w", (2,))
        file.create_virtual_dataset("w", layout)

    def link(kind):
        return lambda file: file.__setitem__("w", kind)

    def cycle(file):
        file.create_group("a")["b"] = file["/"]

    def listed(file):
        keras_2(file)
        del file["dense/dense/kernel:0"]

    refused(external, "lies in another file")
    refused(virtual, "lies in another file")
    refused(link(h5py.ExternalLink("other.h5", "/w")), "soft or external link")
    refused(link(h5py.SoftLink("/v")), "soft or external link")
    refused(cycle, "linked twice")
    refused(listed, "names weight 'dense/kernel:0', which is not in it")
    refused(lambda f: f.create_dataset("w", (2**33,), "f4", chunks=(1024,)), "more bytes")
    refused(lambda f: f.create_dataset("w", (4,), "f4", scaleoffset=2, chunks=(4,)), "filter 6")
    refused(lambda f: f.create_dataset("w", (4,), "c16"), "complex128 cannot be stored")
    refused(lambda f: None, "holds no tensors")


@pytest.mark.parametrize(
    ("state", "to", "match"),
    [
        ({}, "npz", "no tensors"),
        ({"w": np.array(["a"])}, "npz", "'w': dtype"),
        ({"w": np.ones(1)}, "onnx", "unknown format 'onnx', expected safetensors, pt"),
        ({"\ud800": np.ones(1)}, "pt", "not valid text"),
    ],
)
def test_states_that_cannot_be_written(tmp_path, state, to, match):
    with pytest.raises(CheckpointError, match=match):
        checkpoints.write(tmp_path / "a", state, to=to)
    with pytest.raises(FormatError, match="host/not-found"):
        checkpoints.write(tmp_path / "no" / "a", {"w": np.ones(1)}, to="npz")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.npz"
    checkpoints.write(path, {"w": np.ones(1)}, to="npz")
    before = path.read_bytes()
    with pytest.raises(CheckpointError):
        checkpoints.write(path, {"w": np.ones(1), "x": np.ones(1, ml_dtypes.bfloat16)}, to="npz")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
