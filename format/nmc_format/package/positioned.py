"""Files read at given places: threads and forked processes share no position (decision 0033)."""

from __future__ import annotations

import io
import os
import stat
import threading
from typing import TYPE_CHECKING

from nmc_format.host import host_refusal
from nmc_format.package.byte_source import ByteSource

if TYPE_CHECKING:
    from pathlib import Path

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer would wait for one
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def _open_regular(path: Path, *, follow: bool) -> int | None:
    """Open a regular file; None for anything else, which is not so much as opened.

    Whoever writes to a pipe would go on, and a device may act. A directory has no bytes.
    """
    if not stat.S_ISREG(os.stat(path, follow_symlinks=follow).st_mode):  # noqa: PTH116
        return None
    handle = os.open(path, _FLAGS | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)  # it was exchanged meanwhile
    return None


class PositionedFile(ByteSource):
    """A file open for reading; any number of threads, and of forked processes, may read it.

    Parameters
    ----------
    path : Path
        The file.
    follow : bool
        Whether a symbolic link is followed.

    Raises
    ------
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: Path, *, follow: bool = True) -> None:
        self._path = path
        self._lock = threading.Lock()
        handle = _open_regular(path, follow=follow)
        self.is_regular = handle is not None
        self._file = io.FileIO(os.open(os.devnull, _FLAGS) if handle is None else handle)
        self.size = os.fstat(self._file.fileno()).st_size if self.is_regular else 0

    def read_at(self, start: int, size: int) -> bytes:
        """Return bytes from a place on; fewer only where the file ends.

        Raises
        ------
        FormatError
            If the host cannot read them.
        ValueError
            If the file was closed.
        """
        pieces = []
        try:
            while size > 0:
                piece = self._read(start, size)
                if not piece:
                    break
                pieces.append(piece)
                start += len(piece)
                size -= len(piece)
        except OSError as error:
            raise host_refusal(error, self._path) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read(self, start: int, size: int) -> bytes:
        handle = self._file.fileno()
        if hasattr(os, "pread"):
            return os.pread(handle, size, start)
        with self._lock:  # a system that has no pread has no fork either
            os.lseek(handle, start, os.SEEK_SET)
            return os.read(handle, size)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._file.closed

    def close(self) -> None:
        """Release the file."""
        self._file.close()
