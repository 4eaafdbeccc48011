"""Frames of a sequence as Python sequences: what is said of each, and some of the states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, overload

if TYPE_CHECKING:
    from nmc_format.dtypes import Array
    from nmc_format.manifest.frame_table import FrameRecord
    from nmc_format.manifest.record import Manifest

Arrays: TypeAlias = "dict[str, Array]"


class FrameRecords(Sequence["FrameRecord"]):
    """The frames of a package as the manifest describes them; nothing is decoded."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def __len__(self) -> int:
        return len(self._manifest)

    @overload
    def __getitem__(self, index: int) -> FrameRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[FrameRecord]: ...
    def __getitem__(self, index: int | slice) -> FrameRecord | list[FrameRecord]:
        if isinstance(index, slice):
            return [self._manifest.frame(i) for i in range(*index.indices(len(self)))]
        return self._manifest.frame(range(len(self))[index])


class SequenceSlice(Sequence[Arrays]):
    """Some frames of a sequence; decodes when asked."""

    def __init__(self, sequence: Sequence[Arrays], indices: range) -> None:
        self._sequence = sequence
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Arrays: ...
    @overload
    def __getitem__(self, index: slice) -> SequenceSlice: ...
    def __getitem__(self, index: int | slice) -> Arrays | SequenceSlice:
        if isinstance(index, slice):
            return SequenceSlice(self._sequence, self._indices[index])
        return self._sequence[self._indices[index]]
