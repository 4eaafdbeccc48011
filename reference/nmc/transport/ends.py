"""Both ends of a stream of messages; each keeps what the next one builds on (clause 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc.coding.state import arrays_of, owned
from nmc.transport.message import DEFAULT_MAX_LEVEL, Base, Coder, decoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from nmc.coding.arithmetic import Effort
    from nmc.coding.encode import Entropy
    from nmc_format.dtypes import Array


class Sender:
    """Makes messages of the states of a training run: a key message first, then deltas.

    It keeps a copy of the last state, as weights are changed in place, and its digests, so that no
    state is hashed twice.

    Parameters
    ----------
    profile, entropy, effort
        As of :func:`nmc.encode_delta`.
    key_every : int
        A key message every so many; 0 makes only the first one a key message.
    """

    def __init__(
        self,
        *,
        profile: str = "main",
        entropy: Entropy | None = None,
        effort: Effort = "fast",
        key_every: int = 0,
    ) -> None:
        if key_every < 0:
            raise ValueError("key_every is 0 or more")
        self._coder = Coder(profile, entropy, effort)
        self._every = key_every
        self._base = Base()
        self._count = 0

    @property
    def digest(self) -> str | None:
        """State digest of the last state, 64 hex digits; None before the first."""
        return self._base.digest.hex() if self._count else None

    def send(self, state: Mapping[str, Any], *, key: bool = False) -> bytes:
        """Return the message for the next state; the state is not needed after this call.

        Parameters
        ----------
        state : mapping of str to array
            As of :func:`nmc.encode_delta`.
        key : bool
            Make a key message, such as for a receiver that lost its state.

        Raises
        ------
        FormatError
            If a tensor cannot be stored; the sender is as before then.
        """
        due = self._every > 0 and self._count % self._every == 0
        coded = self._coder.coded(self._base, state, key=key or due)
        held = {id(tensor): row for row, tensor in self._base.tensors.items()}
        before = {row: tensor for row, tensor in coded.after.tensors.items() if id(tensor) in held}
        self._base = Base(coded.after.rows, owned(coded.after.tensors, before))
        self._count += 1
        return coded.data


class Receiver:
    """Follows a stream of messages; it has a state after the first key message.

    Parameters
    ----------
    max_level : int
        As of :func:`nmc.apply`.
    """

    def __init__(self, *, max_level: int = DEFAULT_MAX_LEVEL) -> None:
        self._max_level = max_level
        self._base = Base()

    @property
    def state(self) -> dict[str, Array]:
        """The last state as read-only arrays; empty before the first."""
        return arrays_of(self._base.tensors, self._base.rows)

    @property
    def digest(self) -> str | None:
        """State digest of the last state, 64 hex digits; None before the first."""
        return self._base.digest.hex() if self._base.rows else None

    def receive(self, message: Buffer) -> dict[str, Array]:
        """Return the state that a message makes, as read-only arrays; it is the last one from now.

        Raises
        ------
        FormatError
            If the message is damaged, or builds on another state; the last one stays as it was.
        """
        self._base = decoded(self._base, message, self._max_level)
        return self.state
