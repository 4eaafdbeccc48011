"""A server that runs: its socket, its start, and its end."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import uvicorn

from nmc_format.issues import refuse
from nmc_tools.serve.connections import Limits, limited_protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nmc_tools.serve.counters import Metrics

_LAST_ANSWERS = 5
"""Seconds for which answers that have begun may go on after Ctrl-C."""
_ENDS = (signal.SIGINT, signal.SIGTERM)
_WAITING = 2048
_PICTURES = 2**16
"""Bytes of a message that asks for a picture."""


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises
    ------
    FormatError
        If the port is in use, or the host is not one of this machine.
    """
    place = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError, OverflowError) as error:
        raise refuse("host/failed", file=place, reason=f"no such host: {error}") from None
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(_WAITING)
        found.setblocking(False)
    except OSError as error:
        found.close()
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            reason = "another program uses this port; choose one with --port, or 0 for a free one"
        elif error.errno == errno.EACCES:
            reason = "this port needs more rights; choose one of 1024 or more with --port"
        raise refuse("host/failed", file=place, reason=reason) from None
    return found


def url_of(listening: socket.socket) -> str:
    """Return the URL of a server behind a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


class _Server(uvicorn.Server):  # type: ignore[misc] # uvicorn is not there for all who check
    """A server that remembers being told to end, and lets the process do the rest."""

    interrupted = False
    should_exit = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End at signals while the block runs; only the main thread hears them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._told) for number in _ENDS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _told(self, number: int, _frame: Any) -> None:
        self.force_exit = self.should_exit and number == signal.SIGINT  # told twice
        self.should_exit = True
        self.interrupted |= number == signal.SIGINT


class Running:
    """A server; :meth:`run` returns when it has ended.

    Parameters
    ----------
    application : application
        What answers.
    metrics : Metrics
        Where connections are counted.
    limits : Limits
        What one client may take.
    """

    def __init__(self, application: Any, metrics: Metrics, limits: Limits) -> None:
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            application,
            http=limited_protocol(limits, metrics),
            ws="websockets-sansio",
            ws_max_size=_PICTURES,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(limits.idle_seconds) or 1,
            timeout_graceful_shutdown=_LAST_ANSWERS,
            limit_concurrency=limits.connections,
        )
        self._server = _Server(config)

    def run(
        self,
        listening: socket.socket,
        started: Callable[[], None] = lambda: None,
        parent: int | None = None,
    ) -> None:
        """Serve until :meth:`stop`, or until the process is told to end.

        Parameters
        ----------
        listening : socket
            Where clients come from; closed at the end.
        started : callable
            Called when the first client can come.
        parent : int or None
            A process without which this one ends.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, when the last answers are out.
        """

        async def serve() -> None:
            task = asyncio.ensure_future(self._server.serve(sockets=[listening]))
            while not self._server.started and not task.done():
                await asyncio.sleep(0.01)
            if not task.done():
                started()
            while parent is not None and not task.done():
                await asyncio.wait([task], timeout=1)
                if os.getppid() != parent:
                    self.stop()
            await task

        with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
            runner.run(serve())
        if self._server.interrupted:
            raise KeyboardInterrupt

    def run_workers(
        self, listening: socket.socket, workers: int, started: Callable[[], None]
    ) -> None:
        """Serve in so many processes, of which this is one; the others end with it.

        Parameters
        ----------
        listening : socket
            Where clients come from; each process takes those that it can.
        workers : int
            Processes; one where the system cannot fork.
        started : callable
            Called in this process when the first client can come.
        """
        own, others = os.getpid(), []
        for _ in range(workers - 1 if hasattr(os, "fork") else 0):
            pid = os.fork()
            if not pid:
                try:
                    self.run(listening, parent=own)
                finally:
                    os._exit(0)
            others.append(pid)
        try:
            self.run(listening, started)
        finally:
            for pid in others:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            for pid in others:
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def stop(self) -> None:
        """End the server; other threads may call this."""
        self._server.should_exit = True
