"""A package as far as it is written: its segments, its journal, its tensor table (clause 5.1.5)."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nmc.writing import claims, describe, journal
from nmc.writing.adding_media import add_media
from nmc.writing.finish import abandon, finish
from nmc.writing.sources import Room, with_colour
from nmc.writing.start import Existing, start
from nmc_format.encryption import stored_length
from nmc_format.host import host_errors
from nmc_format.issues import refuse
from nmc_format.manifest import columns
from nmc_format.manifest.frame_table import Coding
from nmc_format.manifest.write import manifest_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from typing_extensions import Buffer

    from nmc.writing.growing_table import GrowingTable
    from nmc.writing.media import Media
    from nmc.writing.remembered import Remembered
    from nmc.writing.sources import ColourEntry
    from nmc_format.encryption import SegmentCipher
    from nmc_format.manifest.frame_table import FrameRecord
    from nmc_format.manifest.objects import RawObjects
    from nmc_format.manifest.tensor_table import TensorRow


class Draft:
    """What of a package is on the disk; every error of the host is a finding.

    Parameters
    ----------
    path : Path
        The package.
    settings : Settings
        What it says as a whole.
    existing : Existing
        What becomes of what is there.
    table : GrowingTable
        The tensor table; the rows of frames that are resumed are added.
    cipher : SegmentCipher or None
        What encrypts the segments.

    Attributes
    ----------
    cursor : Cursor
        The last frame that is there at the start.
    room : Room
        What the columns of the manifest have room for.
    """

    def __init__(
        self,
        path: Path,
        settings: journal.Settings,
        existing: Existing,
        table: GrowingTable,
        cipher: SegmentCipher | None = None,
    ) -> None:
        self._cipher = cipher
        self._path = path
        self._table = table
        with host_errors(path):
            self._made, self._journal, part = start(path, settings, existing, cipher)
        table.extend(part.rows)
        self.cursor = part.cursor
        self.room = Room()
        self.room.add(self.entries)

    @property
    def folder(self) -> Path:
        """The folder that the package lies in."""
        return Path(os.path.realpath(self._path)).parent

    @property
    def entries(self) -> list[journal.FrameEntry]:
        """The finished frames."""
        return self._journal.content.entries

    @contextmanager
    def frame(self) -> Iterator[int]:
        """Give the index of the next frame; where the block fails, the table is as it was.

        A frame that is in the journal by then stays there, and nothing may be coded against the
        one before it: the cursor forgets it.
        """
        t, known_rows = len(self.entries), len(self._table)
        try:
            yield t
        except BaseException:
            if len(self.entries) == t:
                self._table.truncate(known_rows)
            else:
                self.cursor.forget()
            raise

    def store(
        self, t: int, pieces: Iterable[Buffer], size: int, *, is_key: bool, threads: int = 1
    ) -> tuple[int, bytes]:
        """Put a segment of so many bytes on the disk; return its length there, and its SHA-256."""
        if self._cipher is not None:
            parent = None if is_key else self.entries[-1].record.state_digest
            pieces = self._cipher.encrypted(t, parent, pieces, size)
            size = stored_length(size)
        with host_errors(self._path):
            if self._made.is_due():
                self._made.sync(self._journal)
            return size, self._made.store(t, pieces, threads)

    @property
    def remembered(self) -> Remembered | None:
        """What the quantiser knows after the last frame."""
        return self.entries[-1].remembered if self.entries else None

    @property
    def group(self) -> list[int]:
        """Bytes of the frames from the last key frame on."""
        sizes: list[int] = []
        for entry in reversed(self.entries):
            sizes.append(entry.record.base_length)
            if entry.record.coding is Coding.KEY:
                break
        return sizes[::-1]

    def enter(
        self,
        record: FrameRecord,
        colour: ColourEntry | None,
        remembered: Remembered | None = None,
    ) -> None:
        """Put a frame into the journal, with the rows that the table has since the one before."""
        rows = [row for row in self._table.rows if row.first_frame == record.index]
        entry = journal.FrameEntry(record, tuple(rows), colour, remembered)
        with host_errors(self._path):
            self._journal.append(entry)
        self.room.add([entry])

    def copy(
        self,
        segment: bytes,
        record: FrameRecord,
        rows: Sequence[TensorRow],
        lineage: bool,
        colour: Mapping[str, Any] | None,
    ) -> None:
        """Put a segment of another package on the disk, and its frame into the journal.

        Parameters
        ----------
        segment, record, rows, lineage, colour
            As in :meth:`nmc.Writer.append_coded`; the record has the presentation time here.
        """
        name, text, maps = self.room.checked(record.source_name, record.extras_text, colour)
        flags = record.requires_grad
        is_key = record.coding is Coding.KEY
        with self.frame() as t:
            length, digest = self.store(t, [segment], len(segment), is_key=is_key)
            self._table.extend(replace(row, first_frame=t) for row in rows[len(self._table) :])
            kept = replace(
                record,
                index=t,
                segment_length=length,
                segment_sha256=digest,
                trained_from=t - 1 if lineage else None,
                requires_grad=None if flags is None else flags[: len(rows)],
                source_name=name,
                extras_text=text,
            )
            self.enter(kept, maps)

    def record(self, name: str, objects: RawObjects) -> None:
        """Put a record of the manifest into the journal."""
        with host_errors(self._path):
            self._journal.record(name, objects)

    def add_media(self, media: Media) -> None:
        """Copy a medium into the folder, and put it into the journal."""
        if self._cipher is not None:
            hint = "encrypt the file itself, or leave it out"
            reason = "media are not encrypted with the segments, and the package is"
            raise refuse("input/unsupported", file=str(self._path), reason=reason, hint=hint)
        add_media(self._path, self._made.folder, self._journal, media)

    def colour(self, views: Sequence[str], colour: Any) -> None:
        """Give every frame that is there its colour."""
        entries = with_colour(self.entries, views, colour)
        with host_errors(self._path):
            self._journal.content.entries = entries
            self._journal.rewrite()

    def finish(self, threads: int = 1) -> None:
        """Write the manifest, and put the package in its place, with so many threads."""
        manifest = describe.described(self._journal.content, self._table.rows)
        data = manifest_bytes(columns.objects_of(manifest))
        with host_errors(self._path):
            finish(self._made, self._journal, data, threads)
        self.close()

    def abandon(self) -> None:
        """Remove what was written, unless the package is complete."""
        self.close()
        with host_errors(self._path):
            abandon(self._made, self._journal)

    def close(self) -> None:
        """Give the journal back; what is there can be resumed, by another writer too."""
        self._journal.close()
        claims.release(self._made.folder)
