"""What the coder is given: tensors of words, and the error it raises (clause 8.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nmc_format.dtypes import Words

WORD_DTYPES: dict[int, type[np.unsignedinteger]] = {
    8: np.uint8,
    16: np.uint16,
    32: np.uint32,
    64: np.uint64,
}
WordFormat = tuple[int, int, int]


_ZEROS = bytes(8)  # of which a tensor that was decoded is made


class CoderError(ValueError):
    """A payload is malformed, or the tensors do not describe what they carry."""


@dataclass(frozen=True)
class CodedTensor:
    """One tensor of a delta frame, seen as words (clause 8.1).

    Parameters
    ----------
    row : int
        Row in the package's tensor table; the key of the coder's history.
    bits : int
        Word width in bits: 8, 16, 32 or 64.
    exponent_bits, mantissa_bits : int
        Field widths of the floating-point format; 0 and 0 for integers and booleans.
    shape : tuple of int
        Shape of the tensor; its product is the number of words.
    reference : ndarray of uint8, uint16, uint32 or uint64, flat
        The words of frame t-1 in row-major order.
    """

    row: int
    bits: int
    exponent_bits: int
    mantissa_bits: int
    shape: tuple[int, ...]
    reference: Words

    @property
    def count(self) -> int:
        """Number of words."""
        return self.reference.size

    @property
    def word_format(self) -> WordFormat:
        """Widths of a word, its exponent and its mantissa."""
        return self.bits, self.exponent_bits, self.mantissa_bits

    def spent(self) -> CodedTensor:
        """Return the tensor with a reference of that size that takes no memory: it was decoded."""
        reference = self.reference
        nothing: Words = np.ndarray(reference.shape, reference.dtype, _ZEROS, strides=(0,))
        return CodedTensor(self.row, *self.word_format, self.shape, nothing)


def check_tensors(tensors: Sequence[CodedTensor]) -> None:
    """Check that every tensor is what it says it is.

    Raises
    ------
    CoderError
        If a width is unknown, or a reference does not fit the width and the shape.
    """
    seen: set[int] = set()
    for tensor in tensors:
        dtype = WORD_DTYPES.get(tensor.bits)
        if dtype is None:
            raise CoderError(
                f"row {tensor.row}: no words of {tensor.bits} bits; use 8, 16, 32 or 64"
            )
        count = 1
        for size in tensor.shape:
            if size < 0:
                raise CoderError(f"row {tensor.row}: negative size in shape {tensor.shape}")
            count *= size
        reference = tensor.reference
        if reference.ndim != 1 or reference.dtype != dtype or reference.size != count:
            raise CoderError(
                f"row {tensor.row}: reference is {reference.dtype}{reference.shape}, "
                f"expected {dtype.__name__}({count},) for shape {tensor.shape}"
            )
        widths = (tensor.exponent_bits, tensor.mantissa_bits)
        if widths != (0, 0) and (min(widths) < 1 or sum(widths) != tensor.bits - 1):
            raise CoderError(f"row {tensor.row}: fields of {widths} bits do not fill {tensor.bits}")
        if tensor.row in seen:
            raise CoderError(f"row {tensor.row} appears twice in one frame")
        seen.add(tensor.row)


def check_current(tensors: Sequence[CodedTensor], current: Sequence[Words]) -> None:
    """Check that the words to encode fit the tensors.

    Raises
    ------
    CoderError
        If a tensor is missing, or has another width or count than its tensor.
    """
    if len(tensors) != len(current):
        raise CoderError(f"{len(current)} tensors for {len(tensors)} tensors")
    for tensor, words in zip(tensors, current, strict=True):
        if words.ndim != 1 or words.dtype != tensor.reference.dtype or words.size != tensor.count:
            raise CoderError(
                f"row {tensor.row}: words are {words.dtype}{words.shape}, "
                f"expected {tensor.reference.dtype}({tensor.count},)"
            )


def settled(words: Words) -> Words:
    """Return words that are aligned, contiguous and writable: the array itself or a copy.

    A word in a memory-mapped file can lie at an odd address, and for an array that cannot be
    written every kernel would be compiled a second time.
    """
    return words if words.flags.carray else np.require(words, requirements=("C", "A", "W"))


def settle(tensors: Sequence[CodedTensor]) -> list[CodedTensor]:
    """Return tensors whose references are settled."""
    return [
        tensor
        if tensor.reference.flags.carray
        else replace(tensor, reference=settled(tensor.reference))
        for tensor in tensors
    ]


LONGEST_LINE = 65536


@lru_cache(maxsize=4096)
def lines_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns a tensor is walked in (clause 8.1.2); the last row can be shorter.

    The last size is the column count; the dimensions before it, but never the first one, are
    drawn in until there are at least 32 columns.
    """
    count = 1
    for size in shape:
        count *= size
    if count == 0:
        return 0, 1
    columns = shape[-1] if shape else 1
    for size in reversed(shape[1:-1]):
        if columns >= 32:
            break
        columns *= size
    columns = min(columns, LONGEST_LINE)
    return -(-count // columns), columns


def widths_of(tensor: CodedTensor) -> NDArray[np.int64]:
    """Return rows, columns, word width, exponent width and mantissa width, as the kernels want."""
    rows, columns = lines_of(tensor.shape)
    return np.array([rows, columns, *tensor.word_format], np.int64)


def sections_of(tensors: Sequence[CodedTensor]) -> list[list[int]]:
    """Return the indices of the tensors of each widths, first widths first (clause 8.6.1)."""
    sections: dict[WordFormat, list[int]] = {}
    for i, tensor in enumerate(tensors):
        sections.setdefault(tensor.word_format, []).append(i)
    return list(sections.values())
