"""Media of packages as files: what ``nmc pack``, ``unpack`` and ``inspect`` say and do of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import nmc
from nmc.writing.folder import Folder
from nmc.writing.media_files import difference
from nmc_format.host import host_errors
from nmc_format.issues import refuse_with
from nmc_format.manifest.check.media import role_fault
from nmc_tools.terminal import counted, note, say, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nmc.reading.media import Medium

OTHER = "it is not what would be written there; move it away, or choose another directory"
"""What to do about an entry that ``nmc unpack --resume`` does not take for finished."""

PackMediaOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--media",
        metavar="FILE",
        help="Carry a file beside the frames, as it is, such as a coded video; may be repeated.",
    ),
]
PackMediaRoleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--media-role",
        metavar="[FILE=]ROLE",
        help="What a medium is for: low-resolution, source, preview, sound or a word of yours.",
    ),
]
PackMediaMapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--media-map",
        metavar="[FILE=]AT:FRAME,…",
        help="Which frame serves a medium's pictures from where on: pictures from 0, 0:0,48:1, or "
        "times, 0s:0,1.6s:1; a frame - is none.",
    ),
]
UnpackMediaOption = Annotated[
    bool,
    typer.Option("--media", help="Write the media of the package in place of its frames."),
]
WithoutMediaOption = Annotated[
    bool, typer.Option("--without-media", help="Leave out the media; they are named.")
]


TICKS = 90_000
"""Ticks a second of maps by time: pictures of all usual rates begin at whole ones."""


def packed_media(
    files: Sequence[Path] | None,
    roles: Sequence[str] | None,
    maps: Sequence[str] | None,
    frames: int,
) -> list[nmc.Media]:
    """Return the media that ``nmc pack`` is to put beside so many frames.

    Raises
    ------
    typer.BadParameter
        If a role or a map is none, or of a file that is not given.
    """
    given = list(files or ())
    told_roles = _by_file(given, roles, "--media-role")
    told_maps = _by_file(given, maps, "--media-map")
    for role in told_roles.values():
        reason = role_fault(role)
        if reason or not role:
            raise typer.BadParameter(reason or "it is empty", param_hint="--media-role")
    made = []
    for path in given:
        positions, ticks = _map_of(told_maps.get(path), frames)
        role = told_roles.get(path, "")
        made.append(nmc.Media(path, role=role, map=positions, timescale=ticks))
    return made


def _by_file(files: Sequence[Path], texts: Sequence[str] | None, option: str) -> dict[Path, str]:
    """Return what an option says of each file; without a name it is of the only one."""
    found: dict[Path, str] = {}
    for text in texts or ():
        name, equals, value = text.rpartition("=")
        named = [path for path in files if not equals or name in {str(path), path.name}]
        if len(named) != 1:
            known = ", ".join(path.name for path in files) or "none"
            reason = f"{text!r} has to name one of the files of --media ({known})"
            raise typer.BadParameter(reason, param_hint=option)
        if named[0] in found:
            reason = f"{named[0].name} is named twice"
            raise typer.BadParameter(reason, param_hint=option)
        found[named[0]] = value
    return found


def _map_of(text: str | None, frames: int) -> tuple[dict[int, int | None] | None, int]:
    """Return a map by position, and its ticks a second: 0 where positions are pictures."""
    if text is None:
        return None, 0
    pairs = [part.strip().rpartition(":")[::2] for part in text.split(",")]
    timed = [at.endswith("s") for at, _ in pairs]
    wrong = "write positions that ascend, such as 0:0,48:1, or all with times, 0s:0,1.6s:1"
    if any(timed) != all(timed):
        raise typer.BadParameter(f"{text!r}; {wrong}", param_hint="--media-map")
    try:
        at = [round(float(at[:-1]) * TICKS) if timed[0] else int(at) for at, _ in pairs]
        served = [None if frame == "-" else int(frame) for _, frame in pairs]
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r}; {wrong}", param_hint="--media-map") from None
    if at[0] < 0 or any(a >= b for a, b in pairwise(at)):
        raise typer.BadParameter(f"{text!r}; {wrong}", param_hint="--media-map")
    beyond = [frame for frame in served if frame is not None and not 0 <= frame < frames]
    if beyond:
        reason = f"it names frame {beyond[0]}; there are {counted(frames, 'frame')}, from 0"
        raise typer.BadParameter(reason, param_hint="--media-map")
    return dict(zip(at, served, strict=True)), TICKS if timed[0] else 0


def say_left_out(sequences: Iterable[nmc.ChainSequence]) -> None:
    """Say which media the package that is made has not."""
    for sequence in sequences:
        for name, medium in sequence.media.items():
            note(f"left out of {sequence.path}: {name}, {size_text(medium.size)}")


def write_media(sequence: nmc.ChainSequence, output: Path, *, resume: bool, force: bool) -> None:
    """Write each medium under its own name; each is verified, and there as a whole or not at all.

    Raises
    ------
    FormatError
        If one fails its digest, a file is there already, or the disk is full.
    """
    with host_errors(output):
        folder = Folder(output)
    try:
        for name, medium in sequence.media.items():
            there = folder.kind(name)
            if there and resume and not force and _is_that(folder, name, medium):
                continue
            if there and not (force and folder.holds_file(name)):
                raise refuse_with(OTHER * resume, "host/exists", file=str(output / name))
            fresh = f".{medium.record.index:08d}.new"
            with host_errors(output / name):
                folder.write(fresh, medium.chunks())
                folder.move(fresh, folder, name)
    finally:
        folder.close()
    count = len(sequence.media)
    say(f"{output}: {counted(count, 'file')}" if count else f"{sequence.path} carries no media")


def _is_that(folder: Folder, name: str, medium: Medium) -> bool:
    """Whether a medium was written before: as a regular file, by length and digests."""
    if not folder.holds_file(name):
        return False
    with host_errors(folder.path / name), folder.open(name) as file:
        return not difference(file, medium.record)


def media_lines(sequence: nmc.ChainSequence) -> list[str]:
    """Say of each medium what it is, and how many pieces its map has."""
    lines = []
    for medium in sequence.media.values():
        served = medium.map
        parts = [medium.name, medium.role, medium.type, f"{size_text(medium.size)}"]
        if served is not None:
            frames = {t for t in served.frames if t is not None}
            parts.append(f"served by {counted(len(frames), 'frame')}")
        lines.append(", ".join(part for part in parts if part))
    return lines
