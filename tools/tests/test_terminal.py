"""The command line in pipes, on terminals, interrupted, and without memory."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from command_samples import refused

import nmc
from nmc_tools import start

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


@pytest.mark.sweep(4)
@pytest.mark.skipif(os.name != "posix", reason="there are no such signals")
@pytest.mark.parametrize(
    "arguments", [["inspect", "--all"], ["inspect", "--json"], ["--help"], ["unpack", "-o", "o"]]
)
@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_pipe_ends_it_as_it_ends_others(tmp_path, arguments, closed) -> None:
    """``nmc inspect | true``: by the signal for it, and without a word."""
    if arguments[0] != "--help":
        with nmc.Writer(tmp_path / "x.nmc") as writer:
            writer.append({"w": np.zeros(3)})
        arguments = [*arguments, "x.nmc"]
    elif closed == "stderr":
        arguments = ["check", "none.nmc"]
    elsewhere = "stderr" if closed == "stdout" else "stdout"
    reading, writing = os.pipe()
    os.close(reading)
    handles = {closed: writing, elsewhere: subprocess.PIPE}
    done = subprocess.run([*NMC, *arguments], **handles, cwd=tmp_path, check=False)
    os.close(writing)
    said = getattr(done, elsewhere)
    silent = arguments[0] == "inspect" and closed == "stderr"  # nothing is written there
    assert done.returncode == (0 if silent else -signal.SIGPIPE)
    assert b"Traceback" not in said and b"Error" not in said


def limited(handles, *arguments):
    """Run the command line with so many handles, the three standard ones among them."""
    resource = pytest.importorskip("resource")
    return subprocess.run(
        [sys.executable, "-c", "from nmc_tools.start import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (handles, handles)),
    )


@pytest.mark.slow
def test_few_handles_are_the_systems_fault(tmp_path, checkpoints) -> None:
    """Whichever file cannot be opened, there is one line, and it does not blame the file."""
    path = tmp_path / "x.nmc"
    codes = []
    for handles in range(5, 12):
        done = limited(handles, "pack", checkpoints, "-o", path, "--force")
        codes.append(done.returncode)
        if done.returncode == 0:
            assert nmc.check(path).accepted
            continue
        last = done.stderr.splitlines()[-1]
        assert done.returncode == 1 and last.startswith("error ")
        assert "Too many open files" in last
        assert not any(word in done.stderr for word in ("Traceback", "damaged", "copy it again"))
    assert codes[0] == 1 and codes[-1] == 0


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOMEM"])
def test_a_library_that_found_no_handle_is_the_systems_fault(name, monkeypatch, capfd) -> None:
    """Although there are handles again once the import has ended."""
    reason = os.strerror(getattr(errno, name))
    message = f"/lib/x.so: cannot open shared object file: {reason}"

    class Refusing(ModuleType):
        def __getattr__(self, _: str) -> None:
            raise ImportError(message)

    monkeypatch.setitem(sys.modules, "nmc_tools.cli", Refusing("nmc_tools.cli"))
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert ended.value.code == 1
    assert capfd.readouterr().err == f"error host/failed at the system: {reason}\n"


def test_interrupted_while_it_loads(tmp_path) -> None:
    """Where nothing is begun yet, Ctrl-C ends it without a word, in the midst of any import."""
    code = (
        "import os, signal, sys\n"
        "module, sys.argv[1:] = sys.argv[1], sys.argv[2:]\n"
        "class Stop:\n"
        "    def find_spec(name, *_):\n"
        "        if name == module:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Stop)\n"
        "from nmc_tools.start import main\n"
        "main()\n"
    )
    for module in ("typer", "nmc_tools.cli", "nmc_tools.commands.check", "numpy"):
        done = subprocess.run(
            [sys.executable, "-c", code, module, "check", str(tmp_path / "x.nmc")],
            capture_output=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (130, b"", b""), module


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


@pytest.mark.slow
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


@pytest.mark.slow(minutes=0.04)
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
