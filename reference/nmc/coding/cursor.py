"""Where a reader stands in a chain (clause 7.1): the state decoded last, and how to go on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from nmc.coding.arithmetic import History
from nmc.coding.decode import check_links, check_state, decode_frame
from nmc.coding.state import EMPTY_STATE, State, Tensor
from nmc_format.issues import FormatError
from nmc_format.package.members import segment_name
from nmc_format.segment import parse

if TYPE_CHECKING:
    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package


class Cursor:
    """Decodes frames in any order; one thread at a time, the others wait.

    Parameters
    ----------
    package : Package
        Where the segments come from.
    manifest : Manifest
        The checked manifest.
    verify : bool
        Compare each returned state with its digest.
    """

    def __init__(self, package: Package, manifest: Manifest, *, verify: bool) -> None:
        self._package = package
        self._manifest = manifest
        self._verify = verify
        self._lock = threading.Lock()
        self._lent = False
        self._forget()

    def state(self, index: int, *, lend: bool = False) -> State:
        """Decode one frame, 0 ≤ index < len.

        Parameters
        ----------
        index : int
            The frame.
        lend : bool
            The caller can write to the memory of the state. It is compared with its digest again
            before anything builds on it; what was written to is decoded anew.
        """
        with self._lock:
            start = self._manifest.frames.key_frame_before(index)
            if not start <= self._index <= index or self._written_to():
                self._forget()
            try:
                for t in range(max(start, self._index + 1), index + 1):
                    self._step(t)
                if self._verify:
                    check_state(self._manifest, index, self._state)
            except FormatError:
                self._forget()
                self._name_first_broken(start, index)
                raise
            except BaseException:
                self._forget()
                raise
            self._lent |= lend
            return self._state

    def _forget(self) -> None:
        self._index, self._state, self._history = -1, EMPTY_STATE, History()
        self._lent = False

    def _written_to(self) -> bool:
        """Whether the memory of a state that was lent no longer is that state."""
        if not self._lent:
            return False
        read_again = {row: Tensor(t.dtype, t.shape, t.words) for row, t in self._state.items()}
        try:
            check_state(self._manifest, self._index, read_again)
        except FormatError:
            return True
        return False

    def _step(self, t: int) -> None:
        """Decode frame t; the state of t-1 is at hand, or t is a key frame."""
        frame = self._manifest.frame(t)
        if frame.coding == "key":
            self._forget()
        segment = parse(self._package.segment(t, frame.segment_length), segment_name(t))
        check_links(self._manifest, t, segment)
        state = decode_frame(self._manifest, t, segment, self._state, self._history)
        self._index, self._state = t, state

    def _name_first_broken(self, start: int, index: int) -> None:
        """Decode again, each frame verified, so that the error names the first broken one."""
        try:
            for t in range(start, index + 1):
                self._step(t)
                check_state(self._manifest, t, self._state)
        finally:
            self._forget()
