"""Media that a writer puts beside the chain (clause 16): copied once, with their digests."""

from __future__ import annotations

import hashlib
import io
import mimetypes
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from nmc_format.host import host_errors
from nmc_format.issues import refuse, refuse_with
from nmc_format.manifest import media_table
from nmc_format.manifest.check.media import MOST_MEDIA, medium_name_fault, role_fault, type_fault
from nmc_format.manifest.media_table import CHUNK_BYTES, MediaMap, MediaTable, MediumRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nmc.reading.media import Medium
    from nmc_format.manifest.objects import RawObjects

RECORD: Final = "media"
"""Name of the record in the journal."""

UNKNOWN_TYPE: Final = "application/octet-stream"

_TYPES: Final = {
    ".264": "video/h264",
    ".265": "video/h265",
    ".flac": "audio/flac",
    ".h264": "video/h264",
    ".h265": "video/h265",
    ".hevc": "video/h265",
    ".ivf": "video/x-ivf",
    ".m4v": "video/mp4",
    ".mka": "audio/matroska",
    ".mkv": "video/matroska",
    ".obu": "video/av1",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".y4m": "video/x-yuv4mpeg",
}
"""Endings that Python's own table does not know, or not on every system."""


@dataclass(frozen=True)
class Media:
    """A file that a package is to carry beside the chain, as it is.

    Parameters
    ----------
    file : path, bytes, binary file or Medium
        The file; what is open is read from its beginning. Or a medium of another package.
    name : str or None
        Its name in the package, without folders; None: that of the file.
    type : str or None
        Media type, such as ``"video/mp4"``; None: by the ending of the name.
    role : str
        What it is there for: ``"low-resolution"``, ``"source"``, ``"preview"``, ``"sound"`` or
        another word of a-z, 0-9 and ``-``.
    map : mapping of int to int or None
        From which position on which frame of the chain serves its pictures, None for no frame:
        ``{0: 0, 48: 1}`` where frame 1 takes over at picture 48. Or a :class:`nmc.MediaMap`.
    timescale : int
        0: positions of the map are indices of pictures, in the order in which they are shown. Else
        times after the first picture, in ticks, and this is the number of ticks in a second.
    """

    file: Any
    name: str | None = None
    type: str | None = None
    role: str = ""
    map: Mapping[int, int | None] | MediaMap | None = None
    timescale: int = 0

    @classmethod
    def of(cls, medium: Medium) -> Media:
        """Return a medium of a package that is open, for another one; its map is left out."""
        return cls(medium, medium.name, medium.type, medium.role)


def type_of(name: str) -> str:
    """Return the media type of a file by the ending of its name."""
    ending = Path(name).suffix.lower()
    known = mimetypes.MimeTypes(filenames=()).types_map[True].get(ending)
    return _TYPES.get(ending) or known or UNKNOWN_TYPE


def record_of(media: Media, index: int) -> MediumRecord:
    """Return what the manifest is to say of a medium, but for its bytes.

    Raises
    ------
    FormatError
        If it has no name, or the manifest may not say that.
    """
    name = media.name
    if name is None:
        given = getattr(media.file, "name", media.file)
        if not isinstance(given, str | os.PathLike):
            reason = "it is given as bytes or as a file without a name: give it one"
            raise refuse("manifest/value", pointer=media_table.MEDIUM_NAME, reason=reason)
        name = Path(given).name
    kind = type_of(name) if media.type is None else media.type
    for path, reason in (
        (media_table.MEDIUM_NAME, medium_name_fault(name)),
        (media_table.MEDIUM_TYPE, type_fault(kind)),
        (media_table.ROLE, role_fault(media.role)),
    ):
        if reason:
            place = media_table.medium_pointer(index, path)
            raise refuse("manifest/value", pointer=place, reason=reason)
    return MediumRecord(index, name, kind, media.role, 0, (), _map_of(media, index))


def _map_of(media: Media, index: int) -> MediaMap | None:
    given = media.map
    if given is None or isinstance(given, MediaMap):
        return given
    made = MediaMap(tuple(given), tuple(given.values()), media.timescale)
    whole = all(type(at) is int and 0 <= at < 2**64 for at in made.positions)
    known = all(t is None or (type(t) is int and 0 <= t < 2**32) for t in made.frames)
    if whole and known and 0 <= made.timescale < 2**32:
        return made if made.positions else None
    reason = "a map leads from positions of at least 0 to frames or None"
    place = media_table.medium_pointer(index, "map")
    raise refuse("manifest/value", pointer=place, reason=reason)


def records_in(records: Mapping[str, RawObjects]) -> list[MediumRecord]:
    """Return the media that the records of a journal have."""
    given = records.get(RECORD, {})
    try:
        table = MediaTable.from_objects(given)
        media = [] if table is None else list(table.records())
        again = MediaTable.of(media).objects()
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return []  # the journal of a stranger: what it makes of a manifest is refused
    alike = all(array.tobytes() == given[path].tobytes() for path, array in again.items() if media)
    return media if alike else []


def checked(media: Sequence[MediumRecord], frames: int | None) -> MediaTable:
    """Return the table of media that a manifest may have.

    Parameters
    ----------
    media : sequence of MediumRecord
        The media.
    frames : int or None
        Frames of the package; None where they are not all there yet.

    Raises
    ------
    FormatError
        If there are too many, two have one name, or a map is none.
    """
    reason = ""
    names = [medium.name for medium in media]
    if len(media) > MOST_MEDIA:
        reason = f"there are {len(media)} media; {MOST_MEDIA} are allowed"
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        reason = f"two media are named {twice!a}; give one of them another name"
    for medium in media:
        served = medium.map
        if served is None:
            continue
        if any(a >= b for a, b in zip(served.positions, served.positions[1:], strict=False)):
            reason = f"the positions of the map of {medium.name!a} do not ascend"
        beyond = [t for t in served.frames if frames is not None and t is not None and t >= frames]
        if beyond:
            reason = f"the map of {medium.name!a} names frame {beyond[0]}; there are {frames}"
    if reason:
        raise refuse("manifest/value", pointer=media_table.MEDIUM_NAME, reason=reason)
    return MediaTable.of(media)


@contextmanager
def opened(file: Any) -> Iterator[BinaryIO]:
    """Open what a medium is made from; a file that is gone is named, not the package."""
    if isinstance(file, bytes | bytearray | memoryview):
        yield io.BytesIO(file)
    elif isinstance(file, str | os.PathLike):
        path = Path(os.fsdecode(file))
        with host_errors(path):
            stream = path.open("rb")
        with stream:
            yield stream
    elif hasattr(file, "chunks"):
        with file.open() as stream:
            yield stream
    else:
        file.seek(0)
        yield file


class Copying:
    """The bytes of a medium, chunk by chunk as they are copied, and what is known of them then.

    Parameters
    ----------
    stream : binary file
        At its beginning.
    name : str
        For messages.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._before = _version(stream)
        self.length = 0
        self.digests: list[bytes] = []

    def chunks(self) -> Iterator[bytes]:
        """Yield the chunks.

        Raises
        ------
        FormatError
            If the file cannot be read, or changes meanwhile.
        """
        most = None if self._before is None else self._before[0]
        while data := self._chunk():
            self.length += len(data)
            if most is not None and self.length > most:
                break  # somebody writes to it, perhaps faster than it is read
            self.digests.append(hashlib.sha256(data).digest())
            yield data
        after = _version(self._stream)
        if after != self._before or (after is not None and after[0] != self.length):
            hint = "wait until what writes it has ended, then try again"
            reason = "the file changed while it was copied"
            raise refuse_with(hint, "host/failed", file=self._name, reason=reason)

    def _chunk(self) -> bytes:
        parts, size = [], CHUNK_BYTES
        with host_errors(Path(self._name)):
            while size and (part := self._stream.read(size)):
                parts.append(part)
                size -= len(part)
        return b"".join(parts)

    def described(self, record: MediumRecord) -> MediumRecord:
        """Return a record with the length and the digests of what was copied."""
        return replace(record, length=self.length, chunk_sha256=tuple(self.digests))


def _version(stream: BinaryIO) -> tuple[int, int] | None:
    """Return size and time of change of a file of the host; None of anything else."""
    try:
        facts = os.fstat(stream.fileno())
    except (OSError, AttributeError):
        return None
    return facts.st_size, facts.st_mtime_ns


def name_of(media: Media, record: MediumRecord) -> str:
    """Return what a medium is called in messages: its path, where it has one."""
    return os.fsdecode(media.file) if isinstance(media.file, str | os.PathLike) else record.name
