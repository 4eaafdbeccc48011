"""A remote object as a source of bytes: what is expected is fetched while what came is decoded."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from nmc.remote.remote_object import NoObject
from nmc_format.issues import refuse
from nmc_format.package.byte_source import ByteSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nmc.remote.remote_object import RemoteObject

TAIL_BYTES: Final = 1 << 19
"""Bytes of the first request: end records and the directory of 5,000 frames (decision 0070)."""

_ENTRY_BYTES: Final = 104
"""Of a directory entry of a frame, rounded up."""
_OTHER_BYTES: Final = 1 << 13
"""What the first request brings beside the entries of frames."""

MOST_AHEAD: Final = 1 << 26
"""Bytes that are fetched ahead at once, and remembered in all."""

_MOST_WINDOWS: Final = 4


class Window:
    """A range of bytes that is being fetched by a thread of its own, and can be read as it comes.

    Parameters
    ----------
    start, end : int
        The range.
    pieces : callable
        Yields its bytes, in order.
    """

    def __init__(self, start: int, end: int, pieces: Callable[[], Iterator[bytes]]) -> None:
        self.start = start
        self.end = end
        self.failed: BaseException | None = None
        self._pieces: list[bytes] = []
        self._have = 0
        self._changed = threading.Condition()
        self._unwanted = self._ended = False
        threading.Thread(target=self._fill, args=(pieces,), name="nmc-ahead", daemon=True).start()

    def _fill(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        try:
            for piece in pieces():
                with self._changed:
                    self._pieces.append(piece)
                    self._have += len(piece)
                    self._changed.notify_all()
                    if self._unwanted:
                        break
        except BaseException as error:  # it is raised where the bytes are read
            self.failed = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def read(self, start: int, end: int) -> bytes:
        """Return some of its bytes as soon as they are there; fewer only where it has no more."""
        with self._changed:
            while self._have < end - self.start and not self._ended:
                self._changed.wait()
            if self._have < end - self.start and self.failed is not None:
                raise self.failed
            pieces = list(self._pieces)
        found, at = [], self.start
        for piece in pieces:
            first, last = max(start - at, 0), min(end - at, len(piece))
            if first < last:
                whole = first == 0 and last == len(piece)
                found.append(piece if whole else memoryview(piece)[first:last])
            at += len(piece)
            if at >= end:
                break
        return b"".join(found)

    def leave(self) -> None:
        """Stop fetching: who still reads it is told that there is no more."""
        self._unwanted = True


class _Windows:
    """The windows of one process, and what is read next as far as it is known."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.windows: list[Window] = []
        self.expected = range(0)


class RangedSource(ByteSource):
    """A remote object as a source of bytes, with a bounded memory of what was read.

    Parameters
    ----------
    remote : RemoteObject
        The object.
    frames : int or None
        How many frames the package has, where that is known: no more than their directory is
        asked for first.

    Raises
    ------
    NoObject
        If there is none.
    FormatError
        If the server does not answer, or answers wrongly.
    """

    distant = True

    def __init__(self, remote: RemoteObject, frames: int | None = None) -> None:
        known = TAIL_BYTES if frames is None else _OTHER_BYTES + _ENTRY_BYTES * frames
        beginning = remote.tail(min(known, TAIL_BYTES))
        self.size = beginning.size
        self._remote = remote
        self._start = beginning.start
        self._tail: bytes | None = beginning.data
        self._by_process: dict[int, _Windows] = {}

    @property
    def _mine(self) -> _Windows:
        """The windows of this process: threads of its parent fill those of the parent alone."""
        return self._by_process.setdefault(os.getpid(), _Windows())

    def _fetch(self, start: int, end: int) -> Iterator[bytes]:
        try:
            yield from self._remote.fetch(start, end)
        except NoObject:
            raise refuse(
                "host/changed",
                file=self._remote.name,
                what="length",
                actual="nothing: it is gone",
                expected=self.size,
            ) from None

    def read_at(self, start: int, size: int) -> bytes:
        """Return bytes from a place on, from memory where they were fetched."""
        if self._tail is None:
            raise ValueError(f"{self._remote.name} is closed")
        end = min(start + size, self.size)
        if start >= end:
            return b""
        if start >= self._start:
            return bytes(memoryview(self._tail)[start - self._start : end - self._start])
        pieces = []
        while start < end:
            pieces.append(self._read_some(start, end))
            if not pieces[-1]:
                break
            start += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_some(self, start: int, end: int) -> bytes:
        """Return bytes from a place on, as many as lie in one place."""
        if self._tail is not None and start >= self._start:
            return bytes(memoryview(self._tail)[start - self._start : end - self._start])
        mine = self._mine
        with mine.lock:
            found = next((w for w in mine.windows if w.start <= start < w.end), None)
            later = [w.start for w in mine.windows if w.start > start]
        if found is None:
            return b"".join(self._fetch(start, min(end, self._start, *later)))
        try:
            return found.read(start, min(end, found.end))
        except BaseException:
            self._drop(found)
            raise

    def pin(self, digest: str) -> None:
        """Ask from now on for the content of a manifest digest, if the server knows it by that."""
        if self._remote.called(digest):
            self._remote.pin(digest)

    def expect(self, start: int, end: int) -> None:
        """Fetch bytes that are read next, unless they are there or come already.

        A part of what was expected before is fetched with all that follows it there.
        """
        end = min(end, self._start)  # the last bytes are there
        mine = self._mine
        with mine.lock:
            if mine.expected.start <= start < end <= mine.expected.stop:
                end = mine.expected.stop
            else:
                mine.expected = range(start, end)
            for window in tuple(mine.windows):
                if window.start <= start < window.end:
                    mine.windows.remove(window)
                    mine.windows.append(window)  # it is read next: others make room first
                    ahead = end - start
                    if end <= window.end or window.end - start > ahead // 2:
                        return
                    start = window.end
            end = min(end, start + MOST_AHEAD)
            if start >= end or self._tail is None:
                return
            while mine.windows and (
                len(mine.windows) >= _MOST_WINDOWS
                or sum(w.end - w.start for w in mine.windows) + end - start > MOST_AHEAD
            ):
                mine.windows.pop(0).leave()
            mine.windows.append(Window(start, end, lambda: self._fetch(start, end)))

    def _drop(self, window: Window) -> None:
        mine = self._mine
        with mine.lock:
            if window in mine.windows:
                mine.windows.remove(window)

    def close(self) -> None:
        """Forget all, and close connections."""
        self._tail = None
        mine = self._mine
        with mine.lock:
            for window in mine.windows:
                window.leave()
            mine.windows.clear()
        self._remote.close()
