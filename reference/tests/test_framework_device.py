"""A device that is not there is refused with what to do about it."""

import pytest
import torch

from nmc_framework.device import DeviceError, usable_device


def test_the_cpu_is_always_there():
    assert usable_device("cpu") == "cpu"


@pytest.mark.parametrize(
    ("cuda", "count", "said"),
    [
        (None, 0, "is built without CUDA; install one with it"),
        ("13.0", 0, "torch sees no CUDA device; look at nvidia-smi and CUDA_VISIBLE_DEVICES"),
        ("13.0", 2, "cuda:7: there are cuda:0 to cuda:1"),
    ],
)
def test_a_cuda_device_that_is_not_there_says_what_to_do(monkeypatch, cuda, count, said):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(DeviceError) as refused:
        usable_device("cuda:7")
    assert said in str(refused.value)


@pytest.mark.parametrize("name", ["meta", "mps", "xla"])
def test_other_kinds_are_refused_in_a_sentence(name):
    """What torch says of a backend that is missing goes on for pages."""
    if name == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is such a device")
    with pytest.raises(DeviceError) as refused:
        usable_device(name)
    assert "cannot be used here" in str(refused.value) and len(str(refused.value)) < 250


def test_no_device_at_all_is_refused():
    with pytest.raises(DeviceError, match="is not a device"):
        usable_device("abacus")
