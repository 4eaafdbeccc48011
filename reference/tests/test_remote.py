"""Remote packages: the same states and findings as local ones, in few requests."""

from __future__ import annotations

import io
import os
import pickle
import random
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from nmc_samples import chain, write
from web_server import QUICK, serving

import nmc
from nmc.remote.opening import open_anywhere

FRAMES = 40
MANY = 200
"""Their directory is more than what a server is asked for beside it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Packages of one chain, long enough that its file is more than the first request brings."""
    path = tmp_path_factory.mktemp("served")
    rng = np.random.default_rng(0)
    states = chain(FRAMES)
    for state in states:
        state["noise"] = rng.integers(0, 2**32, 10_000, "u4")  # 40 kB a frame
    write(path / "a.nmc", states, key_every=10)
    write(path / "d.nmc", states, key_every=10, directory=True)
    write(path / "many.nmc", chain(MANY), key_every=10)
    return path


@pytest.fixture
def server(folder):
    with serving(folder) as server:
        yield server


def same(a, b):
    return a.keys() == b.keys() and all(
        np.array_equal(np.asarray(a[n]).view("u1"), np.asarray(b[n]).view("u1"))
        if np.asarray(a[n]).size and np.asarray(a[n]).ndim
        else np.asarray(a[n]).tobytes() == np.asarray(b[n]).tobytes()
        for n in a
    )


@pytest.mark.parametrize(("name", "most"), [("a.nmc", 2), ("d.nmc", 2), ("d.nmc/", 1)])
def test_opening_takes_two_requests_at_most(server, folder, name, most):
    with nmc.open(f"{server.url}/{name}", storage_options=QUICK) as sequence:
        assert len(sequence) == FRAMES
        assert sequence.path == f"{server.url}/{name}"
        with nmc.open(folder / name) as local:
            assert sequence.manifest.root == local.manifest.root
            assert sequence.size == local.size
    assert len(server.asked) <= most


@pytest.mark.parametrize(("frames", "most"), [(MANY, 2), (0, 4)])
def test_who_knows_how_many_frames_there_are_asks_for_less(server, folder, frames, most):
    """Too few is no fault: the rest of the directory is two requests more."""
    with (
        open_anywhere(f"{server.url}/many.nmc", QUICK, frames) as package,
        open_anywhere(folder / "many.nmc") as local,
    ):
        assert package.manifest() == local.manifest()
        assert len(server.asked) == most
        assert int(server.asked[0].range.removeprefix("bytes=-")) < 2**15
        assert package.segment_lengths() == local.segment_lengths()


@pytest.mark.parametrize("name", ["a.nmc", "d.nmc"])
def test_each_frame_is_the_same_in_a_request_a_segment(server, folder, name):
    with (
        nmc.open(f"{server.url}/{name}", storage_options=QUICK) as sequence,
        nmc.open(folder / name) as local,
    ):
        opened = len(server.asked)
        for t in range(FRAMES):
            assert same(sequence[t], local[t])
        assert len(server.asked) - opened <= FRAMES
    asked = [(a.path, a.range) for a in server.asked]
    assert len(set(asked)) == len(asked)  # nothing twice


@pytest.mark.parametrize("t", [0, 9, 19, 25, 39])
def test_a_seek_is_one_request_of_a_file(server, folder, t):
    with (
        nmc.open(f"{server.url}/a.nmc", storage_options=QUICK) as sequence,
        nmc.open(folder / "a.nmc") as local,
    ):
        opened = len(server.asked)
        assert same(sequence[t], local[t])
        assert len(server.asked) - opened <= 1


def test_no_seek_of_many_takes_more_than_two_requests(server, folder):
    """Nor where a part of what it reads is about to make room for the rest."""
    with (
        nmc.open(f"{server.url}/a.nmc", storage_options=QUICK) as sequence,
        nmc.open(folder / "a.nmc") as local,
    ):
        for t in random.Random(0).choices(range(30), k=100):
            before = len(server.asked)
            assert same(sequence[t], local[t])
            assert len(server.asked) - before <= 2, t


def test_one_tensor_is_one_request_a_segment(server, folder):
    with (
        nmc.open(f"{server.url}/a.nmc", storage_options=QUICK) as sequence,
        nmc.open(folder / "a.nmc") as local,
    ):
        opened = len(server.asked)
        assert np.array_equal(sequence.tensor(3, "noise"), local.tensor(3, "noise"))
        assert sequence.names(3) == local.names(3)
        assert len(server.asked) - opened <= 4


@pytest.mark.parametrize("name", ["a.nmc", "d.nmc"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_check_finds_the_same(server, folder, name, threads):
    remote = nmc.check(f"{server.url}/{name}", threads=threads, storage_options=QUICK)
    local = nmc.check(folder / name, threads=threads)
    assert remote.accepted
    assert (remote.frames, remote.decoded) == (local.frames, local.decoded)
    assert remote.path == f"{server.url}/{name}"


@pytest.mark.sweep(4)
@pytest.mark.parametrize("at", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_damage_is_found_as_in_a_local_package(server, folder, tmp_path, at):
    data = bytearray((folder / "a.nmc").read_bytes())
    data[int(at * len(data))] ^= 0x10
    (folder / "damaged.nmc").write_bytes(data)
    remote = nmc.check(f"{server.url}/damaged.nmc", storage_options=QUICK)
    local = nmc.check(folder / "damaged.nmc")
    assert [f.code for f in remote.findings] == [f.code for f in local.findings]
    assert not remote.accepted


def test_bytes_and_open_files(folder, monkeypatch):
    data = (folder / "a.nmc").read_bytes()
    with nmc.open(folder / "a.nmc") as local, (folder / "a.nmc").open("rb") as file:
        for given in (data, bytearray(data), memoryview(data), io.BytesIO(data), file):
            with nmc.open(given) as sequence:
                assert same(sequence[5], local[5])
            assert nmc.check(given).accepted
        assert not file.closed
        monkeypatch.chdir(folder)
        with nmc.open(b"a.nmc") as sequence:  # a path as bytes
            assert len(sequence) == FRAMES


def test_bytes_that_are_no_package():
    for data, code in (
        (b"PK\x03\x04", "package/zip-structure"),
        (b"\0" * 5000, "package/not-a-package"),
        (bytearray(), "package/not-a-package"),
        (io.BytesIO(b"text"), "package/not-a-package"),
    ):
        with pytest.raises(nmc.FormatError) as caught:
            nmc.open(data)
        assert caught.value.finding.code == code
    with pytest.raises(TypeError, match="not int"):
        nmc.open(7)
    with pytest.raises(TypeError, match="no such option"):
        nmc.open("http://127.0.0.1:1/a.nmc", storage_options={"speed": 1})


def test_a_store_of_fsspec(folder):
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for path in folder.rglob("*"):
        if path.is_file() and "damaged" not in path.name:
            store.pipe_file(f"/shelf/{path.relative_to(folder)}", path.read_bytes())
    with nmc.open(folder / "a.nmc") as local:
        for name in ("a.nmc", "d.nmc", "d.nmc/", "d.nmc/manifest.h5"):
            with nmc.open(f"memory://shelf/{name}") as sequence:
                assert same(sequence[25], local[25])
        with nmc.open(fsspec.open("memory://shelf/a.nmc")) as sequence:
            assert same(sequence[25], local[25])
        with nmc.open((folder / "a.nmc").as_uri()) as sequence:
            assert same(sequence[25], local[25])
        with nmc.open(f"local://{folder}/a.nmc") as sequence:
            assert same(sequence[25], local[25])
    for name in ("nothing.nmc", "a.nmc/inside"):
        with pytest.raises(nmc.FormatError) as caught:
            nmc.open(f"memory://shelf/{name}")
        assert caught.value.finding.code == "host/not-found"


def test_what_a_store_needs_is_said():
    with pytest.raises(nmc.FormatError) as caught:
        nmc.open("nowhere://bucket/a.nmc")
    assert caught.value.finding.code in ("host/path", "input/unsupported")
    with pytest.raises(nmc.FormatError) as caught:
        nmc.open("file://elsewhere/a.nmc")
    assert caught.value.finding.code == "host/path"


def test_a_pickled_sequence_opens_the_address_again(server, folder):
    with nmc.open(f"{server.url}/a.nmc", storage_options=QUICK) as sequence:
        copy = pickle.loads(pickle.dumps(sequence))
        with copy, nmc.open(folder / "a.nmc") as local:
            assert same(copy[3], local[3])


def test_threads_and_forks(server, folder):
    with (
        nmc.open(f"{server.url}/a.nmc", storage_options=QUICK) as sequence,
        nmc.open(folder / "a.nmc") as local,
    ):
        expected = [local[t] for t in range(FRAMES)]
        with ThreadPoolExecutor(4) as pool:
            parts = [sequence.apart() for _ in range(4)]
            jobs = [pool.submit(parts[k].__getitem__, 10 * k + 7) for k in range(4)]
            for k, job in enumerate(jobs):
                assert same(job.result(), expected[10 * k + 7])
        if sys.platform.startswith("linux") and sys.version_info < (3, 12):
            child = os.fork()
            if child == 0:
                os._exit(0 if same(sequence[15], expected[15]) else 1)
            assert os.waitpid(child, 0)[1] == 0
            assert same(sequence[16], expected[16])


def test_a_query_and_a_password_stay_out_of_messages(server):
    host = server.url.removeprefix("http://")
    for address in (f"http://me:secret@{host}/no.nmc?token=secret", f"{server.url}/no?x=secret"):
        with pytest.raises(nmc.FormatError) as caught:
            nmc.open(address, storage_options=QUICK)
        assert caught.value.finding.code == "host/not-found"
        assert "secret" not in str(caught.value)
    assert any("token=secret" in asked.path for asked in server.asked)
    assert server.asked[0].headers["Authorization"].startswith("Basic ")


def test_ranges_are_asked_for_by_name(folder, monkeypatch):
    """Stores have parameters of their own: the second one of s3fs is the version of the object."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.pipe_file("/named/a.nmc", (folder / "a.nmc").read_bytes())
    cat_file = type(store).cat_file

    def as_in_s3fs(self, path, version_id=None, start=None, end=None):
        assert version_id is None
        return cat_file(self, path, start=start, end=end)

    monkeypatch.setattr(type(store), "cat_file", as_in_s3fs)
    assert nmc.check("memory://named/a.nmc").accepted
    for asynchronous in (True, False):
        monkeypatch.setattr(type(store), "async_impl", asynchronous)
        with nmc.open("memory://named/a.nmc", cache=False) as sequence:
            assert len(sequence) == FRAMES
