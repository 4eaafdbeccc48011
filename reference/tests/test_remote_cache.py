"""The cache of segments: never another byte than its digest says, never beyond its bound."""

from __future__ import annotations

import hashlib
import multiprocessing
import os

import numpy as np
import pytest
from nmc_samples import chain, write
from web_server import QUICK, serving

import nmc
from nmc.remote.cache import SegmentCache, cache_of

FRAMES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("served")
    rng = np.random.default_rng(0)
    states = chain(FRAMES)
    for state in states:
        state["noise"] = rng.integers(0, 2**32, 100_000, "u4")
    write(path / "a.nmc", states, key_every=3)
    write(path / "d.nmc", states, key_every=3, directory=True)
    return path


@pytest.fixture
def server(folder):
    with serving(folder) as server:
        yield server


def entries(cache):
    return sorted(p for p in cache.glob("*/*") if not p.name.startswith("."))


def play(server, name, cache):
    before = len(server.asked)
    with nmc.open(f"{server.url}/{name}", storage_options=QUICK, cache=cache) as sequence:
        states = [sequence[t] for t in range(FRAMES)]
    return states, len(server.asked) - before


@pytest.mark.parametrize("name", ["a.nmc", "d.nmc"])
def test_what_was_read_is_not_asked_for_again(server, name, tmp_path):
    first, asked = play(server, name, tmp_path / "cache")
    assert len(entries(tmp_path / "cache")) == FRAMES
    second, again = play(server, name, tmp_path / "cache")
    assert again <= 2 < asked + 2  # the manifest alone
    for a, b in zip(first, second, strict=True):
        assert all(a[n].tobytes() == b[n].tobytes() for n in a)
    for path in entries(tmp_path / "cache"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        assert path.stat().st_mode & 0o077 == 0


def test_both_forms_share_their_segments(server, tmp_path):
    play(server, "a.nmc", tmp_path)
    _, asked = play(server, "d.nmc", tmp_path)
    assert asked <= 2


@pytest.mark.parametrize("damage", ["flip", "short", "long", "empty", "link", "folder"])
def test_a_damaged_entry_is_fetched_again(server, tmp_path, damage):
    first, _ = play(server, "d.nmc", tmp_path / "cache")
    for path in entries(tmp_path / "cache"):
        data = path.read_bytes()
        path.unlink()
        if damage == "flip":
            path.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
        elif damage == "link":
            (tmp_path / "elsewhere").write_bytes(data)
            path.symlink_to(tmp_path / "elsewhere")
        elif damage == "folder":
            path.mkdir()
        else:
            path.write_bytes({"short": data[:-1], "long": data + b"x", "empty": b""}[damage])
    second, asked = play(server, "d.nmc", tmp_path / "cache")
    assert asked >= FRAMES
    for a, b in zip(first, second, strict=True):
        assert all(a[n].tobytes() == b[n].tobytes() for n in a)


def test_a_server_that_lies_fills_no_cache(server, tmp_path):
    with nmc.open(f"{server.url}/d.nmc", storage_options=QUICK, cache=tmp_path) as sequence:
        server.misbehave = lambda handler, data, span: (
            handler.answer(data[:-1] + bytes([data[-1] ^ 1]), span) or True
        )
        with pytest.raises(nmc.FormatError):
            sequence[0]
    assert entries(tmp_path) == []


@pytest.mark.parametrize("where", ["file", "denied", "inside a file"])
def test_where_nothing_can_be_written_there_is_no_cache(server, tmp_path, where):
    place = tmp_path / "cache"
    if where == "denied":
        place.mkdir(mode=0o500)
        if os.access(place, os.W_OK):
            pytest.skip("this user may write anywhere")
    else:
        place.write_text("a file")
    _, asked = play(server, "d.nmc", place / "deep" if where == "inside a file" else place)
    assert asked <= FRAMES + 2


def test_the_bound_is_kept_and_the_oldest_go(tmp_path):
    cache = SegmentCache(tmp_path, 100_000)
    data = [bytes([k]) * 5000 for k in range(60)]
    digests = [hashlib.sha256(d).digest() for d in data]
    for k in range(60):
        cache.put(digests[k], data[k])
        cache.finish()
        os.utime(tmp_path / digests[k].hex()[:2] / digests[k].hex(), (k, k))
        cache.get(digests[0], 5000)  # in use: it stays
        assert sum(p.stat().st_size for p in entries(tmp_path)) <= 107_000
    assert cache.get(digests[0], 5000) == data[0]
    assert cache.get(digests[1], 5000) is None
    assert cache.get(digests[59], 5000) == data[59]


def fill(folder, start):
    cache = SegmentCache(folder, 50_000)
    for k in range(start, start + 40):
        data = bytes([k % 7]) * 3000  # the same entries in each process
        digest = hashlib.sha256(data).digest()
        cache.put(digest, data)
        cache.finish()
        found = cache.get(digest, 3000)
        assert found in (None, data)


def test_two_processes_at_once(tmp_path):
    fork = multiprocessing.get_context("spawn")
    jobs = [fork.Process(target=fill, args=(tmp_path, k)) for k in (0, 3)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    for path in entries(tmp_path):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def test_the_environment_says_where(monkeypatch, tmp_path):
    monkeypatch.setenv("NMC_CACHE", "off")
    assert cache_of(None) is None
    monkeypatch.setenv("NMC_CACHE", str(tmp_path))
    assert cache_of(None).folder == tmp_path
    assert cache_of(False) is None
    monkeypatch.delenv("NMC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_of(True).folder == tmp_path / "nmc" / "segments"


@pytest.mark.parametrize("odd", ["pipe", "folder", "link", "zeros"])
def test_entries_that_are_no_segments(server, tmp_path, odd):
    """Nothing waits at a pipe, and nothing is read through a link."""
    if odd == "pipe" and not hasattr(os, "mkfifo"):
        pytest.skip("there are no pipes in folders")
    cache = tmp_path / "cache"
    first, _ = play(server, "a.nmc", cache)
    for path in entries(cache):
        size = path.stat().st_size
        path.unlink()
        match odd:
            case "pipe":
                os.mkfifo(path)
            case "folder":
                path.mkdir()
            case "link":
                path.symlink_to(tmp_path / "elsewhere")
            case "zeros":
                path.write_bytes(bytes(size))
    second, _ = play(server, "a.nmc", cache)
    for a, b in zip(first, second, strict=True):
        assert all(a[n].tobytes() == b[n].tobytes() for n in a)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0", "/dev/null/cache"])
def test_where_no_cache_can_be(server, tmp_path, name):
    """Nothing else changes."""
    states, _ = play(server, "a.nmc", tmp_path / name)
    assert len(states) == FRAMES


def test_the_environment_says_how_much(monkeypatch, tmp_path):
    monkeypatch.setenv("NMC_CACHE_BYTES", "1000")
    assert cache_of(tmp_path).limit == 1000
    monkeypatch.setenv("NMC_CACHE_BYTES", "0")
    assert cache_of(tmp_path) is None
    for text in ("-1", "2 GiB", "1e9", "9" * 30):
        monkeypatch.setenv("NMC_CACHE_BYTES", text)
        with pytest.raises(nmc.FormatError, match="NMC_CACHE_BYTES"):
            cache_of(tmp_path)
    monkeypatch.delenv("NMC_CACHE_BYTES")
    assert cache_of(tmp_path).limit == 2 << 30
