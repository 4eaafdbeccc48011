"""What a camera format is: one value that says how its files are told, read and written.

A module of this folder lists its formats in ``FORMATS``; another package names one in an entry
point, and nothing here has to change::

    [project.entry-points."nmc.cameras"]
    my-format = "my_package.my_module:MY_FORMAT"
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from nmc_framework.cameras.camera import CameraError
from nmc_framework.cameras.formats.rig_document import ConversionError, RigDocument

Size = tuple[int, int]
Reader = Callable[[Path, Size | None], RigDocument]
Writer = Callable[[Path, RigDocument], object]


@dataclass(frozen=True)
class Found:
    """What is known of a path before anybody reads it as cameras.

    ``names`` are the files of a folder, ``members`` the top level of a JSON object; both are empty
    for anything else.
    """

    path: Path
    names: frozenset[str] = frozenset()
    members: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def at(cls, path: Path) -> Found:
        """Look at a path that is there.

        Raises
        ------
        CameraError
            When a file that is called JSON is none.
        """
        if path.is_dir():
            return cls(path, names=frozenset(p.name for p in path.iterdir() if p.is_file()))
        if path.suffix.lower() != ".json":
            return cls(path)
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise CameraError(f"{path.name} is not JSON: {error}") from error
        return cls(path, members=document if isinstance(document, dict) else {})

    @property
    def suffix(self) -> str:
        """The suffix of a file, in small letters; empty for a folder."""
        return "" if self.path.is_dir() else self.path.suffix.lower()

    @property
    def first(self) -> dict[str, Any]:
        """The first value of a JSON object where that is an object too, else an empty one."""
        value = next(iter(self.members.values()), None)
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class Format:
    """One camera format.

    Parameters
    ----------
    name
        By which ``--from`` and ``--to`` know it.
    read
        Makes a rig of a path, and of the size of the images where the caller knows it.
    write
        None where it is only read.
    detect
        Whether a path looks like this format.
    files
        What its files are called, as a shell pattern such as ``*.npy``: what is to be written under
        such a name has this format. The longest pattern that fits decides. Empty: no name means it.
    several_files
        Whether it is a folder, whose name has no suffix; else it is one file, which is put in place
        when it is whole.
    """

    name: str
    read: Reader
    write: Writer | None = None
    detect: Callable[[Found], bool] = lambda _: False
    files: str = ""
    several_files: bool = False

    def meant_by(self, path: Path) -> bool:
        """Whether the name of a path to be written means this format."""
        named = fnmatchcase(path.name.lower(), self.files)
        return named and bool(path.suffix) != self.several_files


def plain(read: Callable[[Path], RigDocument]) -> Reader:
    """Return the reader of a format that states all there is to know."""
    return lambda path, _: read(path)


def sized(read: Callable[[Path, Size], RigDocument]) -> Reader:
    """Return the reader of a format that does not state the size of the images.

    It raises ``ConversionError`` where nobody else does.
    """

    def reader(path: Path, size: Size | None) -> RigDocument:
        if size is None:
            raise ConversionError(
                f"{path.name} does not state the size of the images; give it (--size)"
            )
        return read(path, size)

    return reader


def has_suffix(suffix: str) -> Callable[[Found], bool]:
    """Return a ``detect`` that goes by the file's suffix, such as ``.npy``."""
    return lambda found: found.suffix == suffix
