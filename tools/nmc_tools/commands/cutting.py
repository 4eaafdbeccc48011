"""``nmc extract``, ``trim``, ``concat`` and ``recover``: packages from packages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import nmc
from nmc.writing.recovery import recovered
from nmc_format.issues import FormatError, finding
from nmc_tools.commands.media_files import WithoutMediaOption, say_left_out
from nmc_tools.commands.shared_options import (
    DecryptKeyOption,
    DirectoryOption,
    EffortOption,
    ForceOption,
    KeptOption,
    OutputPath,
    PackagePath,
    PackageSource,
)
from nmc_tools.frame_selection import parse_frames
from nmc_tools.terminal import (
    Exit,
    counted,
    print_finding,
    progress_bar,
    say,
    size_text,
    warn,
)

if TYPE_CHECKING:
    from nmc_format.issues import Finding


def extract(
    package: PackageSource,
    output: OutputPath,
    frames: Annotated[
        str, typer.Option("--frames", help="Such as 0,3-5,8- or -1; in the order of the package.")
    ] = "0-",
    refinements: KeptOption = None,
    effort: EffortOption = "strong",
    directory: DirectoryOption = False,
    decrypt_key: DecryptKeyOption = None,
    without_media: WithoutMediaOption = False,
    force: ForceOption = False,
) -> None:
    """Make a package of some frames; whole groups are copied, the rest is coded again.

    Of an encrypted package, what is made is encrypted by the same key.

    Examples
    --------
      nmc extract scene.nmc -o some.nmc --frames 0,8-15

      nmc extract layered.nmc -o base.nmc --refinements 0    (nothing is coded again)

      nmc extract film.nmc -o chain.nmc --without-media
    """
    with nmc.open(package) as sequence:
        chosen = _chosen(frames, len(sequence))
        if without_media:
            say_left_out([sequence])
    with progress_bar(f"extracting to {output.name}") as progress:
        nmc.extract(
            package,
            chosen,
            output,
            effort=effort,
            directory=directory,
            overwrite=force,
            refinements=refinements,
            progress=progress,
            key=decrypt_key,
            media=not without_media,
        )
    _summary(output)


def _chosen(text: str, count: int) -> list[int]:
    try:
        return parse_frames(text, count)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--frames") from None


def trim(
    package: PackageSource,
    output: OutputPath,
    start: Annotated[int, typer.Option(min=0, help="First frame to keep.")] = 0,
    stop: Annotated[
        int | None, typer.Option(min=1, help="First frame to leave out; all if not given.")
    ] = None,
    refinements: KeptOption = None,
    effort: EffortOption = "strong",
    directory: DirectoryOption = False,
    decrypt_key: DecryptKeyOption = None,
    without_media: WithoutMediaOption = False,
    force: ForceOption = False,
) -> None:
    """Make a package of the frames from START up to, and without, STOP.

    Examples
    --------
      nmc trim scene.nmc -o middle.nmc --start 30 --stop 90
    """
    last = "" if stop is None else str(stop - 1)
    extract(
        package,
        output,
        f"{start}-{last}",
        refinements,
        effort,
        directory,
        decrypt_key,
        without_media,
        force,
    )


def concat(
    packages: Annotated[list[Path], typer.Argument(metavar="PKG…", help="Packages, in order.")],
    output: OutputPath,
    refinements: KeptOption = None,
    effort: EffortOption = "strong",
    directory: DirectoryOption = False,
    decrypt_key: DecryptKeyOption = None,
    without_media: WithoutMediaOption = False,
    force: ForceOption = False,
) -> None:
    """Make one package of the frames of several; encrypted, where one of them is.

    Media are carried on; not into an encrypted package, as they would not be encrypted.

    Examples
    --------
      nmc concat first.nmc second.nmc -o both.nmc

      nmc concat secret.nmc film.nmc -o both.nmc --decrypt-key scene.key --without-media
    """
    for package in packages if without_media else ():
        with nmc.open(package) as sequence:
            say_left_out([sequence])
    with progress_bar(f"joining to {output.name}") as progress:
        nmc.concat(
            packages,
            output,
            effort=effort,
            directory=directory,
            overwrite=force,
            refinements=refinements,
            progress=progress,
            key=decrypt_key,
            media=not without_media,
        )
    _summary(output)


def recover(package: PackagePath, decrypt_key: DecryptKeyOption = None) -> None:
    """Close a package whose writing was interrupted, with the frames that were finished.

    Cameras, quality and training records are kept. Every frame is decoded and checked before.
    Exit codes: 0 all frames of the journal are there, 1 some are damaged, or nothing is there. Of
    an encrypted package without its key, no state is compared, which is said; exit code 1.

    Examples
    --------
      nmc recover scene.nmc
    """
    try:
        found = recovered(package, decrypt_key)
    except FormatError as error:
        if error.finding.code == "host/not-found" and package.exists():
            raise FormatError(_finished(package)) from None
        raise
    say(f"{found.path}: {found.frames} of {found.listed} frames recovered")
    for name in found.lost_media:
        warn(f"the medium {name!a} is not in it: its bytes are not those that were copied")
    if not found.verified:
        print_finding(finding("host/not-decrypted", file=str(found.path)))
    if found.fault is not None:
        print_finding(found.fault)
    if found.fault is not None or found.lost_media or not found.verified:
        raise typer.Exit(Exit.REFUSED)


def _finished(package: Path) -> Finding:
    """Return what is said of a complete package: there is no journal in it."""
    return replace(
        finding("host/not-found", file=str(package)),
        message="it is a complete package: there is nothing to recover",
        hint="'nmc check' tells whether it is sound",
    )


def _summary(output: Path) -> None:
    with nmc.open(output, max_level=4) as sequence:
        say(f"{output}: {counted(len(sequence), 'frame')}, {size_text(sequence.size)}")
