"""What a writer says of the frames that it has finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc.coding.state import arrays_of
from nmc.writing import sources
from nmc.writing.quantiser import grids_of

if TYPE_CHECKING:
    from nmc.writing.draft import Draft
    from nmc.writing.frame_coder import FrameCoder
    from nmc.writing.growing_table import GrowingTable
    from nmc.writing.matched_slices import MatchedSlices
    from nmc_format.dtypes import Array
    from nmc_format.manifest.tensor_table import TensorRow


class Written:
    """The finished frames of a package that is being written; nothing here changes them.

    Parameters
    ----------
    draft : Draft
        What of the package is on the disk.
    table : GrowingTable
        Its tensor table.
    coder : FrameCoder
        What codes its frames.
    """

    def __init__(self, draft: Draft, table: GrowingTable, coder: FrameCoder) -> None:
        self._draft = draft
        self._table = table
        self._coder = coder
        self._slices: list[MatchedSlices] = []
        self._notes: dict[str, str] = {}

    def __len__(self) -> int:
        """Return the number of finished frames; where a resumed caller goes on."""
        return len(self._draft.entries)

    @property
    def rows(self) -> tuple[TensorRow, ...]:
        """The tensor table so far."""
        return tuple(self._table.rows)

    @property
    def bytes_written(self) -> int:
        """Bytes of all finished segments."""
        return sum(entry.record.segment_length for entry in self._draft.entries)

    @property
    def is_lossy(self) -> bool:
        """Whether a tensor of the last frame, or any to come, may be quantised."""
        return self._coder.quantisation is not None or bool(self.last_steps)

    @property
    def notes(self) -> dict[str, str]:
        """What a quantisation did not do as asked, by name of the tensor."""
        return dict(self._notes)

    @property
    def slices(self) -> tuple[MatchedSlices, ...]:
        """What became of tensors whose slices changed in number or order, frame by frame."""
        return tuple(self._slices)

    @property
    def last_state(self) -> dict[str, Array]:
        """The last finished state as read-only arrays, such as training goes on from."""
        return arrays_of(self._draft.cursor.state, self._table.rows)

    @property
    def last_steps(self) -> dict[str, tuple[tuple[int, float], ...]]:
        """Rows and step of each part of the tensors of the last state that lie on a grid."""
        return grids_of(self._draft.cursor.state, self._table.rows)

    @property
    def last_colour(self) -> dict[str, Any] | None:
        """The colour maps (3, 4) float64 of the last frame by view, if it was given any."""
        maps = self._draft.entries[-1].colour if self._draft.entries else None
        return sources.colour_maps(maps)
