"""Random access (clause 7.3): from the nearest key frame, or on from the frame decoded last."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from nmc.coding.cursor import Cursor
from nmc.coding.decode import check_state
from nmc.coding.state import State, Tensor
from nmc.reading.ahead import expect
from nmc.reading.parts import some_tensors
from nmc.reading.segment_parts import SegmentParts
from nmc_format.issues import FormatError

if TYPE_CHECKING:
    from collections.abc import Collection

    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package


_LARGE = 1 << 22
"""Bytes from which on a segment is not held as a whole."""


class Seeker:
    """Decodes frames in any order; one thread at a time, the others wait.

    Parameters
    ----------
    package : Package
        Where the segments come from.
    manifest : Manifest
        The checked manifest.
    verify : bool
        Compare each returned state with its digest.
    stop : int
        Which state of each frame: so many refinements are decoded.
    threads : int
        Parts of a frame that are decoded at the same time.
    """

    def __init__(
        self,
        package: Package,
        manifest: Manifest,
        *,
        verify: bool,
        stop: int = 0,
        threads: int = 1,
    ) -> None:
        self._package = package
        self._manifest = manifest
        self._verify = verify
        self._threads = threads
        self._lock = threading.Lock()
        self._stop = stop
        self._cursor = Cursor(stop, threads)
        self._index = -1
        self._lent = False

    def state(self, index: int, *, lend: bool = False) -> State:
        """Decode one frame, 0 ≤ index < len.

        Parameters
        ----------
        index : int
            The frame.
        lend : bool
            The caller can write to the memory of the state. It is compared with its digest again
            before anything builds on it; what was written to is decoded again.
        """
        return self.states(index, lend=lend)[-1]

    def states(self, index: int, *, lend: bool = False) -> list[State]:
        """Decode one frame at each stop up to the one that is wanted; see :meth:`state`."""
        with self._lock:
            start = self._manifest.frames.key_frame_before(index)
            if not start <= self._index <= index or self._written_to():
                self._forget()
            missing = range(max(start, self._index + 1), index + 1)
            goes_on = missing.start == self._index + 1 > 0
            ahead = range(len(self._manifest)) if goes_on else missing
            expect(self._package, self._manifest, missing, within=ahead)
            try:
                for t in missing:
                    self._advance(t, verify=self._verify and t == index)
            except FormatError as error:
                if error.finding.code.startswith("host/"):  # it says nothing about the frames
                    self._forget()
                else:
                    self._name_first_broken(start, index)
                raise
            except BaseException:
                self._forget()
                raise
            self._lent |= lend
            return [self._cursor.state, *(stop.state for stop in self._cursor.refined)]

    def tensors(self, index: int, rows: Collection[int]) -> State:
        """Decode some tensors of one frame, alone if their coding permits that.

        Parameters
        ----------
        index : int
            The frame.
        rows : collection of int
            Rows of the tensor table; those that are absent are left out.
        """
        with self._lock:
            at_hand = self._index == index and not self._lent and self._cursor.known
            state = self._cursor.finest if at_hand else None
        if state is None and not self._stop:  # a stop above the base is decoded as a whole
            state = some_tensors(
                self._package,
                self._manifest,
                index,
                rows,
                verify=self._verify,
                threads=self._threads,
            )
        if state is None:
            state = self.state(index)
        return {row: state[row] for row in state if row in rows}

    def _advance(self, t: int, *, verify: bool) -> None:
        """Decode frame t; the state of t-1 is at hand, or t is a key frame."""
        frames = self._manifest.frames
        self._lent = self._lent and not frames.is_key(t)
        length = int(frames.segment_length[t])
        if length < _LARGE or not isinstance(self._package.path, Path):
            data = self._package.segment(t, length)
            self._cursor.advance(self._manifest, t, data, verify=verify)
        else:  # what zstd made is read as it is decompressed, not kept
            parts = SegmentParts(self._package, t, length, lambda name: name.endswith(".zstd"))
            self._cursor.advance(self._manifest, t, parts.data, verify=verify, blocks=parts.blocks)
        self._index = t

    def _forget(self) -> None:
        self._cursor.forget()
        self._index, self._lent = -1, False

    def _written_to(self) -> bool:
        """Whether the memory of a state that was lent no longer is that state."""
        if not self._lent:
            return False
        state = self._cursor.finest
        read_again = {row: Tensor(t.dtype, t.shape, t.words) for row, t in state.items()}
        try:
            check_state(self._manifest, self._index, read_again, self._stop)
        except FormatError:
            return True
        return False

    def _name_first_broken(self, start: int, index: int) -> None:
        """Decode again, each frame verified, so that the error names the first broken one."""
        self._forget()
        try:
            for t in range(start, index + 1):
                self._advance(t, verify=True)
        finally:
            self._forget()
