"""The kernels without their compiler: numpy scalars instead of machine words, and bounds checked.

It stands in for ``nmc.coding.arithmetic.jit``, so that a mutant of a kernel is tried at once, its
lines can be traced, and an index beyond an array ends the trial instead of the process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAME = "nmc.coding.arithmetic.jit"


def module() -> ModuleType:
    """Return the module that stands in."""
    made = ModuleType(NAME)
    for name in ("kernel", "exact_kernel", "inline", "routine"):
        setattr(made, name, _as_it_is)
    for function in (
        bit_length,
        bits_of,
        get,
        put,
        elements,
        prefetch,
        load32,
        load64,
        store32,
        store64,
        word_at,
    ):
        setattr(made, function.__name__, function)
    made.__dict__.update(Array=Any, U64=np.uint64, I64=np.int64)
    return made


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def bit_length(word: np.uint64) -> np.uint64:
    """Bits needed for an unsigned 64-bit word."""
    return np.uint64(int(word).bit_length())


def bits_of(array: NDArray[Any]) -> np.uint64:
    """Bits of an element."""
    return np.uint64(8 * array.itemsize)


def get(array: NDArray[Any], index: Any) -> np.uint64:
    """Element of an unsigned array."""
    return np.uint64(array[_place(array, index)])


def put(array: NDArray[Any], index: Any, value: Any) -> None:
    """Store the low bits of a word."""
    array[_place(array, index)] = int(value) & ((1 << (8 * array.itemsize)) - 1)


def elements(like: NDArray[Any], address: Any, count: Any) -> NDArray[Any]:
    """Array of the type of another one at an address."""
    octets = (ctypes.c_char * (int(count) * like.itemsize)).from_address(int(address))
    return np.frombuffer(octets, like.dtype)


def word_at(address: Any, index: Any) -> np.uint64:
    """Element of a uint32 array at an address."""
    return np.uint64(ctypes.c_uint32.from_address(int(address) + 4 * int(index)).value)


def prefetch(array: NDArray[Any], index: Any, written: Any) -> None:
    """Do nothing: a cache is no part of what a kernel means."""
    del array, index, written


def load32(octets: NDArray[np.uint8], index: Any) -> np.uint64:
    """Read four bytes, least significant first."""
    at = _place(octets, index, 4)
    return np.uint64(int.from_bytes(octets[at : at + 4].tobytes(), "little"))


def load64(octets: NDArray[np.uint8], index: Any) -> np.uint64:
    """Read eight bytes, least significant first."""
    at = _place(octets, index, 8)
    return np.uint64(int.from_bytes(octets[at : at + 8].tobytes(), "little"))


def store32(octets: NDArray[np.uint8], index: Any, value: Any) -> None:
    """Write the low four bytes of a word, least significant first."""
    at = _place(octets, index, 4)
    low = int(value) & 0xFFFFFFFF
    octets[at : at + 4] = np.frombuffer(low.to_bytes(4, "little"), np.uint8)


def store64(octets: NDArray[np.uint8], index: Any, value: Any) -> None:
    """Write eight bytes, least significant first."""
    at = _place(octets, index, 8)
    octets[at : at + 8] = np.frombuffer(int(value).to_bytes(8, "little"), np.uint8)


def _place(array: NDArray[Any], index: Any, size: int = 1) -> int:
    at = int(index)
    if not 0 <= at <= array.size - size:
        raise IndexError(f"{size} elements at {at} of {array.size}")
    return at
