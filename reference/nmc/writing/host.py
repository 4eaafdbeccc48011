"""Errors of the host as findings: a full disk is not a traceback."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from nmc_format.host import host_refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
        raise host_refusal(error, path) from None
