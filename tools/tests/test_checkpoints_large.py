"""Checkpoints that are large beside the memory: mapped, and packed tensor by tensor."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

import nmc
from nmc.coding import scratch
from nmc_tools import checkpoints
from nmc_tools.cli import app


def test_a_file_that_is_mapped_is_read_alike(tmp_path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    state = {"odd": rng.integers(0, 9, 7).astype("u1"), "a": rng.normal(size=(30, 5)).astype("f4")}
    state |= {"empty": np.empty((0, 3), "f2"), "one": np.array(3.5)}
    path = tmp_path / "x.safetensors"
    save_file(state, path)
    read = checkpoints.read(path)
    monkeypatch.setattr(scratch, "memory_limit", lambda: 0)
    mapped = checkpoints.read(path)
    assert read.state.keys() == mapped.state.keys()
    for name, array in read.state.items():
        assert mapped.state[name].dtype == array.dtype
        assert np.array_equal(mapped.state[name], array)
        assert not mapped.state[name].flags.writeable
    with nmc.Writer(tmp_path / "x.nmc", memory=0) as writer:
        writer.append(mapped.state)
    with nmc.open(tmp_path / "x.nmc") as sequence:
        assert all(np.array_equal(sequence[0][name], array) for name, array in state.items())


SCRIPT = """
import resource
import sys
from pathlib import Path

from nmc_tools.cli import main

folder, size = Path(sys.argv[1]), int(sys.argv[2])


def run(*arguments):
    sys.argv = ["nmc", *map(str, arguments), "--jobs", "1"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code


def there_and_back(what):
    package = folder / f"{what}.nmc"
    run("pack", folder / what, "-o", package, "--effort", "fast")
    run("unpack", package, "-o", folder / f"{what}-again")


there_and_back("small")
with open("/proc/self/status") as file:
    data = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (data + int(0.7 * size), -1))
there_and_back("large")
"""


@pytest.mark.slow(minutes=0.07)
@pytest.mark.skipif(sys.platform != "linux", reason="Linux bounds the data of a process")
def test_a_file_larger_than_the_memory_is_packed_and_unpacked(tmp_path) -> None:
    rng = np.random.default_rng(1)
    for name, count in (("small", 40_000), ("large", 1_000_000)):
        (tmp_path / name).mkdir()
        state = {f"t{k:02}": rng.standard_normal(count, dtype="f4") for k in range(12)}
        for t in range(2):
            save_file(state, tmp_path / name / f"{t}.safetensors")
            state = {n: a * np.float32(1 + 1e-5 * k) for k, (n, a) in enumerate(state.items())}
    size = (tmp_path / "large" / "1.safetensors").stat().st_size
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with nmc.open(tmp_path / "large.nmc") as sequence:
        last = checkpoints.read(tmp_path / "large" / "1.safetensors").state
        assert all(np.array_equal(sequence[1][name], array) for name, array in last.items())
    for t in range(2):
        given = (tmp_path / "large" / f"{t}.safetensors").read_bytes()
        assert (tmp_path / "large-again" / f"frame_{t:08d}.safetensors").read_bytes() == given


@pytest.mark.parametrize("share", [0, 4_000])
def test_a_state_in_parts_makes_the_same_file(tmp_path, monkeypatch, share) -> None:
    rng = np.random.default_rng(2)
    state = {"odd": rng.integers(0, 9, 7).astype("u1"), "d": rng.normal(size=(20, 5))}
    state |= {f"t{k}": rng.normal(size=(30, 5)).astype("f4") for k in range(4)}
    state |= {"empty": np.empty((0, 3), "f2"), "h": np.ones(3, "f2")}
    package = tmp_path / "x.nmc"
    with nmc.Writer(package) as writer:
        writer.append(state)
        writer.append({name: array + array.dtype.type(1) for name, array in state.items()})
    made = []
    for limit in (None, 4 * share):
        if limit is not None:
            monkeypatch.setattr("nmc_tools.commands.unpack.memory_limit", lambda: 4 * share)
        folder = tmp_path / f"limit-{limit}"
        done = CliRunner().invoke(app, ["unpack", str(package), "-o", str(folder)])
        assert done.exit_code == 0, done.output
        made.append([path.read_bytes() for path in sorted(folder.iterdir())])
    assert made[0] == made[1]
    assert len(made[0]) == 2
