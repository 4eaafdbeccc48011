"""The suite as one file: opened where it is given, unpacked with every bound checked (11.6)."""

from __future__ import annotations

import re
import stat
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_conformance.vectors import SUITE_FILE, SuiteError, default_root

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MEMBERS = 20_000
MAX_BYTES = 128 * 2**20
"""Of all files together: a suite has at most 8 MiB."""

VECTORS = "vectors"
"""Folder of the vectors in an archive."""

WHERE = (
    "get nmc-conformance-<version>.zip from the releases of the project and give it with --suite, "
    "or make it in a checkout with 'make suite-archive'"
)
"""Where the vectors are to be had; an installed package has none."""

_NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+")


def unpack(path: Path, folder: Path) -> Path:
    """Unpack an archive of the suite.

    Parameters
    ----------
    path : Path
        The archive.
    folder : Path
        An empty folder; nothing is written outside of it.

    Returns
    -------
    Path
        The folder of the vectors.

    Raises
    ------
    SuiteError
        If it is not an archive, is damaged, too large, or a member leads out of the folder.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check(path, members)
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise SuiteError(
            f"{path}: the archive is damaged ({error}); download it again, and compare its SHA-256"
        ) from None
    return vectors_of(folder / members[0].filename.partition("/")[0])


def _check(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse members that lead out of the folder, are no plain files, or are too many or large."""
    if not members:
        raise SuiteError(f"{path}: the archive is empty")
    if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_BYTES:
        raise SuiteError(f"{path}: is larger than a suite can be, and is not unpacked")
    seen: set[str] = set()
    for member in members:
        name = member.filename
        if not _NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
            raise SuiteError(f"{path}: member {name!a} is not a path within a suite")
        if name in seen:
            raise SuiteError(f"{path}: member {name} occurs twice")
        seen.add(name)
        if stat.S_IFMT(member.external_attr >> 16) not in {0, stat.S_IFREG}:
            raise SuiteError(f"{path}: member {name} is not a regular file")
    if len({name.partition("/")[0] for name in seen}) > 1:
        raise SuiteError(f"{path}: its members are not in one folder; it is not a suite")


def vectors_of(folder: Path) -> Path:
    """Return the folder of the vectors in an unpacked archive, or in ``conformance/``.

    Raises
    ------
    SuiteError
        If the folder holds no suite.
    """
    for root in (folder / VECTORS, folder):
        if (root / SUITE_FILE).is_file():
            return root
    below = sorted(path.parent for path in folder.glob(f"*/{VECTORS}/{SUITE_FILE}"))
    if len(below) > 1:
        names = ", ".join(path.parent.name for path in below)
        raise SuiteError(f"{folder}: holds several suites; give the folder of one: {names}")
    if below:
        return below[0]
    raise SuiteError(f"{folder}: holds no suite, there is no {VECTORS}/{SUITE_FILE}; {WHERE}")


@contextmanager
def opened(suite: Path | None, vectors: Path | None, *, needed: bool = True) -> Iterator[Path]:
    """Yield the folder of the vectors that a command is to use.

    Parameters
    ----------
    suite : Path or None
        An archive, or a folder that one was unpacked in.
    vectors : Path or None
        The folder of the vectors itself; where both are None, those of the checkout.
    needed : bool
        Whether the command cannot do without vectors.

    Raises
    ------
    SuiteError
        If there is no suite; says where to get it.
    """
    if suite is None:
        root = vectors or default_root()
        if needed and not root.is_dir():
            installed = "the vectors are not installed" if vectors is None else "no such folder"
            raise SuiteError(f"{root}: {installed}; {WHERE}")
        yield root
    elif suite.is_dir():
        yield vectors_of(suite)
    elif suite.is_file():
        with tempfile.TemporaryDirectory(prefix="nmc-suite-") as folder:
            yield unpack(suite, Path(folder))
    else:
        raise SuiteError(f"{suite}: there is no such file or folder; {WHERE}")
