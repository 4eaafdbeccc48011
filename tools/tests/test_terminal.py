"""The command line in pipes, on terminals, interrupted, and without memory."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_samples import refused

import nmc

NMC = [sys.executable, "-m", "nmc_tools.cli"]


def test_in_a_pipe(package, tmp_path) -> None:
    """No bars, no colours, whatever the terminal says it can do; a line a frame on stderr."""
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "40"}
    command = [*NMC, "extract", str(package), "-o", str(tmp_path / "x.nmc"), "--frames", "0-2"]
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    lines = done.stderr.decode().splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"progress extracting to x.nmc: {k} of 3 frames" for k in (1, 2, 3)
    ]
    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stdout.count(b"\n") == 1


def test_a_closed_pipe_is_no_traceback(tmp_path) -> None:
    """``nmc inspect | head -1``."""
    with nmc.Writer(tmp_path / "x.nmc", entropy="none") as writer:
        for t in range(3000):
            writer.append({"w": np.full(3, t)})
    for option in ("--all", "--json"):
        with subprocess.Popen(
            [*NMC, "inspect", str(tmp_path / "x.nmc"), option],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as child:
            child.stdout.readline()
            child.stdout.close()
            errors = child.stderr.read()
            assert child.wait(60) == 1
        assert errors == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [["--version"], ["inspect"], ["inspect", "--json"], ["-h"]])
def test_an_output_that_takes_nothing_is_named(tmp_path, arguments) -> None:
    """It is not the package whose disk is full."""
    with nmc.Writer(tmp_path / "x.nmc") as writer:
        writer.append({"w": np.zeros(3)})
    if arguments[0] == "inspect":
        arguments = [*arguments, str(tmp_path / "x.nmc")]
    with Path("/dev/full").open("w") as full:
        command = [*NMC, *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error host/failed at standard output: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="a shell closes the handles")
def test_handles_that_are_closed(tmp_path) -> None:
    """No file takes the number of one, so that nothing is printed into it; no traceback."""
    with nmc.Writer(tmp_path / "x.nmc") as writer:
        writer.append({"w": np.zeros(3)})
    made = str(tmp_path / "y.nmc")
    for arguments in (
        ["inspect", str(tmp_path / "x.nmc"), "--json"],
        ["inspect", "nothing.nmc"],
        ["extract", str(tmp_path / "x.nmc"), "-o", made, "--frames", "0"],
    ):
        for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
            words = " ".join(map(shlex.quote, [*NMC, *arguments]))
            command = ["sh", "-c", f"{words} {closed}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert "Traceback" not in done.stderr
            assert done.returncode == (1 if "nothing.nmc" in arguments else 0), done
            if arguments[0] == "extract":
                assert nmc.check(made).findings == ()
                Path(made).unlink()


def test_a_locale_without_unicode(tmp_path) -> None:
    with nmc.Writer(tmp_path / "모델.nmc", family="신경망") as writer:
        for t in range(50):
            writer.append({"가중치": np.full(3, t)})
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    for arguments in (["check"], ["inspect", "--tensors"], ["inspect", "--json"]):
        done = subprocess.run(
            [*NMC, arguments[0], str(tmp_path / "모델.nmc"), *arguments[1:]],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert all(line.startswith("progress ") for line in done.stderr.splitlines())


def test_interrupted(tmp_path, monkeypatch, run) -> None:
    def stop(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("nmc_tools.commands.check.verified", stop)
    assert run("check", tmp_path).code == 130


def test_without_memory(package, tmp_path, monkeypatch, run) -> None:
    def exhausted(*_args, **_options):
        raise MemoryError

    monkeypatch.setattr(nmc.ChainSequence, "state", exhausted)
    assert "not enough memory" in refused(
        run("unpack", package, "-o", tmp_path / "o"), "host/no-memory"
    )


def test_on_a_terminal(tmp_path, checkpoints) -> None:
    """Bars are drawn; a name that looks like markup, or like a command, is only a name."""
    pty = pytest.importorskip("pty")
    path = tmp_path / "[x]\x1b]0;owned\x07.nmc"
    screen, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color"}
    command = [*NMC, "pack", str(checkpoints), "-o", str(path)]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment) as child:
        os.close(terminal)
        seen = b""
        try:
            while block := os.read(screen, 65536):
                seen += block
        except OSError:  # the other end is closed
            pass
        assert child.wait(60) == 0
    os.close(screen)
    assert b"packing" in seen
    assert b"5/5" in seen
    assert b"\x1b]0;owned" not in seen
    assert path.exists()


def test_the_version_waits_for_no_library() -> None:
    """``nmc --version`` loads neither numpy nor any command."""
    code = (
        "import sys\n"
        "from nmc_tools.cli import app\n"
        "app(['--version'], standalone_mode=False)\n"
        "heavy = {'numpy', 'nmc', 'torch', 'h5py', 'numba', 'nmc_tools.commands.check'}\n"
        "sys.exit(sorted(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
