"""A server on loopback for tests: in a thread of its own, stopped at the end."""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

from command_samples import state

import nmc

SEGMENT = "segments/00000000.safetensors"


def filled(folder):
    """Fill a folder with a package of each form, in folders, and things that are none."""
    (folder / "deep").mkdir()
    for name, directory in (("one.nmc", False), ("deep/two.nmc", True)):
        with nmc.Writer(folder / name, directory=directory, key_every=2) as writer:
            for t in range(4):
                writer.append(state(t))
    (folder / "secret.txt").write_text("secret")
    (folder / ".hidden.nmc").write_bytes((folder / "one.nmc").read_bytes())
    (folder / "no.nmc").write_text("no package")
    (folder / "deep" / "two.nmc" / "secret.txt").write_text("secret")
    (folder / "link.nmc").symlink_to(folder / "one.nmc")
    (folder / "linked").symlink_to(folder / "deep")
    return folder


@contextmanager
def served(paths, *, limits=None, **options):
    """Yield the URL of a server."""
    from nmc_tools.serve import app
    from nmc_tools.serve.counters import Metrics

    metrics = Metrics()
    with running(app(paths, metrics=metrics, **options), metrics, limits) as url:
        yield url


@contextmanager
def running(application, metrics=None, limits=None):
    """Yield the URL of an application that is served."""
    from nmc_tools.serve.connections import Limits
    from nmc_tools.serve.counters import Metrics
    from nmc_tools.serve.running import Running, bound, url_of

    server = Running(application, metrics or Metrics(), limits or Limits())
    listening = bound("127.0.0.1", 0)
    url = url_of(listening)
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(listening, ready.set))
    thread.start()
    try:
        assert ready.wait(60)
        yield url
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive()


def ask(url, path, headers=None, method="GET"):
    """Return status, headers (lower case) and body of one request; the path goes as it is."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        connection.request(method, path, headers=headers or {})
        found = connection.getresponse()
        return found.status, {k.lower(): v for k, v in found.getheaders()}, found.read()
    finally:
        connection.close()
