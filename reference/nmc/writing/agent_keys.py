"""Keys of Ed25519 that ssh-agent keeps, and what they sign (draft-ietf-sshm-ssh-agent).

The agent is asked over the socket that ``SSH_AUTH_SOCK`` names; the private key never leaves it.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from nmc.reading.keys import PublicKey
from nmc_format.issues import refuse
from nmc_format.signature import KEY_BYTES, SIGNATURE_BYTES, Signature, Statement

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE: Final = "SSH_AUTH_SOCK"
_LIST, _LISTED, _SIGN, _SIGNED = 11, 12, 13, 14
_TYPE: Final = b"ssh-ed25519"
_LONGEST: Final = 1 << 18
_SECONDS: Final = 60.0
"""An agent may ask its user before it signs."""


@dataclass(frozen=True)
class AgentKey:
    """A private key in an agent.

    Attributes
    ----------
    public : PublicKey
        The public key that goes with it; named as its file says, or the agent.
    agent : str
        Path of the socket.
    """

    public: PublicKey
    agent: str

    @classmethod
    def find(cls, public: PublicKey) -> AgentKey:
        """Return a key that the agent of this process has.

        Raises
        ------
        FormatError
            If there is no agent, it does not answer as one, or it has no such key.
        """
        agent = os.environ.get(VARIABLE, "")
        if not agent:
            hint = f"{VARIABLE} is not set; give the private key"
            _unusable("no ssh-agent is running here", hint)
        found = next((key for key in _keys_of(agent) if key.key == public.key), None)
        if found is None:
            _unusable(f"ssh-agent has no key {public.fingerprint}", "ssh-add the private key")
        return cls(PublicKey(found.key, public.name or found.name), agent)

    def signed(self, statement: Statement) -> Signature:
        """Return the signature of a statement.

        Raises
        ------
        FormatError
            If the agent refuses, or answers with something else.
        """
        request = _text(self.public.blob) + _text(statement.to_bytes()) + bytes(4)
        answer = _Answer(_asked(self.agent, _SIGN, request, _SIGNED))
        made = _Answer(answer.text())
        kind, value = made.text(), made.text()
        if kind != _TYPE or len(value) != SIGNATURE_BYTES:
            _unusable("ssh-agent signed in another way than Ed25519")
        return Signature(self.public.key, statement, value)


def _keys_of(agent: str) -> Iterator[PublicKey]:
    answer = _Answer(_asked(agent, _LIST, b"", _LISTED))
    for _ in range(answer.number()):
        blob, comment = _Answer(answer.text()), answer.text()
        if blob.text() == _TYPE:
            key = blob.text()
            if len(key) == KEY_BYTES:
                yield PublicKey(key, comment.decode("utf-8", "replace"))


def _asked(agent: str, request: int, data: bytes, wanted: int) -> bytes:
    """Return what an agent answers to a request, without its kind."""
    body = bytes([request]) + data
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(_SECONDS)
            line.connect(agent)
            line.sendall(_text(body))
            size = int.from_bytes(_exactly(line, 4), "big")
            if not 0 < size <= _LONGEST:
                _unusable(f"ssh-agent answers {size} bytes")
            answer = _exactly(line, size)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        _unusable(f"ssh-agent at {Path(agent)} does not answer: {reason}")
    if answer[0] != wanted:
        _unusable("ssh-agent refuses", "it may be locked, or its user said no")
    return answer[1:]


def _exactly(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = line.recv(size - len(data))
        if not piece:
            raise ValueError("it hung up")
        data += piece
    return data


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class _Answer:
    """Numbers and texts of an answer, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def text(self) -> bytes:
        return self._take(self.number())

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            _unusable("the answer of ssh-agent is cut off")
        self._at += size
        return self._data[self._at - size : self._at]


def _unusable(reason: str, hint: str = "") -> NoReturn:
    raise refuse("input/unreadable", file="ssh-agent", reason=reason, hint=hint) from None
