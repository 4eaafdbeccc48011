"""Turns directories, globs and lists into the checkpoints of a sequence, in natural order."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from natsort import natsorted, ns

from nmc_tools.checkpoints.checkpoint import CheckpointError
from nmc_tools.checkpoints.reading import READABLE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence

_GLOB_CHARACTERS = frozenset("*?[")


def expand(inputs: Sequence[str | Path]) -> list[Path]:
    """Return the checkpoints that directories, globs and file names stand for.

    A directory stands for the files directly in it, a glob (``**`` included) for what it matches;
    of both, only files with a known ending count, and hidden ones do not. A file name stands for
    itself. All are sorted together in natural order, ``frame2`` before ``frame10``, because a
    shell expands a glob in another order before it reaches this function.

    Parameters
    ----------
    inputs : sequence of str or Path
        What the user named.

    Returns
    -------
    list of Path
        At least one file, each once.

    Raises
    ------
    CheckpointError
        If an input stands for nothing, or two for the same file.
    """
    if isinstance(inputs, str | Path):
        inputs = [inputs]
    paths = [path for given in inputs for path in _expand_one(given)]
    if not paths:
        raise CheckpointError("selection", "names no files", "name files, a directory or a glob")
    seen: dict[Path, Path] = {}
    for path in paths:
        other = seen.setdefault(path.resolve(), path)
        if other is not path:
            same = "twice" if other == path else f"also as {other}"
            raise CheckpointError(path, f"is selected {same}", "name each file once")
    return natsorted(paths, key=lambda p: p.as_posix(), alg=ns.PATH)


def _expand_one(given: str | Path) -> list[Path]:
    path = Path(given)
    if path.is_file():
        return [path]
    if path.is_dir():
        return _known(list(path.iterdir()), path, "in this directory")
    if _GLOB_CHARACTERS & set(str(given)):
        matches = [Path(match) for match in glob.glob(str(given), recursive=True)]  # noqa: PTH207
        return _known(matches, path, f"among the {len(matches)} matches of this glob")
    raise CheckpointError(path, "is no file, directory or glob that matches", "check the spelling")


def _known(paths: list[Path], given: Path, where: str) -> list[Path]:
    suffixes = {suffix.lower() for suffix in READABLE_SUFFIXES}
    known = [
        path
        for path in paths
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    ]
    if not known:
        raise CheckpointError(
            given, f"no checkpoint {where}; looked for {' '.join(READABLE_SUFFIXES)}"
        )
    return known
