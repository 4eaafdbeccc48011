"""``nmc train --serve`` and ``nmc push``: a package is read while it grows, over a real server."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

import nmc

pytest.importorskip("starlette", reason="the extra 'serve' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

QUICK = {"timeout": 5, "tries": 5, "pause": 0.05}


def states(count):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(64, 64)).astype("f4")
    return [{"weight": weight + np.float32(0.01 * t)} for t in range(count)]


@pytest.mark.parametrize("directory", [False, True])
def test_a_growing_package_is_read_over_the_server(tmp_path, monkeypatch, directory):
    from nmc_tools.serve import in_thread as module

    monkeypatch.setattr(module, "IDLE_SECONDS", 0.2)
    path, chain = tmp_path / "live.nmc", states(6)
    with module.beside(path, "127.0.0.1", 0) as url:
        with nmc.Writer(path, key_every=3, directory=directory) as writer:
            writer.append(chain[0])
            with nmc.follow(url, poll=0.01, timeout=30, storage_options=QUICK) as frames:
                for t in range(6):
                    assert np.array_equal(next(frames)["weight"], chain[t]["weight"])
                    if t < 5:
                        writer.append(chain[t + 1])
                with nmc.open_unfinished(url, storage_options=QUICK) as sofar:
                    assert len(sofar) == 6
                writer.close()
                assert list(frames) == []
        assert nmc.check(url, storage_options=QUICK).accepted


@pytest.mark.slow(minutes=0.08)
def test_training_is_followed(tmp_path, command_line, monkeypatch):
    pytest.importorskip("torch")
    from nmc_tools.commands import train_served

    told = []
    monkeypatch.setattr(train_served, "note", told.append)
    seen = []

    def read():
        while not told:
            threading.Event().wait(0.02)
        url = next(word for word in told[0].split() if word.startswith("http://"))
        with pytest.raises(nmc.FormatError, match="host/denied"):
            nmc.open_unfinished(url, storage_options=QUICK)
        options = QUICK | {"headers": {"Authorization": "Bearer abc"}}
        seen.extend(nmc.follow(url, poll=0.05, timeout=200, storage_options=options))

    reader = threading.Thread(target=read)
    reader.start()
    path = tmp_path / "live.nmc"
    tiny = ["--iterations", "2", "--later", "2", "--rays", "32", "--size", "16x16"]
    done = command_line(
        *("train", "--scene", "-o", path, "--frames", "3", *tiny, "--serve", "0", "--json"),
        *("--serve-token", "abc"),
    )
    reader.join()
    assert done.code == 0, done
    assert json.loads(done.out)["frames"] == 3
    with nmc.open(path) as sequence:
        assert len(seen) == 3
        for state, expected in zip(seen, sequence, strict=True):
            assert all(state[n].tobytes() == expected[n].tobytes() for n in expected)


@pytest.mark.parametrize("text", ["x", "70000", "host:", ":-1"])
def test_what_is_no_port(tmp_path, command_line, text):
    done = command_line("train", "--scene", "-o", tmp_path / "a.nmc", "--serve", text)
    assert done.code == 2


def test_what_is_no_token(tmp_path, command_line):
    options = ("--serve", "0", "--serve-token", "")
    done = command_line("train", "--scene", "-o", tmp_path / "a.nmc", *options)
    assert done.code == 2
    assert "--serve-token" in done.err


def test_push_says_what_it_did(tmp_path, command_line):
    pytest.importorskip("fsspec", reason="the extra 'remote' is not installed")
    path = tmp_path / "a.nmc"
    with nmc.Writer(path) as writer:
        for state in states(3):
            writer.append(state)
    done = command_line("push", path, "memory://pushed/a.nmc", "--json")
    assert json.loads(done.out)["sent"] == 1
    again = command_line("push", path, "memory://pushed/a.nmc")
    assert "0 objects sent" in again.out
    assert command_line("push", path, "https://example.org/a.nmc").code == 1
