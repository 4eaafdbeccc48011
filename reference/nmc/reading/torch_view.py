"""Arrays as torch tensors, and back (optional: needs torch)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_format.dtypes import PackedArray, dtype_of

if TYPE_CHECKING:
    from nmc_format.dtypes import Array

_TORCH_NAMES = {
    "BF16": ("int16", "bfloat16"),
    "F8_E5M2": ("int8", "float8_e5m2"),
    "F8_E4M3": ("int8", "float8_e4m3fn"),
    "F8_E8M0": ("int8", "float8_e8m0fnu"),
    "F8_E4M3FNUZ": ("int8", "float8_e4m3fnuz"),
    "F8_E5M2FNUZ": ("int8", "float8_e5m2fnuz"),
}
"""Types that numpy lacks: seen as integers on the way to torch."""


def as_torch(array: Array) -> Any:
    """Return a torch tensor that shares the memory of an array, as an inference tensor.

    torch has no read-only tensors; it raises where those made in inference mode are changed in
    place, or trained on, outside that mode. Packed arrays become flat ``torch.uint8`` tensors.
    """
    import torch

    with torch.inference_mode():
        return _shared(array)


def copied(array: Array, device: Any = None) -> Any:
    """Return a torch tensor of its own memory, on a device; packed arrays as flat bytes."""
    import torch

    tensor = _shared(array)
    if device is None or torch.device(device).type == "cpu":
        return tensor.clone()
    return tensor.to(device)


def _shared(array: Array) -> Any:
    import torch

    if isinstance(array, PackedArray):
        array = array.data
    integer, target = _TORCH_NAMES.get(dtype_of(array).name, ("", ""))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        if not target:
            return torch.from_numpy(array)
        return torch.from_numpy(array.view(np.dtype(integer))).view(getattr(torch, target))


def from_torch(tensor: Any) -> Array:
    """Return a torch tensor as a numpy array, sharing its memory where it lies on the CPU."""
    import torch

    tensor = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    for name, (integer, target) in _TORCH_NAMES.items():
        if tensor.dtype == getattr(torch, target, None):
            from nmc_format.dtypes import DTYPES, numpy_dtype

            bits = tensor.view(getattr(torch, integer)).numpy()
            array: np.ndarray[Any, Any] = bits.view(numpy_dtype(DTYPES[name]))
            return array
    result: np.ndarray[Any, Any] = tensor.numpy()
    return result
