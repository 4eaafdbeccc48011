"""Tells the two forms of a package apart (clause 5.1.1): by what is there, never by the name."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_format.host import host_refusal
from nmc_format.issues import refuse
from nmc_format.package.directory import DirectoryPackage
from nmc_format.package.file import FilePackage
from nmc_format.package.foreign import special_kind

if TYPE_CHECKING:
    from nmc_format.package.members import Package


def open_package(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Package:
    """Open a package, whichever its form.

    Raises
    ------
    FormatError
        If there is nothing, it cannot be read, or it is not a package.
    """
    path = Path(os.fsdecode(path))
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise host_refusal(error, path) from None
    except ValueError as error:  # a NUL, or a lone surrogate
        raise refuse("host/path", file=str(path), reason=str(error)) from None
    if stat.S_ISDIR(mode):
        return DirectoryPackage(path)
    if not stat.S_ISREG(mode):
        reason = f"it is {special_kind(mode)}"
        raise refuse("package/not-a-package", file=str(path), reason=reason)
    return FilePackage(path)
