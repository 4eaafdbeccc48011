"""States larger than memory: written and read tensor by tensor, in a process that has less."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import numpy as np
import pytest

import nmc
from nmc.coding import scratch as scratches
from nmc.coding.scratch import IN_MEMORY, ScratchFiles, memory_limit

SCRIPT = """
import resource
import sys
from collections.abc import Mapping

import numpy as np
import nmc

path, entropy, effort = sys.argv[1:]
TENSORS, COUNT, FRAMES = 40, 400_000, 3
SIZE = 4 * TENSORS * COUNT


class Lazy(Mapping):
    # what loads each tensor when it is asked for, and keeps none

    def __init__(self, frame):
        self.frame = frame

    def __len__(self):
        return TENSORS

    def __iter__(self):
        return (f"t{k:02}" for k in range(TENSORS))

    def __getitem__(self, name):
        k = int(name[1:])
        array = np.random.default_rng(k).standard_normal(COUNT, dtype="f4").reshape(400, 1000)
        for t in range(1, self.frame + 1):
            if k % 4:
                array *= np.float32(1 + 1e-5 * (k + t))
        return array


options = {"entropy": entropy, "effort": effort, "overwrite": True}
small = {"t": np.ones((300, 300), "f4")}
with nmc.Writer(path + ".warm", **options) as writer:  # kernels are compiled and loaded
    for t in range(3):
        writer.append({"t": small["t"] * np.float32(1 + 1e-5 * t)})
with nmc.open(path + ".warm") as sequence:
    sequence[2]
    sequence.tensor(1, "t")
with open("/proc/self/status") as file:
    data = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (data + int(0.6 * SIZE), -1))
try:
    np.ones(SIZE, "u1")
except MemoryError:
    pass
else:
    raise SystemExit("there was room for a state")
with nmc.Writer(path, key_every=0, **options) as writer:
    for t in range(FRAMES):
        writer.append(Lazy(t))
with nmc.open(path) as sequence:
    for t in range(FRAMES):
        for name in list(Lazy(t))[t::9]:
            assert np.array_equal(sequence.tensor(t, name), Lazy(t)[name]), (t, name)
"""


@pytest.mark.sweep(4)
@pytest.mark.skipif(sys.platform != "linux", reason="Linux bounds the data of a process")
@pytest.mark.parametrize(
    ("entropy", "effort"), [("none", "fast"), ("zstd", "fast"), ("nmc", "fast"), ("nmc", "strong")]
)
def test_a_state_is_written_and_read_with_less_memory_than_it_has(
    tmp_path, entropy, effort
) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "x.nmc"), entropy, effort]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.nmc", "x.nmc.warm"]


@pytest.fixture
def states() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(3)
    state = {f"t{k}": rng.normal(size=(90, 50)).astype("f4") for k in range(6)}
    made = []
    for t in range(5):
        made.append(state)
        state = {n: a if t == 2 else (a * 1.0001).astype("f4") for n, a in state.items()}
    return made


@pytest.mark.parametrize("effort", ["fast", "strong", "max"])
@pytest.mark.parametrize("entropy", ["none", "zstd", "nmc"])
def test_the_bytes_are_the_same(tmp_path, states, monkeypatch, effort, entropy) -> None:
    packages = []
    for memory in (None, 0, 30_000):
        if memory is not None:
            monkeypatch.setattr("nmc.coding.encode._LARGE", 0)
            monkeypatch.setattr("nmc.coding.arithmetic.adaptive._LARGE", 0)
        path = tmp_path / "x.nmc"
        options = {"entropy": entropy, "effort": effort, "overwrite": True, "memory": memory}
        with nmc.Writer(path, sequence_id="x", **options) as writer:
            for state in states:
                writer.append(state)
        packages.append(path.read_bytes())
    assert packages[0] == packages[1] == packages[2]


@pytest.mark.slow(minutes=0.02)
def test_files_are_gone_with_their_arrays(tmp_path) -> None:
    files = ScratchFiles(tmp_path)
    small, large = files.empty(1000, "u2"), files.empty(1 << 24, "u1")
    assert files.holds(small) and files.holds(large[5:]) and not files.holds(np.empty(3))
    assert not IN_MEMORY.holds(small)
    small[:], large[:] = 7, 9
    assert small.flags.carray and large.flags.carray
    assert bytes(files.kept(memoryview(b"abc"))) == b"abc"
    assert not files.zeros(1 << 23, "u1").any()
    assert (small == 7).all() and (large == 9).all()  # their pages were given back in between
    assert not list(tmp_path.iterdir())
    assert len(files._slabs) >= 2
    del small, large
    files._slab = None
    gc.collect()
    assert not list(files._slabs)


def test_where_no_file_can_be_made_it_is_memory(tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    files = ScratchFiles(tmp_path)
    made = files.empty(1000, "u4")
    assert made.size == 1000 and not files.holds(made)
    assert not files.zeros(1 << 25, "u1").any()
    assert bytes(files.kept(b"kept")) == b"kept"
    assert not list(tmp_path.iterdir())


def test_pages_are_given_back_now_and_then(tmp_path, monkeypatch) -> None:
    files = ScratchFiles(tmp_path)
    pieces = [files.kept(bytes([k]) * 300_000) for k in range(40)]
    asked: list[int] = []
    real = ScratchFiles._let_go
    monkeypatch.setattr(ScratchFiles, "_let_go", lambda *a: (asked.append(a[1]), real(*a)))
    assert b"".join(files.yielded(pieces)) == b"".join(bytes([k]) * 300_000 for k in range(40))
    assert sum(asked) == 40 * 300_000 > 2 * scratches._OFTEN


def test_the_memory_of_the_process_is_known() -> None:
    assert 1 << 20 < memory_limit() < 1 << 60


def test_a_lazy_mapping_is_asked_once_for_each_tensor(tmp_path, states) -> None:
    asked: list[str] = []

    class Lazy(dict):
        def __getitem__(self, name):
            asked.append(name)
            return super().__getitem__(name)

    with nmc.Writer(tmp_path / "x.nmc", memory=0) as writer:
        writer.append(Lazy(states[0]))
        writer.append(Lazy(states[1]))
    assert asked == 2 * list(states[0])
