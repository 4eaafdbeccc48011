"""Where a reader or a writer stands in a chain (clause 7.2): one state, and what the coder knows.

Seeking, checking, resuming and writing all move on from here, one segment after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc.coding.arithmetic import History
from nmc.coding.decode import check_links, check_state, decode_frame
from nmc.coding.refinements import AtStop, decode_refinements
from nmc.coding.scratch import IN_MEMORY, Scratch
from nmc.coding.state import EMPTY_STATE, State
from nmc_format.package.members import segment_name
from nmc_format.segment import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from nmc.coding.decode import Blocks
    from nmc_format.manifest.record import Manifest


class Cursor:
    """The frame that the next one is coded against.

    Attributes
    ----------
    state : State
        Its state; empty before the first frame, and where it is not known.
    history : History
        What the lossless coder remembers after it.
    refined : tuple of AtStop
        Its stops above the base, as far as they are decoded.
    known : bool
        Whether state and history are those of that frame. Where they are not, a key frame is the
        next that can be decoded or coded.

    Parameters
    ----------
    stop : int or None
        How many refinements of each frame are decoded; None: all.
    threads : int
        Parts of a frame that are decoded at the same time; the states are the same.
    scratch : Scratch
        Where an encoder keeps what is large.
    """

    def __init__(
        self, stop: int | None = None, threads: int = 1, scratch: Scratch = IN_MEMORY
    ) -> None:
        self.scratch = scratch
        self._stop = stop
        self._threads = threads
        self.state: State = EMPTY_STATE
        self.history = History()
        self.refined: tuple[AtStop, ...] = ()
        self.known = True

    @property
    def finest(self) -> State:
        """The state of the last stop that is decoded."""
        return self.refined[-1].state if self.refined else self.state

    def forget(self) -> None:
        """Know nothing of the last frame, and let go of its memory."""
        self.state, self.history, self.known = EMPTY_STATE, History(), False
        self.refined = ()

    def advance(
        self,
        manifest: Manifest,
        t: int,
        data: Buffer,
        *,
        decode: bool = True,
        verify: bool = True,
        blocks: Blocks | None = None,
    ) -> None:
        """Go on to frame t; nothing is known afterwards if that fails.

        Where the state of frame t-1 is not known, a delta frame is checked and not decoded.

        Parameters
        ----------
        manifest : Manifest
            The checked manifest.
        t : int
            The frame.
        data : bytes-like
            Its segment.
        decode : bool
            Decode it; else parse it and check its links only.
        verify : bool
            Compare the state of the stop with its digest; where all are decoded, all of them.
        blocks : callable or None
            Returns the bytes of a stream piece by piece, where ``data`` has not those of zstd.

        Raises
        ------
        FormatError
            If the segment is malformed, does not belong here, or makes another state.
        """
        if manifest.frames.is_key(t):
            self.state, self.history, self.known = EMPTY_STATE, History(), True
        before, history, known = dict(self.state), self.history, self.known and decode
        refined = None if manifest.frames.is_key(t) else self.refined
        self.forget()
        segment = parse(data, segment_name(t))
        check_links(manifest, t, segment)
        if not known:
            return
        state = decode_frame(manifest, t, segment, before, history, self._threads, blocks)
        stop = manifest.stops - 1 if self._stop is None else self._stop
        if verify and (self._stop is None or stop == 0):
            check_state(manifest, t, state, threads=self._threads)
        stops = decode_refinements(manifest, segment, state, refined, stop, self._threads)
        for k, at_stop in enumerate(stops if verify else (), 1):
            if self._stop is None or k == stop:
                check_state(manifest, t, at_stop.state, k, self._threads)
        self.follow(state, history, stops)

    def follow(self, state: State, history: History, refined: Sequence[AtStop] = ()) -> None:
        """Stand at a frame whose states and history are at hand."""
        self.state, self.history, self.known = state, history, True
        self.refined = tuple(refined)
