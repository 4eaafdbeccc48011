"""Which file a path of a URL names: members of packages and presentation documents, nothing else.

Each name of a path is looked up in the open folder before it and no link is followed (clause
5.1.4), so a path leads nowhere but below what was given on the command line. That path itself is
the user's, and may be a link.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from nmc_format.package.members import (
    JOURNAL_NAME,
    MANIFEST_NAME,
    MEDIUM_NAME,
    SEGMENT_FOLDER,
    SIGNATURE_NAME,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SEGMENT = re.compile(r"([0-9]{8})\.safetensors")
_PARTIAL = ".partial"
"""Ends the name of the folder in which a package file is made."""
_DEEPEST = 8
_MOST = 10_000
"""Folders and names of a listing: beyond these it ends, and says so."""

_FOLLOW = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_HERE = _FOLLOW | getattr(os, "O_NOFOLLOW", 0)
_BY_HANDLE = os.open in os.supports_dir_fd


class Kind(Enum):
    """What a path names."""

    FILE = "file"
    MANIFEST = "manifest"
    SEGMENT = "segment"
    JOURNAL = "journal"
    SIGNATURE = "signature"
    MEDIUM = "medium"
    DOCUMENT = "document"


@dataclass(frozen=True)
class Opened:
    """A file that is open for reading; whoever asked for it closes it.

    Attributes
    ----------
    handle : int
        Its handle.
    status : os.stat_result
        Of the handle.
    kind : Kind
        What it is.
    package : Path
        The package that it is or belongs to.
    frame : int
        Of a segment; of a medium its index.
    """

    handle: int
    status: os.stat_result
    kind: Kind
    package: Path
    frame: int = -1


@dataclass(frozen=True)
class Entry:
    """A package or a document that a listing names: its URL path, and where it lies."""

    name: str
    path: Path
    kind: Kind


class Shelf:
    """What is served: packages, documents and folders of them, by name.

    Parameters
    ----------
    paths : sequence of Path
        A package or a document is served under its own name; what a folder holds, under its
        path within that folder.

    Raises
    ------
    ValueError
        If two packages would have one name.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._named: dict[str, Path] = {}
        self._folders: list[Path] = []
        for given in paths:
            path = given.absolute()
            if path.is_dir() and not _is_package(path):
                self._folders.append(path)
                continue
            if path.name in self._named and self._named[path.name] != path:
                raise ValueError(
                    f"two paths are called {path.name}: {self._named[path.name]}, {path}"
                )
            self._named[path.name] = path

    def open(self, url: str) -> Opened | None:
        """Open what a path of a URL names; None where it names nothing that is served."""
        parts = url.removeprefix("/").split("/")
        if len(parts) > _DEEPEST + 2:
            return None
        for base, rest in self._bases(parts):
            found = _opened(base, rest)
            if found is not None:
                return found
        return None

    def package(self, url: str) -> Path | None:
        """Return the package that a path of a URL names; None where there is none."""
        for member in ("", f"/{MANIFEST_NAME}"):
            opened = self.open(url + member)
            if opened is not None:
                os.close(opened.handle)
                return opened.package if opened.kind in {Kind.FILE, Kind.MANIFEST} else None
        return None

    def entries(self) -> Iterator[Entry]:
        """Yield what there is, sorted by name within each folder."""
        for name, path in sorted(self._named.items()):
            yield Entry(name, path, Kind.DOCUMENT if path.suffix == ".json" else Kind.FILE)
        left = [_MOST]
        for folder in self._folders:
            yield from _walk(folder, "", 0, left)

    def _bases(self, parts: list[str]) -> Iterator[tuple[Path, list[str]]]:
        if not all(map(_sound, parts[1:])):
            return
        # what is named on the command line may be called as its owner likes
        if (named := self._named.get(parts[0])) is not None:
            yield named, parts[1:]
        if _sound(parts[0]):
            for folder in self._folders:
                yield folder, parts


def _sound(part: str) -> bool:
    """Whether a name of a path is one that can be served: no dots before it, nothing odd in it."""
    return (
        0 < len(part) <= 255
        and not part.startswith(".")
        and part.isprintable()
        and not set(part) & set('\\:*?"<>|')
    )


def _is_package(path: Path) -> bool:
    return (path / MANIFEST_NAME).exists() or (path / JOURNAL_NAME).exists()


def _opened(base: Path, rest: list[str]) -> Opened | None:
    """Open the file that ``rest`` names below ``base``, if it is one that is served."""
    kind, frame, up = _kind(rest)
    handle = _beneath(base, rest)
    if handle is None and up and not base.joinpath(*rest[:-up]).exists():
        rest, base = _partial(base, rest, up)
        handle = _beneath(base, rest)
    if handle is None:
        return None
    status = os.fstat(handle)
    package = base.joinpath(*rest[: len(rest) - up])
    if stat.S_ISREG(status.st_mode) and _served(kind, handle):
        return Opened(handle, status, kind, package, frame)
    os.close(handle)
    return None


def _kind(rest: list[str]) -> tuple[Kind, int, int]:
    """Return what a path names, its frame or index, and how many names belong to the member."""
    if not rest:
        return Kind.FILE, -1, 0
    if rest[-1] == MANIFEST_NAME:
        return Kind.MANIFEST, -1, 1
    if rest[-1] == JOURNAL_NAME:
        return Kind.JOURNAL, -1, 1
    if rest[-2:-1] == [SEGMENT_FOLDER] and (match := _SEGMENT.fullmatch(rest[-1])):
        return Kind.SEGMENT, int(match[1]), 2
    if MEDIUM_NAME.fullmatch("/".join(rest[-2:])):
        return Kind.MEDIUM, int(rest[-1]), 2
    if SIGNATURE_NAME.fullmatch("/".join(rest[-2:])):
        return Kind.SIGNATURE, -1, 2
    return (Kind.DOCUMENT if rest[-1].endswith(".json") else Kind.FILE), -1, 0


def _partial(base: Path, rest: list[str], up: int) -> tuple[list[str], Path]:
    """Return where a package file is made that is not there yet."""
    if len(rest) == up:
        return rest, base.with_name(base.name + _PARTIAL)
    at = len(rest) - up - 1
    return [*rest[:at], rest[at] + _PARTIAL, *rest[at + 1 :]], base


def _served(kind: Kind, handle: int) -> bool:
    """Whether a file is one that is served, by what it begins with."""
    if kind is Kind.FILE:
        return os.pread(handle, 4, 0) == b"PK\x03\x04"
    if kind is Kind.DOCUMENT:
        return os.pread(handle, 1, 0) == b"{"
    return True


def _beneath(base: Path, rest: list[str]) -> int | None:
    """Open a file below a folder, no link followed; None where that is not possible."""
    try:
        handle = os.open(base, _FOLLOW)
    except (OSError, ValueError):
        return None
    path = base
    for part in rest:
        path /= part
        try:
            inner = (
                os.open(part, _HERE, dir_fd=handle)
                if _BY_HANDLE
                else os.open(path if not path.is_symlink() else "", _HERE)
            )
        except (OSError, ValueError):
            inner = None
        os.close(handle)
        if inner is None:
            return None
        handle = inner
    return handle


def _walk(folder: Path, prefix: str, depth: int, left: list[int]) -> Iterator[Entry]:
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        left[0] -= 1
        if left[0] < 0:
            return
        if not _sound(entry.name) or entry.is_symlink():
            continue
        name, path = prefix + entry.name, folder / entry.name
        if entry.is_dir():
            if _is_package(path):
                yield Entry(name.removesuffix(_PARTIAL), path, Kind.FILE)
            elif depth < _DEEPEST:
                yield from _walk(path, f"{name}/", depth + 1, left)
        elif entry.is_file() and entry.name.endswith(".nmc"):
            yield Entry(name, path, Kind.FILE)
        elif entry.is_file() and entry.name.endswith(".json"):
            yield Entry(name, path, Kind.DOCUMENT)
