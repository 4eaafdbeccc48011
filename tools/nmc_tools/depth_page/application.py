"""The server of the page: pictures come as the body of a POST, results go by name.

``POST /depth`` with a picture as its body answers a JSON object with ``id``, ``width``, ``height``,
``focal`` (pixels), ``nearest``, ``farthest`` and ``median`` (metres). ``GET /result/ID/NAME`` is
``depth.png`` (16 bits, millimetres), ``colours.png``, ``picture.png``, ``depth.bin`` (uint16,
millimetres), ``turning.mp4`` or ``surface.ply``. What cannot be done is a JSON object with
``error``, one line.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_tools.depth_page.results import Results, computed
from nmc_tools.depth_page.work import Full, Work

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from nmc_framework.depth.unet import DepthUnet

#: Where the page lies.
PAGE = Path(__file__).with_name("page")
#: Most bytes of an upload, and the seconds that it may take.
MOST_BYTES = 32 * 2**20
_UPLOAD_SECONDS = 60.0
#: Uploads that may be held at the same time: they wait in memory.
WAITING = 8
_LONGEST = 640
_AGAIN = {"retry-after": "5"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
_ALWAYS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


def app(model: DepthUnet, *, longest: int = _LONGEST, waiting: int = WAITING) -> Any:
    """Return an application (ASGI, Starlette).

    Parameters
    ----------
    model
        In evaluation mode.
    longest
        Pictures are reduced so that no side has more pixels.
    waiting
        Pictures that may wait for another one; above that the answer is 503.
    """
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    page = _Page(model, longest, waiting)
    return Starlette(
        routes=[
            Route("/health", _health),
            Route("/depth", page.depth, methods=["POST"]),
            Route("/result/{name}/{what}", page.result),
            Mount("/", _WithPolicy(StaticFiles(directory=PAGE, html=True))),
        ]
    )


class _Page:
    """Answers that need the model, or what it made."""

    def __init__(self, model: DepthUnet, longest: int, waiting: int) -> None:
        self._model, self._longest = model, longest
        self._work, self._results = Work(waiting), Results()
        self._held, self._most_held = 0, waiting + 1

    async def depth(self, request: Request) -> Response:
        """Take a picture, and answer what is known of its depth."""
        from nmc_framework.depth.errors import DepthError

        kind = request.headers.get("content-type", "")
        if not kind.startswith(("image/", "application/octet-stream")):
            return _refused(415, "send a picture as the body, its type as Content-Type: image/…")
        if self._held >= self._most_held:
            return _busy()
        self._held += 1
        try:
            data = await asyncio.wait_for(_body(request), _UPLOAD_SECONDS)
            if data is None:
                words = f"a picture has at most {MOST_BYTES >> 20} MiB; make it smaller"
                return _refused(413, words, close=True)
            result = await self._work.do(partial(computed, self._model, data, self._longest))
        except TimeoutError:
            return _refused(408, "the picture did not come in time; send it again", close=True)
        except Full:
            return _busy()
        except DepthError as error:
            return _refused(422, str(error))
        finally:
            self._held -= 1
        self._results.put(result)
        return _json(200, result.facts)

    async def result(self, request: Request) -> Response:
        """Answer a file of a result; a film is made when it is first asked for."""
        from starlette.responses import Response

        found = self._results.get(request.path_params["name"])
        if found is None:
            return _refused(404, "this result is no longer there; send the picture again")
        try:
            made = await self._work.do(partial(found.file, request.path_params["what"]))
        except Full:
            return _busy()
        if made is None:
            return _refused(404, "a result has no such file")
        data, media = made
        return Response(data, headers={"cache-control": "private, max-age=3600"} | _ALWAYS,
                        media_type=media)  # fmt: skip


async def _body(request: Request) -> bytes | None:
    """Return what was sent; None as soon as it is too much."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MOST_BYTES:
        return None
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MOST_BYTES:
            return None
    return bytes(data)


async def _health(_request: Request) -> Response:
    return _json(200, {"status": "ok"})


def _busy() -> Response:
    return _refused(503, "many pictures are waiting; try again in a few seconds", _AGAIN)


def _refused(
    status: int, words: str, headers: dict[str, str] | None = None, *, close: bool = False
) -> Response:
    more = {"connection": "close"} if close else {}
    return _json(status, {"error": words}, (headers or {}) | more)


def _json(status: int, what: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import Response

    said = {"cache-control": "no-store", **_ALWAYS, **(headers or {})}
    return Response(json.dumps(what), status, said, "application/json")


class _WithPolicy:
    """Another application's answers, with the headers of all (ASGI)."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                more = [(k.encode(), v.encode("latin-1")) for k, v in _ALWAYS.items()]
                message["headers"] = [*message["headers"], *more, (b"cache-control", b"no-cache")]
            await send(message)

        await self._inner(scope, receive, sent)
