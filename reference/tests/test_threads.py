"""Groups of frames in threads: the same findings and files, errors at their places, and an end."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from bad_cases import flip
from nmc_samples import seal, segment_path, write

import nmc
from nmc.reading.ahead import groups_of, in_order, usual_threads


def states(count: int = 12) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    base = rng.normal(size=400).astype("f4")
    return [
        {"w": base + np.float32(1e-3 * t), "frozen": np.arange(50, dtype="f4")}
        for t in range(count)
    ]


def packed(path, **options):
    write(path, states(), key_every=3, directory=True, **options)
    return path


@pytest.mark.parametrize("threads", [None, 1, 2, 3, 7])
def test_a_check_finds_the_same(tmp_path, threads) -> None:
    path = packed(tmp_path / "x.nmc")
    for t in (1, 5, 9):
        flip(segment_path(path, t), -4)
    seal(path)
    flip(segment_path(path, 7), -3)
    seen: list[tuple[int, int]] = []
    one = nmc.check(path)
    found = nmc.check(path, threads=threads, progress=lambda *p: seen.append(p))
    assert len(one.findings) == 4
    assert found == one
    assert seen == [(t + 1, 12) for t in range(12)]


def test_freezing_is_checked_across_groups(tmp_path) -> None:
    """What is frozen is compared with the last frame of the group before, in any thread."""
    path = tmp_path / "x.nmc"
    with nmc.Writer(path, key_every=2, directory=True) as writer:
        for t in range(6):
            writer.append({"w": np.full(4, 1 + (t > 3), "f4")})
    with nmc.open(path) as sequence:
        flags = np.ones((6, 1), "u1")
    from nmc_samples import objects_of, put_objects

    objects = objects_of(path)
    flags[4] = 0  # frame 4 is a key frame, whose weight changed
    objects["/training/requires_grad"] = flags
    objects["/training/requires_grad_known"] = np.ones(6, "u1")
    put_objects(path, objects)
    reports = [nmc.check(path, threads=threads) for threads in (1, 2, 4)]
    assert [f.code for f in reports[0].findings] == ["freezing/frozen-changed"]
    assert reports[0] == reports[1] == reports[2]
    sequence.close()


def test_results_are_in_order_whoever_is_done_first() -> None:
    def job(k: int):
        time.sleep(0.02 * (5 - k))
        yield from ((k, i) for i in range(3))

    jobs = [lambda k=k: job(k) for k in range(5)]
    assert list(in_order(jobs, 3)) == [(k, i) for k in range(5) for i in range(3)]
    assert list(in_order(jobs, 1)) == list(in_order(jobs, 50))
    assert list(in_order([], 2)) == []


def test_an_error_comes_at_its_place_and_ends_the_others() -> None:
    begun, ended = threading.Event(), threading.Event()

    def good(k: int):
        begun.set()
        try:
            for i in range(10_000):
                yield k, i
                time.sleep(0.001)
        finally:
            ended.set()

    def bad():
        yield 0, 0
        begun.wait(5)
        raise MemoryError("not enough")

    found = []
    with pytest.raises(MemoryError, match="not enough"):
        found.extend(in_order([bad, lambda: good(1)], 2))
    assert found == [(0, 0)]
    assert ended.wait(5)
    assert not [t for t in threading.enumerate() if t.name.startswith("nmc-groups")]


def test_who_stops_early_leaves_no_thread() -> None:
    def endless():
        while True:
            yield 1
            time.sleep(0.001)

    results = in_order([endless, endless], 2)
    assert next(results) == 1
    results.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("nmc-groups")]


def test_sequences_apart_decode_at_the_same_time(tmp_path) -> None:
    path = packed(tmp_path / "x.nmc")
    with nmc.open(path) as sequence:
        assert [list(group) for group in groups_of(sequence.manifest)][1] == [3, 4, 5]
        assert usual_threads(sequence.manifest) >= 1
        made: dict[int, np.ndarray] = {}

        def decode(frames) -> None:
            with sequence.apart() as alone:
                made.update((t, alone[t]["w"]) for t in frames)

        threads = [
            threading.Thread(target=decode, args=(group,)) for group in groups_of(sequence.manifest)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for t, state in enumerate(states()):
            assert made[t].tobytes() == state["w"].tobytes()
        assert len(sequence[0]) == 2  # it is still open


def test_one_thread_where_states_are_large(tmp_path) -> None:
    with nmc.open(packed(tmp_path / "x.nmc")) as sequence:
        sequence.manifest.frames.state_bytes[3] = 1 << 33
        assert usual_threads(sequence.manifest) == 1
