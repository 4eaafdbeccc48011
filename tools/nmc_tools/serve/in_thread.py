"""A server beside other work, in a thread: of a package that is being trained."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nmc_tools.serve.application import app
from nmc_tools.serve.connections import Limits
from nmc_tools.serve.counters import Metrics
from nmc_tools.serve.running import Running, bound, url_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nmc_tools.serve.access import Access


IDLE_SECONDS = 3.0
"""Who reads along asks more often; so long after the last request, nobody does any more."""

_LONGEST = 600.0
"""Seconds that readers have to fetch the rest, at most."""


class _Heard:
    """An application that knows when it was last asked."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._last = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._last = time.monotonic()
        await self._application(scope, receive, send)

    def wait(self) -> None:
        """Wait until those who read along have come to the end."""
        end = time.monotonic() + _LONGEST
        while time.monotonic() < min(end, self._last + IDLE_SECONDS):
            time.sleep(0.05)


@contextmanager
def beside(path: Path, host: str, port: int, access: Access | None = None) -> Iterator[str]:
    """Serve a package while the block runs, from before its first frame on.

    Parameters
    ----------
    path : Path
        The package; it need not be there yet.
    host, port
        Where to listen; port 0 takes a free one.
    access : Access or None
        Who may read; None: everybody.

    Yields
    ------
    str
        The address of the package.

    Raises
    ------
    FormatError
        If nobody can listen there.
    """
    metrics = Metrics()
    heard = _Heard(app([path], access=access, metrics=metrics))
    running = Running(heard, metrics, Limits())
    listening = bound(host, port)
    url = url_of(listening)
    ready = threading.Event()
    thread = threading.Thread(
        target=running.run, args=(listening, ready.set), name="nmc-serve", daemon=True
    )
    thread.start()
    ready.wait(10)
    try:
        yield url + path.name
        heard.wait()
    finally:
        running.stop()
        thread.join()
