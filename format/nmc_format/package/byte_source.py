"""Bytes at given places: what a package file is read from, wherever it lies (decision 0070).

A file of this host, the memory, an open file object and a server are the same to those who read.
"""

from __future__ import annotations

import io
import os
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from nmc_format.host import host_refusal

if TYPE_CHECKING:
    from typing_extensions import Buffer


class ByteSource(ABC):
    """Bytes that any number of threads, and of forked processes, may read at any place.

    Attributes
    ----------
    size : int
        Bytes in all.
    distant : bool
        Whether a byte is worth remembering: each read may be a request to a server.
    """

    size: int
    distant: bool = False

    @abstractmethod
    def read_at(self, start: int, size: int) -> bytes:
        """Return bytes from a place on; fewer only where the source ends.

        Raises
        ------
        FormatError
            If the host or a server does not give them.
        ValueError
            If the source was closed.
        """

    def expect(self, start: int, end: int) -> None:
        """Hear that these bytes are read next, one after the other; a server may be asked now."""
        del start, end

    def pin(self, digest: str) -> None:
        """Hear the manifest digest of the package that this is; a server may be asked by it."""
        del digest

    def stream(self, *, exact: bool = False) -> BinaryIO:
        """Return the bytes as a stream with a position of its own, at their start.

        Parameters
        ----------
        exact : bool
            Read what is asked for and nothing behind it.
        """
        raw = _Stream(self, 0, self.size)
        return cast("BinaryIO", raw if exact else io.BufferedReader(raw))

    def window(self, start: int, size: int) -> BinaryIO:
        """Return a part of the bytes as a stream with a position of its own, at its start."""
        return cast("BinaryIO", io.BufferedReader(_Stream(self, start, size)))

    @abstractmethod
    def close(self) -> None:
        """Let go of the source; nothing can be read afterwards."""


class BytesSource(ByteSource):
    """Bytes in memory.

    Parameters
    ----------
    data : bytes-like
        Not copied; the caller leaves it as it is.
    """

    def __init__(self, data: Buffer) -> None:
        self._data = memoryview(data).cast("B")
        self.size = len(self._data)

    def read_at(self, start: int, size: int) -> bytes:
        """Return bytes from a place on."""
        return bytes(self._data[start : start + size])

    def close(self) -> None:
        """Let go of the memory; the caller's view of it stays."""
        self._data.release()


class FileObjectSource(ByteSource):
    """An open binary file of the caller, who closes it.

    Parameters
    ----------
    file : binary file
        It can be read and sought; its position moves, and threads take turns. Forked processes
        share that position, so that each needs a file of its own.
    name : str
        For messages.

    Raises
    ------
    FormatError
        If its length cannot be found.
    """

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self._name = name
        self._lock = threading.Lock()
        try:
            self.size = int(file.seek(0, os.SEEK_END))
        except OSError as error:
            raise host_refusal(error, name) from None

    def read_at(self, start: int, size: int) -> bytes:
        """Return bytes from a place on."""
        pieces = []
        with self._lock:
            try:
                self._file.seek(start)
                while size > 0 and (piece := self._file.read(size)):
                    pieces.append(bytes(piece)[:size])
                    size -= len(pieces[-1])
            except OSError as error:
                raise host_refusal(error, self._name) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Do nothing: the file is the caller's."""


class _Stream(io.RawIOBase):
    def __init__(self, source: ByteSource, start: int, size: int) -> None:
        self._source = source
        self._start, self._size = start, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        rest = max(0, self._size - self._at)
        data = self._source.read_at(self._start + self._at, min(len(view), rest))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
