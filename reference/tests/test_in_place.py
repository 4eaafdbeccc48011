"""Packages that take the place of others: in one step, in this order, whatever the path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from nmc_samples import assert_states, begun, chain, code, members, write, write_trained

import nmc
from nmc.writing import folder, journal, unfinished
from nmc_format.package.members import JOURNAL_NAME


@pytest.fixture(params=["exchange", "two renames"])
def exchanging(request, monkeypatch):
    if request.param == "two renames":
        monkeypatch.setattr(folder, "_renameat2", lambda: None)


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("spelling", ["same", "dots", "linked folder"])
def test_a_package_cut_in_its_own_place(tmp_path, exchanging, directory, spelling) -> None:
    states = chain(6)
    place = tmp_path / "a"
    place.mkdir()
    path = write(place / "x.nmc", states, directory=directory, key_every=4)
    (tmp_path / "b").symlink_to("a")
    other = {
        "same": path,
        "dots": place / ".." / "a" / "x.nmc",
        "linked folder": tmp_path / "b" / "x.nmc",
    }[spelling]
    nmc.extract(path, range(1, 6), other, directory=directory, overwrite=True)
    assert_states(path, states[1:])
    nmc.extract(other, [0, 2], path, directory=directory, overwrite=True)
    assert_states(path, [states[1], states[3]])
    nmc.concat([path, other], other, directory=directory, overwrite=True)
    assert_states(path, [states[1], states[3]] * 2)
    assert sorted(p.name for p in place.iterdir()) == ["x.nmc"]


@pytest.mark.parametrize("directory", [False, True])
def test_a_package_is_read_through_a_link_and_not_replaced_through_it(tmp_path, directory) -> None:
    states = chain(3)
    path = write(tmp_path / "x.nmc", states, directory=directory)
    link = tmp_path / "l.nmc"
    link.symlink_to("x.nmc")
    cut = lambda: nmc.extract(link, [1], link, directory=directory, overwrite=True)  # noqa: E731
    assert code(cut) == "host/exists"
    assert_states(path, states)
    nmc.extract(link, [1], path, directory=directory, overwrite=True)
    assert_states(path, states[1:2])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["l.nmc", "x.nmc"]


def test_files_beside_the_members_stay(tmp_path, exchanging) -> None:
    path = write(tmp_path / "x.nmc", chain(3), directory=True)
    (path / "notes.txt").write_text("mine")
    (path / "segments" / "mine.txt").write_text("mine too")
    nmc.extract(path, [1], path, directory=True, overwrite=True)
    assert (path / "notes.txt").read_text() == "mine"
    assert (path / "segments" / "mine.txt").read_text() == "mine too"
    assert nmc.check(path).accepted
    assert nmc.check(path).frames == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.nmc"]


@pytest.mark.parametrize("directory", [False, True])
def test_what_fails_in_place_leaves_the_package(tmp_path, directory, monkeypatch) -> None:
    states = chain(4)
    path = write(tmp_path / "x.nmc", states, directory=directory)
    before = members(path)
    calls = {"n": 0}
    real = folder.write_all

    def failing(handle, piece) -> None:
        calls["n"] += 1
        if calls["n"] == 5:
            raise OSError(28, "No space left on device")
        real(handle, piece)

    monkeypatch.setattr(folder, "write_all", failing)
    cut = lambda: nmc.extract(path, [1, 2], path, directory=directory, overwrite=True)  # noqa: E731
    assert code(cut) == "host/no-space"
    assert members(path) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.nmc"]


def test_a_package_that_came_meanwhile_is_not_replaced(tmp_path) -> None:
    states = chain(3)
    writer = nmc.Writer(tmp_path / "x.nmc")
    for state in states:
        writer.append(state)
    other = write(tmp_path / "y.nmc", chain(2, seed=1))
    other.rename(tmp_path / "x.nmc")
    assert code(writer.close) == "host/exists"
    assert_states(tmp_path / "x.nmc", chain(2, seed=1))
    (tmp_path / "x.nmc").rename(other)
    writer.close()
    assert_states(tmp_path / "x.nmc", states)


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("replaced", [False, True])
def test_an_interrupt_after_the_last_rename(tmp_path, monkeypatch, directory, replaced) -> None:
    states = chain(3)
    path = tmp_path / "x.nmc"
    if replaced:
        write(path, chain(2, seed=1), directory=directory)
    real_move, real_exchange = folder.Folder.move, folder.Folder.exchange

    def move(self, name, target, new) -> None:
        real_move(self, name, target, new)
        if new == ("manifest.h5" if directory and not replaced else "x.nmc"):
            raise KeyboardInterrupt

    def exchange(self, a, b) -> bool:
        real_exchange(self, a, b)
        raise KeyboardInterrupt

    writer = nmc.Writer(path, directory=directory, overwrite=replaced)
    for state in states:
        writer.append(state)
    monkeypatch.setattr(folder.Folder, "move", move)
    monkeypatch.setattr(folder.Folder, "exchange", exchange)
    with pytest.raises(KeyboardInterrupt):
        writer.close()
    monkeypatch.undo()
    writer.abandon()  # as a command does that makes a package of packages
    assert_states(path, states)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.nmc"]


@pytest.mark.skipif(os.name != "posix", reason="paths are text here")
@pytest.mark.parametrize("directory", [False, True])
def test_paths_that_are_no_text(tmp_path, directory) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe caf\xe9"))
    place.mkdir()
    path = write_trained(place / os.fsdecode(b"\xe9.nmc"), chain(3), directory=directory)
    assert_states(path, chain(3))
    nmc.extract(path, [0, 1], path, directory=directory, overwrite=True)
    begun(place / os.fsdecode(b"\xe8.nmc"), chain(2), directory=directory)
    assert nmc.recover(place / os.fsdecode(b"\xe8.nmc")) == 2
    assert nmc.check(path).frames == 2


def test_a_synchronised_order(tmp_path, monkeypatch) -> None:
    """A name appears only after its bytes are on the disk; the journal goes last."""
    seen: list[tuple[str, str]] = []
    for name in ("fsync", "replace", "unlink"):
        real = getattr(os, name)

        def watched(*args, _real=real, _name=name, **kwargs):
            first = args[0]
            if isinstance(first, int):
                first = Path(f"/proc/self/fd/{first}").readlink().name
            seen.append((_name, str(first)))
            return _real(*args, **kwargs)

        monkeypatch.setattr(folder.os, name, watched)
    path = write(tmp_path / "x.nmc", chain(2), directory=True)
    monkeypatch.undo()
    order = [step for step in seen if "new" in step[1] or step[1] == JOURNAL_NAME]
    assert seen.index(("fsync", "manifest.new")) < seen.index(("replace", "manifest.new"))
    assert seen.index(("fsync", "00000001.safetensors")) < seen.index(("replace", "manifest.new"))
    assert order[-1] == ("unlink", JOURNAL_NAME)
    last_sync = max(i for i, step in enumerate(seen) if step == ("fsync", path.name))
    assert last_sync > seen.index(("unlink", JOURNAL_NAME))
    assert unfinished.SYNC_SECONDS > 0
    assert journal.MAX_LINE < 2**27
