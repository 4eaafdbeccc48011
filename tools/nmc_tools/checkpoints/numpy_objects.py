"""The numpy arrays and numbers that a pickle describes.

Layouts: numpy/_core/src/multiarray (`array_reduce`, `arraydescr_reduce`, `gentype_reduce`) and
numpy/_core/numeric.py (`_frombuffer`). Nothing of numpy is called by a pickle; what it says is
compared with the bytes it holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from nmc_tools.checkpoints.checkpoint import Refusal, plain
from nmc_tools.checkpoints.pickle_values import Object

_MAX_DIMENSIONS = 32
_KIND = re.compile(r"[biufc]\d{1,2}")
_SCALARS = ("numpy._core.multiarray.scalar", "numpy.core.multiarray.scalar")


class NumpyArray(Object):
    """A numpy array in a pickle; its parts are checked when it is read."""


@dataclass(frozen=True)
class _Parts:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    data: bytes | bytearray


def is_array(node: Any) -> bool:
    """Return whether an object is a numpy array of plain numbers."""
    return isinstance(node, NumpyArray) and _parts(node) is not None


def array_of(node: NumpyArray) -> np.ndarray[Any, Any]:
    """Return an array, little-endian and in C order.

    Raises
    ------
    Refusal
        If it is malformed, or none of plain numbers.
    """
    parts = _parts(node)
    if parts is None:
        raise Refusal("is a numpy array of objects, text or records", "save it as numbers")
    size = prod(parts.shape) * parts.dtype.itemsize
    if size != len(parts.data):
        raise Refusal(
            f"a numpy array of shape {list(parts.shape)} of {parts.dtype} has {len(parts.data)} "
            f"bytes, expected {size}",
            "the file is damaged; copy it again",
        )
    flat = np.frombuffer(parts.data, parts.dtype)
    array = flat.reshape(parts.shape, order="F" if parts.fortran else "C")
    return array.astype(parts.dtype.newbyteorder("<"), order="C", copy=True)


def byte_size_of(node: NumpyArray) -> int:
    """Return the bytes that an array has in the file."""
    parts = _parts(node)
    return len(parts.data) if parts else 0


def number_of(node: Any) -> bool | int | float | None:
    """Return a numpy number as Python's, or None for anything else."""
    if not isinstance(node, Object) or node.kind not in _SCALARS or len(node.args) != 2:
        return None
    dtype, data = _dtype(node.args[0]), node.args[1]
    if dtype is None or not isinstance(data, bytes) or len(data) != dtype.itemsize:
        return None
    value = np.frombuffer(data, dtype)[0].item()
    return None if isinstance(value, complex) else value


def _parts(node: NumpyArray) -> _Parts | None:
    if node.kind == "numpy buffer":
        data, type_, shape, order = (*node.args, None, None, None, None)[:4]
        fortran = order == "F"
    elif isinstance(node.state, tuple) and len(node.state) == 5:
        _, shape, type_, fortran, data = node.state
    else:
        return None
    dtype = _dtype(type_)
    if dtype is None or not isinstance(data, bytes | bytearray):
        return None
    if not isinstance(shape, tuple) or len(shape) > _MAX_DIMENSIONS:
        return None
    if not all(isinstance(side, int) and 0 <= side < 2**62 for side in shape):
        raise Refusal(f"a numpy array has a shape of {plain(len(shape))} sides that are not counts")
    return _Parts(dtype, tuple(int(side) for side in shape), bool(fortran), data)


def _dtype(node: Any) -> np.dtype[Any] | None:
    """Return an element type, or None for what is not a plain number."""
    if not isinstance(node, Object) or node.kind != "numpy.dtype" or not node.args:
        return None
    kind, state = node.args[0], node.state
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        return None
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "<"
    try:
        return np.dtype(kind).newbyteorder(">" if order == ">" else "<")
    except TypeError:
        return None
