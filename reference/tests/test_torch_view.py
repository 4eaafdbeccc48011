"""torch tensors in and out, sharing memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from nmc_samples import PACKED, bits

import nmc
from nmc.reading.torch_view import as_torch, from_torch
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
        assert found["bfloat"].data_ptr() != arrays["bfloat"].ctypes.data
        view = sequence.torch(1, copy=False)["bfloat"]
        assert view.data_ptr() == arrays["bfloat"].ctypes.data
        layer.load_state_dict({n: found[n] for n in ("weight", "bias")})


@pytest.mark.parametrize("dtype", BOTH, ids=lambda d: d.name)
def test_copies_keep_type_and_bits(tmp_path, dtype) -> None:
    words = np.frombuffer(
        np.random.default_rng(1).bytes(byte_size(dtype, (4, 6))), word_dtype(dtype)
    )
    if dtype.name == "BOOL":
        words = words & 1
    array = from_words(words, dtype, (4, 6))
    with nmc.Writer(tmp_path / "x.nmc") as writer:
        writer.append({"w": array})
    with nmc.open(tmp_path / "x.nmc") as sequence:
        for tensor in (sequence.torch(0)["w"], sequence.torch(0, device="cpu", copy=False)["w"]):
            assert str(tensor.dtype) == f"torch.{dtype.numpy_name}"
            assert bits(from_torch(tensor)) == bits(array)
        assert sequence.torch(-1, device="meta")["w"].dtype == tensor.dtype


@pytest.fixture
def trained(tmp_path):
    weights = np.random.default_rng(2).normal(size=(4, 16, 8)).astype("f4")
    with nmc.Writer(tmp_path / "w.nmc", key_every=0) as writer:
        for weight in weights.cumsum(axis=0) * 1e-2:
            writer.append({"weight": weight, "still": weights[0]})
    return tmp_path / "w.nmc"


def test_an_optimiser_step_does_not_reach_the_sequence(trained) -> None:
    with nmc.open(trained) as sequence:
        right = [{n: a.copy() for n, a in state.items()} for state in sequence]
        for t in range(4):
            weights = sequence.torch(t)
            for tensor in weights.values():
                tensor.requires_grad_()
            loss = sum(w.square().sum() for w in weights.values())
            loss.backward()
            torch.optim.SGD(weights.values(), lr=0.5).step()
            for name, array in sequence[t].items():
                assert np.array_equal(array, right[t][name]), name


def test_torch_refuses_to_change_a_view(trained) -> None:
    with nmc.open(trained) as sequence:
        right = sequence[0]["weight"].copy()
        view = sequence.torch(0, copy=False)["weight"]
        for change in (
            lambda: view.add_(1),
            lambda: view.__setitem__(0, 1),
            view[1:].zero_,
            lambda: view.reshape(-1).fill_(2),
            lambda: view.copy_(torch.zeros(16, 8)),
            view.requires_grad_,
            lambda: torch.nn.Parameter(view),
        ):
            with pytest.raises(RuntimeError, match="nference"):
                change()
        # torch writes first and refuses then; the sequence sees it, and decodes again
        assert np.array_equal(sequence[0]["weight"], right)
        view = sequence.torch(0, copy=False)["weight"]
        module = torch.nn.Linear(8, 16, bias=False)
        module.load_state_dict({"weight": view})
        module(torch.ones(8)).sum().backward()
        torch.optim.SGD(module.parameters(), lr=1.0).step()
        assert np.array_equal(sequence[0]["weight"], right)
        assert torch.equal(view.clone().add_(1), view + 1)


@pytest.mark.parametrize("then", [0, 1, 3])
def test_what_was_written_to_a_view_by_force_is_decoded_again(trained, then) -> None:
    with nmc.open(trained) as sequence:
        right = [{n: a.copy() for n, a in state.items()} for state in sequence]
        view = sequence.torch(0, copy=False)
        view["weight"].detach().add_(1)
        view["still"].numpy()[0] = 0
        for name, array in sequence[then].items():
            assert np.array_equal(array, right[then][name]), name


def test_views_of_a_state_that_nobody_wrote_to_cost_no_decoding(trained, monkeypatch) -> None:
    with nmc.open(trained) as sequence:
        sequence.torch(2, copy=False)
        monkeypatch.setattr(sequence._package, "segment", None)
        sequence.torch(2, copy=False)
        sequence[2]


def test_the_index_of_a_state_is_a_number(trained) -> None:
    with nmc.open(trained) as sequence:
        with pytest.raises(TypeError):
            sequence.torch(slice(0, 2))
        with pytest.raises(IndexError):
            sequence.torch(4)
        assert sequence.torch(np.int64(1)).keys() == sequence[1].keys()


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
        pytest.raises(nmc.FormatError, match="input/unsupported"),
        nmc.Writer(tmp_path / "x.nmc") as writer,
    ):
        writer.append({"w": tensor})


def test_numpy_users_need_no_torch() -> None:
    """Importing the codec imports no torch."""
    code = "import sys, nmc; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
