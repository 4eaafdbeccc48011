"""What the tests of the tools share: the command line in this process, and one thread for torch."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from nmc_tools import cli


@dataclass
class Outcome:
    """What a command printed; ``progress`` are the lines of stderr that say how it went."""

    code: int
    out: str
    err: str
    progress: list[str]


@pytest.fixture
def command_line(monkeypatch, capfd):
    """Return a function that runs ``nmc`` with arguments, whatever comes of it."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["nmc", *map(str, arguments)])
        capfd.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        text = capfd.readouterr()
        lines = text.err.splitlines(keepends=True)
        shown = [line for line in lines if line.startswith("progress ")]
        err = "".join(line for line in lines if line not in shown)
        return Outcome(code, text.out, err, shown)

    return run


@pytest.fixture
def one_thread():
    """Have torch use one thread: sums come in one order, and tests beside it are not slowed."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
