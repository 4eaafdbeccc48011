"""Real files of other programs: each is read to the bit, or refused for the right reason."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from nmc_format.dtypes import to_words
from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError

_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data"
DATA = Path(os.environ.get("NMC_SHARED_DATA", _BESIDE)) / "checkpoints"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not on this host")

READABLE = {
    "gs_ply_pc_short/pc_short.ply": ("ply", 7),
    "lpips_linear/v0.0/alex.pth": ("torch-legacy", 5),
    "lpips_linear/v0.0/squeeze.pth": ("torch-legacy", 7),
    "lpips_linear/v0.0/vgg.pth": ("torch-legacy", 5),
    "lpips_linear/v0.1/alex.pth": ("torch-legacy", 5),
    "lpips_linear/v0.1/squeeze.pth": ("torch-legacy", 7),
    "lpips_linear/v0.1/vgg.pth": ("torch-legacy", 5),
    "nerf_pytorch_ckpt/lego-lowres/checkpoint199999.ckpt": ("torch-legacy", 32),
    "pytorch_model_bin/new_pytorch_model.bin": ("torch", 1),
    "pytorch_model_bin/pytorch_model.bin": ("torch-legacy", 38),
    "resnet56_nncodec/ResNet56_CIF100.pt": ("torch", 350),
    "silero_multi_format/silero_vad_half.onnx": ("onnx", 164),
    "splat_minimal/minimal.splat": ("splat", 4),
    "splat_minimal/minimal-raw.spz": ("spz", 6),
    "splat_minimal/minimal-v2.spz": ("spz", 6),
    "splat_minimal/minimal-v3.spz": ("spz", 6),
    "splat_minimal/minimal-v4.spz": ("spz", 6),
    "srcnn_tf_ckpt/checkpoint/srcnn_21/SRCNN.model-203320.index": ("tensorflow", 6),
    "srcnn_tf_ckpt/checkpoint/srcnn_21/SRCNN.model-2550000": ("tensorflow-1", 6),
    "tf_pinn/approximate_plane_case10/cp.ckpt.index": ("tensorflow", 12),
    "silero_multi_format/silero_vad.jit": ("torchscript", 30),
    "silero_multi_format/silero_vad_16k.safetensors": ("safetensors", 15),
}
REFUSED = {
    "splat_minimal/*.ksplat": "is a .ksplat file.*convert it to .ply",
    "srcnn_tf_ckpt/**/*.data-*": "part of a TensorFlow checkpoint.*name the .index file",
    "srcnn_tf_ckpt/**/*.meta": "part of a TensorFlow checkpoint",
    "srcnn_tf_ckpt/**/read": "is not a checkpoint",
    "tf_pinn/**/cp.ckpt.data-*": "part of a TensorFlow checkpoint",
    "tf_pinn/saved_model.pb": "weights are in variables/variables.index beside it, which is not",
}


def found(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not among the shared data")
    return path


def assert_same(state, other):
    assert state.keys() == other.keys()
    for name, array in state.items():
        assert (array.dtype, array.shape) == (other[name].dtype, other[name].shape)
        assert np.array_equal(to_words(array), to_words(other[name]))


@pytest.mark.parametrize("name", READABLE)
def test_read_export_and_read_again(tmp_path, name):
    checkpoint = checkpoints.read(found(name))
    assert (checkpoint.source_format, len(checkpoint.state)) == READABLE[name]
    targets = ["safetensors", "npz"] + ["ply"] * (checkpoint.source_format == "ply")
    for to in targets:
        checkpoints.write(tmp_path / "a", checkpoint.state, to=to, extra=checkpoint.extra)
        again = checkpoints.read(tmp_path / "a")
        assert_same(again.state, checkpoint.state)
        assert list(again.state) == list(checkpoint.state)


TORCH = {"torch", "torch-legacy", "torchscript", "safetensors"}


@pytest.mark.parametrize("name", [n for n, (kind, _) in READABLE.items() if kind in TORCH])
@pytest.mark.filterwarnings("ignore")
def test_pytorch_reads_the_same(tmp_path, name):
    torch = pytest.importorskip("torch")
    path = found(name)
    checkpoint = checkpoints.read(path)
    kind = checkpoint.source_format
    if kind == "torchscript":
        expected = torch.jit.load(path).state_dict()
    elif kind == "safetensors":
        from safetensors.torch import load_file

        expected = load_file(path)
    else:
        expected = torch.load(path, weights_only=True, map_location="cpu")
    if isinstance(expected, torch.Tensor):
        expected = {"tensor": expected}
    nested = {k: v for k, v in expected.items() if k.startswith("model_")}
    if nested:
        expected = {f"{k}.{n}": t for k, v in nested.items() for n, t in v.items()}
    assert_same(checkpoint.state, {n: t.detach().numpy() for n, t in expected.items()})
    checkpoints.write(tmp_path / "a.pt", checkpoint.state, to="pt")
    loaded = torch.load(tmp_path / "a.pt", weights_only=True)
    assert_same(checkpoint.state, {n: t.numpy() for n, t in loaded.items()})
    assert_same(checkpoint.state, checkpoints.read(tmp_path / "a.pt").state)


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_cannot_be_read_is_named(pattern):
    paths = sorted(DATA.glob(pattern))
    if not paths:
        pytest.skip(f"{pattern} is not among the shared data")
    for path in paths:
        with pytest.raises(CheckpointError, match=REFUSED[pattern]):
            checkpoints.read(path)


def test_a_nerf_training_checkpoint():
    path = found("nerf_pytorch_ckpt/lego-lowres/checkpoint199999.ckpt")
    checkpoint = checkpoints.read(path)
    assert {name.partition(".")[0] for name in checkpoint.state} == {
        "model_coarse_state_dict",
        "model_fine_state_dict",
    }
    assert checkpoint.skipped == (
        "iter: int, not a tensor",
        "optimizer_state_dict: optimizer state; to take it, key='optimizer_state_dict'",
        "loss: a metric",
        "psnr: float, not a tensor",
    )
    fine = checkpoints.read(path, key="model_fine_state_dict")
    assert len(fine.state) == 16
    assert checkpoints.layers_of(list(fine.state))["layer1.bias"] == 0


def test_gaussians_with_bytes_after_the_last(tmp_path):
    path = found("gs_ply_pc_short/pc_short.ply")
    checkpoint = checkpoints.read(path)
    assert checkpoint.skipped == ("14029 bytes after the 100 vertices of the header",)
    checkpoints.write(tmp_path / "a.ply", checkpoint.state, to="ply", extra=checkpoint.extra)
    assert (tmp_path / "a.ply").read_bytes() == path.read_bytes()[:-14029]
    checkpoints.write(tmp_path / "b.ply", checkpoint.state, to="ply")
    assert (tmp_path / "b.ply").read_bytes() == (tmp_path / "a.ply").read_bytes()


def test_one_network_in_two_formats():
    script = checkpoints.read(found("silero_multi_format/silero_vad.jit"))
    tensors = checkpoints.read(found("silero_multi_format/silero_vad_16k.safetensors"))
    assert script.buffers == {n for n in script.state if n.endswith("_buffer")}
    # The two were trained apart, except for the window of the Fourier transform.
    pairs = list(zip(script.state.values(), tensors.state.values(), strict=False))
    assert all(a.shape == b.shape for a, b in pairs)
    assert np.array_equal(*pairs[0])


def test_a_directory_of_mixed_files():
    if not (DATA / "silero_multi_format").is_dir():
        pytest.skip("silero_multi_format is not among the shared data")
    with pytest.raises(CheckpointError, match=r"several kinds \(1 .jit, 1 .safetensors, 1 .onnx"):
        checkpoints.expand([DATA / "silero_multi_format"])


def test_both_versions_of_tensorflow_have_the_same_names():
    folder = found("srcnn_tf_ckpt/checkpoint/srcnn_21")
    one = checkpoints.read(folder / "SRCNN.model-2550000")
    two = checkpoints.read(folder / "SRCNN.model-203320.index")
    assert {n: a.shape for n, a in one.state.items()} == {n: a.shape for n, a in two.state.items()}


@pytest.mark.slow
def test_crashing_hdf5_files():
    """Read in a child with limits; a few are sound enough to be read."""
    paths = sorted((DATA.parent / "hostile" / "hdf5_cve").glob("*.h5"))[::3]
    if not paths:
        pytest.skip("hostile/hdf5_cve is not among the shared data")
    for path in paths:
        try:
            checkpoints.read(path)
        except CheckpointError as error:
            assert "\n" not in str(error)


def test_one_scene_in_two_versions_of_spz(tmp_path):
    made = []
    for version in (3, 4):
        checkpoint = checkpoints.read(found(f"splat_minimal/minimal-v{version}.spz"))
        checkpoints.write(tmp_path / "a.ply", checkpoint.state, to="ply", extra=checkpoint.extra)
        made.append(checkpoints.read(tmp_path / "a.ply").state)
        checkpoints.write(tmp_path / "a.spz", checkpoint.state, to="spz", extra=checkpoint.extra)
        assert_same(checkpoints.read(tmp_path / "a.spz").state, checkpoint.state)
    assert_same(*made)


def test_real_gaussians_as_gltf_and_back(tmp_path):
    checkpoint = checkpoints.read(found("gs_ply_pc_short/pc_short.ply"))
    checkpoints.write(tmp_path / "a.glb", checkpoint.state, to="gltf")
    stored = checkpoints.read(tmp_path / "a.glb")
    checkpoints.write(tmp_path / "a.ply", stored.state, to="ply", extra=stored.extra)
    assert_same(checkpoints.read(tmp_path / "a.ply").state, checkpoint.state)
    checkpoints.write(tmp_path / "a.spz", checkpoint.state, to="spz")
    small, large = ((tmp_path / name).stat().st_size for name in ("a.spz", "a.ply"))
    assert small < large / 5
