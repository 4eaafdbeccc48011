"""Where a reader or a writer stands in a chain (clause 7.2): one state, and what the coder knows.

Seeking, checking, resuming and writing all move on from here, one segment after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc.coding.arithmetic import History
from nmc.coding.decode import check_links, check_state, decode_frame
from nmc.coding.state import EMPTY_STATE, State
from nmc_format.package.members import segment_name
from nmc_format.segment import parse

if TYPE_CHECKING:
    from nmc_format.manifest.record import Manifest


class Cursor:
    """The frame that the next one is coded against.

    Attributes
    ----------
    state : State
        Its state; empty before the first frame, and where it is not known.
    history : History
        What the lossless coder remembers after it.
    known : bool
        Whether state and history are those of that frame. Where they are not, a key frame is the
        next that can be decoded or coded.
    """

    def __init__(self) -> None:
        self.state: State = EMPTY_STATE
        self.history = History()
        self.known = True

    def forget(self) -> None:
        """Know nothing of the last frame, and let go of its memory."""
        self.state, self.history, self.known = EMPTY_STATE, History(), False

    def advance(
        self, manifest: Manifest, t: int, data: bytes, *, decode: bool = True, verify: bool = True
    ) -> None:
        """Go on to frame t; nothing is known afterwards if that fails.

        Where the state of frame t-1 is not known, a delta frame is checked and not decoded.

        Parameters
        ----------
        manifest : Manifest
            The checked manifest.
        t : int
            The frame.
        data : bytes
            Its segment.
        decode : bool
            Decode it; else parse it and check its links only.
        verify : bool
            Compare its state with the digest of the manifest.

        Raises
        ------
        FormatError
            If the segment is malformed, does not belong here, or makes another state.
        """
        if manifest.frames.is_key(t):
            self.state, self.history, self.known = EMPTY_STATE, History(), True
        before, history, known = self.state, self.history, self.known and decode
        self.forget()
        segment = parse(data, segment_name(t))
        check_links(manifest, t, segment)
        if not known:
            return
        state = decode_frame(manifest, t, segment, before, history)
        if verify:
            check_state(manifest, t, state)
        self.follow(state, history)

    def follow(self, state: State, history: History) -> None:
        """Stand at a frame whose state and history are at hand."""
        self.state, self.history, self.known = state, history, True
