"""Packages that grow: a reader sees whole frames, each with its digest, and then the end."""

from __future__ import annotations

import shutil
import threading

import numpy as np
import pytest
from nmc_samples import chain, write
from web_server import QUICK, serving

import nmc

FRAMES = 8
QUICKLY = {"poll": 0.01, "timeout": 20}


@pytest.fixture(scope="module")
def states():
    return chain(FRAMES)


def same(state, expected):
    return state.keys() == expected.keys() and all(
        np.asarray(state[n]).tobytes() == np.asarray(expected[n]).tobytes() for n in expected
    )


@pytest.mark.sweep(2)
@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("far", [False, True])
def test_a_frame_is_seen_as_soon_as_it_is_sealed(states, tmp_path, directory, far):
    path = tmp_path / "a.nmc"
    with serving(tmp_path) as server:
        target = f"{server.url}/a.nmc" if far else path
        options = {"storage_options": QUICK} if far else {}
        with nmc.Writer(path, key_every=3, directory=directory) as writer:
            writer.append(states[0])
            with nmc.follow(target, **QUICKLY, **options) as frames:
                assert same(next(frames), states[0])
                for t in range(1, FRAMES):
                    writer.append(states[t])
                    assert same(next(frames), states[t])  # one look is enough
                    assert frames.index == t
                    assert not frames.finished
                writer.close()
                assert list(frames) == []
                assert frames.finished
    assert nmc.check(path).accepted


@pytest.mark.parametrize("directory", [False, True])
def test_a_writer_in_another_thread(states, tmp_path, directory):
    path = tmp_path / "a.nmc"

    def train():
        with nmc.Writer(path, key_every=3, directory=directory) as writer:
            for state in states:
                writer.append(state)

    thread = threading.Thread(target=train)
    thread.start()
    seen = list(nmc.follow(path, **QUICKLY))
    thread.join()
    assert len(seen) == FRAMES
    assert all(map(same, seen, states))


@pytest.mark.sweep(2)
@pytest.mark.parametrize("directory", [False, True])
def test_any_cut_of_it_is_a_package(states, tmp_path, directory):
    """The journal and the segments at each moment: what is sealed opens, half a line does not."""
    path = tmp_path / "a.nmc"
    writer = nmc.Writer(path, key_every=3, directory=directory)
    for state in states:
        writer.append(state)
    made = path if directory else path.with_name("a.nmc.partial")
    journal = (made / "journal.ndjson").read_bytes()
    ends = [k + 1 for k, byte in enumerate(journal) if byte == 10]
    for cut in sorted({*ends, *(e - 1 for e in ends), *(e + 7 for e in ends), len(journal) // 2}):
        copy = tmp_path / f"copy{cut}.nmc"
        folder = copy if directory else copy.with_name(copy.name + ".partial")
        shutil.copytree(made, folder)
        (folder / "journal.ndjson").write_bytes(journal[:cut])
        sealed = sum(end <= cut for end in ends) - 1
        if sealed < 1:
            with pytest.raises(nmc.FormatError):
                nmc.open_unfinished(copy)
            continue
        with nmc.open_unfinished(copy) as sequence:
            assert len(sequence) == sealed
            for t in (0, sealed - 1):
                assert same(sequence[t], states[t])
        assert nmc.recover(copy) in (sealed, sealed + 1)  # a line may lack its end alone
        assert nmc.check(copy).accepted
    writer.close()


def test_a_segment_that_is_not_what_its_line_says(states, tmp_path):
    path = tmp_path / "a.nmc"
    writer = nmc.Writer(path, directory=True)
    for state in states[:3]:
        writer.append(state)
    place = path / "segments" / "00000002.safetensors"
    data = place.read_bytes()
    with nmc.follow(path, poll=0.001, timeout=20) as frames:
        assert same(next(frames), states[0])
        place.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert same(next(frames), states[1])
        with pytest.raises(nmc.FormatError, match="segment/sha256"):
            next(frames)
    place.write_bytes(data)
    writer.close()


def test_a_segment_that_comes_late(states, tmp_path):
    """A cache on the way may show the journal before the segment: the next look finds it."""
    path = tmp_path / "a.nmc"
    writer = nmc.Writer(path, directory=True)
    for state in states[:2]:
        writer.append(state)
    place = path / "segments" / "00000001.safetensors"
    hidden = tmp_path / "hidden"
    place.rename(hidden)
    with nmc.follow(path, poll=0.001, timeout=20) as frames:
        assert same(next(frames), states[0])
        frames._sleep = lambda _: hidden.exists() and hidden.rename(place)
        assert same(next(frames), states[1])
    writer.close()


def test_a_chain_that_becomes_another_one(states, tmp_path):
    path = tmp_path / "a.nmc"
    writer = nmc.Writer(path, directory=True)
    for state in states[:3]:
        writer.append(state)
    with nmc.follow(path, poll=0.001, timeout=20) as frames:
        for t in range(3):
            assert same(next(frames), states[t])
        writer.abandon() if hasattr(writer, "abandon") else writer.close()
        shutil.rmtree(path, ignore_errors=True)
        write(path, states[4:], directory=True)
        with pytest.raises(nmc.FormatError, match="host/changed"):
            next(frames)


def test_nothing_there_and_nothing_new(states, tmp_path):
    with pytest.raises(nmc.FormatError, match="host/not-found"):
        next(nmc.follow(tmp_path / "none.nmc"))
    with pytest.raises(nmc.FormatError, match="host/connection"):
        next(nmc.follow(tmp_path / "none.nmc", poll=0.001, timeout=0.01))
    with pytest.raises(nmc.FormatError, match="host/not-found"):
        nmc.open_unfinished(tmp_path / "none.nmc")
    writer = nmc.Writer(tmp_path / "a.nmc")
    writer.append(states[0])
    with nmc.follow(tmp_path / "a.nmc", poll=0.001, timeout=0.01) as frames:
        next(frames)
        with pytest.raises(nmc.FormatError, match="host/connection"):
            next(frames)
    writer.close()


def test_a_package_that_is_being_replaced(states, tmp_path):
    path = write(tmp_path / "a.nmc", states[:2])
    with nmc.Writer(path, overwrite=True) as writer:
        writer.append(states[4])
        with nmc.follow(path, **QUICKLY) as frames:
            assert same(next(frames), states[4])
            writer.close()
            assert list(frames) == []
    with nmc.follow(path, **QUICKLY) as frames:
        assert same(next(frames), states[4])


def test_an_unfinished_package_on_a_server_is_named(states, tmp_path):
    writer = nmc.Writer(tmp_path / "a.nmc", directory=True)
    writer.append(states[0])
    with serving(tmp_path) as server, pytest.raises(nmc.FormatError, match="package/unfinished"):
        nmc.open(f"{server.url}/a.nmc", storage_options=QUICK)
    writer.close()
