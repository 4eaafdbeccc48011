"""What the coder is given: planes of words, and the error it raises (clause 8.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.unsignedinteger]

WORD_DTYPES: dict[int, type[np.unsignedinteger]] = {
    8: np.uint8,
    16: np.uint16,
    32: np.uint32,
    64: np.uint64,
}


class CoderError(ValueError):
    """A payload is malformed, or the planes do not describe what they carry."""


@dataclass(frozen=True)
class Plane:
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
        return int(self.reference.size)


def check_planes(planes: Sequence[Plane]) -> None:
    """Check that every plane is what it says it is.

    Raises
    ------
    CoderError
        If a width is unknown, or a reference does not fit the width and the shape.
    """
    seen: set[int] = set()
    for plane in planes:
        dtype = WORD_DTYPES.get(plane.bits)
        if dtype is None:
            raise CoderError(f"row {plane.row}: no words of {plane.bits} bits; use 8, 16, 32 or 64")
        count = 1
        for extent in plane.shape:
            if extent < 0:
                raise CoderError(f"row {plane.row}: negative extent in shape {plane.shape}")
            count *= extent
        reference = plane.reference
        if reference.ndim != 1 or reference.dtype != dtype or reference.size != count:
            raise CoderError(
                f"row {plane.row}: reference is {reference.dtype}{reference.shape}, "
                f"expected {dtype.__name__}({count},) for shape {plane.shape}"
            )
        layout = (plane.exponent_bits, plane.mantissa_bits)
        if layout != (0, 0) and (min(layout) < 1 or sum(layout) != plane.bits - 1):
            raise CoderError(f"row {plane.row}: layout {layout} does not fill {plane.bits} bits")
        if plane.row in seen:
            raise CoderError(f"row {plane.row} appears twice in one frame")
        seen.add(plane.row)


def check_current(planes: Sequence[Plane], current: Sequence[Words]) -> None:
    """Check that the words to encode fit the planes.

    Raises
    ------
    CoderError
        If a tensor is missing, or has another width or count than its plane.
    """
    if len(planes) != len(current):
        raise CoderError(f"{len(current)} tensors for {len(planes)} planes")
    for plane, words in zip(planes, current, strict=True):
        if words.ndim != 1 or words.dtype != plane.reference.dtype or words.size != plane.count:
            raise CoderError(
                f"row {plane.row}: words are {words.dtype}{words.shape}, "
                f"expected {plane.reference.dtype}({plane.count},)"
            )


def settled(words: Words) -> Words:
    """Return words that are aligned, contiguous and writable: the array itself or a copy.

    A word in a memory-mapped file can lie at an odd address, and for an array that cannot be
    written every kernel would be compiled a second time.
    """
    return np.require(words, requirements=("C", "A", "W"))


def settle(planes: Sequence[Plane]) -> list[Plane]:
    """Return planes whose references are settled."""
    return [replace(plane, reference=settled(plane.reference)) for plane in planes]


LONGEST_LINE = 65536


def lines_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns a tensor is walked in (clause 8.1.2); the last row can be shorter.

    The last extent is the column count; the extents before it, but never the first one, are
    drawn in until there are at least 32 columns.
    """
    count = 1
    for extent in shape:
        count *= extent
    if count == 0:
        return 0, 1
    columns = shape[-1] if shape else 1
    for extent in reversed(shape[1:-1]):
        if columns >= 32:
            break
        columns *= extent
    columns = min(columns, LONGEST_LINE)
    return -(-count // columns), columns


def layout_of(plane: Plane) -> NDArray[np.int64]:
    """Return rows, columns, word width, exponent width and mantissa width, as the kernels want."""
    rows, columns = lines_of(plane.shape)
    return np.array([rows, columns, plane.bits, plane.exponent_bits, plane.mantissa_bits], np.int64)


def groups_of(planes: Sequence[Plane]) -> list[list[int]]:
    """Return the indices of the planes of each layout, first layout first (clause 8.6.1)."""
    groups: dict[tuple[int, int, int], list[int]] = {}
    for i, plane in enumerate(planes):
        key = (plane.bits, plane.exponent_bits, plane.mantissa_bits)
        groups.setdefault(key, []).append(i)
    return list(groups.values())
