"""``nmc push``: a package into object storage, also while it is trained."""

from __future__ import annotations

from typing import Annotated

import typer

import nmc
from nmc_tools.commands.shared_options import ForceOption, PackageSource
from nmc_tools.terminal import counted, print_json, progress_bar, say, size_text


def push(
    package: PackageSource,
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Where to: s3://bucket/name.nmc, gs://…")
    ],
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Send frames of a package that is trained as they come."),
    ] = False,
    poll: Annotated[
        float, typer.Option(min=0.01, help="Seconds between two looks for new frames.")
    ] = 0.5,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Give up after so many seconds without a frame.")
    ] = None,
    force: ForceOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Put a package into a store that fsspec knows; what is there then is read back and compared.

    A package file becomes one object; a directory, and a package that is followed, becomes one
    object a segment, the manifest last. What is there already is not sent again: after an
    interruption the same command goes on.

    Examples
    --------
      nmc push scene.nmc s3://bucket/scene.nmc

      nmc push scene.nmc s3://bucket/scene.nmc --follow    (beside nmc train -o scene.nmc)
    """
    with progress_bar(f"pushing {package.name}", resume="the same command") as progress:
        done = nmc.push(
            package,
            url,
            follow=follow,
            overwrite=force,
            poll=poll,
            timeout=timeout,
            progress=progress,
        )
    if as_json:
        print_json({"frames": done.frames, "sent": done.sent, "sent_bytes": done.sent_bytes})
        return
    say(
        f"{url}: {counted(done.frames, 'frame')}, {counted(done.sent, 'object')} sent "
        f"({size_text(done.sent_bytes)}), all compared"
    )
