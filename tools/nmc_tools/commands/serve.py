"""``nmc serve``: packages over HTTP; without a path, the requests of the conformance protocol."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from nmc_format.host import absent
from nmc_tools.commands.installation import extra
from nmc_tools.commands.listening import tell_listening
from nmc_tools.commands.serve_access import access_of, read_key
from nmc_tools.commands.shared_options import JsonOption
from nmc_tools.terminal import say, warn


def serve(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]…",
            help="Packages, presentation documents, and folders of them. None: answer the "
            "requests of the conformance protocol, from standard input.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = 8080,
    token: Annotated[
        list[str] | None,
        typer.Option(envvar="NMC_SERVE_TOKEN", help="A token that clients need; may be repeated."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File with the key that tokens of nmc token are signed with."
        ),
    ] = None,
    origin: Annotated[
        str, typer.Option(help="Pages of which origin may read, such as https://example.org.")
    ] = "*",
    render: Annotated[
        bool, typer.Option("--render", help="Render frames for players that cannot; needs torch.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that answer; each counts for itself.")
    ] = 1,
    log: Annotated[bool, typer.Option("--log", help="Write a line for each request.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve packages over HTTP: ranges, caching, tokens, metrics, and packages that still grow.

    A package is at /NAME, a listing at / and /index.json, counts for Prometheus at /metrics. A URL
    with ?digest=MANIFEST-DIGEST may be kept for ever by caches. For TLS, put a proxy before it.
    Ctrl-C ends it. With --json the first line says where it listens, for scripts.

    Examples
    --------
      nmc serve scene.nmc

      nmc serve packages/ --host 0.0.0.0 --port 9000 --token SECRET

      nmc serve packages/ --port 0 --json | jq -r .url
    """
    if not paths:
        if sys.stdin is not None and sys.stdin.isatty():
            raise typer.BadParameter("give packages to serve", param_hint="PATH")
        from nmc_tools.commands.codec import serve as answer_requests

        answer_requests()
        return
    for path in paths:
        if not path.exists():
            raise absent(str(path))
    access = access_of(token or [], key)
    with extra("serve", "nmc serve"):
        from nmc_tools.serve.connections import Limits
        from nmc_tools.serve.running import Running, bound, url_of
    from nmc_tools.serve.application import app
    from nmc_tools.serve.counters import Metrics

    if render:
        from nmc_tools.commands.framework import framework

        with framework(paths[0], paths[0]):  # says what is missing, before anybody asks
            import nmc_framework.rendering  # noqa: F401
    metrics = Metrics()
    try:
        application = app(
            paths, access=access, origins=_origin(origin), render=render, metrics=metrics, log=log
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="PATH") from None
    if access.open and host not in ("127.0.0.1", "localhost", "::1"):
        warn(f"everybody who reaches {host} can read this; --token or --key keeps others out")
    listening = bound(host, port)
    started = partial(tell_listening, url_of(listening), "serving at", as_json=as_json)
    Running(application, metrics, Limits()).run_workers(listening, workers, started)


def token(
    key: Annotated[
        Path, typer.Option(metavar="FILE", help="File with the key, as given to nmc serve.")
    ],
    seconds: Annotated[
        int, typer.Option("--for", min=1, max=10**9, metavar="SECONDS", help="How long it opens.")
    ] = 3600,
    path: Annotated[
        str, typer.Option(help="Only this path and what lies below, such as scene.nmc.")
    ] = "",
) -> None:
    """Print a token that opens what nmc serve serves, until it expires.

    The key is a file of at least 16 random bytes that nobody else can read, such as of
    head -c 32 /dev/urandom > serve.key

    Examples
    --------
      nmc token --key serve.key --for 86400 --path scene.nmc
    """
    import time

    from nmc_tools.serve.access import signed_token

    try:
        say(signed_token(read_key(key), int(time.time()) + seconds, path))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--key") from None


def _origin(text: str) -> Any:
    if (
        text != "*"
        and not text.replace("://", "")
        .replace(":", "")
        .replace(".", "")
        .replace("-", "")
        .replace("[", "")
        .replace("]", "")
        .isalnum()
    ):
        raise typer.BadParameter(f"{text!r} is not an origin", param_hint="--origin")
    return text
