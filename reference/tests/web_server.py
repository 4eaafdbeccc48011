"""A server on loopback for tests: it counts what it is asked, and misbehaves on demand."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

QUICK = {"timeout": 10.0, "tries": 3, "pause": 0.01}
"""Options of a reader that tries again at once; a loaded machine may take its time to answer."""


@dataclass
class Asked:
    """One request: its path, and the range that it asked for."""

    path: str
    range: str | None
    headers: dict[str, str]


@dataclass
class Server:
    """What tests know of a server.

    Attributes
    ----------
    url : str
        Its address, without a slash behind it.
    asked : list of Asked
        All requests so far.
    misbehave : callable or None
        Called with the handler, the content and the range asked for (start, end); answers by itself
        and returns True, or leaves the answer to the server.
    """

    folder: Path
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    misbehave: Callable[..., bool] | None = None
    ranges: bool = True

    def ranges_asked(self) -> list[str | None]:
        return [asked.range for asked in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Test"

    def log_message(self, *args):
        pass

    def do_GET(self):
        known = self.server.known
        known.asked.append(Asked(self.path, self.headers.get("Range"), dict(self.headers)))
        path = known.folder / self.path.partition("?")[0].lstrip("/")
        data = path.read_bytes() if path.is_file() else None
        span = range_of(self.headers.get("Range"), len(data or b"")) if known.ranges else None
        try:
            if known.misbehave is not None and known.misbehave(self, data, span):
                return
            self.answer(data, span)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, data, span, **headers):
        if data is None:
            self.send(404, b"nothing")
        elif span is None:
            self.send(200, data, ETag='"a"', **headers)
        elif span[0] >= len(data):
            self.send(416, b"", Content_Range=f"bytes */{len(data)}")
        else:
            start, end = span
            said = f"bytes {start}-{end - 1}/{len(data)}"
            self.send(206, data[start:end], **{"ETag": '"a"', "Content_Range": said} | headers)

    def send(self, status, body, **headers):
        self.send_response(status)
        if "Content_Length" not in headers:
            headers["Content_Length"] = str(len(body))
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def range_of(text, size):
    """Return start and end of the range that a header asks for, or None."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text or "")
    if match is None:
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size
    return int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args):
        pass


@contextmanager
def serving(folder, tls=None):
    """Serve a folder, over HTTPS where there is a context for it; yield the :class:`Server`."""
    with _Quiet(("127.0.0.1", 0), _Handler) as server:
        scheme = "https" if tls else "http"
        known = Server(folder, f"{scheme}://127.0.0.1:{server.server_address[1]}")
        if tls:
            server.socket = tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        server.known = known
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield known
        finally:
            server.shutdown()
            thread.join()
