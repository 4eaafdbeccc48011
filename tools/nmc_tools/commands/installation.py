"""Extras of the installation: a command that lacks one says how it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nmc_tools.terminal import refuse_input

_OURS = frozenset({"nmc", "nmc_format", "nmc_framework"})


@contextmanager
def extra(name: str, place: str) -> Iterator[None]:
    """Run what imports an extra's packages: the absence of one becomes one line.

    Parameters
    ----------
    name : str
        The extra, or several with commas between them.
    place : str
        What needs it.

    Raises
    ------
    SystemExit
        Where a package is not there, unless it is one of ours: that is a fault of the program.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _OURS:
            raise
        hint = f"pip install 'neural-model-chain[{name}]'"
        refuse_input("input/unsupported", place, f"it needs {error.name}", hint)
