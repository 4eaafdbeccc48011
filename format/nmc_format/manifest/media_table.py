"""The media of a package (clause 16): their columns, their objects in the manifest, their maps.

M is the number of media, L of their chunks, R of the positions of their maps.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from nmc_format.manifest.objects import text_array, texts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nmc_format.manifest.objects import RawObjects

MEDIA: Final = "/media"
MEDIUM_NAME: Final = "/media/file"
MEDIUM_TYPE: Final = "/media/type"
ROLE: Final = "/media/role"
LENGTH: Final = "/media/length"
CHUNK_SHA256: Final = "/media/chunk_sha256"
MAP_TIMESCALE: Final = "/media/map_timescale"
MAP_COUNT: Final = "/media/map_count"
MAP_POSITION: Final = "/media/map_position"
MAP_FRAME: Final = "/media/map_frame"

OBJECTS: Final = frozenset(
    {
        MEDIUM_NAME,
        MEDIUM_TYPE,
        ROLE,
        LENGTH,
        CHUNK_SHA256,
        MAP_TIMESCALE,
        MAP_COUNT,
        MAP_POSITION,
        MAP_FRAME,
    }
)
"""All of them are there, or none (clause 5.3.3)."""

CHUNK_BYTES: Final = 1 << 18
"""Bytes of a media chunk (clause 16.1.3)."""

NO_FRAME: Final = -1
"""In a map: no frame serves (clause 16.2)."""


def chunks_of(length: int) -> int:
    """Return how many chunks a medium of so many bytes has (clause 16.1.3)."""
    return (length + CHUNK_BYTES - 1) // CHUNK_BYTES


def medium_pointer(index: int, column: str = "") -> str:
    """Return the pointer to what the JSON view has of one medium."""
    return f"{MEDIA}/{index}/{column.rpartition('/')[2]}" if column else f"{MEDIA}/{index}"


@dataclass(frozen=True)
class MediaMap:
    """Which frame serves which pictures of a medium (clause 16.2).

    Attributes
    ----------
    positions : tuple of int
        Ascending: indices of pictures, or times after the first picture.
    frames : tuple of int or None
        The frame that serves from each position on; None where none does.
    timescale : int
        Ticks of a position in a second; 0 where positions are indices of pictures.
    """

    positions: tuple[int, ...]
    frames: tuple[int | None, ...]
    timescale: int = 0

    def frame_at(self, position: int) -> int | None:
        """Return the frame that serves a position, an index of a picture or a time in ticks."""
        at = bisect_right(self.positions, position) - 1
        return self.frames[at] if at >= 0 else None


@dataclass(frozen=True)
class MediumRecord:
    """One medium as the manifest describes it (clauses 16.1.2, 16.1.3 and 16.2).

    Attributes
    ----------
    index : int
        Its place among the media.
    name : str
        Name of the file, without folders.
    type : str
        Media type, such as ``"video/mp4"``.
    role : str
        What it is there for; empty where nothing is said.
    length : int
        Bytes.
    chunk_sha256 : tuple of bytes
        SHA-256 of each chunk of 262,144 bytes, the last of which may be shorter.
    map : MediaMap or None
        Which frames serve its pictures; None where nothing is said.
    """

    index: int
    name: str
    type: str
    role: str
    length: int
    chunk_sha256: tuple[bytes, ...]
    map: MediaMap | None = None


@dataclass(frozen=True, eq=False)
class MediaTable:
    """The media of a package, as columns.

    Attributes
    ----------
    name, type, role : numpy.ndarray of bytes, shape (M,)
        UTF-8.
    length : numpy.ndarray of uint64, shape (M,)
        Bytes of each.
    chunk_sha256 : numpy.ndarray of uint8, shape (L, 32)
        SHA-256 of the chunks of all.
    map_timescale, map_count : numpy.ndarray of uint32, shape (M,)
        Ticks of a position in a second, or 0; positions of the map of each.
    map_position : numpy.ndarray of uint64, shape (R,)
        Of all maps.
    map_frame : numpy.ndarray of int64, shape (R,)
        Frames of all maps, -1 for none.
    """

    name: NDArray[np.bytes_]
    type: NDArray[np.bytes_]
    role: NDArray[np.bytes_]
    length: NDArray[np.uint64]
    chunk_sha256: NDArray[np.uint8]
    map_timescale: NDArray[np.uint32]
    map_count: NDArray[np.uint32]
    map_position: NDArray[np.uint64]
    map_frame: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.length)

    @classmethod
    def of(cls, media: Sequence[MediumRecord]) -> MediaTable:
        """Return the columns of media, in their order."""
        maps = [medium.map for medium in media]
        digests = b"".join(digest for medium in media for digest in medium.chunk_sha256)
        positions = [at for made in maps if made for at in made.positions]
        frames = [t for made in maps if made for t in made.frames]
        return cls(
            name=text_array(medium.name for medium in media),
            type=text_array(medium.type for medium in media),
            role=text_array(medium.role for medium in media),
            length=np.array([medium.length for medium in media], "<u8"),
            chunk_sha256=np.frombuffer(digests, "u1").reshape(-1, 32),
            map_timescale=np.array([made.timescale if made else 0 for made in maps], "<u4"),
            map_count=np.array([len(made.positions) if made else 0 for made in maps], "<u4"),
            map_position=np.array(positions, "<u8"),
            map_frame=np.array([NO_FRAME if t is None else t for t in frames], "<i8"),
        )

    @classmethod
    def from_objects(cls, objects: RawObjects) -> MediaTable | None:
        """Return the columns of a manifest whose types are right; None where there are none."""
        if MEDIUM_NAME not in objects:
            return None
        return cls(
            name=objects[MEDIUM_NAME],
            type=objects[MEDIUM_TYPE],
            role=objects[ROLE],
            length=objects[LENGTH],
            chunk_sha256=objects[CHUNK_SHA256],
            map_timescale=objects[MAP_TIMESCALE],
            map_count=objects[MAP_COUNT],
            map_position=objects[MAP_POSITION],
            map_frame=objects[MAP_FRAME],
        )

    def objects(self) -> RawObjects:
        """Return the objects of the manifest."""
        return {
            MEDIUM_NAME: self.name,
            MEDIUM_TYPE: self.type,
            ROLE: self.role,
            LENGTH: self.length,
            CHUNK_SHA256: self.chunk_sha256,
            MAP_TIMESCALE: self.map_timescale,
            MAP_COUNT: self.map_count,
            MAP_POSITION: self.map_position,
            MAP_FRAME: self.map_frame,
        }

    def records(self) -> tuple[MediumRecord, ...]:
        """Return the media one by one, of a manifest that was checked."""
        names, types, roles = map(texts_of, (self.name, self.type, self.role))
        made, chunk, run = [], 0, 0
        for i, length in enumerate(self.length.tolist()):
            next_chunk, next_run = chunk + chunks_of(length), run + int(self.map_count[i])
            digests = tuple(row.tobytes() for row in self.chunk_sha256[chunk:next_chunk])
            served = self._map(i, slice(run, next_run)) if next_run > run else None
            made.append(MediumRecord(i, names[i], types[i], roles[i], length, digests, served))
            chunk, run = next_chunk, next_run
        return tuple(made)

    def _map(self, index: int, runs: slice) -> MediaMap:
        frames = tuple(None if t == NO_FRAME else t for t in self.map_frame[runs].tolist())
        positions = tuple(self.map_position[runs].tolist())
        return MediaMap(positions, frames, int(self.map_timescale[index]))


def with_frames(media: Sequence[MediumRecord], frames: dict[int, int]) -> list[MediumRecord]:
    """Return media whose maps name frames by other indices.

    Parameters
    ----------
    media : sequence of MediumRecord
        The media.
    frames : dict of int to int
        The new index of each frame that is kept; the others serve no picture any more.
    """

    def renamed(old: MediaMap) -> MediaMap:
        return replace(old, frames=tuple(None if t is None else frames.get(t) for t in old.frames))

    return [replace(medium, map=medium.map and renamed(medium.map)) for medium in media]
