"""Crashes: whenever a writer dies, what was finished is found, and the end result is the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nmc_samples import assert_states, chain, members, segment_path, write

import nmc
from nmc.writing import journal
from nmc.writing.folder import Folder
from nmc_format.package.members import JOURNAL_NAME

FRAMES = 12
OPTIONS = {"key_every": 5}


@pytest.fixture(scope="module")
def states():
    found = chain(FRAMES)
    for t in range(6, FRAMES):
        found[t] = found[t] | {"late": np.full(7, t, "f4")}
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory, states):
    """The members of a package that nothing interrupted."""
    return members(write(tmp_path_factory.mktemp("whole") / "x.nmc", states, **OPTIONS))


def begun(path: Path, states, count: int) -> Path:
    """Leave an unfinished package of some frames in directory form."""
    writer = nmc.Writer(path, directory=True, **OPTIONS)
    for state in states[:count]:
        writer.append(state)
    return path


def finished(path: Path, states, whole, *, intact: int, directory: bool = True) -> None:
    """Go on with an unfinished package; it ends up as if nothing had happened."""
    with nmc.Writer(path, directory=directory, resume=True, **OPTIONS) as writer:
        assert len(writer) == intact
        for state in states[len(writer) :]:
            writer.append(state)
    assert members(path) == whole
    assert_states(path, states)


PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
from nmc_samples import *
import numpy as np
states = chain(12)
for t in range(6, 12):
    states[t] = states[t] | {"late": np.full(7, t, "f4")}
print("ready", flush=True)
with nmc.Writer(Path(sys.argv[2]), key_every=5, directory=sys.argv[3] == "1", resume=True) as w:
    for state in states[len(w):]:
        w.append(state)
"""


@pytest.mark.sweep(2)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("directory", [False, True], ids=["file", "folder"])
def test_killed_at_any_moment(tmp_path, states, whole, directory) -> None:
    """A writer that is killed again and again ends with the bytes of one that never was."""
    path = tmp_path / "x.nmc"
    wait = random.Random(int(directory))
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        str(Path(__file__).parent),
        str(path),
        f"{directory:d}",
    ]
    killed = 0
    for _ in range(8):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            child.stdout.readline()
            time.sleep(wait.uniform(0, 0.12))
            child.kill()
            child.wait()
            killed += child.returncode == -signal.SIGKILL
        if path.exists() and (not directory or (path / "manifest.h5").exists()):
            break
    unfinished = path if directory else path.with_name("x.nmc.partial")
    if (unfinished / JOURNAL_NAME).exists() or not path.exists():
        with nmc.Writer(path, directory=directory, resume=True, **OPTIONS) as writer:
            for state in states[len(writer) :]:
                writer.append(state)
    assert killed
    assert members(path) == whole
    assert_states(path, states)


# --- damage to what is there ----------------------------------------------------------------------


def test_a_torn_journal_line(tmp_path, states, whole) -> None:
    path = begun(tmp_path / "x.nmc", states, 7)
    lines = (path / JOURNAL_NAME).read_bytes()
    for cut in (1, 20, 100):
        (path / JOURNAL_NAME).write_bytes(lines[:-cut])
        with nmc.Writer(path, directory=True, resume=True, **OPTIONS) as writer:
            assert len(writer) == (7 if cut == 1 else 6)
            for state in states[len(writer) :]:
                writer.append(state)
        assert members(path) == whole
        (path / "manifest.h5").unlink()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_damage_of_the_journal(tmp_path_factory, states, whole, data) -> None:
    """Flipped, cut, or doubled: the sound beginning is gone on with, and nothing crashes."""
    path = begun(tmp_path_factory.mktemp("j") / "x.nmc", states, 4)
    good = (path / JOURNAL_NAME).read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "double"]))
    if kind == "flip":
        bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    elif kind == "cut":
        bad = good[:at]
    elif kind == "insert":
        bad = good[:at] + data.draw(st.binary(min_size=1, max_size=30)) + good[at:]
    else:
        bad = good[:at] + good
    (path / JOURNAL_NAME).write_bytes(bad)
    with nmc.Writer(path, directory=True, resume=True, **OPTIONS) as writer:
        assert len(writer) <= 4
        for state in states[len(writer) :]:
            writer.append(state)
    assert members(path) == whole


DAMAGE = {
    "missing": lambda p: p.unlink(),
    "empty": lambda p: p.write_bytes(b""),
    "cut": lambda p: p.write_bytes(p.read_bytes()[:-1]),
    "flipped": lambda p: p.write_bytes(p.read_bytes()[:-1] + b"\xff"),
    "another": lambda p: p.write_bytes((p.parent / "00000001.safetensors").read_bytes()),
    "folder": lambda p: (p.unlink(), p.mkdir()),
    "link": lambda p: (p.rename(p.parent.parent / "x"), p.symlink_to(p.parent.parent / "x")),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("frame", [0, 4, 6])
def test_a_damaged_segment_ends_the_intact_part(tmp_path, states, whole, frame, kind) -> None:
    """Found by digest, not by existence; the frames before it are not coded again."""
    path = begun(tmp_path / "x.nmc", states, 7)
    DAMAGE[kind](segment_path(path, frame))
    if kind == "folder":
        segment_path(path, frame).rmdir()
    finished_members = dict(whole)
    with nmc.Writer(path, directory=True, resume=True, **OPTIONS) as writer:
        assert len(writer) == frame
        for state in states[len(writer) :]:
            writer.append(state)
    (path / "x").unlink(missing_ok=True)
    assert members(path) == finished_members


def test_a_pipe_in_place_of_a_segment_does_not_hang(tmp_path, states) -> None:
    path = begun(tmp_path / "x.nmc", states, 3)
    segment_path(path, 1).unlink()
    os.mkfifo(segment_path(path, 1))
    assert nmc.recover(path) == 1
    assert_states(path, states[:1])


def test_a_segment_that_does_not_decode_ends_the_intact_part(tmp_path, states) -> None:
    """Its SHA-256 is right in the journal, yet it is not what it says it is."""
    import dataclasses
    import hashlib

    path = begun(tmp_path / "x.nmc", states, 4)
    data = bytearray(segment_path(path, 3).read_bytes())
    data[-3] ^= 1
    segment_path(path, 3).write_bytes(bytes(data))
    content = journal.read(Folder(path))
    entry = content.entries[3]
    record = dataclasses.replace(entry.record, segment_sha256=hashlib.sha256(data).digest())
    content.entries[3] = dataclasses.replace(entry, record=record)
    journal.Journal(Folder(path), content)
    assert nmc.recover(path) == 3
    assert_states(path, states[:3])


def test_recover_leaves_no_leftovers(tmp_path, states) -> None:
    path = begun(tmp_path / "x.nmc", states, 3)
    (path / "segments" / "00000003.new").write_bytes(b"half a segment")
    (path / "segments" / "00000003.safetensors").write_bytes(b"a segment without its line")
    assert nmc.recover(path) == 3
    assert_states(path, states[:3])  # no finding, not even a warning
    assert sorted(members(path)) == [
        "manifest.h5",
        *[f"segments/{t:08d}.safetensors" for t in range(3)],
    ]


def test_recover_never_shortens_a_finished_package(tmp_path, states) -> None:
    """A folder that was not quite removed after its file was complete is not taken for the file."""
    path = write(tmp_path / "x.nmc", states, **OPTIONS)
    begun(tmp_path / "x.nmc.partial", states, 2)
    (tmp_path / "x.nmc.partial" / JOURNAL_NAME).unlink()
    with pytest.raises(nmc.FormatError, match="host/not-found"):
        nmc.recover(path)
    assert_states(path, states)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n\n\n",
        b"00000000 \n",
        journal._line({"nmc_journal": 99}),
        journal._line({"nmc_journal": journal.JOURNAL_VERSION}),
        journal._line({"nmc_journal": 3, "profile": "main"}) + journal._line({"frame": 1}),
        journal._line([1, 2]),
        b"deadbeef " + b"[" * 5000,
        bytes(range(256)),
    ],
    ids=range(9),
)
def test_a_journal_that_no_writer_wrote(tmp_path, states, text) -> None:
    path = begun(tmp_path / "x.nmc", states, 2)
    (path / JOURNAL_NAME).write_bytes(text)
    with pytest.raises(nmc.FormatError, match="package/not-a-package"):
        nmc.recover(path)


def test_a_package_is_resumed_with_its_own_options(tmp_path, states) -> None:
    path = begun(tmp_path / "x.nmc", states, 2)
    for options in ({"profile": "baseline"}, {"timescale": 25}):
        with pytest.raises(nmc.FormatError, match="input/unsupported"):
            nmc.Writer(path, directory=True, resume=True, **options)
    with nmc.Writer(path, directory=True, resume=True, effort="max", **OPTIONS) as writer:
        for state in states[2:]:
            writer.append(state)
    assert_states(path, states)


def test_resume_without_anything_begins(tmp_path, states) -> None:
    for directory in (False, True):
        path = tmp_path / f"{directory}.nmc"
        with nmc.Writer(path, directory=directory, resume=True) as writer:
            writer.append(states[0])
        assert_states(path, states[:1])
    # killed before the journal was begun
    (tmp_path / "c.nmc" / "segments").mkdir(parents=True)
    (tmp_path / "d.nmc.partial" / "segments").mkdir(parents=True)
    for name, directory in (("c.nmc", True), ("d.nmc", False)):
        with nmc.Writer(tmp_path / name, directory=directory, resume=True) as writer:
            writer.append(states[0])
        assert_states(tmp_path / name, states[:1])
