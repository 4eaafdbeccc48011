"""A socket whose answers have to get on: a server that trickles is one that is silent."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

from nmc.remote.patience import PROGRESS_BYTES

if TYPE_CHECKING:
    import socket

    from typing_extensions import Buffer


class TimedSocket:
    """What `http.client` uses of a socket, with a time limit for progress.

    Parameters
    ----------
    sock : socket
        Connected.
    timeout : float
        Seconds in which the next 64 KiB, or the end of what is read, have to come.
    """

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self._sock = sock
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._since = 0
        self._readers = 0
        self._closed = False

    def sendall(self, data: Buffer) -> None:
        """Send a request; the time for the answer begins."""
        self._sock.settimeout(self._timeout)
        self._sock.sendall(data)
        self.begin()

    def begin(self) -> None:
        """Give the other side the whole time again."""
        self._deadline = time.monotonic() + self._timeout
        self._since = 0

    def receive(self, buffer: Buffer) -> int:
        """Read some bytes.

        Raises
        ------
        TimeoutError
            If too few came in the time.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        count = self._sock.recv_into(memoryview(buffer))
        self._since += count
        if self._since >= PROGRESS_BYTES:
            self.begin()
        return count

    def makefile(self, *args: Any, **options: Any) -> io.BufferedReader:
        """Return a file to read the answer from."""
        del args, options
        self._readers += 1
        return io.BufferedReader(_Received(self), PROGRESS_BYTES)

    def close(self) -> None:
        """Close the connection once nobody reads an answer from it."""
        self._closed = True
        if self._readers == 0:
            self._sock.close()

    def released(self) -> None:
        """Hear that an answer was read."""
        self._readers -= 1
        if self._closed:
            self.close()


class _Received(io.RawIOBase):
    """The answer; closing it leaves the socket open for the next one."""

    def __init__(self, sock: TimedSocket) -> None:
        self._socket = sock

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._socket.released()

    def readinto(self, buffer: Buffer) -> int:
        return self._socket.receive(buffer)
