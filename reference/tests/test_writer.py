"""The writer: bounded memory, nothing hashed or copied twice, errors that leave it as it was."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from nmc_samples import assert_states, members, write

import nmc
from nmc_format import state_digest
from nmc_format.state_digest import content_hash


def large(t: int, count: int = 250_000) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(t)
    base = np.random.default_rng(0).normal(size=count).astype("f4")
    return {
        "w": base + (1e-5 * rng.normal(size=count)).astype("f4"),
        "frozen": np.arange(count, dtype="f4"),
    }


@pytest.mark.parametrize("entropy", ["none", "zstd", "nmc"])
def test_memory_does_not_grow_with_the_length(tmp_path, entropy) -> None:
    """The writer keeps one state; the caller's own is dropped before the next is made."""
    states = [large(t) for t in range(30)]
    size = sum(a.nbytes for a in states[0].values())
    kept, peaks = [], []
    options = {"entropy": entropy, "effort": "fast", "key_every": 0}
    write(tmp_path / "warm.nmc", states[:3], **options)  # compiling takes memory, too, but once
    with nmc.Writer(tmp_path / "x.nmc", **options) as writer:
        tracemalloc.start()
        try:
            for state in states:
                tracemalloc.reset_peak()
                writer.append(state)
                current, peak = tracemalloc.get_traced_memory()
                kept.append(current)
                peaks.append(peak)
        finally:
            tracemalloc.stop()
    # beside the state it keeps: the planes of one frame, and its segment
    assert max(peaks) < 6 * size
    assert kept[-1] < 1.5 * size  # one state, and what the coder remembers of it
    assert max(peaks[-5:]) <= max(peaks[2:7]) + 0.1 * size


def test_reading_in_order_does_not_grow_either(tmp_path) -> None:
    write(tmp_path / "x.nmc", [large(t) for t in range(12)], effort="fast")
    size = sum(a.nbytes for a in large(0).values())
    with nmc.open(tmp_path / "x.nmc") as sequence:
        sequence[1]
        tracemalloc.start()
        try:
            kept = []
            for t in range(2, 12):
                sequence[t]
                kept.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert kept[-1] - kept[1] < 0.1 * size


class CountingHash:
    """Stands for the hash of the bytes of a tensor; counts the bytes that were hashed."""

    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self, words, threads=1) -> bytes:
        self.bytes += words.nbytes
        return content_hash(words, threads)


@pytest.fixture
def counted(monkeypatch) -> CountingHash:
    counter = CountingHash()
    monkeypatch.setattr(state_digest, "content_hash", counter)
    return counter


def test_an_unchanged_tensor_costs_nothing(tmp_path, counted) -> None:
    """No bytes beyond its mode, no hash, and no copy when it is read."""
    frozen = {f"frozen{i}": np.arange(100_000, dtype="f4") + i for i in range(5)}
    first = frozen | {"w": np.zeros(10, "f4")}
    second = frozen | {"w": np.ones(10, "f4")}
    lengths = []
    with nmc.Writer(tmp_path / "x.nmc", entropy="none", key_every=0) as writer:
        writer.append(first)
        for state in (second, first, second):
            counted.bytes = 0
            # equal in another memory: it is compared, found equal, and not hashed
            lengths.append(writer.append({n: a.copy() for n, a in state.items()}))
            assert counted.bytes < 2000
    assert max(lengths) < 600  # two megabytes are unchanged

    with nmc.open(tmp_path / "x.nmc") as sequence:
        one = sequence[1]
        counted.bytes = 0
        two = sequence[2]
        assert counted.bytes < 2000
        for name in frozen:
            assert np.shares_memory(one[name], two[name])
        assert not np.shares_memory(one["w"], two["w"])


def test_modes_are_one_byte_each(tmp_path) -> None:
    """With enough of them that the padding of the header does not hide it."""
    sizes = {}
    for count in (0, 1000):
        frozen = {f"frozen{i}": np.arange(8, dtype="f4") for i in range(count)}
        with nmc.Writer(tmp_path / f"{count}.nmc", entropy="none", key_every=0) as writer:
            writer.append(frozen | {"w": np.zeros(5000, "f4"), "big": np.zeros(9000)})
            sizes[count] = writer.append(frozen | {"w": np.ones(5000, "f4"), "big": np.zeros(9000)})
    assert sizes[1000] - sizes[0] <= 1000 + 64


def test_the_callers_arrays_can_be_changed_after_append(tmp_path) -> None:
    """Training changes its weights in place; what was written stays written."""
    w = np.zeros(4000, "f4")
    expected = []
    with nmc.Writer(tmp_path / "x.nmc") as writer:
        for t in range(4):
            w += t
            expected.append({"w": w.copy()})
            writer.append({"w": w})
    assert_states(tmp_path / "x.nmc", expected)


def test_overhead_of_the_container(tmp_path) -> None:
    """At most 0.1 per cent of the raw models, for a model of a million parameters."""
    rng = np.random.default_rng(0)
    shapes = {f"layer{i}.weight": (256, 256) for i in range(16)}
    shapes |= {f"layer{i}.bias": (256,) for i in range(16)}
    states = [{n: rng.normal(size=s).astype("f4") for n, s in shapes.items()} for _ in range(8)]
    assert sum(a.size for a in states[0].values()) >= 10**6
    raw = sum(a.nbytes for state in states for a in state.values())
    for options in ({}, {"directory": True}):
        path = write(tmp_path / f"x{len(options)}.nmc", states, profile="baseline", **options)
        with nmc.open(path) as sequence:
            overhead = (sequence.size - raw) / raw
        on_disk = sum(len(d) for d in members(path).values()) if options else path.stat().st_size
        assert sequence.size == on_disk
        assert overhead <= 0.001, f"{100 * overhead:.4f} %"


@pytest.mark.parametrize("quantisation", [None, nmc.Quantisation(0.1)])
def test_append_returns_the_bytes_of_the_segment(tmp_path, quantisation) -> None:
    with nmc.Writer(tmp_path / "a.nmc", quantisation=quantisation) as writer:
        sizes = [writer.append(large(t, 500)) for t in range(3)]
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert sizes == [frame.segment_length for frame in sequence.frames]
    assert min(sizes) > 0
