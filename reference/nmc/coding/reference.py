"""The frame that the next one is coded against: its state, and what the coder remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc.coding.arithmetic import History
from nmc.coding.encode import CodedFrame, Effort, Entropy, encode_delta, encode_key
from nmc.coding.state import EMPTY_STATE, State, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc_format.manifest.tensors import TensorRow

_WORTH_COMPARING = 0.8
"""A delta below this share of the state's bytes is never larger than a key frame in practice."""


class Reference:
    """The last frame of a package that is written.

    Parameters
    ----------
    entropy, effort : str
        As in :class:`nmc.Writer`.

    Attributes
    ----------
    state : State
        The state of the last frame.
    known : bool
        Whether it is that: a frame that was copied as it is was never decoded.
    """

    def __init__(self, entropy: Entropy, effort: Effort) -> None:
        self._entropy: Entropy = entropy
        self._effort: Effort = effort
        self._history = History()
        self._sound = True  # whether the history is that of the last frame, too
        self.state: State = EMPTY_STATE
        self.known = True

    def resume(self, state: State, history: History) -> None:
        """Go on from a frame that was decoded."""
        self.state, self._history, self.known, self._sound = state, history, True, True

    def forget(self) -> None:
        """Know nothing of the last frame: the next one is a key frame."""
        self.state, self.known, self._sound = EMPTY_STATE, False, False

    def encode(self, tensors: State, rows: Sequence[TensorRow], parent: bytes | None) -> CodedFrame:
        """Code the next frame: as a key frame where there is no parent, or where that is smaller.

        Parameters
        ----------
        tensors : mapping of int to Tensor
            Its state, by row.
        rows : sequence of TensorRow
            The tensor table.
        parent : bytes or None
            State digest of the frame before; None asks for a key frame.
        """
        sound, self._sound = self._sound, False  # until the frame is kept: an error changes history
        if parent is None or not sound:
            return encode_key(tensors, rows, self._entropy, self._effort)
        delta = encode_delta(
            tensors, self.state, rows, self._entropy, self._effort, self._history, parent
        )
        size = sum(tensor.words.nbytes for tensor in tensors.values())
        if delta.size > _WORTH_COMPARING * size:
            key = encode_key(tensors, rows, self._entropy, self._effort)
            if key.size < delta.size:
                return key
        return delta

    def keep(self, tensors: Mapping[int, Tensor], *, delta: bool) -> None:
        """Make a frame that is on the disk the last one; the caller's memory is let go."""
        if not delta:
            self._history = History()
        kept = dict(self.state)
        for row, tensor in tensors.items():
            if kept.get(row) is not tensor:
                kept[row] = Tensor(tensor.dtype, tensor.shape, tensor.words.copy())
                kept[row].__dict__["digest"] = tensor.digest  # known already: never hashed twice
        self.state = {row: kept[row] for row in tensors}
        self.known = self._sound = True
