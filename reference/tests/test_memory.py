"""Memory at peak, in states: what a writer keeps beside the caller's state, what a reader takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import nmc

TENSORS, COUNT = 8, 250_000
SIZE = 4 * TENSORS * COUNT
OPTIONS = {"none": {"profile": "baseline"}, "zstd": {"effort": "fast"}, "nmc": {"effort": "fast"}}


def states(frames: int):
    """Yield states one at a time, each a small step from the one before."""
    rng = np.random.default_rng(0)
    state = {f"t{i}": rng.normal(size=COUNT).astype("f4") for i in range(TENSORS)}
    for _ in range(frames):
        yield state
        state = {name: array * np.float32(1 + 1e-6) for name, array in state.items()}


def peak_of(work) -> float:
    """Return the peak of what Python and numpy allocate in a piece of work, in states."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / SIZE
    finally:
        tracemalloc.stop()


def write(path, entropy: str, frames: int) -> float:
    made = list(states(frames))
    writer = nmc.Writer(path, entropy=entropy, overwrite=True, **OPTIONS[entropy])

    def work() -> None:
        with writer:
            for state in made:
                writer.append(state)

    return peak_of(work)


@pytest.mark.sweep(3)
@pytest.mark.parametrize(("entropy", "most"), [("none", 1.4), ("zstd", 2.1), ("nmc", 1.8)])
@pytest.mark.parametrize("frames", [3, 9])
def test_writing_takes_one_state_and_what_is_written(tmp_path, entropy, most, frames) -> None:
    """The state before, one tensor, and the compressed segment; the caller's own is not counted."""
    write(tmp_path / "warm.nmc", entropy, 2)
    assert write(tmp_path / "x.nmc", entropy, frames) < most


@pytest.mark.sweep(3)
@pytest.mark.parametrize(("entropy", "most"), [("none", 2.2), ("zstd", 2.8)])
@pytest.mark.parametrize("frames", [3, 9])
def test_reading_takes_two_states_and_a_segment(tmp_path, entropy, most, frames) -> None:
    path = tmp_path / "x.nmc"
    write(path, entropy, frames)

    def work() -> None:
        with nmc.open(path) as sequence:
            for t in range(frames):
                sequence[t]

    assert peak_of(work) < most


SCRIPT = """
import sys
import numpy as np
import nmc

TENSORS, COUNT = 8, 2_000_000
SIZE = 4 * TENSORS * COUNT


def status(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field))


def begin():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return status("VmRSS")


what, path, entropy, effort = sys.argv[1:]
rng = np.random.default_rng(0)
options = {"entropy": entropy, "effort": effort, "overwrite": True}
small = np.arange(70_000, dtype="f4")
with nmc.Writer(path + ".warm", **options) as writer:  # kernels are compiled and loaded
    for t in range(3):
        writer.append({"a": small + np.float32(1e-3) * rng.standard_normal(70_000, dtype="f4")})
with nmc.open(path + ".warm") as sequence:
    sequence[2]
before = begin()
if what == "write":
    state = {f"t{i}": rng.standard_normal(COUNT, dtype="f4") for i in range(TENSORS)}
    with nmc.Writer(path, key_every=0, **options) as writer:
        for _ in range(4):
            writer.append(state)
            for array in state.values():
                array += array * np.float32(1e-5) * rng.standard_normal(COUNT, dtype="f4")
else:
    with nmc.open(path) as sequence:
        for t in range(len(sequence)):
            sequence[t]
print((status("VmHWM") - before) / SIZE)
"""


@pytest.mark.slow(minutes=0.41)
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="Linux tells the peak")
@pytest.mark.parametrize(
    ("entropy", "effort"), [("zstd", "fast"), ("nmc", "fast"), ("nmc", "strong")]
)
def test_the_peak_of_a_process_in_states(tmp_path, entropy, effort) -> None:
    """Of 64 MB each, the caller's own included; what does not grow with states counts as 0.2."""
    peaks = {}
    for what in ("write", "read"):
        command = [sys.executable, "-c", SCRIPT, what, str(tmp_path / "x.nmc"), entropy, effort]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[what] = float(done.stdout)
    assert peaks["write"] < 2.5 + 0.2
    assert peaks["read"] < 2.2 + 0.2
