"""torch tensors in and out, sharing memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from nmc_samples import PACKED, bits

import nmc
from nmc.torch_view import as_torch, from_torch
from nmc_format.dtypes import DTYPES, byte_size, from_words, word_dtype

torch = pytest.importorskip("torch")

BOTH = [d for d in DTYPES.values() if d.numpy_name and hasattr(torch, d.numpy_name)]


@pytest.mark.parametrize("dtype", BOTH, ids=lambda d: d.name)
@pytest.mark.parametrize("shape", [(4, 6), (), (0, 3)], ids=str)
def test_every_type_there_and_back_without_a_copy(dtype, shape) -> None:
    words = np.frombuffer(
        np.random.default_rng(0).bytes(byte_size(dtype, shape)), word_dtype(dtype)
    ).copy()
    array = from_words(words, dtype, shape)
    tensor = as_torch(array)
    assert str(tensor.dtype) == f"torch.{dtype.numpy_name}"
    assert tuple(tensor.shape) == shape
    assert tensor.data_ptr() == array.ctypes.data or not array.size
    back = from_torch(tensor)
    assert bits(back) == bits(array)
    assert back.ctypes.data == array.ctypes.data or not array.size


def test_tensors_into_a_package_and_out(tmp_path) -> None:
    layer = torch.nn.Linear(5, 3)
    state = {
        **layer.state_dict(),
        "parameter": torch.nn.Parameter(torch.arange(3.0)),
        "bfloat": torch.arange(6).to(torch.bfloat16).reshape(2, 3),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "conjugate": torch.tensor([1 + 2j, 3 - 4j]).conj(),
        "negative": torch.tensor([1 + 2j]).conj().imag,
    }
    with nmc.Writer(tmp_path / "x.nmc") as writer:
        writer.append(state)
        writer.append({n: t.detach().clone() for n, t in state.items()})
    with nmc.open(tmp_path / "x.nmc") as sequence:
        assert sequence.frames[1].segment_length < 600  # nothing changed
        for t in (0, 1):
            found = sequence.torch(t)
            for name, tensor in state.items():
                assert found[name].dtype == tensor.dtype
                assert torch.equal(found[name], tensor), name
        arrays = sequence[1]
        assert found["bfloat"].data_ptr() == arrays["bfloat"].ctypes.data
        layer.load_state_dict({n: found[n] for n in ("weight", "bias")})


def test_packed_tensors_are_bytes(tmp_path) -> None:
    with nmc.Writer(tmp_path / "x.nmc") as writer:
        writer.append({"p": PACKED})
    with nmc.open(tmp_path / "x.nmc") as sequence:
        tensor = sequence.torch(0)["p"]
    assert tensor.dtype == torch.uint8
    assert tensor.tolist() == list(range(6))


def test_subclasses_of_tensors_are_tensors(tmp_path) -> None:
    class Mine(torch.nn.Parameter):
        pass

    with nmc.Writer(tmp_path / "x.nmc") as writer:
        writer.append({"w": Mine(torch.ones(3))})
    with nmc.open(tmp_path / "x.nmc") as sequence:
        assert sequence[0]["w"].tolist() == [1, 1, 1]


def test_types_that_safetensors_lacks_are_refused(tmp_path) -> None:
    tensor = torch.ones(3, dtype=torch.complex128)
    with (
        pytest.raises(nmc.FormatError, match="manifest/value"),
        nmc.Writer(tmp_path / "x.nmc") as writer,
    ):
        writer.append({"w": tensor})


def test_numpy_users_need_no_torch() -> None:
    """Importing the codec imports no torch."""
    code = "import sys, nmc; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
