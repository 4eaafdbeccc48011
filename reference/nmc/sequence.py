"""Packages as sequences of states (clause 7.1): ``nmc.open``, random access, verified results."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias, overload

from nmc.arithmetic import History
from nmc.decoder import check_links, check_segment, check_state, decode_frame
from nmc.records import Colour, colour_of
from nmc.state import EMPTY_STATE, State, arrays_of
from nmc_format.issues import Finding, FormatError, finding, first_error
from nmc_format.json_object import parse_object
from nmc_format.manifest_file import parse_manifest
from nmc_format.package import open_package, segment_name
from nmc_format.segment import parse

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from nmc_format.dtypes import Array
    from nmc_format.manifest import FrameRecord, Manifest
    from nmc_format.package import Package

DEFAULT_MAX_LEVEL = 3
"""Highest level that is opened unless the caller says otherwise: states of up to 16 GiB."""

Arrays: TypeAlias = "dict[str, Array]"


def open_sequence(
    path: str | Path, *, max_level: int = DEFAULT_MAX_LEVEL, verify: bool = True
) -> ChainSequence:
    """Open a package for reading; known to users as ``nmc.open``.

    Parameters
    ----------
    path : str or Path
        A ``.nmc`` file or directory.
    max_level : int
        Highest level that is accepted (clause 10.2); it bounds the memory that is used.
    verify : bool
        Compare each returned state with its digest. Switch it off for measurements only.

    Returns
    -------
    ChainSequence
        Opened; close it, or use it as a context manager.

    Raises
    ------
    FormatError
        If the package is refused.
    """
    package = open_package(path)
    try:
        manifest = checked_manifest(package)
        if manifest.level > max_level:
            raise FormatError(level_refused(manifest.level, max_level))
    except BaseException:
        package.close()
        raise
    return ChainSequence(package, manifest, verify=verify)


def level_refused(level: int, limit: int) -> Finding:
    """Return the finding for a package of a level that the caller does not accept (10.2)."""
    return finding("profile/level-refused", pointer="/@level", level=level, limit=limit)


def checked_manifest(package: Package) -> Manifest:
    """Return the manifest of a package, or refuse it for its first error."""
    manifest, findings = parse_manifest(package.manifest(), package.manifest_path)
    error = first_error(findings)
    if error is not None or manifest is None:
        raise FormatError(error or findings[0])
    return manifest


class Frames(Sequence["FrameRecord"]):
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


class ChainSequence(Sequence[Arrays]):
    """The states of a package, decoded on demand.

    ``sequence[t]`` costs the nearest key frame at or before ``t`` and the deltas after it, or only
    the deltas after the state that was decoded last. Arrays are read-only and share the memory of
    tensors that did not change; copy what you want to change.

    Attributes
    ----------
    manifest : Manifest
        The manifest.
    frames : Frames
        What the manifest says of each frame.
    """

    def __init__(self, package: Package, manifest: Manifest, *, verify: bool = True) -> None:
        self._package = package
        self._verify = verify
        self._lock = threading.Lock()
        self._index = -1
        self._state: State = EMPTY_STATE
        self._history = History()
        self.manifest = manifest
        self.frames = Frames(manifest)

    @property
    def path(self) -> Path:
        """Where the package lies."""
        return self._package.path

    @property
    def size(self) -> int:
        """Bytes of the package on disk."""
        return self._package.size()

    @property
    def family(self) -> str:
        """Name of the model family."""
        return self.manifest.texts["/model@family"]

    @property
    def configuration(self) -> Any:
        """Configuration of the model, as JSON says it."""
        return parse_object(self.manifest.texts["/model@configuration"])

    @property
    def colour(self) -> Colour | None:
        """Exposure and white balance of the training views; None where nothing was recorded."""
        return colour_of(self.manifest)

    def __len__(self) -> int:
        return len(self.manifest)

    @overload
    def __getitem__(self, index: int) -> Arrays: ...
    @overload
    def __getitem__(self, index: slice) -> SequenceSlice: ...
    def __getitem__(self, index: int | slice) -> Arrays | SequenceSlice:
        if isinstance(index, slice):
            return SequenceSlice(self, range(*index.indices(len(self))))
        return arrays_of(self.state(range(len(self))[index]), self.manifest.tensors)

    def __iter__(self) -> Iterator[Arrays]:
        return (self[t] for t in range(len(self)))

    def torch(self, index: int) -> dict[str, Any]:
        """Return a state as torch tensors that share the memory of the arrays.

        The memory belongs to the sequence: use ``model.load_state_dict`` or clone, do not write.

        Raises
        ------
        ImportError
            If torch is not installed.
        """
        from nmc.torch_view import as_torch

        return {name: as_torch(array) for name, array in self[index].items()}

    def state(self, index: int) -> State:
        """Decode one frame, 0 ≤ index < len; see :class:`nmc.state.Tensor`."""
        with self._lock:
            start = self.manifest.key_frame_before(index)
            if not start <= self._index <= index:
                self._forget()
            try:
                for t in range(max(start, self._index + 1), index + 1):
                    self._step(t)
                if self._verify:
                    check_state(self.manifest, index, self._state)
            except FormatError:
                self._forget()
                self._name_first_broken(start, index)
                raise
            except BaseException:
                self._forget()
                raise
            return self._state

    def _forget(self) -> None:
        self._index, self._state, self._history = -1, EMPTY_STATE, History()

    def _step(self, t: int) -> None:
        """Decode frame t; the state of t-1 is at hand, or t is a key frame."""
        if self.manifest.frame(t).coding == "key":
            self._forget()
        name = segment_name(t)
        segment = parse(self._package.segment(t, self.manifest.frame(t).segment_length), name)
        check_links(self.manifest, t, segment)
        state = decode_frame(self.manifest, t, segment, self._state, self._history)
        self._index, self._state = t, state

    def _name_first_broken(self, start: int, index: int) -> None:
        """Decode again, each frame verified, so that the error names the first broken one."""
        try:
            for t in range(start, index + 1):
                self._step(t)
                check_state(self.manifest, t, self._state)
        finally:
            self._forget()

    def coded(self, index: int) -> bytes:
        """Return the segment of one frame as it is stored, 0 ≤ index < len.

        Raises
        ------
        FormatError
            If it is not the one that the manifest describes.
        """
        frame = self.frames[index]
        with self._lock:
            data = self._package.segment(frame.index, frame.segment_length)
        check_segment(frame, data)
        return data

    def close(self) -> None:
        """Release the files."""
        self._package.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        manifest = self.manifest
        return (
            f"<nmc {str(self.path)!r}: {len(self)} frames, {len(manifest.tensors)} tensors, "
            f"{manifest.profile} profile, level {manifest.level}>"
        )


class SequenceSlice(Sequence[Arrays]):
    """Some frames of a sequence; decodes when asked."""

    def __init__(self, sequence: ChainSequence, indices: range) -> None:
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
