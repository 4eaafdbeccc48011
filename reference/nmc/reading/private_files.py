"""Files that none but their owner may read: keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600


def write_private(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Write a file that has its mode from the first byte on, and put it there in one step.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        _write_new(fresh, data, mode)
        fresh.replace(path)
    except OSError as error:
        error.filename = str(path)  # of what is written aside nobody asked
        raise


def _write_new(fresh: Path, data: bytes, mode: int) -> None:
    fresh.unlink(missing_ok=True)  # one of this number was killed: in containers numbers come again
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def is_exposed(path: str | Path) -> bool:
    """Whether others than its owner may read a file."""
    try:
        return bool(Path(path).stat().st_mode & 0o077)
    except OSError:
        return False
