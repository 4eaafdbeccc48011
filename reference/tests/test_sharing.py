"""One open package in many threads and processes: forked, started again, or in a DataLoader."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from nmc_samples import chain, same_state, write_trained

import nmc

FRAMES = 12
ORDER = [t for start in (0, 7, 3) for t in [*range(start, FRAMES), *range(start)]] * 2
"""Far from the order of the file, so that readers get in each other's way."""
STARTS = [
    start if start == "fork" else pytest.param(start, marks=pytest.mark.slow(minutes=0.1))
    for start in multiprocessing.get_all_start_methods()
]
"""Ways to start a process; one that is started anew imports all again, torch too."""


@pytest.fixture(scope="module")
def states():
    return chain(FRAMES)


@pytest.fixture(scope="module", params=["file", "directory"])
def package(request, tmp_path_factory, states):
    path = tmp_path_factory.mktemp("p") / "x.nmc"
    return write_trained(path, states, key_every=4, directory=request.param == "directory")


def digests_of(sequence: nmc.ChainSequence, frames: list[int]) -> list[bytes]:
    """What frames hold, in few bytes."""
    return [b"".join(t.digest for t in sequence.state(f).values()) for f in frames]


_inherited: nmc.ChainSequence


def _read_inherited(frames: list[int]) -> list[bytes]:
    return digests_of(_inherited, frames)


@pytest.mark.sweep(2)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_readers(package) -> None:
    """They share the open file, and with it the place where a plain read goes on."""
    global _inherited
    with nmc.open(package) as _inherited:
        expected = digests_of(_inherited, ORDER)
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(4, mp_context=context) as pool:
            jobs = [pool.submit(_read_inherited, ORDER) for _ in range(8)]
            assert digests_of(_inherited, ORDER) == expected
            for job in jobs:
                assert job.result() == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_while_a_thread_decodes(package, states) -> None:
    """The child has the lock and half a state of a thread that it does not have."""
    with nmc.open(package) as sequence:
        seeker = sequence._seeker
        inside, go_on = threading.Event(), threading.Event()
        real = seeker._package.segment

        def slow(index, limit):
            if threading.current_thread() is thread:
                inside.set()
                go_on.wait()
            return real(index, limit)

        seeker._package.segment = slow
        thread = threading.Thread(target=lambda: sequence[3])
        thread.start()
        inside.wait()
        child = os.fork()
        if not child:
            os._exit(0 if same_state(sequence[3], states[3]) else 1)
        try:
            assert os.waitpid(child, 0)[1] == 0
        finally:
            go_on.set()
            thread.join()
        assert same_state(sequence[3], states[3])


@pytest.mark.parametrize("start", STARTS)
def test_handles_go_to_other_processes(package, start) -> None:
    with nmc.open(package) as sequence:
        expected = digests_of(sequence, ORDER[:20])
        context = multiprocessing.get_context(start)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            jobs = [pool.submit(digests_of, sequence, ORDER[:20]) for _ in range(3)]
            for job in jobs:
                assert job.result() == expected


@pytest.mark.sweep(2)
def test_threads(package) -> None:
    with nmc.open(package) as sequence, ThreadPoolExecutor(8) as pool:
        expected = digests_of(sequence, ORDER)
        for found in pool.map(partial(digests_of, sequence), [ORDER] * 8):
            assert found == expected


def test_threads_that_read_segments(package) -> None:
    with nmc.open(package) as sequence, ThreadPoolExecutor(8) as pool:
        for _ in pool.map(sequence.coded, ORDER * 8):
            pass  # each compares the SHA-256


@pytest.mark.sweep(2)
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("start", STARTS)
def test_a_data_loader_with_workers(package, states, start) -> None:
    data = pytest.importorskip("torch.utils.data")
    with nmc.open(package) as sequence:
        sequence[5]
        loader = data.DataLoader(
            sequence,
            batch_size=None,
            collate_fn=_as_lists,
            shuffle=False,
            num_workers=4,
            multiprocessing_context=start,
        )
        for _ in range(1 if start != "fork" else 3):
            found = list(loader)
            assert len(found) == FRAMES
            for state, right in zip(found, states, strict=True):
                assert same_state(state, right)


def _as_lists(state):
    return state


def test_a_pickle_opens_the_package_again(package, states, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(package.parent)
    with nmc.open(package.name, max_level=2, verify=False) as sequence:
        data = pickle.dumps(sequence)
        monkeypatch.chdir(tmp_path)
        assert same_state(sequence[4], states[4])  # a relative path meant the folder of that time
        for other in (pickle.loads(data), copy.copy(sequence), copy.deepcopy(sequence)):
            with other:
                assert same_state(other[4], states[4])
                assert (other._max_level, other._verify) == (2, False)
            assert same_state(sequence[5], states[5])
        part = pickle.loads(pickle.dumps(sequence[2:5]))
        with part._sequence:
            assert same_state(part[1], states[3])
        frames = pickle.loads(pickle.dumps(sequence.frames))
        assert frames[3] == sequence.frames[3]


def test_a_pickle_refuses_another_package(package, states, tmp_path) -> None:
    mine = tmp_path / "mine.nmc"
    move = shutil.copytree if package.is_dir() else shutil.copy
    move(package, mine)
    with nmc.open(mine) as sequence:
        data = pickle.dumps(sequence)
        write_trained(mine, states[:5], overwrite=True, directory=package.is_dir())
        with pytest.raises(nmc.FormatError) as caught:
            pickle.loads(data)
        assert caught.value.finding.code == "host/changed"
        assert caught.value.finding.place.file == str(mine)
        shutil.rmtree(mine) if mine.is_dir() else mine.unlink()
        with pytest.raises(nmc.FormatError, match="host/not-found"):
            pickle.loads(data)


def test_everything_after_close_says_so(package) -> None:
    sequence = nmc.open(package)
    sequence[0]
    part, walk = sequence[2:4], iter(sequence)
    next(walk)
    sequence.close()
    sequence.close()
    for use in (
        lambda: sequence[0],
        lambda: sequence[-1],
        lambda: sequence.state(0),
        lambda: sequence.torch(0),
        lambda: sequence.coded(0),
        lambda: part[0],
        lambda: list(sequence),
        lambda: next(walk),
        lambda: pickle.dumps(sequence),
        sequence.__enter__,
    ):
        with pytest.raises(ValueError, match=r"x\.nmc.* is closed"):
            use()
    assert len(sequence) == len(sequence.frames) == FRAMES
    assert sequence.frames[1].coding == "delta"
    assert "closed" in repr(sequence)
    assert sequence.family == "unknown"
    assert sequence.size > 0


def test_the_number_of_a_closed_file_is_never_read_again(package, tmp_path) -> None:
    """The system gives it to the next file that is opened."""
    sequence = nmc.open(package)
    reader = sequence._package
    sequence.close()
    other = tmp_path / "other"
    other.write_bytes(bytes(100_000))
    with other.open("rb"), pytest.raises(ValueError, match="closed"):
        reader.segment(0, sequence.frames[0].segment_length)


class Anything:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.mark.parametrize("kind", [str, Path, os.fsencode, Anything])
def test_any_kind_of_path(package, kind) -> None:
    with nmc.open(kind(package)) as sequence:
        assert len(sequence) == FRAMES
    assert nmc.check(kind(package)).accepted


@pytest.mark.parametrize("what", [3, None, b"a", 2.5])
def test_what_is_no_path_is_a_mistake_of_the_program(what) -> None:
    if isinstance(what, bytes):
        with pytest.raises(nmc.FormatError, match="host/not-found"):
            nmc.open(what)
    else:
        with pytest.raises(TypeError, match="PathLike"):
            nmc.open(what)


@pytest.mark.sweep(2)
def test_nothing_is_printed_and_nothing_heavy_imported(package) -> None:
    code = """
import sys, nmc
assert "numba" not in sys.modules
heavy = {"torch", "h5py", "rich", "typer", "jsonschema", "matplotlib", "pandas", "scipy"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
with nmc.open(sys.argv[1]) as sequence:
    sequence.frames[0]
assert not heavy & set(sys.modules), heavy & set(sys.modules)
with nmc.open(sys.argv[1]) as sequence:
    sequence[-1]
heavy -= {"scipy"}  # numba looks which version is there
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, package], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_arrays_stay_read_only(package) -> None:
    with nmc.open(package) as sequence:
        for array in sequence[1].values():
            with pytest.raises(ValueError, match="read-only"):
                array[...] = np.zeros((), array.dtype)
