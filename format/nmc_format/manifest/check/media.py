"""Checks of what a manifest says of its media (clauses 16.1.2, 16.1.3 and 16.2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nmc_format.issues import Finding, finding
from nmc_format.manifest import media_table
from nmc_format.manifest.media_table import NO_FRAME, chunks_of, medium_pointer
from nmc_format.manifest.objects import texts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nmc_format.manifest.media_table import MediaTable
    from nmc_format.manifest.record import Manifest

MOST_MEDIA: Final = 1024
MAX_NAME_BYTES: Final = 255

_HALF: Final = r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"
_TYPE: Final = re.compile(f"{_HALF}/{_HALF}")
_ROLE: Final = re.compile(r"[a-z0-9-]{0,64}")


def media_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield what is wrong with the media table and the maps."""
    media = manifest.media
    if media is None:
        return
    if len(media) > MOST_MEDIA:
        reason = f"there are {len(media)} media; {MOST_MEDIA} are allowed"
        yield finding("manifest/value", pointer=media_table.MEDIUM_NAME, reason=reason)
        return
    for column, path, fault in (
        (media.name, media_table.MEDIUM_NAME, medium_name_fault),
        (media.type, media_table.MEDIUM_TYPE, type_fault),
        (media.role, media_table.ROLE, role_fault),
    ):
        yield from _text_findings(column, path, fault)
    yield from _twice(texts_of(media.name))
    chunks = sum(chunks_of(length) for length in media.length.tolist())
    if chunks != len(media.chunk_sha256):
        reason = f"there are {len(media.chunk_sha256)} digests of chunks; the media have {chunks}"
        yield finding("manifest/value", pointer=media_table.CHUNK_SHA256, reason=reason)
    yield from _map_findings(media, len(manifest))


def medium_name_fault(name: str) -> str:
    """Say why a text is not a name of a medium (clause 16.1.2); empty where it is one."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if not 0 < size <= MAX_NAME_BYTES:
        return f"the name of a medium has {size} bytes; 1 to {MAX_NAME_BYTES} are allowed"
    if "/" in name or "\\" in name or name in {".", ".."}:
        return f"the name of a medium, {name!a}, is not a name of a file alone"
    if any(c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in name):
        return f"the name of a medium, {name!a}, is not text without control characters"
    return ""


def type_fault(text: str) -> str:
    """Say why a text is not a media type; empty where it is one."""
    if _TYPE.fullmatch(text):
        return ""
    return f"{text!a} is not a media type in lower case without parameters, such as video/mp4"


def role_fault(text: str) -> str:
    """Say why a text is not a role; empty where it is one."""
    return "" if _ROLE.fullmatch(text) else f"the role {text!a} is not at most 64 of a-z, 0-9 and -"


def _text_findings(
    column: np.ndarray[Any, Any], path: str, fault: Callable[[str], str]
) -> Iterator[Finding]:
    for i, text in enumerate(texts_of(column)):
        reason = fault(text)
        if reason:
            yield finding("manifest/value", pointer=medium_pointer(i, path), reason=reason)
            return


def _twice(names: list[str]) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        first = seen.setdefault(name, i)
        if first != i:
            reason = f"media {first} and {i} are both named {name!a}"
            place = medium_pointer(i, media_table.MEDIUM_NAME)
            yield finding("manifest/value", pointer=place, reason=reason)
            return


def _map_findings(media: MediaTable, frames: int) -> Iterator[Finding]:
    count = int(media.map_count.sum(dtype=np.uint64))
    if count != len(media.map_position):
        reason = f"there are {len(media.map_position)} positions; the maps have {count}"
        yield finding("manifest/value", pointer=media_table.MAP_POSITION, reason=reason)
        return
    later = media.map_position[1:] > media.map_position[:-1]
    ends = np.cumsum(media.map_count, dtype=np.int64)
    later[[end - 1 for end in ends.tolist() if 0 < end < count]] = True  # where the next map begins
    if not later.all():
        at = int(np.argmin(later)) + 1
        reason = f"position {int(media.map_position[at])} is not behind the one before it"
        yield finding("manifest/value", pointer=f"{media_table.MAP_POSITION}/{at}", reason=reason)
    wrong = (media.map_frame < NO_FRAME) | (media.map_frame >= frames)
    if wrong.any():
        at = int(np.argmax(wrong))
        reason = f"frame {int(media.map_frame[at])} of a map; there are 0 to {frames - 1}, and -1"
        yield finding("manifest/value", pointer=f"{media_table.MAP_FRAME}/{at}", reason=reason)
