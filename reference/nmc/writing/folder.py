"""Directories that are written through a handle: no link is followed, no error goes unheard.

Names are looked up in an open directory, so that nothing that is put in their way while a package
is written leads out of it (clause 5.1.4). Where a system lacks such calls, it is checked before.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import stat
import sys
import weakref
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nmc_format.issues import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

_HANDLES = os.open in os.supports_dir_fd and os.rename in os.supports_dir_fd
_BASE = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BASE
_READ = os.O_RDONLY | _BASE | getattr(os, "O_NONBLOCK", 0)  # a pipe would wait for its other end
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
_NO_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux
_NOT_THERE = (FileNotFoundError, NotADirectoryError)


class Folder:
    """An open directory; all names are those of its own entries.

    Parameters
    ----------
    path : Path
        The directory, for messages; links on the way to it are the user's and are followed.
    handle : int or None
        Its handle; opened here if not given.

    Raises
    ------
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: Path, handle: int | None = None) -> None:
        self.path = path
        self._handle = handle
        if handle is None and _HANDLES:
            self._handle = os.open(path, _FOLDER | getattr(os, "O_CLOEXEC", 0))
        self._release = weakref.finalize(self, _close, self._handle)

    @property
    def handle(self) -> int | None:
        """The open handle, where the system has such and it is open."""
        return self._handle if self._release.alive else None

    def close(self) -> None:
        """Give the handle back."""
        self._release()

    def _place(self, name: str) -> str:
        return name if self._handle is not None else str(self.path / name)

    def kind(self, name: str) -> int:
        """Return the type of an entry (``stat.S_IFREG`` …), 0 if there is none."""
        try:
            info = os.stat(self._place(name), dir_fd=self._handle, follow_symlinks=False)
        except _NOT_THERE:
            return 0
        return stat.S_IFMT(info.st_mode)

    def holds_file(self, name: str) -> bool:
        """Whether an entry is a regular file itself."""
        return self.kind(name) == stat.S_IFREG

    def holds_folder(self, name: str) -> bool:
        """Whether an entry is a directory itself."""
        return self.kind(name) == stat.S_IFDIR

    def names(self) -> list[str]:
        """Return the names of all entries, sorted."""
        place = self.path if self._handle is None else self._handle
        return sorted(os.listdir(place))  # noqa: PTH208 - by handle

    def folder(self, name: str, *, make: bool = False) -> Self:
        """Open a directory in this one.

        Raises
        ------
        FormatError
            If it is a link or anything else than a directory.
        OSError
            If it is not there, or cannot be made or opened.
        """
        if make and not self.kind(name):
            os.mkdir(self._place(name), dir_fd=self._handle)
        self.refuse_other_than_folder(name)
        handle = None
        if self._handle is not None:
            handle = os.open(self._place(name), _FOLDER | _BASE, dir_fd=self._handle)
        return type(self)(self.path / name, handle)

    def open(self, name: str) -> io.BufferedReader:
        """Open a regular file for reading.

        Raises
        ------
        FormatError
            If it is a link or anything else than a regular file.
        OSError
            If it is not there, or cannot be opened.
        """
        if self.kind(name) not in {0, stat.S_IFREG}:
            raise refuse("package/not-a-file", file=str(self.path), member=name)
        handle = os.open(self._place(name), _READ, dir_fd=self._handle)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise refuse("package/not-a-file", file=str(self.path), member=name)
            return os.fdopen(handle, "rb")
        except BaseException:
            os.close(handle)
            raise

    def create(self, name: str) -> int:
        """Make an empty file and return its handle; an entry of that name is removed first.

        A file that was there may have other names, which have to keep their content.
        """
        self.remove(name)
        return os.open(self._place(name), _NEW, 0o666, dir_fd=self._handle)

    def write(self, name: str, pieces: Iterable[Buffer], *, sync: bool = True) -> None:
        """Write a new file, and put it on the disk; it is there as a whole or not at all.

        Parameters
        ----------
        name : str
            The file; one that is there is removed first.
        pieces : iterable of bytes
            Its content.
        sync : bool
            Wait until the disk has it; else :meth:`sync_file` has to follow.

        Raises
        ------
        OSError
            If any step fails, the closing too.
        """
        handle = self.create(name)
        try:
            try:
                for piece in pieces:
                    write_all(handle, piece)
                if sync:
                    os.fsync(handle)
            except BaseException:
                with suppress(OSError):
                    os.close(handle)
                raise
            os.close(handle)
        except BaseException:
            with suppress(OSError):
                self.remove(name)
            raise

    def sync_file(self, name: str) -> None:
        """Wait until the disk has a file.

        Raises
        ------
        OSError
            If the disk cannot take it. What of it is there is not known then.
        """
        with self.open(name) as file:
            os.fsync(file.fileno())

    def remove(self, name: str) -> None:
        """Remove a file or a link, if it is there."""
        with suppress(*_NOT_THERE):
            os.unlink(self._place(name), dir_fd=self._handle)

    def only_folder(self, name: str) -> bool:
        """Remove what has a name unless it is a directory; return whether it is one.

        A link is removed, and nothing that it leads to.
        """
        if self.kind(name) not in {0, stat.S_IFDIR}:
            self.remove(name)
        return self.holds_folder(name)

    def refuse_other_than_folder(self, name: str) -> None:
        """Refuse what has a name and is no directory.

        Raises
        ------
        FormatError
            If it is a link or a file.
        """
        if self.kind(name) not in {0, stat.S_IFDIR}:
            raise refuse("package/not-a-file", file=str(self.path), member=name)

    def remove_folder(self, name: str) -> bool:
        """Remove a directory if it is empty; return whether it is gone."""
        try:
            os.rmdir(self._place(name), dir_fd=self._handle)
        except _NOT_THERE:
            return True
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                return False
            raise
        return True

    def move(self, name: str, target: Folder, new: str) -> None:
        """Rename an entry into a directory; a file of the new name is replaced in one step."""
        os.replace(
            self._place(name),
            target._place(new),
            src_dir_fd=self._handle,
            dst_dir_fd=target._handle,
        )

    def exchange(self, a: str, b: str) -> bool:
        """Exchange two entries in one step; False where the system cannot do that."""
        rename = _renameat2()
        if rename is None or self._handle is None:
            return False
        if rename(self._handle, os.fsencode(a), self._handle, os.fsencode(b), _EXCHANGE) == 0:
            return True
        number = ctypes.get_errno()
        if number in _NO_EXCHANGE:
            return False
        raise OSError(number, os.strerror(number), str(self.path / a))

    def sync(self) -> None:
        """Put the entries on the disk, where the system does that for directories."""
        if self._handle is None:
            return
        try:
            os.fsync(self._handle)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                raise


def write_all(handle: int, piece: Buffer) -> None:
    """Write all bytes: a single call may take fewer.

    Raises
    ------
    OSError
        If they cannot all be written.
    """
    rest = memoryview(piece).cast("B")
    while rest.nbytes:
        count = os.write(handle, rest)
        if count == 0:
            raise OSError(errno.EIO, "the file takes no more bytes")
        rest = rest[count:]


def _close(handle: int | None) -> None:
    if handle is not None:
        with suppress(OSError):
            os.close(handle)


@cache
def _renameat2() -> Any:
    """Return renameat2 of the C library, or None; Python has no name for it."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
    number, text = ctypes.c_int, ctypes.c_char_p
    function.argtypes = (number, text, number, text, ctypes.c_uint)
    return function
