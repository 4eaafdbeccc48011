"""Commands of ``nmc`` that are steps of ``nmc run``: read before the first, carried out here."""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import typer

from nmc_tools.commands.loading import Commands

if TYPE_CHECKING:
    from collections.abc import Callable

    from nmc_framework.pipeline import CommandStep, Configuration

_USAGE: Any = typer.BadParameter.__mro__[2]
"""Every mistake in the use of a command; typer has no name of its own for it."""


def readable(steps: Sequence[CommandStep]) -> Callable[[Configuration], None]:
    """Return what refuses a run one of whose commands is none, or has options that it has not."""

    def check(configuration: Configuration) -> None:
        from nmc_framework.pipeline import ConfigurationError

        for step in steps:
            try:
                parse(step.spelt(configuration))
            except _USAGE as error:
                told = " ".join(error.format_message().split())
                place = f"{configuration.label}: steps.{step.name}"
                raise ConfigurationError(f"{place}: {told}") from None

    return check


def parse(words: Sequence[str]) -> None:
    """Read the words of a command, without ``nmc``, and do not carry it out.

    What is wrong with them is raised as the library does that reads them.
    """
    command: Any = Commands(name="nmc")
    context = command.context_class(command, info_name="nmc")
    rest = list(words)
    while hasattr(command, "resolve_command"):
        if not rest:
            raise typer.BadParameter("it names no command; nmc --help lists them")
        name, command, rest = command.resolve_command(context, rest)
        if not hasattr(command, "resolve_command"):
            command.make_context(name, rest, parent=context)
        else:
            context = command.context_class(command, info_name=name, parent=context)


def carried_out(words: Sequence[str]) -> list[str]:
    """Carry out one command in this process; return the lines that it printed.

    Raises
    ------
    PipelineError
        If it does not end with 0: what it said is its reason.
    """
    from nmc_framework.pipeline import PipelineError

    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(printed):
        code = Commands(name="nmc").main(args=list(words), prog_name="nmc", standalone_mode=False)
    printed.seek(0)
    lines = printed.read().splitlines()
    if isinstance(code, int) and code:
        said = f": {lines[0]}" if lines else ""
        raise PipelineError(f"nmc {shlex.join(words)} ended with {code}{said}")
    return lines
