"""Servers as processes of their own: ours and nginx, over the same files."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

_NGINX = """
daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; gzip off; keepalive_requests 1000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes
    ----------
    url : str
        Where.
    pid : int
        Its process.
    """

    url: str
    pid: int

    def requests(self) -> int:
        """Return how many requests were begun, this one among them; of ours only."""
        with urlopen(f"{self.url}metrics", timeout=10) as answer:  # noqa: S310 - loopback
            text = answer.read().decode()
        return sum(
            int(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith(("nmc_serve_requests_total", "nmc_serve_requests_running"))
        )

    def resident(self) -> int:
        """Return the bytes that its process has in memory; 0 where the host does not say."""
        status = Path(f"/proc/{self.pid}/status")
        if not status.exists():
            return 0
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))

    def handles(self) -> int:
        """Return how many files and connections its process has open; 0 as above."""
        folder = Path(f"/proc/{self.pid}/fd")
        return len(list(folder.iterdir())) if folder.exists() else 0


@contextmanager
def ours(folder: Path, workers: int = 1) -> Iterator[Server]:
    """Run ``nmc serve`` over a folder."""
    command = [sys.executable, "-P", "-E", "-m", "nmc_tools.cli", "serve", str(folder), "--json"]
    command += ["--port", "0", "--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            started = json.loads(process.stdout.readline())
            yield Server(started["url"], started["pid"])
        finally:
            process.terminate()


@contextmanager
def nginx(folder: Path, scratch: Path) -> Iterator[Server | None]:
    """Run nginx over a folder; None where it is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = (scratch / "nginx").absolute()
    own.mkdir(exist_ok=True)
    configuration = own / "nginx.conf"
    text = _NGINX.format(folder=own, root=folder.absolute(), port=port)
    configuration.write_text(text, encoding="utf-8")
    with subprocess.Popen([program, "-p", str(own), "-c", str(configuration)]) as process:  # noqa: S603
        try:
            _await(port)
            yield Server(f"http://127.0.0.1:{port}/", process.pid)
        finally:
            process.terminate()


def _await(port: int) -> None:
    for _ in range(200):
        with socket.socket() as line:
            if line.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("nginx does not answer")
