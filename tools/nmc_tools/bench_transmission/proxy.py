"""A line as slow as a trace says: a proxy on loopback that lets so many bytes pass each second."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

_PIECE = 8192
_DELAY = 0.01
_ROUNDS = 3
"""Seconds from one end to the other."""

FOLDER = Path(__file__).parent / "traces"

TRACES = {"made": ("falls", "swings"), "recorded": ("bus", "tram", "train")}
"""Their names; the recorded ones are of 3G networks, and each file says where it is from."""


def trace(name: str) -> tuple[int, ...]:
    """Return a trace: bytes a second, of each second; it begins anew at its end."""
    lines = (FOLDER / f"{name}.txt").read_text(encoding="ascii").splitlines()
    return tuple(int(line) for line in lines if not line.startswith("#"))


@contextmanager
def throttled(url: str, rates: tuple[int, ...]) -> Iterator[str]:
    """Yield the URL of a proxy before a server; all connections share one line."""
    ready = threading.Event()
    place: list[str] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        line = Line(rates)
        serving: set[asyncio.Task[None]] = set()  # a loop itself lets go of tasks that wait

        def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(_serve(url, line, reader, writer))
            serving.add(task)
            task.add_done_callback(serving.discard)

        server = await asyncio.start_server(taken, "127.0.0.1", 0)
        place.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        ready.set()
        await stop.wait()
        server.close()
        for _ in range(_ROUNDS):  # a connection that was taken meanwhile has its task only then
            await asyncio.sleep(0.01)
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    ready.wait(10)
    try:
        yield place[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


class Line:
    """A line: bytes pass one after the other, as fast as the second they fall in lets them.

    Parameters
    ----------
    rates : tuple of int
        Bytes a second, of each second.
    """

    def __init__(self, rates: tuple[int, ...]) -> None:
        self._rates, self._free = rates, 0.0
        self._began: float | None = None  # with the first byte

    async def passed(self, size: int) -> None:
        """Wait until so many bytes have passed."""
        if self._began is None:
            self._began = time.monotonic()
        at = max(self._free, time.monotonic() - self._began)
        left = float(size)
        while left > 0:
            rate = self._rates[int(at) % len(self._rates)]
            span = min(left / rate, int(at) + 1 - at)
            at += max(span, 1e-6)
            left -= rate * max(span, 1e-6)
        self._free = at
        await asyncio.sleep(max(0.0, at - (time.monotonic() - self._began)))


async def _serve(
    url: str, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    parts = urlsplit(url)
    try:
        source, sink = await asyncio.open_connection(parts.hostname, parts.port, limit=2**16)
    except (OSError, asyncio.CancelledError):
        await _ended(writer)
        return

    async def upwards() -> None:
        while data := await reader.read(_PIECE):
            await asyncio.sleep(_DELAY)
            sink.write(data)
            await sink.drain()

    up = asyncio.ensure_future(upwards())
    try:
        while data := await source.read(_PIECE):
            await line.passed(len(data))
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    except asyncio.CancelledError:  # whoever does not read on any more is not waited for
        for end in (writer, sink):
            end.transport.abort()
    finally:
        up.cancel()
        await asyncio.gather(up, _ended(writer), _ended(sink), return_exceptions=True)


async def _ended(writer: asyncio.StreamWriter) -> None:
    """Close a connection and wait until it is closed."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
