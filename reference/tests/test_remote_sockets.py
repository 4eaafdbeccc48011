"""Addresses where nobody listens, or something that is no web server: an error, and soon."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from web_server import QUICK

import nmc


def code_of(work):
    with pytest.raises(nmc.FormatError) as caught:
        work()
    return caught.value.finding.code


@pytest.mark.parametrize("answer", [b"", b"\0" * 1000, b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n"])
def test_what_is_no_web_server(answer):
    with raw_server(lambda sock: sock.sendall(answer)) as url:
        found = code_of(lambda: nmc.open(f"{url}/a.nmc", storage_options=QUICK))
    assert found in ("host/server", "host/connection")


def raw_server(talk):
    """Serve connections one after the other with a function of the socket."""
    from contextlib import contextmanager

    @contextmanager
    def run():
        with socket.create_server(("127.0.0.1", 0)) as listening:
            stop = threading.Event()
            listening.settimeout(0.05)

            def accept():
                while not stop.is_set():
                    try:
                        sock, _ = listening.accept()
                    except TimeoutError:
                        continue
                    with sock:
                        try:
                            sock.recv(65536)
                            talk(sock)
                        except OSError:
                            pass

            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            stop.set()
            thread.join()

    return run()


def trickle(head):
    def talk(sock):
        sock.sendall(head)
        for _ in range(60):
            time.sleep(0.02)
            sock.sendall(b"x")

    return talk


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 206 Partial Content\r\nX-Slow: ",
        b"HTTP/1.1 206 OK\r\nContent-Length: 9999\r\nContent-Range: bytes 1-9999/10000\r\n\r\n",
    ],
    ids=["status", "headers", "body"],
)
def test_a_server_that_trickles(head):
    """A byte now and then keeps no reader waiting: each attempt has its time, and they are few."""
    options = {"timeout": 0.1, "tries": 2, "pause": 0.0}
    with raw_server(trickle(head)) as url:
        assert code_of(lambda: nmc.open(f"{url}/a.nmc", storage_options=options)) in (
            "host/connection",
            "host/server",
        )


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    url = f"http://127.0.0.1:{port}/a.nmc"
    assert code_of(lambda: nmc.open(url, storage_options=QUICK)) == "host/connection"
    report = nmc.check(url, storage_options=QUICK)
    assert [f.code for f in report.findings] == ["host/connection"]


@pytest.mark.parametrize(
    "url", ["http://", "http:///a", "http://a b/", "http://x:99999/", "http://[/"]
)
def test_addresses_that_are_none(url):
    assert code_of(lambda: nmc.open(url, storage_options=QUICK)) == "host/path"
