"""``nmc present`` and ``nmc play``: qualities of one sequence, and a client that chooses."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmc.writing.unfinished import place_of
from nmc_format.host import host_errors
from nmc_tools.commands.shared_options import DecryptKeyOption, JsonOption
from nmc_tools.terminal import (
    Exit,
    counted,
    print_finding,
    print_json,
    progress_bar,
    say,
    size_text,
    warn_error,
)

if TYPE_CHECKING:
    from nmc_tools.adaptive.document import Presentation

_LOWEST, _HIGHEST = 0, -1


def present(
    packages: Annotated[
        list[Path], typer.Argument(metavar="PKG…", help="Packages of the same sequence.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The document, such as x.json.")],
    group: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Least time from group to group.")
    ] = 0.5,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Describe packages as qualities of one sequence, between which a client may change.

    They have to have the same frames, times and cameras, and common key frames, and to lie beside
    the document or below. A package with refinements counts once for each stop.

    Examples
    --------
      nmc present low.nmc high.nmc -o sequence.json

      nmc serve . & nmc play http://127.0.0.1:8080/sequence.json --headless
    """
    from nmc_format.issues import refuse
    from nmc_tools.adaptive.describe import present as described

    if output.suffix != ".json":
        raise typer.BadParameter("its name ends in .json", param_hint="--output")
    made = described(packages, output, group)
    document = made.to_json()
    text = json.dumps(document, indent=1) + "\n"
    with host_errors(output):
        if output.exists() and not force:
            raise refuse("host/exists", file=str(output))
        place = place_of(output)
        fresh = f".{place.name}.{os.getpid()}.new"
        place.parent.write(fresh, [text.encode()])
        place.parent.move(fresh, place.parent, place.name)
        place.parent.sync()
    if as_json:
        print_json(document)
        return
    for r in made.representations:
        size = size_text(sum(r.group_bytes))
        quality = "" if r.psnr is None else f", {r.psnr:.2f} dB"
        say(f"{r.id}: {size}, {r.bandwidth / 1e6:.2f} Mbit/s at most{quality}")
    say(f"{output}: {counted(len(made.starts), 'group')} of {made.frames} frames")


def play(
    target: Annotated[
        str,
        typer.Argument(
            metavar="URL", help="A package or a document: its path, or https://…, s3://…"
        ),
    ],
    headless: Annotated[
        bool,
        typer.Option("--headless", help="Without a picture; the only way here (see nmc view)."),
    ] = False,
    quality: Annotated[
        Literal["adaptive", "lowest", "highest"], typer.Option(help="How a quality is chosen.")
    ] = "adaptive",
    buffer: Annotated[
        float, typer.Option(min=0.1, max=3600, metavar="SECONDS", help="Buffered at most.")
    ] = 30.0,
    token: Annotated[
        str | None, typer.Option(envvar="NMC_TOKEN", help="What the server asks for.")
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key", "-k", help="A public key that has to have signed, in a file; repeatable."
        ),
    ] = None,
    decrypt_key: DecryptKeyOption = None,
    decode: Annotated[bool, typer.Option(help="Decode what comes, and compare it.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Play without a picture: fetch in time, verify and decode; report stalls, switches and bytes.

    Before each group the quality is chosen by throughput and buffer. Exit code 1 where a segment is
    refused, or a group cannot be played.

    Examples
    --------
      nmc play http://127.0.0.1:8080/sequence.json --headless

      nmc play sequence.json --headless --json | jq .stall_seconds

      nmc play s3://bucket/scene.nmc --headless --key studio.pub --decrypt-key scene.key
    """
    if not headless:
        raise typer.BadParameter(
            "this client shows no picture: give --headless, or use nmc view",
            param_hint="--headless",
        )
    from nmc.reading.keys import demands_of
    from nmc.reading.secret_keys import cipher_of
    from nmc.remote.address import shown
    from nmc_tools.adaptive.choice import Always, Choice, Dynamic
    from nmc_tools.adaptive.opening import is_document_name, read_document
    from nmc_tools.adaptive.packages import Decoder, Packages, of_one_package
    from nmc_tools.adaptive.session import Session
    from nmc_tools.adaptive.terms import Terms

    options: dict[str, Any] = {"headers": {"Authorization": f"Bearer {token}"}} if token else {}
    terms = Terms(options, demands_of(key or []), cipher_of(decrypt_key))
    if is_document_name(target):
        packages = Packages(read_document(target, options), target, terms)
    else:
        packages = of_one_package(target, terms)
    choice: Choice = Dynamic(target=min(12.0, buffer))
    if quality != "adaptive":
        choice = Always(_LOWEST if quality == "lowest" else _HIGHEST)
    made = packages.presentation
    with packages, progress_bar(f"playing {shown(target)}", unit="groups") as progress:
        decoder = Decoder(packages)
        take = decoder.accept if decode else decoder.compare
        with decoder:
            report = Session(made, packages, choice, take, most=buffer).run(progress)
    document = report.to_json(made) | {
        "decoded_frames": decoder.frames,
        "decode_seconds": round(decoder.seconds, 4),
        "errors": [str(error.finding) for error in decoder.errors],
    }
    failed = bool(report.refused or report.skipped or decoder.errors)
    if as_json:
        print_json(document)
    else:
        _show(document, made, decoder.errors)
    if failed:
        raise typer.Exit(Exit.REFUSED)


def _show(document: dict[str, Any], presentation: Presentation, errors: list[Any]) -> None:
    for error in errors:
        print_finding(error.finding)
    for refused in document["refused"]:
        warn_error(f"group {refused['group']} of {refused['representation']}: {refused['reason']}")
    for group in document["skipped"]:
        warn_error(f"group {group} could not be played in any quality")
    groups = document["groups"]
    for r in presentation.representations:
        share = sum(group["representation"] == r.id for group in groups)
        say(f"{r.id}: {counted(share, 'group')}")
    say(
        f"{document['decoded_frames']} of {document['frames']} frames decoded and right; "
        f"{size_text(document['bytes'])} in {counted(document['requests'], 'request')}"
    )
    say(
        f"first picture after {document['startup_seconds']:.2f} s; "
        f"{counted(len(document['stalls']), 'stall')} of {document['stall_seconds']:.2f} s; "
        f"{counted(document['switches'], 'switch', 'switches')}"
    )
