"""Packages put into a store: whole, compared, gone on with, and as they grow."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from nmc_samples import chain, write

import nmc

fsspec = pytest.importorskip("fsspec", reason="the extra 'remote' is not installed")

FRAMES = 6


@pytest.fixture
def store():
    made = fsspec.filesystem("memory")
    made.store.clear()
    made.pseudo_dirs[:] = [""]
    yield made
    made.store.clear()
    made.pseudo_dirs[:] = [""]


@pytest.fixture(scope="module")
def states():
    return chain(FRAMES)


def same(state, expected):
    return all(
        np.asarray(state[n]).tobytes() == np.asarray(expected[n]).tobytes() for n in expected
    )


def code_of(work):
    with pytest.raises(nmc.FormatError) as caught:
        work()
    return caught.value.finding.code


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("follow", [False, True])
def test_a_package_is_there_and_not_sent_twice(states, store, tmp_path, directory, follow):
    path = write(tmp_path / "a.nmc", states, key_every=3, directory=directory)
    done = nmc.push(path, "memory://shelf/a.nmc", follow=follow)
    assert done.frames == FRAMES
    assert done.sent == (FRAMES + 1 if directory or follow else 1)
    assert nmc.check("memory://shelf/a.nmc").accepted
    if not (directory or follow):
        assert store.cat_file("/shelf/a.nmc") == path.read_bytes()
    assert nmc.push(path, "memory://shelf/a.nmc", follow=follow).sent == 0


def test_an_interrupted_push_goes_on(states, store, tmp_path, monkeypatch):
    path = write(tmp_path / "a.nmc", states, directory=True)
    put = type(store).open

    def full(self, name, *args, **options):
        if "00000003" in name and "wb" in args:
            raise OSError("the connection broke")
        return put(self, name, *args, **options)

    monkeypatch.setattr(type(store), "open", full)
    assert code_of(lambda: nmc.push(path, "memory://shelf/a.nmc")) == "host/connection"
    monkeypatch.undo()
    assert not store.exists("/shelf/a.nmc/manifest.h5")  # nobody takes it for a package
    assert code_of(lambda: nmc.open("memory://shelf/a.nmc")) == "host/not-found"
    damaged = bytearray(store.cat_file("/shelf/a.nmc/segments/00000001.safetensors"))
    damaged[-1] ^= 1
    store.pipe_file("/shelf/a.nmc/segments/00000001.safetensors", bytes(damaged))
    assert nmc.push(path, "memory://shelf/a.nmc").sent == FRAMES + 1 - 2
    assert nmc.check("memory://shelf/a.nmc").accepted


@pytest.mark.parametrize("directory", [False, True])
def test_another_package_is_not_replaced_unasked(states, store, tmp_path, directory):
    first = write(tmp_path / "a.nmc", states, directory=directory)
    other = write(tmp_path / "b.nmc", states[2:], directory=directory)
    nmc.push(first, "memory://shelf/a.nmc")
    assert code_of(lambda: nmc.push(other, "memory://shelf/a.nmc")) == "host/exists"
    assert nmc.check("memory://shelf/a.nmc").frames == FRAMES
    nmc.push(other, "memory://shelf/a.nmc", overwrite=True)
    with nmc.open("memory://shelf/a.nmc") as sequence:
        assert len(sequence) == FRAMES - 2
        assert same(sequence[0], states[2])


def test_a_store_that_keeps_other_bytes(states, store, tmp_path, monkeypatch):
    path = write(tmp_path / "a.nmc", states)
    put = type(store).open

    def lossy(self, name, mode="rb", **options):
        file = put(self, name, mode, **options)
        if "w" in mode:
            write_all = file.write
            file.write = lambda data: write_all(bytes(data)[:-1] + b"?")
        return file

    monkeypatch.setattr(type(store), "open", lossy)
    assert code_of(lambda: nmc.push(path, "memory://shelf/a.nmc")) == "host/failed"


@pytest.mark.parametrize("directory", [False, True])
def test_a_package_that_grows_is_followed_there(states, store, tmp_path, directory):
    """A reader of the store sees each frame while the training goes on, and then the end."""
    path = tmp_path / "a.nmc"
    seen = []
    with nmc.Writer(path, key_every=3, directory=directory) as writer:
        writer.append(states[0])
        pushing = threading.Thread(
            target=nmc.push,
            args=(path, "memory://shelf/a.nmc"),
            kwargs={"follow": True, "poll": 0.01, "timeout": 15},
        )
        pushing.start()
        with nmc.follow("memory://shelf/a.nmc", poll=0.01, timeout=15) as frames:
            for t in range(FRAMES):
                seen.append(next(frames))
                assert same(seen[t], states[t])
                if t + 1 < FRAMES:
                    writer.append(states[t + 1])
            writer.close()
            assert list(frames) == []
        pushing.join()
    assert nmc.check("memory://shelf/a.nmc").accepted
    assert not store.exists("/shelf/a.nmc/journal.ndjson")


def test_where_nothing_can_be_put(states, tmp_path):
    path = write(tmp_path / "a.nmc", states)
    for target in ("https://example.org/a.nmc", str(tmp_path / "b.nmc")):
        assert code_of(lambda target=target: nmc.push(path, target)) == "host/path"
    assert code_of(lambda: nmc.push(tmp_path / "none.nmc", "memory://a")) == "host/not-found"


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("member", [0, -1])
def test_half_of_an_object_is_not_under_its_name(states, tmp_path, monkeypatch, directory, member):
    """In a folder of this host; the same command goes on, without --force."""
    from fsspec.implementations import local

    path = write(tmp_path / "a.nmc", states, key_every=3, directory=directory)
    target = f"file://{tmp_path}/b.nmc"
    real = local.LocalFileOpener.write
    wanted = (FRAMES if member else 0) if directory else 0
    count = []

    def fails(self, data):
        count.append(self.path)
        if len(count) - 1 == wanted:
            real(self, bytes(data[: len(data) // 2]))
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(local.LocalFileOpener, "write", fails)
    assert code_of(lambda: nmc.push(path, target)) == "host/no-space"
    monkeypatch.undo()
    assert [p.name for p in tmp_path.rglob("*.pushed")] == []
    for file in (tmp_path / "b.nmc").rglob("*") if directory else [tmp_path / "b.nmc"]:
        if file.is_file() and not file.name.startswith("."):
            assert file.read_bytes() == (path / file.relative_to(tmp_path / "b.nmc")).read_bytes()
    assert nmc.push(path, target).frames == FRAMES
    assert nmc.check(tmp_path / "b.nmc").findings == ()
    assert [p.name for p in tmp_path.rglob("*.pushed")] == []


@pytest.mark.parametrize("member", ["segments", "segments/00000001.safetensors", "manifest.h5"])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("follow", [False, True])
def test_nothing_is_written_behind_a_link(states, tmp_path, member, there, follow):
    """A folder that others may write to can hold a link to anywhere."""
    path = write(tmp_path / "a.nmc", states, directory=True)
    place, outside = tmp_path / "shelf" / "a.nmc", tmp_path / "outside"
    (place / member).parent.mkdir(parents=True)
    (place / member).symlink_to(outside)
    if there:
        outside.mkdir() if member == "segments" else outside.write_bytes(b"mine")
    code = code_of(lambda: nmc.push(path, place.as_uri(), follow=follow, overwrite=True))
    assert code == "package/not-a-file"
    assert outside.exists() == there
    if there and member == "segments":
        assert list(outside.iterdir()) == []
    elif there:
        assert outside.read_bytes() == b"mine"


@pytest.mark.parametrize("scheme", ["file", "local"])
@pytest.mark.parametrize("directory", [False, True])
def test_the_stores_own_file_system_is_read_like_a_path(states, tmp_path, scheme, directory):
    path = write(tmp_path / "a.nmc", states, directory=directory)
    with nmc.open(f"{scheme}://{path}") as there, nmc.open(fsspec.open(str(path))) as opened:
        assert same(there[2], states[2]) and same(opened[2], states[2])
    if directory:
        (path / "segments").rename(tmp_path / "elsewhere")
        (path / "segments").symlink_to(tmp_path / "elsewhere")
        for target in (f"{scheme}://{path}", fsspec.open(str(path)), path):
            assert code_of(lambda target=target: nmc.open(target)[0]) == "package/not-a-file"


def test_a_place_that_cannot_be_written_is_named_as_it_was_given(states, tmp_path, monkeypatch):
    """Not what is written aside, and not in the words of the library."""
    path = write(tmp_path / "a.nmc", states)
    target = (tmp_path / "shelf.nmc").as_uri()

    def denied(self, place, *_, **__):
        raise PermissionError(13, "Permission denied", place)

    monkeypatch.setattr(type(fsspec.filesystem("file")), "open", denied)
    with pytest.raises(nmc.FormatError) as caught:
        nmc.push(path, target)
    found = caught.value.finding
    assert (found.code, found.place.file) == ("host/denied", target)
    assert "Errno" not in found.message and ".pushed" not in str(found)


def test_a_store_that_asks_its_server_at_once_is_named(monkeypatch):
    """Such as ftp:// of a host that nobody knows; a check has a verdict of it too."""

    def unknown(url, **_):
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr("fsspec.core.url_to_fs", unknown)
    with pytest.raises(nmc.FormatError) as caught:
        nmc.open("ftp://nowhere/x.nmc")
    assert caught.value.finding.place.file == "ftp://nowhere/x.nmc"
    (found,) = nmc.check("ftp://nowhere/x.nmc").findings
    assert found == caught.value.finding
