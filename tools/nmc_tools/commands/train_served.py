"""``nmc train --serve``: the package that is being trained, over HTTP."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from nmc_tools.commands.installation import extra
from nmc_tools.commands.serve_access import access_of
from nmc_tools.terminal import note, warn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ServeTokenOption = Annotated[
    list[str] | None,
    typer.Option(
        "--serve-token",
        envvar="NMC_SERVE_TOKEN",
        help="With --serve: a token that readers need; may be repeated.",
    ),
]

_HERE = ("127.0.0.1", "localhost", "::1")


def host_and_port(text: str) -> tuple[str, int]:
    """Return what ``8080``, ``0.0.0.0:8080`` or ``[::1]:0`` names; the host is this machine's own.

    Raises
    ------
    typer.BadParameter
        If it is none of these.
    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise typer.BadParameter(
            f"{text!r}; write such as 8080 or 0.0.0.0:8080", param_hint="--serve"
        )
    return host.strip("[]") or _HERE[0], int(port)


@contextmanager
def served_beside(output: Path, host: str, port: int, tokens: Sequence[str]) -> Iterator[None]:
    """Serve a package while the block runs, to those who have a token if there are any."""
    with extra("serve", "nmc train --serve"):
        from nmc_tools.serve.in_thread import beside
    access = access_of(tokens, None, "--serve-token")
    if access.open and host not in _HERE:
        warn(f"everybody who reaches {host} can read this; --serve-token keeps others out")
    with beside(output, host, port, access) as url:
        note(f"serving {url} while it is trained; nmc.follow reads its frames as they come")
        yield
