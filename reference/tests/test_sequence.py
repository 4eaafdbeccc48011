"""Packages as sequences: random access, slices, read-only arrays, metadata without decoding."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nmc_samples import chain, members, same_state, segment_path, write, write_trained

import nmc
from nmc_format import segment
from nmc_format.package.members import segment_name


@pytest.fixture(scope="module")
def states():
    return chain(10)


@pytest.fixture(scope="module")
def package(tmp_path_factory, states):
    return write_trained(tmp_path_factory.mktemp("p") / "x.nmc", states, key_every=4)


def test_it_is_a_sequence(package, states) -> None:
    with nmc.open(package) as sequence:
        assert len(sequence) == len(sequence.frames) == 10
        assert same_state(sequence[-1], states[-1])
        assert same_state(sequence[np.int64(3)], states[3])
        assert [int(s["steps"]) for s in sequence] == [100 * t for t in range(10)]
        assert [int(s["steps"]) for s in reversed(sequence)] == [100 * t for t in range(9, -1, -1)]
        assert "x.nmc" in repr(sequence)
        for bad in (10, -11, 10**9):
            with pytest.raises(IndexError):
                sequence[bad]
            with pytest.raises(IndexError):
                sequence.frames[bad]
        with pytest.raises(TypeError):
            sequence["0"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_slices_are_lazy_sequences(package, states, data) -> None:
    part = data.draw(st.slices(10))
    with nmc.open(package) as sequence:
        found = sequence[part]
        expected = states[part]
        assert len(found) == len(expected)
        assert [f.index for f in sequence.frames[part]] == list(range(10))[part]
        for a, b in zip(found, expected, strict=True):
            assert same_state(a, b)
        if expected:
            again = data.draw(st.slices(len(expected)))
            assert [int(s["steps"]) for s in found[again]] == [
                int(s["steps"]) for s in expected[again]
            ]
            with pytest.raises(IndexError):
                found[len(expected)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-10, 9), max_size=20))
def test_any_order_gives_what_reading_in_order_gives(package, states, order) -> None:
    with nmc.open(package) as sequence:
        for t in order:
            assert same_state(sequence[t], states[t])


def test_seeking_reads_the_key_frame_and_the_deltas_after_it(package, monkeypatch) -> None:
    with nmc.open(package) as sequence:
        read = []
        real = sequence._package.segment

        def counted(index, limit):
            read.append(index)
            return real(index, limit)

        monkeypatch.setattr(sequence._package, "segment", counted)
        for t, expected in (
            (6, [4, 5, 6]),
            (7, [7]),
            (7, []),
            (1, [0, 1]),
            (8, [8]),
            (3, [0, 1, 2, 3]),
        ):
            read.clear()
            sequence[t]
            assert read == expected, t


def test_arrays_are_read_only(package) -> None:
    with nmc.open(package) as sequence:
        for array in sequence[1].values():
            assert not array.flags.writeable
            if array.size:
                with pytest.raises(ValueError, match="read-only"):
                    array[...] = 0


def test_states_stay_as_they_were_when_others_are_decoded(package, states) -> None:
    with nmc.open(package) as sequence:
        kept = [sequence[t] for t in range(10)]
        list(sequence)
    for a, b in zip(kept, states, strict=True):
        assert same_state(a, b)


def test_unchanged_tensors_share_memory(package) -> None:
    with nmc.open(package) as sequence:
        group = [sequence[t] for t in range(4)]
    for state in group[1:]:
        assert np.shares_memory(state["frozen"], group[0]["frozen"])
        assert np.shares_memory(state["table"], group[0]["table"])
        assert not np.shares_memory(state["body.weight"], group[0]["body.weight"])


def test_metadata_without_decoding(package, monkeypatch) -> None:
    with nmc.open(package) as sequence:
        monkeypatch.setattr(sequence._package, "segment", None)
        frame = sequence.frames[5]
        assert (frame.index, frame.coding, frame.presentation_time) == (5, "delta", 5)
        assert (frame.trained_from, frame.iterations, frame.seconds) == (4, 15, 0.5)
        assert frame.exclude_layers == (2,)
        assert sequence.frames[0].exclude_layers == ()
        assert sequence.frames[0].trained_from is None
        names = [row.name for row in sequence.manifest.tensors]
        flags = dict(zip(names, frame.requires_grad, strict=True))
        assert [n for n, flag in flags.items() if flag] == [
            "body.weight",
            "body.bias",
            "head.weight",
        ]
        assert sequence.family == "unknown"
        assert sequence.configuration == {}
        assert sequence.frames[-1].index == 9


def test_a_package_is_read_by_several_threads(package, states) -> None:
    wrong = []
    with nmc.open(package) as sequence:

        def work(seed: int) -> None:
            for t in np.random.default_rng(seed).integers(0, 10, 30).tolist():
                if not same_state(sequence[t], states[t]):
                    wrong.append(t)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_both_forms_hold_the_same_bytes(tmp_path, states, package) -> None:
    folder = write_trained(tmp_path / "x.nmc", states, key_every=4, directory=True)
    assert members(folder) == members(package)
    with nmc.open(package) as a, nmc.open(str(folder)) as b:
        assert all(same_state(s, t) for s, t in zip(a, b, strict=True))
        assert a.path == package
        assert b.coded(3) == segment_path(folder, 3).read_bytes() == a.coded(3)


def test_an_interrupted_decode_leaves_no_half_state(package, states, monkeypatch) -> None:
    """Ctrl-C in the middle of a group: what is decoded next is right."""
    import nmc.coding.cursor as room

    with nmc.open(package) as sequence:
        sequence[4]
        real = room.decode_frame

        def interrupted(*arguments):
            real(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(room, "decode_frame", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sequence[6]
        monkeypatch.undo()
        for t in (6, 7, 5):
            assert same_state(sequence[t], states[t])


def test_the_error_names_the_first_broken_frame(tmp_path, states) -> None:
    path = write(tmp_path / "x.nmc", states[:5], directory=True, entropy="none")
    data = bytearray(segment_path(path, 2).read_bytes())
    data[-100] ^= 1  # among the differences; the modes come after them
    segment_path(path, 2).write_bytes(bytes(data))
    with nmc.open(path) as sequence:
        with pytest.raises(nmc.FormatError) as caught:
            sequence[4]
        assert caught.value.finding.place.pointer == "/frames/2/state_digest"
        assert same_state(sequence[1], states[1])
        with pytest.raises(nmc.FormatError):
            sequence[2]
        assert same_state(sequence[1], states[1])
        with pytest.raises(nmc.FormatError, match="segment/sha256"):
            sequence.coded(2)


def test_levels_bound_what_is_opened(tmp_path) -> None:
    """A package of level 2, because its group has more frames than level 1 allows."""
    state = {"w": np.zeros(3)}
    path = write(tmp_path / "x.nmc", [state] * 300, key_every=0)
    with nmc.open(path) as sequence:
        assert sequence.manifest.level == 2
    with pytest.raises(nmc.FormatError, match="profile/level-refused"):
        nmc.open(path, max_level=1)
    report = nmc.check(path, max_level=1)
    assert [f.code for f in report.findings] == ["profile/level-refused"]
    assert report.decoded == 0


@pytest.mark.slow
def test_ten_thousand_frames(tmp_path, capsys) -> None:
    """It opens, and a seek decodes one group of it; the time is printed, not judged."""
    base = {"frozen": np.zeros(500), "w": np.zeros(8, "f4")}
    path = tmp_path / "long.nmc"
    with nmc.Writer(path, key_every=32, entropy="none") as writer:
        for t in range(10_000):
            writer.append(base | {"w": np.full(8, t, "f4")})
    start = time.perf_counter()
    with nmc.open(path) as sequence:
        opened = time.perf_counter() - start
        for t in (9_999, 0, 5_000, 4_999, 31, 32):
            assert sequence[t]["w"][0] == t
        seeks = time.perf_counter() - start - opened
    with capsys.disabled():
        print(f"\n10,000 frames: opened in {1e3 * opened:.1f} ms, a seek {1e3 * seeks / 6:.1f} ms")


def test_a_segment_alone_is_a_safetensors_file(package) -> None:
    found = segment.parse(members(package)[segment_name(1)], "x")
    assert found.parent is not None
    assert found.modes.tolist().count(segment.SKIP) == 3


def test_check_without_decoding(package) -> None:
    report = nmc.check(package, decode=False)
    assert report.accepted
    assert (report.frames, report.decoded) == (10, 0)


def test_check_reports_progress(package) -> None:
    seen = []
    nmc.check(package, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(t + 1, 10) for t in range(10)]
