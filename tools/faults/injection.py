"""Makes one call fail without a compiler: the functions of ``os`` that write packages."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from nmc.writing import folder

CALLS = ("write", "fsync", "ftruncate", "replace", "unlink", "mkdir", "rmdir", "open", "close")


class Killed(BaseException):
    """Stands for the end of the process: from then on no call does anything."""


@dataclass
class Injection:
    """One fault; -1 only counts.

    Attributes
    ----------
    at : int
        The call that fails.
    mode : str
        ``"EIO"``, ``"ENOSPC"``, ``"half"``, ``"killed"`` or ``"interrupted"``.
    count : int
        Calls so far.
    """

    at: int
    mode: str
    count: int = 0

    def around(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that fails in place of another one, if it is its turn."""

        def call(*args: Any, **kwargs: Any) -> Any:
            caller = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001
            if caller not in {"nmc.writing.folder", "nmc.writing.journal"} or not _changes(
                name, args
            ):
                return real(*args, **kwargs)
            here, self.count = self.count, self.count + 1
            if self.mode == "killed" and 0 <= self.at <= here:
                if name == "close":  # the system does that for a dead process
                    return real(*args, **kwargs)
                raise Killed
            if here != self.at:
                return real(*args, **kwargs)
            return self._fail(name, real, args, kwargs)

        return call

    def _fail(self, name: str, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self.mode == "half" and name == "write" and len(args[1]) > 1:
            return real(args[0], args[1][: len(args[1]) // 2])
        if self.mode in {"EIO", "ENOSPC"}:
            if name == "close":
                real(*args, **kwargs)
            number = getattr(errno, self.mode)
            raise OSError(number, os.strerror(number))
        result = real(*args, **kwargs)
        if self.mode == "interrupted":
            raise KeyboardInterrupt
        return result


def _changes(name: str, args: Any) -> bool:
    if name == "open":
        return bool(args[1] & os.O_CREAT)
    return name != "close" or fcntl.fcntl(args[0], fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY


@contextmanager
def injected(at: int, mode: str) -> Iterator[Injection]:
    """Let one call fail while the block runs."""
    injection = Injection(at, mode)
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, injection.around(name, getattr(os, name)))
        real = folder._renameat2()  # noqa: SLF001
        if real is not None:
            exchange = injection.around("renameat2", real)

            def called(*args: Any) -> Any:
                return _as_folder(exchange, *args)

            patch.setattr(folder, "_renameat2", lambda: called)
        yield injection


def _as_folder(call: Callable[..., Any], *args: Any) -> Any:
    """Call in the name of the module whose call it is."""
    scope = {"__name__": "nmc.writing.folder", "call": call, "args": args}
    return eval("call(*args)", scope)  # noqa: S307 - a constant expression
