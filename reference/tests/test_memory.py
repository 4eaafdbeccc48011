"""Memory at peak, in states: what a writer keeps beside the caller's state, what a reader takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import nmc

TENSORS, COUNT = 8, 250_000
SIZE = 4 * TENSORS * COUNT
OPTIONS = {"none": {"profile": "baseline"}, "zstd": {"effort": "fast"}}


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


@pytest.mark.parametrize(("entropy", "most"), [("none", 1.4), ("zstd", 2.1)])
@pytest.mark.parametrize("frames", [3, 9])
def test_writing_takes_one_state_and_what_is_written(tmp_path, entropy, most, frames) -> None:
    """The state before, one tensor, and the compressed segment; the caller's own is not counted."""
    write(tmp_path / "warm.nmc", entropy, 2)
    assert write(tmp_path / "x.nmc", entropy, frames) < most


@pytest.mark.parametrize(("entropy", "most"), [("none", 2.2), ("zstd", 3.1)])
@pytest.mark.parametrize("frames", [3, 9])
def test_reading_takes_two_states_and_a_segment(tmp_path, entropy, most, frames) -> None:
    path = tmp_path / "x.nmc"
    write(path, entropy, frames)

    def work() -> None:
        with nmc.open(path) as sequence:
            for t in range(frames):
                sequence[t]

    assert peak_of(work) < most
