"""Names of the files that ``nmc unpack`` writes: by frame, or by the file a frame came from."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Literal, TypeAlias

from nmc_tools.checkpoints.reading import READABLE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable

Names: TypeAlias = Literal["frame", "source"]

_LONGEST = 200
"""Bytes of a name without its ending: file systems take 255 in all."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_ENDINGS = re.compile(
    rf"({'|'.join(map(re.escape, {*READABLE_SUFFIXES, '.ptw', '.pkl'} - {'.index'}))})$",
    re.IGNORECASE,
)


def file_names(sources: Iterable[tuple[int, str]], names: Names, suffix: str) -> dict[int, str]:
    """Return the name of the file of each frame; no two are the same, on any file system.

    Parameters
    ----------
    sources : iterable of (int, str)
        Frames, and the names of the files they came from, or the empty text. These are a
        stranger's words: what leads out of a folder, or is not a name everywhere, is replaced.
    names : {"frame", "source"}
        ``frame_00000003``, or the name of the source where it is known.
    suffix : str
        Ending of the file's format.
    """
    made: dict[int, str] = {}
    taken: set[str] = set()
    for frame, source in sources:
        plain = f"frame_{frame:08d}"
        stem = (_stem(source) if names == "source" else "") or plain
        name = stem
        if _folded(name) in taken:
            name = f"{stem}_{plain}"
        count = 1
        while _folded(name) in taken:
            count += 1
            name = f"{stem}_{plain}_{count}"
        taken.add(_folded(name))
        made[frame] = name + suffix
    return made


def _folded(name: str) -> str:
    """Return what a file system that tells neither case nor composition apart sees."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", name).casefold())


def _stem(source: str) -> str:
    """Return the name of a source without its ending, safe on every file system; or nothing."""
    name = source.replace("\\", "/").rpartition("/")[2]
    while ending := _ENDINGS.search(name):
        name = name[: ending.start()]
    name = "".join(
        c if c.isprintable() and c not in '<>:"|?*' and not 0xD800 <= ord(c) < 0xE000 else "_"
        for c in name
    )
    name = name.strip(" ").rstrip(".").lstrip("-")
    name = "_" + name if name.startswith(".") else name
    name = name.encode("utf-8")[:_LONGEST].decode("utf-8", "ignore").rstrip(" .")
    if not name.strip("_ .") or _RESERVED.fullmatch(name):
        return f"_{name}" if name.strip("_ .") else ""
    return name
