"""Many clients in one process: each plays by ranges, and notes which frame came late."""

from __future__ import annotations

import heapq
import random
import selectors
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

_ROOM = 2**20
_AHEAD = 1.0
"""Seconds that a client buffers, and waits before it begins."""


@dataclass
class Seen:
    """What clients saw.

    Attributes
    ----------
    frames, stalls, errors : int
        Frames that came, that came late, and answers that were none.
    size : int
        Bytes.
    """

    frames: int = 0
    stalls: int = 0
    errors: int = 0
    size: int = 0


@dataclass
class _Client:
    line: socket.socket
    begin: float
    frame: int
    came: int = 0
    left: int = 0
    head: bytes = b""


@dataclass(frozen=True)
class Film:
    """What is played: a file on a server, and where its segments lie in it."""

    url: str
    parts: tuple[tuple[int, int], ...]
    rate: float = 30.0


def play(film: Film, clients: int, seconds: float) -> Seen:
    """Play with so many clients for some seconds; each begins at another frame.

    A frame is late if it is not there a second after the client began, and then every thirtieth of
    a second.
    """
    place = urlsplit(film.url)
    address = (place.hostname or "", place.port or 80)
    chance, seen = random.Random(0), Seen()  # noqa: S311 - no secret
    room = memoryview(bytearray(_ROOM))
    lines = selectors.DefaultSelector()
    now = time.perf_counter()
    end = now + seconds + 1
    crowd = []
    for _ in range(clients):
        line = socket.create_connection(address, timeout=30)
        line.setblocking(False)
        client = _Client(line, now + chance.random(), chance.randrange(len(film.parts)))
        lines.register(line, selectors.EVENT_READ, client)
        crowd.append(client)
    head = f"GET {place.path} HTTP/1.1\r\nHost: x\r\nRange: bytes=".encode()
    due = [(client.begin, i) for i, client in enumerate(crowd)]
    heapq.heapify(due)
    number = {id(client): i for i, client in enumerate(crowd)}
    while (now := time.perf_counter()) < end:
        while due and due[0][0] <= now:
            client = crowd[heapq.heappop(due)[1]]
            start, size = film.parts[client.frame]
            client.left, client.head = size, b""
            client.line.send(head + f"{start}-{start + size - 1}\r\n\r\n".encode())
        for key, _ in lines.select(0.002):
            client = key.data
            try:
                if _took(client, film, room, seen):
                    heapq.heappush(
                        due, (client.begin + client.came / film.rate, number[id(client)])
                    )
            except OSError:
                seen.errors += 1
                lines.unregister(key.fileobj)
    for client in crowd:
        wanted = (min(now, end) - client.begin - _AHEAD) * film.rate
        seen.stalls += client.came < int(wanted) - 1
        client.line.close()
    for key in list(lines.get_map().values()):
        lines.unregister(key.fileobj)
    return seen


def _took(client: _Client, film: Film, room: memoryview, seen: Seen) -> bool:
    """Take what came; return whether a frame is whole now."""
    got = client.line.recv_into(room)
    if not got:
        raise ConnectionResetError
    body = got
    if not client.head.endswith(b"\r\n\r\n"):
        text = client.head + bytes(room[:got])
        before, mark, rest = text.partition(b"\r\n\r\n")
        client.head = before + mark
        if not mark:
            return False
        if not before.startswith(b"HTTP/1.1 206"):
            raise ConnectionResetError
        body = len(rest)
    client.left -= body
    if client.left > 0:
        return False
    now = time.perf_counter()
    due = client.begin + _AHEAD + client.came / film.rate
    seen.frames += 1
    seen.size += film.parts[client.frame][1]
    seen.stalls += now > due
    client.came += 1
    client.frame = (client.frame + 1) % len(film.parts)
    return True
