"""Short answers of a server, and the types of ASGI that its parts share."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


async def answer(send: Send, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
    """Send an answer with a small body."""
    sent = dict(headers)
    if status != 304:
        sent.setdefault("content-length", str(len(body)))
    pairs = [(name.encode("ascii"), value.encode("latin-1")) for name, value in sent.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def refusal(
    send: Send,
    status: int,
    words: str,
    code: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send why there is no file, as JSON: ``error``, and its ``code`` of the catalogue."""
    said = {"error": words, "code": code}
    sent = {"content-type": "application/json", "cache-control": "no-store", **(headers or {})}
    await answer(send, status, sent, json.dumps(said).encode() + b"\n")
