"""What one client may take: bytes of a header, and the time to send it or to take an answer."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from nmc_tools.serve.counters import Metrics

_NO_WAIT = getattr(os, "RWF_NOWAIT", 0)
_AT_ONCE = 2**20
"""Bytes of a file that are handed to the socket before other clients have their turn."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True)
class Limits:
    """What one client may take.

    Attributes
    ----------
    header_bytes : int
        Of a request line with its header fields.
    header_seconds : float
        From the connection, or the first byte of a request, to the end of its header.
    answer_seconds : float
        For which a client may leave unread what was sent: a quarter of a megabyte at most.
    idle_seconds : float
        For which a connection stays open between requests.
    connections : int
        At the same time; above that a request is answered with 503.
    """

    header_bytes: int = 32_768
    header_seconds: float = 10.0
    answer_seconds: float = 30.0
    idle_seconds: float = 15.0
    connections: int = 2048


class _Limited(HttpToolsProtocol):  # type: ignore[misc] # uvicorn is not there for all who check
    """One connection."""

    limits: Limits
    metrics: Metrics
    _timer: TimerHandle | None = None
    _header = 0
    _in_header = True
    _socket = -1
    _ready: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for a first header, not for ever."""
        super().connection_made(transport)
        self.metrics.connections += 1
        self._start(self.limits.header_seconds, _TOO_SLOW)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the connection."""
        self.metrics.connections -= 1
        self._stop()
        self._go_on()
        if self._socket >= 0:
            self.loop.remove_writer(self._socket)
            os.close(self._socket)
            self._socket = -1
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Let another protocol have the connection."""
        self.metrics.connections -= 1
        self._stop()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Count what is still a header before it is looked at."""
        if self._in_header:
            self._header += len(data)
            over = self._header > self.limits.header_bytes
            end = data.find(b"\r\n\r\n") if over else 0
            if over and (end < 0 or self._header - len(data) + end > self.limits.header_bytes):
                self._refuse(_TOO_LARGE)
                return
            if self._timer is None:
                self._start(self.limits.header_seconds, _TOO_SLOW)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """Give the time to answer, and a way for files to go from the disk to the socket."""
        self._in_header, self._header = False, 0
        self._stop()
        super().on_headers_complete()
        if self.scheme == "http" and hasattr(os, "sendfile"):
            self.scope["nmc.send_file"] = partial(self._send_file, self.cycle)

    def on_message_complete(self) -> None:
        """Look for the next header."""
        self._in_header = True
        super().on_message_complete()

    async def _send_file(self, cycle: Any, handle: int, start: int, size: int) -> None:
        """Send a part of a file as the next bytes of the body: no copy of it is made here.

        Parameters
        ----------
        cycle : RequestResponseCycle
            The answer, which counts its bytes.
        handle : int
            The file.
        start, size : int
            Which part. The header was sent, and says so many bytes.

        Raises
        ------
        EOFError
            If the file became shorter.
        OSError
            If the client is gone, or takes nothing for too long.
        """
        self.transport.set_write_buffer_limits(0)  # so that what was written before is out
        while self.transport.get_write_buffer_size() and not self.transport.is_closing():
            await asyncio.sleep(0)
            await self.flow.drain()
        cycle.expected_content_length -= size
        while size:
            if self.transport.is_closing():
                raise ConnectionResetError
            if self._socket < 0:  # of our own: the loop watches that of the transport already
                self._socket = os.dup(self.transport.get_extra_info("socket").fileno())
            at_once = min(size, _AT_ONCE)
            await in_memory(handle, start, at_once)
            try:
                sent = os.sendfile(self._socket, handle, start, at_once)
            except BlockingIOError:
                await self._writable()
                continue
            if not sent:
                raise EOFError("a file that is served became shorter")
            start, size = start + sent, size - sent
            if size:
                await asyncio.sleep(0)

    async def _writable(self) -> None:
        self._ready = ready = self.loop.create_future()
        self.loop.add_writer(self._socket, self._go_on)
        self._start(self.limits.answer_seconds, b"")
        try:
            await ready
        finally:
            self._stop()
            if self._socket >= 0:
                self.loop.remove_writer(self._socket)

    def _go_on(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def pause_writing(self) -> None:
        """Wait for a client that does not read, not for ever."""
        super().pause_writing()
        self._start(self.limits.answer_seconds, b"")

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        self._stop()
        super().resume_writing()

    def _start(self, seconds: float, words: bytes) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self._slow, words)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _slow(self, words: bytes) -> None:
        self._timer = None
        self.metrics.slow += 1
        self._refuse(words)

    def _refuse(self, words: bytes) -> None:
        if self.transport.is_closing():
            return
        if words:
            self.transport.write(words)
            self.transport.close()
        else:
            self.transport.abort()


async def in_memory(handle: int, start: int, size: int) -> None:
    """Have a part of a file read by another thread if the disk would have to be waited for."""
    if not _NO_WAIT:
        return
    try:
        for at in (start, start + size - 1):
            os.preadv(handle, [bytearray(1)], at, _NO_WAIT)
    except BlockingIOError:
        await asyncio.to_thread(os.pread, handle, size, start)
    except OSError:  # a file system that cannot say
        pass


def limited_protocol(limits: Limits, metrics: Metrics) -> type[Any]:
    """Return uvicorn's protocol with limits; what is over them is closed, and counted."""
    return type("Limited", (_Limited,), {"limits": limits, "metrics": metrics})
