"""What a writer tells of tensors whose slices changed in number or order (clause 6.2.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc.coding.matching import Matching
    from nmc_format.manifest.tensor_table import TensorRow


@dataclass(frozen=True)
class MatchedSlices:
    """Some tensors of one frame with one number of slices.

    Attributes
    ----------
    frame : int
        The frame.
    tensors : tuple of str
        Their names.
    count : int
        Slices of each of them.
    found : int
        How many were found again in the frame before; 0: none, and the tensors are coded whole.
    by : {"values", "ids"}
        How they were looked for.
    """

    frame: int
    tensors: tuple[str, ...]
    count: int
    found: int
    by: Literal["values", "ids"]

    @classmethod
    def of(cls, frame: int, found: Matching, rows: Sequence[TensorRow]) -> MatchedSlices:
        """Return what became of some rows of a frame."""
        names = tuple(rows[row].name for row in found.rows)
        return cls(frame, names, found.count, found.found, found.by)
