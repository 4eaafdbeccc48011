"""``nmc depth serve``: a page that takes a picture and shows its depth, and the scene in space."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from nmc_tools.commands.depth import DeviceOption, FrameOption, PackageArgument, opened_model
from nmc_tools.commands.framework import framework, parse_device
from nmc_tools.commands.installation import extra
from nmc_tools.commands.listening import tell_listening
from nmc_tools.terminal import warn


def serve(
    package: PackageArgument,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = 8080,
    longest: Annotated[
        int, typer.Option(min=64, max=2048, help="Reduce pictures to such a side.")
    ] = 640,
    waiting: Annotated[
        int, typer.Option(min=0, max=1000, help="Pictures that may wait; above: 503.")
    ] = 8,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the browser too.")
    ] = False,
    frame: FrameOption = -1,
    device: DeviceOption = "cpu",
    as_json: Annotated[
        bool, typer.Option("--json", help="Say where it listens as JSON, for scripts.")
    ] = False,
) -> None:
    """Serve a page: a picture goes up, its depth comes back, and the scene in space, turning.

    The page needs nothing from elsewhere. Pictures stay in memory, and only the newest. For TLS
    and for access by a password, put a proxy before it. Ctrl-C ends it.

    Examples
    --------
      nmc depth serve depth.nmc --browser

      nmc depth serve depth.nmc --port 0 --json | jq -r .url
    """
    with extra("serve", "nmc depth serve"):
        from nmc_tools.serve.connections import Limits
        from nmc_tools.serve.counters import Metrics
        from nmc_tools.serve.running import Running, bound, url_of
    with framework(package):
        from nmc_tools.depth_page.application import app
        from nmc_tools.depth_page.results import warmed

        model = opened_model(package, frame, parse_device(device))
        warmed(model)
    if host not in ("127.0.0.1", "localhost", "::1"):
        warn(f"everybody who reaches {host} can use this")
    listening = bound(host, port)
    started = partial(
        tell_listening, url_of(listening), "serving at", as_json=as_json, browser=browser
    )
    Running(app(model, longest=longest, waiting=waiting), Metrics(), Limits()).run(
        listening, started
    )
