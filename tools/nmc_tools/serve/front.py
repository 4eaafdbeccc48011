"""What every request passes first: method, cross-origin rules, access, and the count of it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from nmc_tools.serve.messages import answer, refusal

if TYPE_CHECKING:
    from collections.abc import Collection

    from nmc_tools.serve.access import Access
    from nmc_tools.serve.counters import Metrics
    from nmc_tools.serve.messages import Application, Receive, Scope, Send

_METHODS = ("GET", "HEAD", "OPTIONS")
_ASKED = "Authorization, Range, If-Range, If-Match, If-None-Match, If-Modified-Since"
_TOLD = "Accept-Ranges, Content-Length, Content-Range, ETag, Last-Modified, NMC-Growing"
_DAY = "86400"
_ALLOWED = "/allowed/"
"""Before a path: only whether it may be read, for a proxy that has the files itself."""


class Front:
    """An application before another one.

    Parameters
    ----------
    inner : application
        What answers.
    files : application
        What answers for all other paths, without a look at the routes of the inner one.
    routed : collection of str
        First names of the paths that the inner one looks at.
    access : Access
        Who may read. ``/health`` is open to all.
    metrics : Metrics
        Where requests are counted.
    page : bool
        Whether the page of the player, below ``/player/``, is there: that is open to all, too.
    origins : str
        Pages of which origin may read: one origin, or ``*``.
    log : bool
        Write a line on standard error for each request, without what follows the question mark.
    """

    def __init__(
        self,
        inner: Application,
        files: Application,
        routed: Collection[str],
        access: Access,
        metrics: Metrics,
        *,
        page: bool,
        origins: str,
        log: bool,
    ) -> None:
        self._page, self._files, self._routed = page, files, routed
        self._inner, self._access, self._metrics, self._log = inner, access, metrics, log
        self._always = [
            (b"access-control-allow-origin", origins.encode("ascii")),
            (b"access-control-expose-headers", _TOLD.encode()),
            (b"cross-origin-resource-policy", b"cross-origin"),
            (b"timing-allow-origin", origins.encode("ascii")),
            (b"x-content-type-options", b"nosniff"),
        ]
        if origins != "*":
            self._always.append((b"vary", b"Origin"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one WebSocket (ASGI)."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        scope["nmc.headers"] = headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        refused = None
        path = scope["path"]
        if path != "/health" and not (self._page and path.startswith("/player/")):
            wanted = path.removeprefix(_ALLOWED)
            refused = self._access.refusal(
                wanted, headers.get("authorization"), scope["query_string"]
            )
        scope["nmc.token"] = "" if self._access.open else _token(scope["query_string"])
        if scope["type"] == "websocket":
            if refused is None:
                await self._inner(scope, receive, send)
                return
            self._metrics.refused += 1
            await send({"type": "websocket.close", "code": 4401, "reason": refused})
            return
        await self._request(scope, receive, send, refused)

    async def _request(
        self, scope: Scope, receive: Receive, send: Send, refused: str | None
    ) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        status, sent, began = 500, 0, time.perf_counter()
        metrics = self._metrics

        async def counted(message: Any) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self._always]
            else:
                size = len(message.get("body", b""))
                metrics.sent += size
                sent += size
            await send(message)

        if (send_file := scope.get("nmc.send_file")) is not None:

            async def counted_file(handle: int, start: int, size: int) -> None:
                nonlocal sent
                await send_file(handle, start, size)
                metrics.sent += size
                sent += size

            scope["nmc.send_file"] = counted_file
        metrics.running += 1
        try:
            if method == "OPTIONS":
                await answer(counted, 204, _preflight())
            elif method == "other":
                said = {"allow": ", ".join(_METHODS)}
                await refusal(
                    counted, 405, "this server is for reading only", "host/failed", headers=said
                )
            elif refused is not None:
                metrics.refused += 1
                said = {"www-authenticate": 'Bearer realm="nmc"'}
                await refusal(counted, 401, refused, "host/denied", headers=said)
            elif scope["path"].startswith(_ALLOWED):
                whose = "public" if self._access.open else "private"
                said = {"nmc-whose": whose, "cache-control": "no-store"}
                await answer(counted, 204, said)
            else:
                first = scope["path"].removeprefix("/").partition("/")[0]
                inner = self._inner if first in self._routed else self._files
                await inner(scope, receive, counted)
        except (EOFError, OSError):  # what is served changed under our hands: the answer is cut off
            if status == 500:
                await refusal(counted, 500, "the file cannot be read", "host/device")
        finally:
            metrics.running -= 1
            metrics.finished(method, status, time.perf_counter() - began)
            if self._log:
                who = (scope.get("client") or ("-",))[0]
                line = f"{who} {method} {ascii(scope['path'])[1:-1]} {status} {sent}\n"
                sys.stderr.write(line)


def _preflight() -> dict[str, str]:
    return {
        "access-control-allow-methods": ", ".join(_METHODS),
        "access-control-allow-headers": _ASKED,
        "access-control-max-age": _DAY,
    }


def _token(query: bytes) -> str:
    from urllib.parse import parse_qs

    try:
        return parse_qs(query.decode("ascii"), max_num_fields=32).get("token", [""])[-1]
    except ValueError:
        return ""
