"""The command line ``nmc``.

Exit codes: 0 done; 1 the input was refused, or a comparison found a difference; 2 wrong usage, and
of ``nmc diff`` whatever keeps it from comparing; 130 interrupted; 141 nobody reads what it prints
(``nmc inspect x.nmc | head -1``), as every program that a closed pipe ends. Errors are one line on
stderr, with a code of the issue catalogue.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.rich_utils import rich_format_error

import nmc_spec
from nmc_format.host import host_refusal
from nmc_format.issues import FormatError, finding
from nmc_tools.commands.loading import Commands
from nmc_tools.terminal import Exit, print_finding

if TYPE_CHECKING:
    from collections.abc import Iterator

_USAGE: Any = typer.BadParameter.__mro__[2]
"""Every mistake in the use of a command, ClickException; typer has no name of its own for it."""

app = typer.Typer(
    name="nmc",
    cls=Commands,
    help="Package, check and unpack chains of neural models.",
    epilog="Exit codes: 0 done, 1 refused or different, 2 wrong usage, 130 interrupted, "
    "141 nobody reads the output.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(
            f"nmc {metadata.version('neural-model-chain')} "
            f"(format {' and '.join(nmc_spec.FORMAT_VERSIONS)})"
        )
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print versions."),
    ] = False,
) -> None:
    """Package, check and unpack chains of neural models."""


def _hold_handles() -> None:
    """Open the null device where standard handles are closed.

    A file that is written would get their number else, and with it what libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


class _ClosedPipeError(BaseException):
    """Nobody reads what is printed. It is no OSError: libraries would end with 1 on one."""


class _Output(io.TextIOWrapper):
    """Standard output or standard error, whose errors say that they are its own."""

    place = ""

    def write(self, text: str) -> int:
        with self._named():
            return super().write(text)

    def flush(self) -> None:
        with self._named():
            super().flush()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise _ClosedPipeError from None
        except OSError as error:
            error.filename = self.place
            raise


_OUTPUTS = {"stdout": "standard output", "stderr": "standard error"}


def _name_outputs() -> None:
    for name, place in _OUTPUTS.items():
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper:
            encoding, errors, lines = stream.encoding, stream.errors, stream.line_buffering
            named = _Output(stream.detach(), encoding, errors, line_buffering=lines)
            named.place = place
            setattr(sys, name, named)


def _take_nothing_more(outputs: tuple[int, ...] = (1, 2)) -> None:
    """Lead outputs to the null device: what they hold back is not written again."""
    null = os.open(os.devnull, os.O_WRONLY)
    for number in outputs:
        os.dup2(null, number)


def _end_by_closed_pipe() -> NoReturn:
    """End as every program does whose reader has gone: without a word, by the signal for it."""
    _take_nothing_more()
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    sys.exit(Exit.PIPE)


def main() -> None:
    """Run the command line; nothing that the input did ends in a traceback."""
    _hold_handles()
    _name_outputs()
    if isinstance(sys.stdout, io.TextIOWrapper):  # what the terminal cannot show is spelt out
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _judged()
        sys.stdout.flush()
        sys.exit(code)
    except _ClosedPipeError:
        _end_by_closed_pipe()
    except OSError as error:  # of an output itself: all else was judged
        _take_nothing_more((1,) if error.filename == _OUTPUTS["stdout"] else (1, 2))
        reason = error.strerror or str(error)
        print_finding(finding("host/failed", file=str(error.filename), reason=reason))
        sys.exit(Exit.REFUSED)


def _judged() -> int:
    """Run the command and return its exit code; what it raises is said on standard error."""
    try:
        return _run()
    except FormatError as error:
        print_finding(error.finding)
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except MemoryError:
        print_finding(finding("host/no-memory", file="memory"))
    except OSError as error:
        if error.filename in _OUTPUTS.values():
            raise
        print_finding(host_refusal(error, "the system").finding)
    except Exception as error:
        from nmc_tools.checkpoints import CheckpointError  # takes long to import; rarely needed

        if not isinstance(error, CheckpointError):
            raise
        place = finding("input/unreadable", file=error.path, reason=error.reason, hint=error.hint)
        print_finding(place)
    return Exit.REFUSED


def _run() -> int:
    """Run the command that the arguments name; return its exit code."""
    try:
        code = app(standalone_mode=False)
    except _USAGE as error:
        # the library that typer reads values with puts the class of its error into the words
        error.message = re.sub(r"^(Value|Assertion) error, ", "", error.message)
        rich_format_error(error)
        return Exit.USAGE
    return code if isinstance(code, int) else Exit.OK


if __name__ == "__main__":
    main()
