"""The tensor table (clause 5.4.3): as columns, as they are stored, and as rows.

T is the number of rows, D the largest rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from nmc_format.dtypes import DTYPES, Dtype, byte_size
from nmc_format.manifest.objects import text_array, texts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PARAMETER = 0
BUFFER = 1

NO_LAYER = -1
"""Layer of a tensor that belongs to none (clause 5.4.3)."""

MAX_ELEMENTS = 2**48
"""The product of the dimensions of a tensor, zeros left out, lies below this (clause 5.4.3)."""

_UNKNOWN_DTYPE = Dtype("?", 8, 1, 0, 0, "uint8")
"""Stands for a dtype that the table of clause 4.3 lacks, until the check refuses it."""


@dataclass(frozen=True)
class TensorRow:
    """One row of the tensor table (clause 5.4.3).

    Attributes
    ----------
    name : str
        Name of the tensor, unique in every state.
    dtype : Dtype
        Element type.
    role : int
        ``PARAMETER`` or ``BUFFER``.
    layer : int
        Index of its layer, or ``NO_LAYER``.
    shape : tuple of int
        Shape, unless a segment gives another one.
    first_frame : int
        The first frame whose segment has a mode for this row.
    """

    name: str
    dtype: Dtype
    role: int = PARAMETER
    layer: int = NO_LAYER
    shape: tuple[int, ...] = ()
    first_frame: int = 0

    def byte_size(self, shape: tuple[int, ...]) -> int:
        """Return the bytes of a tensor of this row that has the given shape.

        Raises
        ------
        ValueError
            If the elements do not fill whole bytes, or are too many (clause 5.4.3).
        """
        if prod(d for d in shape if d) >= MAX_ELEMENTS:
            raise ValueError(f"shape {list(shape)} has 2^48 elements or more")
        return byte_size(self.dtype, shape)


@dataclass(frozen=True, eq=False)
class TensorTable:
    """The tensor table as it is stored (clause 5.4.3).

    Attributes
    ----------
    name, dtype : numpy.ndarray of bytes, shape (T,)
        UTF-8.
    role : numpy.ndarray of uint8, shape (T,)
    layer : numpy.ndarray of int32, shape (T,)
    shape : numpy.ndarray of int64, shape (T, D)
        The dimensions, then -1 as filler.
    first_frame : numpy.ndarray of uint32, shape (T,), or None
        None where the column is left out: all rows are there from frame 0 on.
    """

    name: NDArray[np.bytes_]
    dtype: NDArray[np.bytes_]
    role: NDArray[np.uint8]
    layer: NDArray[np.int32]
    shape: NDArray[np.int64]
    first_frame: NDArray[np.uint32] | None = None

    @classmethod
    def of(cls, rows: Sequence[TensorRow]) -> TensorTable:
        """Return the columns of rows."""
        rank = max((len(row.shape) for row in rows), default=0)
        shape = np.full((len(rows), max(rank, 1)), -1, "<i8")
        for i, row in enumerate(rows):
            shape[i, : len(row.shape)] = row.shape
        first = np.array([row.first_frame for row in rows], "<u4")
        return cls(
            name=text_array(row.name for row in rows),
            dtype=text_array(row.dtype.name for row in rows),
            role=np.array([row.role for row in rows], "<u1"),
            layer=np.array([row.layer for row in rows], "<i4"),
            shape=shape,
            first_frame=first if first.any() else None,
        )

    def __len__(self) -> int:
        return len(self.name)

    def rows(self) -> tuple[TensorRow, ...]:
        """Return the rows of the table; undoes :meth:`of`."""
        first = np.zeros(len(self), "<u4") if self.first_frame is None else self.first_frame
        return tuple(
            TensorRow(
                name=name,
                dtype=DTYPES.get(dtype, _UNKNOWN_DTYPE),
                role=role,
                layer=layer,
                shape=tuple(d for d in shape if d >= 0),
                first_frame=first_frame,
            )
            for name, dtype, role, layer, shape, first_frame in zip(
                texts_of(self.name),
                texts_of(self.dtype),
                self.role.tolist(),
                self.layer.tolist(),
                self.shape.tolist(),
                first.tolist(),
                strict=True,
            )
        )


def layers_of(rows: Sequence[TensorRow]) -> dict[int, list[int]]:
    """Return the rows of the parameters of each layer (clause 9.3.1)."""
    layers: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        if row.role == PARAMETER and row.layer != NO_LAYER:
            layers.setdefault(row.layer, []).append(i)
    return layers
