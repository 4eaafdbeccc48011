"""The camera formats that are known, those of this folder and of other packages, by their names."""

from __future__ import annotations

import errno
import os
import zipfile
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree.ElementTree import ParseError

import numpy as np

from nmc_framework.cameras.camera import CameraError
from nmc_framework.cameras.formats import (
    calibration,
    colmap,
    datasets,
    llff,
    miv,
    native,
    photogrammetry,
    transforms,
)
from nmc_framework.cameras.formats.format import Format, Found, Size
from nmc_framework.cameras.formats.rig_document import ConversionError, RigDocument
from nmc_framework.whole_files import whole

GROUP = "nmc.cameras"

_MODULES = (native, colmap, transforms, datasets, llff, miv, photogrammetry, calibration)


#: The formats of this folder; no package takes their names.
OWN = {each.name: each for module in _MODULES for each in module.FORMATS}


def formats() -> dict[str, Format]:
    """Return every format by its name, those of this folder first.

    Raises
    ------
    CameraError
        When what a package names as a format is none, or cannot be loaded.
    """
    known = dict(OWN)
    for point in entry_points(group=GROUP):
        try:
            found = point.load()
        except (ImportError, AttributeError, SyntaxError) as error:
            raise CameraError(
                f"the entry point {GROUP}:{point.name} cannot be loaded: {error}"
            ) from error
        if not isinstance(found, Format):
            raise CameraError(f"the entry point {GROUP}:{point.name} is not a Format: {found!r}")
        known.setdefault(found.name, found)
    return known


def detect(path: Path) -> str:
    """Return the format of a file or folder that is there: the first that knows it again.

    Raises
    ------
    FileNotFoundError
        When there is nothing.
    CameraError
        When it looks like none of them.
    """
    _require_there(path)
    found = Found.at(path)
    # Packages are asked last: one that is broken does not keep anybody from reading known files.
    own = (each.name for each in OWN.values() if each.detect(found))
    name = next(own, None) or next(
        (each.name for each in formats().values() if each.detect(found)), None
    )
    if name is None:
        raise CameraError(
            f"{path.name} is not a camera file of a known format; nmc cameras --help lists "
            "them, and --from names one"
        )
    return name


def guess(path: Path) -> str:
    """Return the format that a file to be written is meant to have, by its name alone.

    Raises
    ------
    CameraError
        When its name means none that can be written; the formats are listed.
    """
    meant = [each for each in formats().values() if each.write and each.meant_by(path)]
    if not meant:
        raise CameraError(f"the name {path.name} does not say which format to write; {_listed()}")
    return max(meant, key=lambda each: len(each.files)).name


def read(path: Path, name: str | None = None, size: Size | None = None) -> RigDocument:
    """Read the cameras of ``path`` in the format ``name``, or in the one it looks like.

    ``size`` (width, height) is needed for the formats whose files do not state it.

    Raises
    ------
    FileNotFoundError
        When there is nothing.
    CameraError
        When no format has that name, or the file is not of it.
    """
    chosen = named(name or detect(path))
    _require_there(path)
    try:
        with np.errstate(all="ignore"):  # what overflows is refused, not warned of
            return chosen.read(path, size)
    except CameraError:
        raise
    except KeyError as error:
        reason = f"no {error.args[0]}" if error.args else "a member is missing"
        raise ConversionError(f"{path.name} is no {chosen.name} file: {reason}") from error
    except (ValueError, TypeError, AttributeError, LookupError, SyntaxError) as error:
        raise ConversionError(f"{path.name} is no {chosen.name} file: {error}") from error
    except (NotADirectoryError, IsADirectoryError) as error:
        kinds = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
        raise ConversionError(
            f"{path.name} is {kinds[0]}; {chosen.name} cameras are in {kinds[1]}"
        ) from error
    except (ParseError, zipfile.BadZipFile, EOFError, ArithmeticError, RecursionError) as error:
        raise ConversionError(f"{path.name} is no {chosen.name} file: {error}") from error


def write(path: Path, document: RigDocument, name: str | None = None) -> str:
    """Write cameras in the format ``name``, or the one that the path's name means; return which.

    Raises
    ------
    CameraError
        When no format has that name, it is only read, or it cannot say what the cameras are.
    """
    chosen = named(name or guess(path))
    if chosen.write is None:
        raise CameraError(f"cameras cannot be written as {chosen.name}; {_listed(written=True)}")
    if chosen.several_files:
        chosen.write(path, document)
        return chosen.name
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under another name first: a refusal half-way leaves what was there.
    with whole(path) as partial:
        chosen.write(partial, document)
    return chosen.name


def named(name: str) -> Format:
    """Return a format by its name.

    Raises
    ------
    CameraError
        When no format has that name; all are listed.
    """
    known = OWN if name in OWN else formats()
    if name not in known:
        raise CameraError(f"no camera format {name!r}; {_listed()}")
    return known[name]


def _require_there(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _listed(*, written: bool = False) -> str:
    return f"there are {', '.join(n for n, f in formats().items() if f.write or not written)}"
