"""Torch devices by name, where they are there."""

from __future__ import annotations


class DeviceError(ValueError):
    """A name that is not a device, or one that this machine does not have."""


def usable_device(text: str) -> str:
    """Return the name of a torch device on which tensors can be made.

    Raises
    ------
    DeviceError
        When it is none, or this machine does not have it.
    """
    import torch

    try:
        device = torch.device(text)
    except RuntimeError:
        raise DeviceError(f"{text!r} is not a device; write such as cpu or cuda:0") from None
    if device.type == "cuda":
        _require_cuda(text, device.index or 0)
    try:
        # Nothing can be read from "meta"; other kinds say by themselves that they are not there.
        torch.zeros(1, device=device).cpu().item()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        # What torch says goes on for pages, with all the backends that there are.
        reason = str(error).partition("\n")[0].partition(". ")[0] or type(error).__name__
        raise DeviceError(f"{text} cannot be used here: {reason}; cpu always can") from None
    return text


def named_device(text: str) -> str:
    """Return the name of a torch device that another machine has.

    Raises
    ------
    DeviceError
        When it is none, or counts devices: each task on a cluster has one of its own.
    """
    import torch

    try:
        device = torch.device(text)
    except RuntimeError:
        raise DeviceError(f"{text!r} is not a device; write such as cpu or cuda") from None
    if ":" in text:
        raise DeviceError(
            f"{text}: on a cluster each task has a device of its own; write {device.type}"
        )
    return text


def _require_cuda(text: str, index: int) -> None:
    """Raise where there is no such CUDA device, with what to do about it."""
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        raise DeviceError(
            f"{text}: this torch ({torch.__version__}) is built without CUDA; install one with it "
            "(https://pytorch.org/get-started), or leave the device out and use the CPU"
        )
    count = torch.cuda.device_count()
    if not count:
        raise DeviceError(
            f"{text}: torch sees no CUDA device; look at nvidia-smi and CUDA_VISIBLE_DEVICES, or "
            "leave the device out and use the CPU"
        )
    if index >= count:
        raise DeviceError(f"{text}: there are cuda:0 to cuda:{count - 1}")
