"""Media of packages that are cut, joined or coded anew: carried on, their maps renamed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from nmc.writing.media import Media
from nmc_format.issues import refuse
from nmc_format.manifest.media_table import with_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nmc.reading.sequence import ChainSequence
    from nmc.writing.writer import Writer


def refuse_in_the_clear(sequences: Iterable[ChainSequence]) -> None:
    """Refuse packages with media whose frames are to be encrypted, before anything is written.

    Raises
    ------
    FormatError
        If one of them carries a medium.
    """
    for sequence in sequences:
        if sequence.media:
            names = ", ".join(map(ascii, sequence.media))
            reason = f"it carries media, which would not be encrypted with the frames: {names}"
            hint = (
                "leave them out with --without-media (nmc extract, concat, encrypt); "
                "nmc unpack --media writes them as files"
            )
            raise refuse("input/unsupported", file=str(sequence.path), reason=reason, hint=hint)


def carry_all(writer: Writer, sequence: ChainSequence) -> None:
    """Give a writer the media of a package all of whose frames it has."""
    for medium in sequence.media.values():
        writer.add_media(replace(Media.of(medium), map=medium.map))


def add_carried(writer: Writer, pieces: Sequence[tuple[ChainSequence, int]]) -> None:
    """Give a writer the media of the packages that its frames come from.

    Each medium is carried on as a whole. Its map names the frames as they are numbered now; where
    one is not there any more, no frame serves. A second medium of the same name gets a number.

    Parameters
    ----------
    writer : Writer
        It has all of its frames.
    pieces : sequence of (ChainSequence, int)
        Where each frame comes from.
    """
    taken: set[str] = set()
    for sequence in dict.fromkeys(sequence for sequence, _ in pieces):
        frames = {t: i for i, (other, t) in enumerate(pieces) if other is sequence}
        renamed = with_frames(sequence.manifest.media_records, frames)
        for medium, record in zip(sequence.media.values(), renamed, strict=True):
            name = free_name(record.name, taken)
            taken.add(name)
            writer.add_media(replace(Media.of(medium), name=name, map=record.map))


def free_name(name: str, taken: set[str]) -> str:
    """Return a name that is not taken: ``clip.mp4``, then ``clip-2.mp4``."""
    path, number, free = PurePath(name), 2, name
    while free in taken:
        free = f"{path.stem}-{number}{path.suffix}"
        number += 1
    return free
