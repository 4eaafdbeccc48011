"""The programs that the tests put under test, as commands."""

from __future__ import annotations

import functools
import shlex
import sys
from pathlib import Path

from nmc_conformance.vectors import Suite, load_suite

CONFORMANCE = Path(__file__).resolve().parents[1]
VECTORS = CONFORMANCE / "vectors"
KNOWN_FAILURES = Path(__file__).with_name("known_failures.txt")

_REFERENCE = """
from nmc_tools import cli
from nmc_tools.commands import conformance
if "conformance" not in {group.name for group in cli.app.registered_groups}:
    cli.app.add_typer(conformance.app, name="conformance")
cli.main()
"""


@functools.cache
def suite() -> Suite:
    """Return all vectors, read once for all tests of a process."""
    return load_suite(VECTORS)


def reference() -> str:
    """Return the command of the reference: the suite knows it by its command line only."""
    return shlex.join([sys.executable, "-c", _REFERENCE])


def plain() -> str:
    """Return the command of the small decoder of the tests."""
    return shlex.join([sys.executable, str(CONFORMANCE / "selftest" / "plain_decoder.py")])


def wrong(fault: str) -> str:
    """Return the command of a decoder with a fault."""
    return shlex.join([sys.executable, str(CONFORMANCE / "selftest" / "wrong_decoder.py"), fault])
