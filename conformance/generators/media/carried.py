"""Media as columns and members (clause 16), with arithmetic of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from chain import MANIFEST, NO_EDITS, Edits, Objects
from columns import scalar_text, text
from model.model_cases import random_bytes

CHUNK = 262_144
VERSION = "/@format_version"


@dataclass(frozen=True)
class Carried:
    """One medium: what the manifest says of it, and its bytes."""

    name: str | bytes
    data: bytes
    type: str = "video/mp4"
    role: str = ""
    timescale: int = 0
    positions: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()


LOW = Carried(
    "clip.mp4",
    random_bytes(100, 71),
    role="low-resolution",
    positions=(0, 24, 31),
    frames=(0, -1, 0),
)
SOUND = Carried(
    "소리.opus", random_bytes(60, 72), "audio/ogg", "sound", 48_000, (0, 96_000), (1, 0)
)
EMPTY = Carried("notes.txt", b"", "text/plain")
LONG = Carried("long.mkv", bytes(CHUNK) + random_bytes(5, 73), "video/matroska", "source")
EXACT = Carried("exact.bin", bytes(range(256)) * 1024, "application/octet-stream", "preview")


def chunks(data: bytes) -> list[bytes]:
    """Return the media chunks of a medium (clause 16.1.3)."""
    return [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]


def columns(media: tuple[Carried, ...]) -> Objects:
    """Return the objects of /media."""
    digests = b"".join(hashlib.sha256(c).digest() for m in media for c in chunks(m.data))
    return {
        "/media/file": text(*(m.name for m in media)),
        "/media/type": text(*(m.type for m in media)),
        "/media/role": text(*(m.role for m in media)),
        "/media/length": np.array([len(m.data) for m in media], "<u8"),
        "/media/chunk_sha256": np.frombuffer(digests, "u1").reshape(-1, 32),
        "/media/map_timescale": np.array([m.timescale for m in media], "<u4"),
        "/media/map_count": np.array([len(m.positions) for m in media], "<u4"),
        "/media/map_position": np.array([at for m in media for at in m.positions], "<u8"),
        "/media/map_frame": np.array([t for m in media for t in m.frames], "<i8"),
    }


def member(index: int) -> str:
    """Return the name of a medium's member."""
    return f"media/{index:08d}"


def with_members(members: dict[str, bytes], data: list[bytes]) -> dict[str, bytes]:
    """Return members with media behind the manifest."""
    first = {MANIFEST: members[MANIFEST], **{member(i): d for i, d in enumerate(data)}}
    return first | {name: d for name, d in members.items() if name != MANIFEST}


@dataclass(frozen=True)
class Way:
    """How media are put into a package, where that is not as it should be."""

    said: Callable[[Objects], Objects] = field(default=lambda made: made)
    members: Callable[[dict[str, bytes]], dict[str, bytes]] = field(default=lambda made: made)


def edits_of(media: tuple[Carried, ...], way: Way | None = None) -> Edits:
    """Return the edits that put media into a package."""
    chosen = way or Way()
    data = [m.data for m in media]
    return replace(
        NO_EDITS,
        objects=lambda made: {**made, VERSION: scalar_text("1.1"), **chosen.said(columns(media))},
        members=lambda made: chosen.members(with_members(made, data)),
    )
