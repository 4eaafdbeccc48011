"""The program ``nmc`` from its first moment on: Ctrl-C while it loads, a system that gives nothing.

Nothing is imported here but what the interpreter has loaded itself, so that an interruption and a
missing handle end in one line at most, and not in a traceback of whatever was being loaded.
"""

from __future__ import annotations

import errno
import os
import signal
import sys

TYPE_CHECKING = False  # the module that has it takes as long to load as all of this
if TYPE_CHECKING:
    from typing import Any, NoReturn

INTERRUPTED = 130
_REFUSED = 1
#: What a loader of libraries says in words alone; the first two begin alike, the longer one first.
_NOT_GIVEN = (errno.ENFILE, errno.EMFILE, errno.ENOMEM)


def main() -> NoReturn:
    """Load the command line and run it; say what keeps it from being loaded."""
    try:
        with Leaving():
            from nmc_tools.cli import main as run
        run()
    except SystemExit as end:
        _decided(end.code)
        raise
    except (OSError, ImportError, MemoryError) as error:
        reason = _missing(error)
        if not reason:
            raise
        try:
            os.write(2, f"error host/failed at the system: {reason}\n".encode())
        finally:
            os._exit(_REFUSED)
    raise SystemExit(0)


class Leaving:
    """Lets Ctrl-C end the process at once while nothing is begun: there is nothing to tidy up.

    An exception would be raised in the middle of an import, which some libraries turn into errors
    of their own.
    """

    def __enter__(self) -> None:
        self._held = _set(_leave, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        if self._held:
            _set(signal.default_int_handler, _leave)


def _leave(*_: object) -> None:
    os._exit(INTERRUPTED)


def _set(handler: Any, instead_of: Any) -> bool:
    """Handle Ctrl-C so, where it is handled as expected: a shell may have it ignored."""
    try:
        if signal.getsignal(signal.SIGINT) is not instead_of:
            return False
        signal.signal(signal.SIGINT, handler)
    except ValueError:  # not the main thread
        return False
    return True


def _decided(code: Any) -> None:
    """Let Ctrl-C change nothing any more: what is left is to close the interpreter."""
    status = code if isinstance(code, int) else int(code is not None)
    _set(lambda *_: os._exit(status), signal.default_int_handler)


def _missing(error: BaseException) -> str:
    """Return what the system does not give, by an error that came up while loading; else ''."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    for reason in map(os.strerror, _NOT_GIVEN):
        if reason in str(error):  # handles that were open while it was loaded may be free by now
            return reason
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as full:  # a library could not be opened, and said that it is not there
        return full.strerror or str(full)
    return ""


if __name__ == "__main__":
    sys.exit(main())
