"""One object on a server or in a store: its last bytes, ranges of it, or all of it in pieces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Beginning:
    """What the first request to an object brought.

    Attributes
    ----------
    size : int
        Bytes of the object.
    start : int
        Where the bytes lie that came with it.
    data : bytes-like
        They; all of the object where the server knows no ranges.
    """

    size: int
    start: int
    data: bytes


class NoObject(Exception):  # noqa: N818 - it may be a folder
    """There is no object at the address."""


class RemoteObject(ABC):
    """An object of bytes somewhere else.

    Attributes
    ----------
    name : str
        Its address, as it may be printed.
    """

    name: str

    @abstractmethod
    def tail(self, size: int) -> Beginning:
        """Return the last bytes, in one request.

        Raises
        ------
        NoObject
            If there is none.
        FormatError
            If the server does not answer, or answers wrongly.
        """

    @abstractmethod
    def fetch(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from a place to another one, in pieces; what breaks off is gone on with.

        Raises
        ------
        FormatError
            If the server does not answer, answers wrongly, or has another object now.
        """

    @abstractmethod
    def whole(self, limit: int) -> Iterator[bytes]:
        """Yield all bytes in pieces, in one request; the caller stops where they are too many.

        Raises
        ------
        NoObject
            If there is none.
        FormatError
            As :meth:`fetch`.
        """

    @abstractmethod
    def since(self, start: int, limit: int) -> bytes:
        """Return what an object that grows has from a place on, not many more bytes than a limit.

        Raises
        ------
        NoObject
            If there is none.
        FormatError
            If the server does not answer, or answers wrongly.
        """

    def called(self, digest: str) -> bool:
        """Return whether the server calls what came by a manifest digest."""
        del digest
        return False

    def pin(self, digest: str) -> None:
        """Ask from now on for the content of a digest: caches on the way may keep it for ever."""
        del digest

    @abstractmethod
    def close(self) -> None:
        """Let go of connections."""
