"""The application as a whole: which path is answered by what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_tools.player.address import PAGE
from nmc_tools.serve.access import Access
from nmc_tools.serve.counters import TEXT, Metrics
from nmc_tools.serve.files import Files
from nmc_tools.serve.front import Front
from nmc_tools.serve.listing import Listing
from nmc_tools.serve.messages import answer
from nmc_tools.serve.shelf import Shelf

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from nmc_tools.serve.messages import Receive, Scope, Send


def app(
    paths: Sequence[str | os.PathLike[str]],
    *,
    access: Access | None = None,
    origins: str = "*",
    render: bool = False,
    metrics: Metrics | None = None,
    log: bool = False,
) -> Any:
    """Return an application (ASGI, Starlette) that serves packages.

    Parameters
    ----------
    paths : sequence of path
        Packages of both forms, presentation documents, and folders of them. A package is served
        under its name, and what a folder holds under its path within that folder. Only members of
        packages and presentation documents are served; what appears later is found.
    access : Access or None
        Who may read; None: everybody.
    origins : str
        Pages of which origin may read: one origin, or ``*``.
    render : bool
        Render frames for players that cannot, at ``/render/NAME``; needs torch. The protocol is
        in :mod:`nmc_tools.serve.rendering`.
    metrics : Metrics or None
        Where requests are counted; of its own if None.
    log : bool
        Write a line on standard error for each request.

    Returns
    -------
    starlette.applications.Starlette
        For any ASGI server.

    Raises
    ------
    ValueError
        If two packages would have one name.
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import Mount, Route, WebSocketRoute
    from starlette.staticfiles import StaticFiles

    access, counts = access or Access(), metrics or Metrics()
    files = Files(Shelf([Path(path) for path in paths]), private=not access.open)
    player = (PAGE / "index.html").is_file()
    routes: list[Any] = [
        Route("/health", _Said(lambda: '{"status": "ok"}\n', "application/json")),
        Route("/metrics", _Said(counts.text, TEXT)),
        Route("/index.json", Listing(files, page=False)),
        Route("/", Listing(files, page=True, player=player, render=render)),
    ]
    if player:
        routes.append(Mount("/player", StaticFiles(directory=PAGE, html=True)))
    if render:
        from nmc_tools.serve.rendering import Rendering

        routes.append(WebSocketRoute("/render/{name:path}", Rendering(files, counts)))
    routed = frozenset(route.path.split("/")[1] for route in routes)
    routes.append(Route("/{path:path}", files))
    front = Middleware(
        Front,
        files=files,
        routed=routed,
        access=access,
        metrics=counts,
        page=player,
        origins=origins,
        log=log,
    )
    return Starlette(routes=routes, middleware=[front])


class _Said:
    """Answers with a text that is made anew each time."""

    def __init__(self, text: Any, media: str) -> None:
        self._text, self._media = text, media

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        data = self._text().encode()
        headers = {
            "content-type": self._media,
            "cache-control": "no-store",
            "content-length": str(len(data)),
        }
        await answer(send, 200, headers, b"" if scope["method"] == "HEAD" else data)
