"""Compiled kernels that outlive the process: kept on disk where that is safe, else made again.

numba's own cache is an index and data files of pickles. It trusts them: a damaged one ends the
process or every later run, and one that somebody else may write runs that person's code. So a
kernel has one file here, named by all that its machine code depends on. It is used only if it
belongs to this user (or the system), nobody else may write it, and its SHA-256 is right. All else
counts as missing: the kernel is compiled, and the file is written again if it can be.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llvmlite  # type: ignore[import-untyped]
import numba
import numpy as np
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAGIC = b"NMC machine code 1\n"
_DIGEST_BYTES = 32
_MAX_BYTES = 64 * 2**20
_KEPT = 32
"""Files of one kernel: other machines with the same home, other versions, other arguments."""


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function with ``numba.njit`` and keeps its machine code.

    The files lie in ``$NUMBA_CACHE_DIR/nmc`` if that is set, else in the user's cache folder
    (``$XDG_CACHE_HOME/nmc``, ``~/.cache/nmc``), else in ``nmc-<user>`` of the folder for temporary
    files. They may be deleted at any time.

    Parameters
    ----------
    **options
        Those of ``numba.njit``, without ``cache``.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher: Any = numba.njit(**options)(function)
        # where a debugger has switched compilation off, njit returns the function itself
        if isinstance(getattr(dispatcher, "_cache", None), NullCache):
            dispatcher._cache = _KernelCache(function, options)  # noqa: SLF001 - numba has no other way in
        return dispatcher

    return decorate


class _KernelCache(NullCache):
    """What numba asks before it compiles a function, and tells afterwards; never raises."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self._function = function
        self._options = options

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function for a signature, or None.

        Machine code needs the runtime that it calls, and nothing of what numba knows of Python:
        that is 0.3 s to load, and the compiler loads it itself where it has something to do.
        """
        rtsys.initialize(target_context)
        with contextlib.suppress(Exception):  # whatever is wrong with a file: it is made again
            name = self._file_name(sig, target_context.codegen())
            for folder in folders():
                payload = _read(folder / name)
                if payload is not None:
                    return CompileResult._rebuild(  # type: ignore[no-untyped-call]  # noqa: SLF001
                        target_context,
                        *pickle.loads(payload),  # noqa: S301 - see the rules of this module
                    )
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Put a compiled function into the first folder that takes it."""
        with contextlib.suppress(
            Exception
        ):  # a kernel that cannot be kept is a kernel all the same
            if data.lifted or data.library.has_dynamic_globals:
                return
            name = self._file_name(sig, data.codegen)
            payload = dumps(data._reduce())  # type: ignore[no-untyped-call]  # noqa: SLF001
            for folder in folders():
                if _write(folder, name, payload):
                    _prune(folder, self._prefix)
                    return

    @property
    def _prefix(self) -> str:
        return f"{self._function.__module__}.{self._function.__qualname__}-"

    def _file_name(self, signature: Any, codegen: Any) -> str:
        """Return a name that says all that the machine code depends on."""
        facts = (
            numba.__version__,
            llvmlite.__version__,
            np.__version__,
            sys.version,
            codegen.magic_tuple(),  # the processor and what it can do
            sorted(self._options.items()),
            str(signature),
            _sources(Path(self._function.__code__.co_filename).parent),
            hashlib.sha256(self._function.__code__.co_code).hexdigest(),
        )
        return self._prefix + hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


@cache
def _sources(folder: Path) -> str:
    """Return a digest of the modules of a folder: a kernel holds code of those beside it, too."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        data = path.read_bytes()
        digest.update(f"{path.name} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def folders() -> Iterator[Path]:
    """Yield the folders where machine code may lie, best first; none has to exist."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        yield Path(chosen).absolute() / "nmc"
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    if not home:
        at = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
        home = os.path.expanduser(at)  # noqa: PTH111 - Path.expanduser raises where there is no home
    if os.path.isabs(home):  # noqa: PTH117 - without a home it is still "~/.cache"
        yield Path(home) / "nmc"
    if hasattr(os, "getuid"):
        yield Path(tempfile.gettempdir()) / f"nmc-{os.getuid()}"


def _is_ours(status: os.stat_result) -> bool:
    """Whether nobody but this user and the system can have put there what lies there."""
    if not hasattr(os, "geteuid"):  # no such owners on this system; its folder is the user's own
        return True
    return status.st_uid in {0, os.geteuid()} and not status.st_mode & 0o022


def _is_safe(folder: Path) -> bool:
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and _is_ours(status)


def _read(path: Path) -> bytes | None:
    """Return what was kept in a file, or None where it is missing, damaged or not ours."""
    try:
        if not _is_safe(path.parent):
            return None
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        handle = os.open(path, flags | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or not _is_ours(status):
                return None
            data = file.read(_MAX_BYTES)
    except OSError:
        return None
    payload = data[len(_MAGIC) + _DIGEST_BYTES :]
    return payload if data == _framed(payload) else None


def _framed(payload: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(payload).digest() + payload


def _write(folder: Path, name: str, payload: bytes) -> bool:
    """Write a file beside its place, then put it there; return whether that went well."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_safe(folder):
            return False
        handle, fresh = tempfile.mkstemp(prefix=".", dir=folder)  # of mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_framed(payload))
            os.replace(fresh, folder / name)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(fresh)  # noqa: PTH108
            raise
    except OSError:
        return False
    return True


def _prune(folder: Path, prefix: str) -> None:
    """Delete all but the newest files of one kernel."""
    found = [path for path in folder.iterdir() if path.name.startswith(prefix)]
    found.sort(key=lambda path: path.stat().st_mtime)
    for path in found[:-_KEPT]:
        path.unlink()
