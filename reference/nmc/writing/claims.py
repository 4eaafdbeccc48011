"""One process at a time writes an unfinished package (clause 5.1.5): the others are refused.

The system holds a claim, on the handle of a folder, and gives it back when its process ends in
whatever way. Where a system or a file system has no such claims, nobody is refused.
"""

from __future__ import annotations

import errno
import os
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from nmc_format.issues import refuse_with

try:
    import fcntl
except ImportError:  # another system
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from nmc.writing.folder import Folder

_HELD: weakref.WeakValueDictionary[tuple[int, int, int], Folder] = weakref.WeakValueDictionary()
"""Folders that this process has claimed, by process, device and number."""


def claim(folder: Folder) -> None:
    """Claim a folder for this process; from another writer of its own it is taken over.

    Raises
    ------
    FormatError
        If another process is writing there.
    """
    handle = folder.handle
    if fcntl is None or handle is None:
        return
    facts = os.fstat(handle)
    key = (os.getpid(), facts.st_dev, facts.st_ino)
    before = _HELD.get(key)
    if before is not None and before is not folder:
        release(before)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            return  # a file system without claims
        hint = "wait until it has finished, or end it"
        reason = "another process is writing there"
        raise refuse_with(hint, "host/denied", file=str(folder.path), reason=reason) from None
    _HELD[key] = folder


def release(folder: Folder) -> None:
    """Give a claim back before the handle is closed; it is no error if there is none."""
    if fcntl is not None and folder.handle is not None:
        with suppress(OSError):
            fcntl.flock(folder.handle, fcntl.LOCK_UN)
