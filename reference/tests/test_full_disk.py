"""A disk that is full: what is finished is kept, and the writer can go on."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from nmc_samples import assert_states, chain, members, refused, segment_path, write

import nmc
from nmc.writing import journal, unfinished
from nmc.writing.folder import Folder

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("where", ["segment", "journal", "manifest", "package"])
def test_a_full_disk_keeps_what_is_finished(tmp_path, monkeypatch, where, directory) -> None:
    """Wherever the disk is full, what was finished is kept, and the writer can go on."""
    if where == "package" and directory:
        pytest.skip("a directory is not written again")
    states = [dict(s) for s in chain(4)]
    states[2]["late"] = np.ones(3)  # a row that is not to be lost, nor to be there twice
    path = tmp_path / "a.nmc"
    writer = nmc.Writer(path, directory=directory)
    writer.append(states[0])
    writer.append(states[1])
    at_the_end = where in {"manifest", "package"}
    for state in states[2:] if at_the_end else []:
        writer.append(state)
    if where == "journal":

        def torn(handle, line) -> None:
            os.write(handle, line[:20])
            raise FULL

        monkeypatch.setattr(journal, "write_all", torn)
    else:
        name = {"segment": "0000", "manifest": "manifest.new", "package": "package.new"}[where]
        if where == "manifest" and not directory:
            name = "package.new"
        real = Folder.create

        def full(self, given):
            if given.startswith(name):
                raise FULL
            return real(self, given)

        monkeypatch.setattr(Folder, "create", full)
    action = writer.close if at_the_end else lambda: writer.append(states[2])
    found = refused("host/no-space", action)
    monkeypatch.undo()
    assert found.place.file == str(path)
    assert len(writer) == (4 if at_the_end else 2)
    if at_the_end:
        writer.close()
    else:
        assert [row.name for row in writer.rows].count("late") == 0
        with nmc.Writer(path, directory=directory, resume=True) as other:
            assert len(other) == 2
            for state in states[2:]:
                other.append(state)
    assert_states(path, states)
    assert members(path) == members(write(tmp_path / "b.nmc", states))


def test_the_writer_itself_goes_on_after_a_full_disk(tmp_path, monkeypatch) -> None:
    states = [dict(s) for s in chain(5)]
    states[2]["late"] = np.ones(3)
    states[3]["late"] = np.ones(3)

    def full(*args):
        raise FULL

    with nmc.Writer(tmp_path / "a.nmc") as writer:
        for t, state in enumerate(states):
            if t in {1, 2}:
                with monkeypatch.context() as patch:
                    patch.setattr(journal, "write_all", full)
                    refused("host/no-space", lambda s=state: writer.append(s))
            writer.append(state)
    assert_states(tmp_path / "a.nmc", states)


@pytest.mark.parametrize("directory", [False, True])
def test_what_the_disk_did_not_take_is_written_anew(tmp_path, monkeypatch, directory) -> None:
    """After a failed fsync the system knows nothing of the bytes any more, and reports no error."""
    states = chain(5)
    synced = []
    monkeypatch.setattr(unfinished, "SYNC_SECONDS", 0)
    writer = nmc.Writer(tmp_path / "a.nmc", directory=directory)
    writer.append(states[0])
    real = Folder.sync_file

    def lost(self, name):
        synced.append((self.path / name).stat().st_ino)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Folder, "sync_file", lost)
    refused("host/device", lambda: writer.append(states[1]))
    monkeypatch.setattr(Folder, "sync_file", real)
    folder = tmp_path / ("a.nmc" if directory else "a.nmc.partial")
    for state in states[1:]:
        writer.append(state)
    assert segment_path(folder, 0).stat().st_ino != synced[0]
    writer.close()
    assert_states(tmp_path / "a.nmc", states)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB, where this system lets us make one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("directory", [False, True])
def test_a_disk_that_is_really_full(small_disk, tmp_path, directory) -> None:
    rng = np.random.default_rng(0)
    states = [{"w": rng.integers(0, 2**64, 1000, "u8")} for _ in range(40)]
    path = small_disk / "a.nmc"
    writer = nmc.Writer(path, directory=directory)
    done = 0
    with pytest.raises(nmc.FormatError) as caught:
        for state in states:
            writer.append(state)
            done += 1
    assert caught.value.finding.code == "host/no-space"
    assert 5 < done < 40
    refused("host/no-space", lambda: fill(small_disk) or writer.append(states[done]))
    with pytest.raises(nmc.FormatError) as caught:
        writer.close()
    assert caught.value.finding.code == "host/no-space"
    # what is there moves to a larger disk, and is gone on with there
    (small_disk / "filler").unlink()
    source = path if directory else path.with_name("a.nmc.partial")
    target = tmp_path / source.name
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    with nmc.Writer(tmp_path / "a.nmc", directory=directory, resume=True) as other:
        assert len(other) == done
        for state in states[done:]:
            other.append(state)
    assert_states(tmp_path / "a.nmc", states)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
