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
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"{text}: there are {torch.cuda.device_count()} CUDA devices")
    try:
        # Nothing can be read from "meta"; other kinds say by themselves that they are not there.
        torch.zeros(1, device=device).cpu().item()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DeviceError(f"{text} cannot be used here: {reason}") from None
    return text
