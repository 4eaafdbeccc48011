"""What a caller may hand over as a state, and what a refusal tells them to do (clause 4.3)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_format.dtypes import PackedArray, dtype_of
from nmc_format.issues import FormatError, refuse
from nmc_format.manifest import columns

if TYPE_CHECKING:
    from nmc_format.dtypes import Array

_HINTS = {
    "c": "store complex64, or its .real and .imag as two tensors",
    "O": "make it an array of numbers, or leave it out",
    "U": "text is not a tensor; put it into the configuration, or leave it out",
    "S": "text is not a tensor; put it into the configuration, or leave it out",
    "M": "view it as int64",
    "m": "view it as int64",
    "V": "store each of its fields as a tensor",
    "f": "convert it to float64, or store its bytes as uint8",
}
"""By the kind of numpy dtype, what to do with one that cannot be stored."""


def check_state_type(state: object) -> None:
    """Refuse what is not a mapping of names to tensors.

    Raises
    ------
    FormatError
        ``input/unsupported``, with what to give instead.
    """
    if isinstance(state, Mapping):
        return
    kind = type(state).__name__
    if hasattr(state, "state_dict"):
        raise _refusal(f"the state is a {kind}", "give its .state_dict()")
    raise _refusal(f"the state is a {kind}", "give a mapping of names to tensors")


def as_array(name: object, value: Any) -> Array:
    """Return one tensor of a state as an array, without a copy where memory allows it.

    Accepted are numpy arrays and scalars, :class:`nmc.PackedArray`, dense torch tensors on any
    device, Python numbers, and whatever says that it is an array (``__array__``).

    Raises
    ------
    FormatError
        ``input/unsupported``, with what to do.
    """
    if not isinstance(name, str):
        kind = type(name).__name__
        raise _refusal(f"the name {name!r} of a tensor is a {kind}", "names are texts")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _from_torch(name, value)
    if isinstance(value, PackedArray):
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise _refusal(
            f"tensor {name!r} is masked", "give .filled(…), and its mask as another tensor"
        )
    if not isinstance(value, np.ndarray | np.generic | int | float | complex):
        _check_kind(name, value)
    try:
        return _known(name, np.asarray(value))
    except FormatError:
        raise
    except Exception as error:  # what an array-like of somebody else raises is not ours to know
        raise _refusal(f"tensor {name!r} cannot be read as an array: {error}") from None


def _check_kind(name: str, value: Any) -> None:
    kind = type(value).__name__
    if isinstance(value, list | tuple):
        todo = "make it an array, numpy.asarray(value, dtype=…), so that its type is said"
    elif isinstance(value, Mapping):
        todo = "a state is flat: join the names with dots"
    elif value is None:
        todo = "leave out tensors that are not there"
    elif hasattr(value, "state_dict"):
        todo = "give its .state_dict(), each name after that of the module"
    elif isinstance(value, str | bytes):
        todo = _HINTS["U"]
    elif hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        return
    else:
        todo = "make it a numpy array or a torch tensor, or leave it out"
    raise _refusal(f"tensor {name!r} is a {kind}", todo)


def _known(name: str, array: Array) -> Array:
    try:
        dtype_of(array)
    except TypeError:
        known = array.dtype
        kind = known.kind if isinstance(known, np.dtype) else ""
        hint = _HINTS.get(kind, "convert it to a type that safetensors knows")
        raise _refusal(f"tensor {name!r} is {known}, which cannot be stored", hint) from None
    return array


def _from_torch(name: str, tensor: Any) -> Array:
    from nmc.reading.torch_view import from_torch

    torch = sys.modules["torch"]
    if tensor.device.type == "meta":
        raise _refusal(
            f"tensor {name!r} is on the meta device and has no values", "load the weights first"
        )
    if tensor.is_nested:
        raise _refusal(f"tensor {name!r} is nested", "store its parts, or .to_padded_tensor(…)")
    if tensor.layout != torch.strided:
        layout = str(tensor.layout).removeprefix("torch.")
        raise _refusal(
            f"tensor {name!r} is {layout}", "store .to_dense(), or its indices and values"
        )
    if tensor.is_quantized:
        raise _refusal(
            f"tensor {name!r} is quantised",
            "store .int_repr(), and scale and zero point as tensors of their own",
        )
    try:
        return _known(name, from_torch(tensor))
    except FormatError:
        raise
    except Exception as error:  # fake, lazy or wrapped tensors; each raises what it likes
        reason = str(error).partition("\n")[0]
        hint = "convert it to a type that numpy knows" if isinstance(error, TypeError) else ""
        raise _refusal(f"tensor {name!r} ({tensor.dtype}) has no values: {reason}", hint) from None


def _refusal(reason: str, hint: str = "") -> FormatError:
    return refuse("input/unsupported", pointer=columns.TENSORS, reason=reason, hint=hint)
