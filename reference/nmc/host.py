"""Errors of the host as findings: a full disk is no traceback."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nmc_format.issues import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def host_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a FormatError that names the path.

    Raises
    ------
    FormatError
        ``host/no-space`` for a full disk, ``host/failed`` for all else.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise refuse("host/no-space", file=str(path)) from None
        reason = error.strerror or str(error)
        raise refuse("host/failed", file=str(error.filename or path), reason=reason) from None
