"""Errors of the host as refusals: which code, and words that say what to do."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_format.issues import refuse, refuse_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmc_format.issues import FormatError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_NAME = {errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ}
_HINTS = {
    errno.EMFILE: "raise the limit, such as by ulimit -n",
    errno.ENFILE: "raise the limit, such as by ulimit -n",
    errno.EFBIG: "the file system or a limit (ulimit -f) takes no larger file; "
    "a package in directory form has smaller ones",
}
_DEVICE = {errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.EREMOTEIO}


def host_refusal(error: OSError, path: str | os.PathLike[str]) -> FormatError:
    """Return the refusal that says what the host reported of a path, to be raised by the caller.

    Parameters
    ----------
    error : OSError
        What a call of the system raised; if it names a file of its own, that is the place.
    path : path
        The place otherwise.
    """
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(path)
    reason = error.strerror or str(error)
    if error.errno == errno.ENOENT:
        return absent(place)
    if error.errno == errno.EEXIST:
        return refuse("host/exists", file=place)
    if error.errno in _FULL:
        return refuse("host/no-space", file=place)
    if error.errno in _DENIED:
        return refuse("host/denied", file=place, reason=reason)
    if error.errno in _NO_NAME:
        return refuse("host/path", file=place, reason=reason)
    if error.errno in _DEVICE:
        return refuse("host/device", file=place, reason=reason)
    hint = _HINTS.get(error.errno or 0, "")
    return refuse_with(hint, "host/failed", file=place, reason=reason)


def absent(place: str) -> FormatError:
    """Return the refusal of a path where there is nothing; a broken link is named as such."""
    path = Path(place)
    try:
        if path.is_symlink():
            return refuse("host/broken-link", file=place, target=path.readlink())
    except OSError:
        pass
    return refuse("host/not-found", file=place)


@contextmanager
def host_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a FormatError that names the path.

    Raises
    ------
    FormatError
        With a code of the chapter ``host``, by the number of the error.
    """
    try:
        yield
    except OSError as error:
        name = error.filename
        bare = isinstance(name, str | bytes) and Path(os.fsdecode(name)).name == os.fsdecode(name)
        if bare and error.errno != errno.ENOENT:
            error.filename = None  # an entry of an open directory: the path says of which
        raise host_refusal(error, path) from None
