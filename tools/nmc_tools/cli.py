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
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.rich_utils import rich_format_error

import nmc_spec
from nmc_format.host import host_refusal
from nmc_format.issues import FormatError, finding
from nmc_tools.commands.table import Commands
from nmc_tools.terminal import Exit, print_finding

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


def main() -> None:
    """Run the command line; nothing that the input did ends in a traceback."""
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # a name that the terminal cannot show is spelt out
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(_run())
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
