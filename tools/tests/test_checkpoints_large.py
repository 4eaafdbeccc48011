"""Checkpoints that are large beside the memory: mapped, and packed tensor by tensor."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

import nmc
from nmc.coding import scratch
from nmc_tools import checkpoints


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


def pack(what):
    sys.argv = ["nmc", "pack", str(folder / what), "-o", str(folder / f"{what}.nmc")]
    sys.argv += ["--effort", "fast", "--jobs", "1"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code


pack("small")
with open("/proc/self/status") as file:
    data = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (data + int(0.7 * size), -1))
pack("large")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux bounds the data of a process")
def test_a_file_larger_than_the_memory_is_packed(tmp_path) -> None:
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
