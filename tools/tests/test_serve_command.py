"""``nmc serve`` as a process: slow clients, signals, several processes, and behind nginx."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("httptools")
pytest.importorskip("websockets")

from command_samples import state
from serving import ask, filled, running, served

import nmc
from nmc_tools.serve import Access, app
from nmc_tools.serve.connections import Limits
from nmc_tools.serve.counters import Metrics


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("shelf"))


def test_two_packages_of_one_name_are_refused(tmp_path, run):
    for name in "ab":
        (tmp_path / name).mkdir()
        with nmc.Writer(tmp_path / name / "x.nmc") as writer:
            writer.append(state(0))
    outcome = run("serve", tmp_path / "a" / "x.nmc", tmp_path / "b" / "x.nmc")
    assert outcome.code == 2
    assert "x.nmc" in outcome.err


def _raw(url, data, *, then=b""):
    """Send bytes, and return what comes until the other side closes."""
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as line:
        line.sendall(data)
        found = b""
        try:
            while piece := line.recv(65536):
                found += piece
        except ConnectionResetError:
            pass
    return found + then


@pytest.mark.slow(minutes=0.03)
def test_enormous_headers_and_slow_clients(shelf):
    usual = Limits(header_bytes=2000, header_seconds=60)
    metrics = Metrics()
    begin = b"GET /one.nmc HTTP/1.1\r\nhost: x\r\n"
    with running(app([shelf], metrics=metrics), metrics, usual) as url:
        assert _raw(url, begin + b"x: " + b"y" * 5000).startswith(b"HTTP/1.1 431")
        assert _raw(url, b"GET /" + b"y" * 5000).startswith(b"HTTP/1.1 431")
        assert _raw(url, b"no HTTP at all\r\n\r\n").startswith(b"HTTP/1.1 400")
        # An impatient one beside it is met by slow clients alone.
        impatient = Limits(header_bytes=2000, header_seconds=0.3)
        with running(app([shelf], metrics=metrics), metrics, impatient) as other:
            assert _raw(other, begin).startswith(b"HTTP/1.1 408")
            assert _raw(other, b"").startswith(b"HTTP/1.1 408")
        many = b"".join(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" for _ in range(200))
        assert _raw(url, many).count(b'"ok"') == 200
        assert ask(url, "/health")[0] == 200
        assert b"nmc_serve_slow_total 2\n" in ask(url, "/metrics")[2]


def test_a_client_that_does_not_read_is_let_go(tmp_path):
    import numpy as np

    with nmc.Writer(tmp_path / "x.nmc") as writer:
        writer.append({"w": np.random.default_rng(0).normal(size=(4_000_000,)).astype("f4")})
    with served([tmp_path], limits=Limits(answer_seconds=0.3)) as url:
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        with socket.socket() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(60)
            line.connect((host, int(port)))
            line.sendall(b"GET /x.nmc HTTP/1.1\r\nhost: x\r\n\r\n")
            for _ in range(600):
                if b"nmc_serve_slow_total 1\n" in ask(url, "/metrics")[2]:
                    break
                time.sleep(0.05)
            else:
                pytest.fail("the client is still waited for")
        assert b"nmc_serve_requests_running 1\n" in ask(url, "/metrics")[2]


def _started(*arguments):
    command = [sys.executable, "-m", "nmc_tools.cli", "serve", *map(str, arguments), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_the_command_starts_and_ends(shelf, tmp_path):
    with _started(shelf, "--port", "0", "--token", "abc") as process:
        line = json.loads(process.stdout.readline())
        assert line["event"] == "listening"
        assert ask(line["url"], "/one.nmc?token=abc")[0] == 200
        port = line["url"].rstrip("/").rpartition(":")[2]
        with _started(shelf, "--port", port) as other:
            out, err = other.communicate(timeout=60)
        assert (other.returncode, out) == (1, "")
        assert err.startswith(f"error host/failed at 127.0.0.1:{port}: ")
        assert err.count("\n") == 1
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


def test_what_is_not_there(tmp_path, run):
    outcome = run("serve", tmp_path / "nothing.nmc")
    assert outcome.code == 1
    assert outcome.err.startswith("error host/not-found")


def test_tokens_by_command(tmp_path, run):
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    outcome = run("token", "--key", key, "--for", 100, "--path", "one.nmc")
    assert outcome.code == 0
    access = Access((), key.read_bytes())
    assert access.refusal("/one.nmc", f"Bearer {outcome.out.strip()}", b"") is None
    assert access.refusal("/two.nmc", f"Bearer {outcome.out.strip()}", b"") is not None
    key.write_bytes(b"short")
    assert run("token", "--key", key).code == 2
    assert run("serve", tmp_path, "--key", key).code == 2


def test_the_protocol_is_still_answered():
    done = subprocess.run(
        [sys.executable, "-m", "nmc_tools.cli", "serve"],
        input='{"do": "describe"}\n',
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["description"]["name"] == "nmc"


def test_serving_loads_late():
    code = "import sys, nmc_tools.commands.serve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"uvicorn", "starlette", "numba", "torch"} & set(done.stdout.split())
    assert Path(nmc.__file__).is_file()


@pytest.mark.slow(minutes=0.02)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_several_processes_answer_and_end_together(shelf):
    with _started(shelf, "--port", "0", "--workers", "3") as process:
        url = json.loads(process.stdout.readline())["url"]
        data = (shelf / "one.nmc").read_bytes()
        assert all(ask(url, "/one.nmc")[2] == data for _ in range(20))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")
    with pytest.raises(OSError):
        ask(url, "/health")
