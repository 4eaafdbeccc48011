"""How long work is shown where there is no terminal, and what an interruption leaves and says."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest

import nmc
from nmc_tools import progress
from nmc_tools.progress import progress_bar, stages

NMC = [sys.executable, "-m", "nmc_tools.cli"]
CLOCK = r"\d+:\d\d:\d\d"


def shown(capfd):
    """Return the lines of stderr without times, each of which has one."""
    lines = capfd.readouterr().err.splitlines()
    for line in lines:
        assert re.search(rf", {CLOCK}(, {CLOCK} left)?$", line), line
    return [re.sub(rf", {CLOCK}(, {CLOCK} left)?$", "", line) for line in lines]


def test_a_line_a_frame(capfd) -> None:
    with progress_bar("packing x\x1b.nmc") as report:
        for frame in range(3):
            report(frame + 1, 3)
            report(frame + 1, 3)  # nothing new
    label = r"progress 'packing x\x1b.nmc'"
    # The last one may be said twice, as a frame may be the last of several things that end.
    assert list(dict.fromkeys(shown(capfd))) == [f"{label}: {k} of 3 frames" for k in (1, 2, 3)]


@pytest.mark.slow
def test_thousands_of_quick_frames_are_no_flood(capfd, monkeypatch) -> None:
    clock = iter(np.arange(0, 1e6, 2.5e-3))
    monkeypatch.setattr(progress, "_now", lambda: float(next(clock)))
    with progress_bar("checking x.nmc") as report:
        for frame in range(2000):
            report(frame + 1, 2000)
    lines = shown(capfd)
    assert lines[0].endswith("1 of 2000 frames") and lines[-1].endswith("2000 of 2000 frames")
    assert 3 < len(lines) < 50


def test_slow_frames_have_a_line_each_however_many(capfd, monkeypatch) -> None:
    clock = iter(np.arange(0, 1e6, 1.0))
    monkeypatch.setattr(progress, "_now", lambda: float(next(clock)))
    with progress_bar("training x.nmc") as report:
        for frame in range(1000):
            report(frame + 1, 1000)
    assert len(shown(capfd)) == 1000


def test_in_words_where_there_are_some(capfd) -> None:
    with progress_bar("training x.nmc", "iterations") as report:
        for step in range(6):
            report(step, 6, note="loss 1")
            if step % 3 == 2:
                report(step, 6, f"frame {step // 3}")
    assert shown(capfd) == ["progress training x.nmc: frame 0", "progress training x.nmc: frame 1"]


def test_a_long_silence_is_broken(capfd, monkeypatch) -> None:
    clock = iter(np.arange(0, 1e6, 1.0))
    monkeypatch.setattr(progress, "_now", lambda: float(next(clock)))
    with progress_bar("training x.nmc", "iterations") as report:
        for step in range(60):
            report(step, 60, note=f"step {step}")
        report(60, 60, "frame 1 of 1", note="step 60")
    lines = shown(capfd)
    assert lines[-1] == "progress training x.nmc: frame 1 of 1"
    assert 2 <= sum(": step " in line for line in lines) <= 5


def test_stages_are_parts_of_one_whole(capfd) -> None:
    with progress_bar("solving x", "%") as report:
        staged = stages(report, ("find", "match"))
        for name in ("find", "match"):
            for k in range(40):
                staged(name, k + 1, 40)
    lines = shown(capfd)
    assert len(lines) == 20 and lines[-1] == "progress solving x: match 40 of 40"


@pytest.mark.parametrize(
    ("typed", "resume", "said"),
    [
        (
            ["pack", "a b", "-o", "x"],
            "--resume",
            "go on with: nmc pack 'a b' -o x --resume",
        ),
        (["pack", "a", "--resume"], "--resume", "go on with: nmc pack a --resume"),
        (["run", "x.yaml"], "", "go on with: nmc run x.yaml"),
        (["render", "x.nmc"], None, "begin again with: nmc render x.nmc"),
    ],
)
def test_an_interruption_says_how_to_go_on(capfd, monkeypatch, typed, resume, said) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/nmc", *typed])
    with (
        pytest.raises(KeyboardInterrupt),
        progress_bar("doing", kept="a is kept", resume=resume) as report,
    ):
        report(2, 5)
        raise KeyboardInterrupt
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == f"interrupted doing after 2 of 5 frames: a is kept; {said}"


def interrupted(*arguments):
    """Start a command, and stop it as a terminal does when it has said something."""
    command = [*NMC, *map(str, arguments)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
        # Where the tests themselves run in the background, the shell has SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as child:
        first = child.stderr.readline()
        os.killpg(child.pid, signal.SIGINT)
        out, err = child.communicate(timeout=200)
    return child.returncode, first, out, err


@pytest.mark.slow
def test_ctrl_c_while_unpacking(tmp_path) -> None:
    """The command that is printed finishes what was begun, and what was there is kept."""
    with nmc.Writer(tmp_path / "x y.nmc") as writer:
        for t in range(60):
            writer.append({"w": np.full((400, 400), t, np.float32)})
    code, first, out, err = interrupted("unpack", tmp_path / "x y.nmc", "-o", tmp_path / "o")
    assert code == 130 and out == "" and "1 of 60 frames" in first
    last = err.splitlines()[-1]
    assert f"finished files are kept in {tmp_path / 'o'}; go on with: nmc unpack" in last
    again = shlex.split(last.partition("go on with: nmc ")[2])
    assert again[-1] == "--resume"
    before = len(list((tmp_path / "o").glob("*.safetensors")))
    assert 0 < before < 60
    subprocess.run([*NMC, *again], check=True, capture_output=True)
    assert len(list((tmp_path / "o").glob("*.safetensors"))) == 60


@pytest.mark.slow
def test_ctrl_c_while_training(tmp_path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("av")
    options = ["--size", "16x16", "--iterations", 4, "--later", 60, "--rays", 64]
    options += ["--family", "voxel_grid", "--set", "cells=[4]", "--set", "occupancy=4"]
    package = tmp_path / "x.nmc"
    code, first, _, err = interrupted(
        "train", "--scene", "-o", package, "--frames", 400, "--held-out", "test_00", *options
    )
    assert code == 130 and "frame 1 of 400, loss" in first and "held out" in first
    last = err.splitlines()[-1]
    kept = int(re.search(r": (\d+) of 400 frames are kept; go on with: nmc train", last)[1])
    assert 0 < kept < 400 and last.endswith(" --resume")
    nmc.recover(package)
    with nmc.open(package) as sequence:
        assert len(sequence) == kept
