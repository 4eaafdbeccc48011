"""What the tests of the tools share: the command line in this process, and a small chain."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.numpy import save_file

import nmc
from nmc_tools import cli

sys.path.insert(0, str(Path(__file__).resolve().parent))
from command_samples import FRAMES, state


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
def run(command_line):
    """The command line, for the files in which commands are all that is run."""
    return command_line


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    """A folder of checkpoints, one for each frame."""
    folder = tmp_path_factory.mktemp("run")
    for t in range(FRAMES):
        save_file(state(t), folder / f"frame_{t}.safetensors")
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The same frames as a package."""
    path = tmp_path_factory.mktemp("p") / "scene.nmc"
    layers = {"fc1.weight": 0, "fc2.weight": 1}
    with nmc.Writer(path, key_every=2, layers=layers, family="mlp", detect_frozen=True) as writer:
        for t in range(FRAMES):
            writer.append(state(t), iterations=100, seconds=1.5)
    return path


@pytest.fixture(scope="module")
def browsers():
    """One browser that draws in software, and one without WebGL; skips where there is none."""
    from browser import launched

    with launched() as found:
        yield found


@pytest.fixture
def browser(browsers):
    """The one that draws."""
    return browsers[0]


@pytest.fixture
def plain_browser(browsers):
    """The one without WebGL."""
    return browsers[1]
