"""HTTP as a verified reader needs it: status, headers, redirects and time are ours to judge.

On `http.client` of the standard library. Libraries above it follow redirects, unpack and retry by
themselves, and do not show what the server said of the range that it sent (decision 0070).
"""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import threading
import urllib.request
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

from nmc.remote.address import shown
from nmc.remote.patience import Broken, Patience
from nmc.remote.timed_socket import TimedSocket
from nmc_format.issues import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST_REDIRECTS = 5
_PIECE = 1 << 20
_IDLE = 8
"""Connections that are kept for the next request."""

_REDIRECTS = {301, 302, 303, 307, 308}
_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class Redirected(Exception):  # noqa: N818 - a folder was asked for without its slash
    """The server says that what was asked for is a folder."""


@dataclass
class Answer:
    """The head of an answer, and its body, which is read once.

    Attributes
    ----------
    status : int
        200, 206 or one that is no error of the connection.
    headers : mapping of str to str
        As the server wrote them.
    length : int or None
        Bytes of the body, if the server says so.
    """

    status: int
    headers: http.client.HTTPMessage
    length: int | None
    _connection: _Connection
    _response: http.client.HTTPResponse

    def pieces(self) -> Iterator[bytes]:
        """Yield the body.

        Raises
        ------
        Broken
            If it stops, or ends before its length.
        """
        done, ended = 0, False
        try:
            while piece := self._response.read1(_PIECE):
                done += len(piece)
                yield piece
            ended = self.length in (None, done)
        except TimeoutError:
            raise Broken(f"the server stopped sending after {done} bytes") from None
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise Broken(f"the answer broke off after {done} bytes: {_said(error)}") from None
        finally:
            self.close(whole=ended)
        if not ended:
            raise Broken(f"the answer broke off after {done} of {self.length} bytes")

    def close(self, *, whole: bool = False) -> None:
        """Let go of the answer; its connection is kept if the answer was read to its end."""
        kept = whole and not self._response.will_close
        self._response.close()
        self._connection.done(kept=kept)


@dataclass
class _Connection:
    client: WebClient
    key: tuple[str, str]
    http: http.client.HTTPConnection
    fresh: bool
    proxied: Mapping[str, str]
    """What a proxy is told with each request."""

    def done(self, *, kept: bool) -> None:
        self.client.give_back(self, kept=kept)


class WebClient:
    """Asks servers; keeps connections open. Threads and forked processes may share one.

    Parameters
    ----------
    headers : mapping of str to str
        Sent with each request, such as ``Authorization``; those that identify the caller are not
        sent to another server that the first one redirects to.
    patience : Patience
        Time limits.
    """

    def __init__(self, headers: Mapping[str, str], patience: Patience) -> None:
        self._headers = dict(headers)
        self._patience = patience
        self._closed = False
        self._pools: dict[int, _Pool] = {}  # a forked process leaves its parent's connections alone

    @property
    def _pool(self) -> _Pool:
        return self._pools.setdefault(os.getpid(), _Pool())

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Ask for something; redirects are followed.

        Parameters
        ----------
        url : str
            ``http`` or ``https``.
        headers : mapping of str to str
            Of this request alone.

        Raises
        ------
        Broken
            If no answer came, or one that asks to come again later.
        FormatError
            If the answer is not one of a sound server.
        Redirected
            To the same place with a slash behind it.
        """
        asked, seen = url, {url}
        while True:
            own = _origin(urlsplit(url)) == _origin(urlsplit(asked))
            answer = self._ask(
                url, {**(self._headers if own else _public(self._headers)), **headers}
            )
            if answer.status not in _REDIRECTS:
                if answer.status in _AGAIN:
                    answer.close()
                    after = _seconds(answer.headers.get("Retry-After", ""))
                    raise Broken(f"the server answers {answer.status}", after)
                return answer
            target = answer.headers.get("Location", "")
            answer.close()
            url = self._next(asked, url, target)
            if url in seen or len(seen) > _MOST_REDIRECTS:
                reason = "it redirects in a circle" if url in seen else "it redirects without end"
                raise refuse("host/server", file=shown(asked), reason=reason)
            seen.add(url)

    def _next(self, asked: str, url: str, target: str) -> str:
        """Return where a redirect leads, if that is allowed."""
        if not target:
            raise refuse("host/server", file=shown(asked), reason="it redirects to nowhere")
        before = urlsplit(url)
        try:
            found = urljoin(url, target)
            after = urlsplit(found)
        except ValueError:
            found, after = target, urlsplit("")
        allowed = {"https"} if before.scheme == "https" else {"http", "https"}
        if after.scheme not in allowed or not after.hostname:
            reason = f"it redirects from {before.scheme} to {shown(found)!r}"
            raise refuse("host/server", file=shown(asked), reason=reason)
        if (after.netloc, after.path) == (before.netloc, before.path + "/"):
            raise Redirected
        return urlunsplit(after._replace(fragment=""))

    def _ask(self, url: str, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(url)
        while True:
            connection = self._connection(parts)
            try:
                return self._answer(connection, parts, headers)
            except Broken:
                connection.done(kept=False)
                if connection.fresh:
                    raise
                # one that was kept open: the server may have closed it meanwhile
            except BaseException:
                connection.done(kept=False)
                raise

    def _answer(
        self, connection: _Connection, parts: SplitResult, headers: Mapping[str, str]
    ) -> Answer:
        place = shown(urlunsplit(parts))
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        if connection.key[1].startswith("proxy ") and parts.scheme == "http":
            target = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        sent = {"Accept-Encoding": "identity", "User-Agent": "nmc", **headers, **connection.proxied}
        sent.update(_login("Authorization", parts))
        try:
            connection.http.request("GET", target, headers=sent)
            response = connection.http.getresponse()
        except TimeoutError:
            raise Broken(f"no answer within {self._patience.timeout:g} s") from None
        except (http.client.LineTooLong, http.client.UnknownProtocol):
            raise refuse("host/server", file=place, reason="its answer is not HTTP") from None
        except http.client.HTTPException as error:
            if isinstance(error, http.client.RemoteDisconnected | http.client.IncompleteRead):
                raise Broken(_said(error)) from None
            reason = f"its answer is not HTTP, or has too many headers: {_said(error)}"
            raise refuse("host/server", file=place, reason=reason) from None
        except ssl.SSLCertVerificationError as error:
            reason = f"its certificate is refused: {error.verify_message}"
            raise refuse("host/server", file=place, reason=reason) from None
        except (OSError, ValueError) as error:
            raise Broken(_said(error)) from None
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if coding != "identity":
            response.close()
            raise refuse(
                "host/server", file=place, reason=f"it compresses what it sends ({coding})"
            )
        if isinstance(connection.http.sock, TimedSocket):
            connection.http.sock.begin()
        return Answer(response.status, response.headers, response.length, connection, response)

    def _connection(self, parts: SplitResult) -> _Connection:
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise refuse("host/path", file=shown(urlunsplit(parts)), reason=str(error)) from None
        host = parts.hostname or ""
        proxy = _proxy(parts.scheme, host)
        key = (
            parts.scheme,
            f"proxy {proxy}" if proxy and parts.scheme == "http" else f"{host}:{port}",
        )
        known = self._pool.take(key)
        if known is not None:
            return known
        made: http.client.HTTPConnection
        where = (proxy.hostname or "", proxy.port or 80) if proxy else (host, port)
        if parts.scheme == "https":
            made = _TimedHTTPS(*where, timeout=self._patience.timeout, context=_trusted())
            if proxy:
                made.set_tunnel(host, port, _login("Proxy-Authorization", proxy))
        else:
            made = _TimedHTTP(*where, timeout=self._patience.timeout)
        proxied = _login("Proxy-Authorization", proxy) if proxy and parts.scheme == "http" else {}
        return _Connection(self, key, made, fresh=True, proxied=proxied)

    def give_back(self, connection: _Connection, *, kept: bool) -> None:
        """Keep a connection for the next request, or close it."""
        if self._closed or not (kept and self._pool.put(connection)):
            connection.http.close()

    def close(self) -> None:
        """Close the connections that nobody uses, and the others once their answer is read."""
        self._closed = True
        for connection in self._pool.empty():
            connection.http.close()


class _Pool:
    """Open connections of one process that wait for a request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []

    def take(self, key: tuple[str, str]) -> _Connection | None:
        with self._lock:
            for known in self._idle:
                if known.key == key:
                    self._idle.remove(known)
                    known.fresh = False
                    return known
        return None

    def put(self, connection: _Connection) -> bool:
        with self._lock:
            if len(self._idle) >= _IDLE:
                return False
            self._idle.append(connection)
        return True

    def empty(self) -> list[_Connection]:
        with self._lock:
            idle, self._idle = self._idle, []
        return idle


class _Timed(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = TimedSocket(self.sock, self.timeout or 1.0)


class _TimedHTTP(_Timed):
    pass


class _TimedHTTPS(_Timed, http.client.HTTPSConnection):
    pass


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()


def _proxy(scheme: str, host: str) -> SplitResult | None:
    """Return the proxy that the environment names for a server (``https_proxy``, ``no_proxy``)."""
    found = urllib.request.getproxies().get(scheme)
    if not found or urllib.request.proxy_bypass(host):
        return None
    return urlsplit(found if "//" in found else f"//{found}")


def _login(header: str, parts: SplitResult) -> dict[str, str]:
    """Return the header for the user and the password of an address; none without a user."""
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {header: "Basic " + base64.b64encode(pair.encode()).decode()}


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    try:
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return parts.scheme, parts.hostname, None


def _public(headers: Mapping[str, str]) -> dict[str, str]:
    secret = {"authorization", "cookie", "proxy-authorization"}
    return {name: value for name, value in headers.items() if name.lower() not in secret}


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _said(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
