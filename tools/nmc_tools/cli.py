"""The command line ``nmc``.

Exit codes: 0 done; 1 the input was refused, or a comparison found a difference; 2 wrong usage, and
of ``nmc diff`` whatever keeps it from comparing; 130 interrupted. Errors are one line on stderr,
with a code of the issue catalogue.
"""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.rich_utils import rich_format_error

import nmc_spec
from nmc_format.host import host_refusal
from nmc_format.issues import FormatError, finding
from nmc_tools.commands.table import Commands
from nmc_tools.terminal import Exit, print_finding

if TYPE_CHECKING:
    from collections.abc import Iterator

_USAGE: Any = typer.BadParameter.__mro__[2]
"""Every mistake in the use of a command, ClickException; typer has no name of its own for it."""

app = typer.Typer(
    name="nmc",
    cls=Commands,
    help="Package, check and unpack chains of neural models.",
    epilog="Exit codes: 0 done, 1 refused or different, 2 wrong usage, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(
            f"nmc {metadata.version('neural-model-chain')} (format {nmc_spec.FORMAT_VERSION})"
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


class _Output(io.TextIOWrapper):
    """Standard output, whose errors say that they are its own."""

    def write(self, text: str) -> int:
        with _named_output():
            return super().write(text)

    def flush(self) -> None:
        with _named_output():
            super().flush()


@contextmanager
def _named_output() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = _OUTPUT
        raise


_OUTPUT = "standard output"


def main() -> None:
    """Run the command line; nothing that the input did ends in a traceback."""
    _hold_handles()
    if type(sys.stdout) is io.TextIOWrapper:
        encoding, lines = sys.stdout.encoding, sys.stdout.line_buffering
        sys.stdout = _Output(sys.stdout.detach(), encoding, line_buffering=lines)
    if isinstance(sys.stdout, io.TextIOWrapper):  # what the terminal cannot show is spelt out
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _run()
        sys.stdout.flush()
        sys.exit(code)
    except FormatError as error:
        print_finding(error.finding)
        sys.exit(Exit.REFUSED)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(Exit.INTERRUPTED)
    except MemoryError:
        print_finding(finding("host/no-memory", file="memory"))
        sys.exit(Exit.REFUSED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.REFUSED)
    except OSError as error:
        if error.filename == _OUTPUT:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            reason = error.strerror or str(error)
            print_finding(finding("host/failed", file=_OUTPUT, reason=reason))
        else:
            print_finding(host_refusal(error, "the system").finding)
        sys.exit(Exit.REFUSED)
    except Exception as error:
        from nmc_tools.checkpoints import CheckpointError  # takes long to import; rarely needed

        if not isinstance(error, CheckpointError):
            raise
        place = finding("input/unreadable", file=error.path, reason=error.reason, hint=error.hint)
        print_finding(place)
        sys.exit(Exit.REFUSED)


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
