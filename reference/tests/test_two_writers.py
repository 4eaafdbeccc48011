"""Two processes at one unfinished package: the second is refused, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import nmc

pytest.importorskip("fcntl", reason="there are no claims on folders")


def state(t):
    return {"w": np.arange(50, dtype="f4") + np.float32(t)}


SECOND = """
import sys
import nmc, numpy as np
what, path, directory = sys.argv[1], sys.argv[2], sys.argv[3] == "True"
try:
    if what == "recover":
        nmc.recover(path)
    else:
        options = {"resume": what == "resume", "overwrite": what == "force"}
        with nmc.Writer(path, directory=directory, **options) as writer:
            writer.append({"w": np.zeros(50, "f4")})
    print("done")
except nmc.FormatError as error:
    print(error.finding.code, error.finding.message)
"""


def second(what, path, directory):
    command = [sys.executable, "-c", SECOND, what, str(path), str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.sweep(2)
@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("what", ["resume", "force", "recover"])
def test_the_second_is_refused_while_the_first_writes(tmp_path, directory, what) -> None:
    path = tmp_path / "a.nmc"
    writer = nmc.Writer(path, directory=directory)
    writer.append(state(0))
    said = second(what, path, directory)
    assert said.startswith("host/denied")
    assert "another process is writing there" in said
    writer.append(state(1))
    writer.close()
    assert nmc.check(path).findings == ()
    with nmc.open(path) as sequence:
        assert [s["w"][0] for s in sequence] == [0, 1]
    if what == "force":
        assert second(what, path, directory) == "done"


@pytest.mark.sweep(2)
@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("what", ["resume", "recover"])
def test_what_is_left_behind_is_for_everybody(tmp_path, directory, what) -> None:
    """A claim ends with its process, or with an error of the writer; one's own is taken over."""
    path = tmp_path / "a.nmc"
    with pytest.raises(ZeroDivisionError), nmc.Writer(path, directory=directory) as writer:
        writer.append(state(0))
        raise ZeroDivisionError
    assert second(what, path, directory) == "done"
    left = nmc.Writer(tmp_path / "b.nmc", directory=directory)
    left.append(state(0))
    with nmc.Writer(tmp_path / "b.nmc", directory=directory, resume=True) as taken:
        assert len(taken) == 1
        assert left is not taken


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_that_lives_on_holds_no_claim(tmp_path) -> None:
    """Workers that were forked have the handles of their parent."""
    path = tmp_path / "a.nmc"
    reading, writing = os.pipe()
    writer = nmc.Writer(path)
    writer.append(state(0))
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        with pytest.raises(ZeroDivisionError), writer:
            raise ZeroDivisionError
        assert second("recover", path, False) == "done"
    finally:
        os.write(writing, b"x")
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
