"""Where a program works: a copy of the input, an empty folder, and a watch on the rest."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_conformance.renaming import renamed
from nmc_conformance.sealing import reseal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Any, Self

    from nmc_conformance.vectors import Vector

_INFLATE = "inflate"
INPUT, OUTPUT, REPORT, SCRATCH = "input.nmc", "output", "report.json", "tmp"
_OPEN = (OUTPUT, REPORT, SCRATCH)
"""Where a program may write, below its working directory."""


class Stage:
    """A fresh directory for one run; a context manager.

    The program works in ``work``. Its input is ``work/input.nmc``, whatever the vector is
    called. It may write ``work/output``, ``work/report.json`` and ``work/tmp`` (its TMPDIR).

    Parameters
    ----------
    parent : Path or None
        Folder for the directory; None takes the one for temporary files.
    seal : str
        Text that inputs are sealed again with; with an empty one they stay as they are.
    """

    def __init__(self, parent: Path | None = None, seal: str = "") -> None:
        self._seal = seal
        self.root = Path(tempfile.mkdtemp(prefix="nmc-", dir=parent))
        self.work = self.root / "work"
        self._before: Mapping[str, str] = {}
        for folder in (self.work, self.output, self.work / SCRATCH):
            folder.mkdir()
        (self.root / "beside").write_text("not yours\n", encoding="ascii")

    @property
    def input(self) -> Path:
        """The package that the program gets."""
        return self.work / INPUT

    @property
    def output(self) -> Path:
        """The folder for what it makes."""
        return self.work / OUTPUT

    @property
    def report(self) -> Path:
        """The file for its report."""
        return self.work / REPORT

    @property
    def scratch(self) -> Path:
        """The folder for its temporary files."""
        return self.work / SCRATCH

    def put(self, vector: Vector) -> Vector:
        """Copy the input of a vector, seal the copy again, and carry out the vector's steps.

        Returns
        -------
        Vector
            What is expected of the copy: states have other digests where tensors have other names.
        """
        place(vector, self.input)
        if self._seal:
            vector = resealed_vector(vector, self.input, self._seal)
        for step in vector.prepare:
            _prepare(self.input, step)
        self.seal()
        return vector

    def seal(self) -> None:
        """Remember what lies here, before the program is started."""
        self._before = self._listing()

    def trespass(self) -> str:
        """Return the first place that the program changed and may not, or an empty text."""
        after = self._listing()
        for name in sorted(self._before.keys() | after.keys()):
            if self._before.get(name) != after.get(name):
                kind = "changed" if name in self._before else "written"
                return f"{name} was {kind if name in after else 'removed'}"
        return ""

    def _listing(self) -> dict[str, str]:
        closed = {self.work / name for name in _OPEN}
        found: dict[str, str] = {}
        todo = [self.root]
        while todo:
            folder = todo.pop()
            for entry in os.scandir(folder):
                path = Path(entry.path)
                if path in closed and entry.is_dir(follow_symlinks=False) == (path.name != REPORT):
                    continue
                found[path.relative_to(self.root).as_posix()] = _print_of(path)
                if entry.is_dir(follow_symlinks=False):
                    todo.append(path)
        return found

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_WHOLE = 16 << 20
"""Files up to this size are compared by their bytes, larger ones by their size and time."""


def _print_of(path: Path) -> str:
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        return f"link {path.readlink()}"
    if not stat.S_ISREG(info.st_mode):
        return f"kind {stat.S_IFMT(info.st_mode)}"
    if info.st_size > _WHOLE:
        return f"{info.st_size} {info.st_mtime_ns}"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def place(vector: Vector, path: Path) -> None:
    """Copy the input of a vector; what is stored compressed is inflated, and can be sealed."""
    if vector.input.is_dir():
        shutil.copytree(vector.input, path)
    else:
        shutil.copyfile(vector.input, path)
    for step in vector.prepare:
        if step["do"] == _INFLATE:
            file = path / step["path"]
            file.write_bytes(_inflated(file.read_bytes(), step["size"]))


def resealed_vector(vector: Vector, copy: Path, seal: str) -> Vector:
    """Seal the copy of an input again, and return the vector as it is then."""
    if not vector.tensors:
        reseal(copy, seal)
        return vector
    files = sorted(copy.iterdir())
    made = renamed([file.read_bytes() for file in files], vector.tensors, seal)
    for file, data in zip(files, made.messages, strict=True):
        file.write_bytes(data)
    digests = tuple(d and made.states.get(d, d) for d in vector.expected.state_digests)
    return replace(vector, expected=replace(vector.expected, state_digests=digests))


def _prepare(package: Path, step: Mapping[str, Any]) -> None:
    """Carry out one step on the copy of an input, which is inflated."""
    path = package / step["path"]
    match step["do"]:
        case "symlink":
            path.symlink_to(step["target"])
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "remove":
            path.unlink()
        case "grow":
            with path.open("r+b") as file:
                file.truncate(step["size"])


def _inflated(data: bytes, size: int) -> bytes:
    """Return what a gzip file holds, of which the size is known before."""
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    made = inflater.decompress(data, size)
    if len(made) != size or inflater.decompress(inflater.unconsumed_tail, 1) or not inflater.eof:
        raise OSError(f"the input inflates to other than {size} bytes")
    return made


def listed(folder: Path) -> Iterable[str]:
    """Yield the names of what lies in a folder."""
    return sorted(entry.name for entry in os.scandir(folder)) if folder.is_dir() else ()
