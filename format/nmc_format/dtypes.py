"""Element types of tensors and their words (clause 4.3): every dtype that safetensors knows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

Words: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.unsignedinteger[Any]]]"
"""A flat array of unsigned words, the bit patterns of one tensor."""


@dataclass(frozen=True)
class Dtype:
    """One element type (clause 4.3, table 4-1).

    Attributes
    ----------
    name : str
        Name in safetensors headers and in the manifest.
    bits : int
        Bits of one element.
    word_bytes : int
        Bytes of one word, the unit of modular differences.
    exponent_bits, mantissa_bits : int
        Bits of both fields of a floating-point word; 0 where it is not a floating-point number.
    numpy_name : str
        numpy (or ml_dtypes) dtype of an element; empty where numpy has none of that size.
    """

    name: str
    bits: int
    word_bytes: int
    exponent_bits: int
    mantissa_bits: int
    numpy_name: str


_TABLE = (
    Dtype("BOOL", 8, 1, 0, 0, "bool"),
    Dtype("F4", 4, 1, 0, 0, ""),
    Dtype("F6_E2M3", 6, 1, 0, 0, ""),
    Dtype("F6_E3M2", 6, 1, 0, 0, ""),
    Dtype("U8", 8, 1, 0, 0, "uint8"),
    Dtype("I8", 8, 1, 0, 0, "int8"),
    Dtype("F8_E5M2", 8, 1, 5, 2, "float8_e5m2"),
    Dtype("F8_E4M3", 8, 1, 4, 3, "float8_e4m3fn"),
    Dtype("F8_E8M0", 8, 1, 0, 0, "float8_e8m0fnu"),
    Dtype("F8_E4M3FNUZ", 8, 1, 4, 3, "float8_e4m3fnuz"),
    Dtype("F8_E5M2FNUZ", 8, 1, 5, 2, "float8_e5m2fnuz"),
    Dtype("I16", 16, 2, 0, 0, "int16"),
    Dtype("U16", 16, 2, 0, 0, "uint16"),
    Dtype("F16", 16, 2, 5, 10, "float16"),
    Dtype("BF16", 16, 2, 8, 7, "bfloat16"),
    Dtype("I32", 32, 4, 0, 0, "int32"),
    Dtype("U32", 32, 4, 0, 0, "uint32"),
    Dtype("F32", 32, 4, 8, 23, "float32"),
    Dtype("C64", 64, 4, 8, 23, "complex64"),
    Dtype("F64", 64, 8, 11, 52, "float64"),
    Dtype("I64", 64, 8, 0, 0, "int64"),
    Dtype("U64", 64, 8, 0, 0, "uint64"),
)

DTYPES: Mapping[str, Dtype] = MappingProxyType({d.name: d for d in _TABLE})
"""Every element type, by name, in the order of table 4-1."""


@dataclass(frozen=True, eq=False)
class PackedArray:
    """A tensor whose elements are smaller than a byte, as packed bytes (clause 4.3.2).

    Attributes
    ----------
    dtype : str
        ``"F4"``, ``"F6_E2M3"`` or ``"F6_E3M2"``.
    shape : tuple of int
        Shape in elements; the number of bits in all is a multiple of 8.
    data : numpy.ndarray of uint8, shape (bytes,)
        The packed elements as safetensors stores them.
    """

    dtype: str
    shape: tuple[int, ...]
    data: np.ndarray[tuple[int], np.dtype[np.uint8]]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES or DTYPES[self.dtype].numpy_name:
            raise ValueError(f"{self.dtype} is not a packed dtype; use a numpy array")
        size = byte_size(DTYPES[self.dtype], self.shape)
        if self.data.dtype != np.uint8 or self.data.shape != (size,):
            raise ValueError(
                f"{self.dtype} of shape {list(self.shape)} needs {size} bytes (uint8, flat), "
                f"not {self.data.dtype} of shape {list(self.data.shape)}"
            )


Array: TypeAlias = "np.ndarray[Any, Any] | PackedArray"
"""A tensor outside the codec: a numpy array, or packed bytes where numpy has no such type."""


@cache
def numpy_dtype(dtype: Dtype) -> np.dtype[Any]:
    """Return the little-endian numpy dtype of one element.

    Raises
    ------
    TypeError
        If the elements are smaller than a byte.
    """
    if not dtype.numpy_name:
        raise TypeError(f"numpy has no dtype for {dtype.name}; see PackedArray")
    if dtype.numpy_name in np.sctypeDict:
        return np.dtype(dtype.numpy_name).newbyteorder("<")
    import ml_dtypes

    result: np.dtype[Any] = np.dtype(getattr(ml_dtypes, dtype.numpy_name))
    return result


@cache
def word_dtype(dtype: Dtype) -> np.dtype[Any]:
    """Return the unsigned little-endian numpy dtype of one word."""
    return np.dtype(f"<u{dtype.word_bytes}")


@cache
def _names_by_numpy() -> Mapping[np.dtype[Any], str]:
    return {numpy_dtype(d): d.name for d in _TABLE if d.numpy_name}


def dtype_of(array: Array) -> Dtype:
    """Return the element type of an array.

    Raises
    ------
    TypeError
        If safetensors, and so NMC, has no such type.
    """
    if isinstance(array, PackedArray):
        return DTYPES[array.dtype]
    little = array.dtype.newbyteorder("<") if array.dtype.byteorder == ">" else array.dtype
    name = _names_by_numpy().get(little)
    if name is None:
        raise TypeError(f"dtype {array.dtype} cannot be stored; known are {', '.join(DTYPES)}")
    return DTYPES[name]


def byte_size(dtype: Dtype, shape: tuple[int, ...]) -> int:
    """Return the bytes of a tensor.

    Raises
    ------
    ValueError
        If the elements do not fill whole bytes.
    """
    bits = prod(shape) * dtype.bits
    if bits % 8:
        raise ValueError(f"{dtype.name} of shape {list(shape)} does not fill whole bytes")
    return bits // 8


def to_words(array: Array) -> Words:
    """Return the bit patterns of a tensor, flat, in C order; a view where memory allows it."""
    dtype = dtype_of(array)
    if isinstance(array, PackedArray):
        return array.data
    flat = np.ascontiguousarray(array).reshape(-1)
    if array.dtype.byteorder == ">":
        flat = flat.astype(array.dtype.newbyteorder("<"))
    return flat.view(word_dtype(dtype))


def from_words(words: Words, dtype: Dtype, shape: tuple[int, ...]) -> Array:
    """Return the tensor of given bit patterns; shares their memory."""
    if not dtype.numpy_name:
        return PackedArray(dtype.name, shape, words)
    return words.view(numpy_dtype(dtype)).reshape(shape)
