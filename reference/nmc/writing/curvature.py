"""How much of the errors of a model is seen: an encoder's business."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmc.writing.sensitivity import SensitivePart, Sensitivity, cut, has_grid

if TYPE_CHECKING:
    from nmc.coding.quantised.curvature import TensorCurvature


@dataclass(frozen=True, eq=False)
class Curvature:
    """How much is seen of errors in a model's tensors, as a mean squared error, by name.

    The framework measures it by gradients (``nmc_framework.evaluation.curvature.curvature``).
    With it, steps need no trials, errors of a matrix are rounded so that they make up for each
    other, and what nobody sees costs no bytes in a key frame.

    Parameters
    ----------
    columns : mapping of str to float64[C, C]
        Of a tensor of C columns, which are the product of all its dimensions but the first: of the
        error e of a row, ``e @ columns @ e`` is seen. Symmetric, and never negative.
    elements : mapping of str to array
        Of each element of a tensor, in its shape: what is seen over its squared error. Where a
        tensor has columns, they count.

    Raises
    ------
    ValueError
        If a number is not finite, an element negative, or columns are not a square matrix.
    """

    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    elements: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, array in {**self.elements, **self.columns}.items():
            if not np.isfinite(array).all():
                raise ValueError(f"the curvature of {name!r} has numbers that are not finite")
        for name, array in self.elements.items():
            if (np.asarray(array) < 0).any():
                raise ValueError(f"the curvature of {name!r} has elements below 0")
        for name, array in self.columns.items():
            if np.ndim(array) != 2 or len(array) != len(array[0]):
                raise ValueError(f"the columns of {name!r} are not a square matrix")

    def of_tensor(self, name: str, shape: Sequence[int]) -> TensorCurvature:
        """Return what is known of a tensor.

        Raises
        ------
        ValueError
            If it has another shape.
        """
        from nmc.coding.quantised.curvature import TensorCurvature
        from nmc.coding.quantised.grid import matrix_shape

        rows, width = matrix_shape(shape)
        columns, elements = self.columns.get(name), self.elements.get(name)
        if columns is not None:
            if len(columns) != width:
                raise ValueError(f"{name!r} has {width} columns, and curvature of {len(columns)}")
            return TensorCurvature(columns=np.asarray(columns, np.float64))
        if elements is None:
            return TensorCurvature()
        if elements.size != rows * width:
            raise ValueError(f"{name!r} has {rows * width} elements, not {elements.size}")
        return TensorCurvature(elements=np.asarray(elements, np.float64).reshape(rows, width))

    def sensitivity(
        self, state: Mapping[str, Any], parts: Mapping[str, Sequence[int]] | None = None
    ) -> Sensitivity:
        """Return how much each tensor of a state is seen, without any rendering.

        Parameters
        ----------
        state : mapping of str to array
            The model.
        parts : mapping of str to sequence of int, or None
            Rows of the parts of tensors that are cut, such as the levels of a hash grid. A tensor
            that is not named, and has many rows, is cut where what is seen of them changes.

        Raises
        ------
        ValueError
            If a tensor has another shape than its curvature, or parts do not add up to its rows.
        """
        from nmc.coding.quantised.curvature import seen_of_rounding

        found = []
        for name, array in state.items():
            if not has_grid(array):
                continue
            known = self.of_tensor(name, array.shape)
            width = array.size // len(array)
            named = (parts or {}).get(name)
            whole = named is None and known.columns is not None
            for first, rows in cut(array, [len(array)] if whole else named):
                if known.columns is not None:
                    error = seen_of_rounding(known.columns) * rows * width
                elif known.elements is not None:
                    error = float(known.elements[first : first + rows].sum()) / 12
                else:
                    continue
                found.append(SensitivePart(name, rows, rows * width, error))
        seen = Sensitivity.above_nothing(found)
        return Sensitivity(
            [
                part
                for name in dict.fromkeys(part.name for part in seen.parts)
                for part in _parts_of(seen, name, named=name in (parts or {}))
            ]
        )

    @property
    def digest(self) -> str:
        """What tells it from another one."""
        digest = hashlib.sha256()
        for kind, arrays in (("columns", self.columns), ("elements", self.elements)):
            for name in sorted(arrays):
                digest.update(f"{kind} {name} ".encode())
                digest.update(np.ascontiguousarray(arrays[name], "<f8").tobytes())
        return digest.hexdigest()


def _parts_of(seen: Sensitivity, name: str, *, named: bool) -> Sequence[SensitivePart]:
    """Return the parts of a tensor: those that the caller named, else as few as differ."""
    own = Sensitivity([part for part in seen.parts if part.name == name])
    return own.parts if named else own.joined().parts
