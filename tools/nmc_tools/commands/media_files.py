"""Media of packages as files: what ``nmc pack``, ``unpack`` and ``inspect`` say and do of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmc.writing.folder import Folder
from nmc.writing.media_files import difference
from nmc_format.host import host_errors
from nmc_format.issues import refuse_with
from nmc_tools.terminal import counted, note, say, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    import nmc
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
UnpackMediaOption = Annotated[
    bool,
    typer.Option("--media", help="Write the media of the package in place of its frames."),
]
WithoutMediaOption = Annotated[
    bool, typer.Option("--without-media", help="Leave out the media; they are named.")
]


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
