"""Selections of frames as people write them: ``0,3-5,-1``, ``8-``."""

from __future__ import annotations

import re

_PART = re.compile(r"(?P<first>-?\d+)(?:(?P<dash>-)(?P<last>\d+)?)?")


def parse_frames(text: str, count: int) -> list[int]:
    """Return the frames that a selection names, ascending, each once.

    Parameters
    ----------
    text : str
        Comma-separated frames and ranges, both ends included: ``0,3-5``; ``8-`` goes to the end;
        ``-1`` is the last frame.
    count : int
        Frames of the sequence.

    Raises
    ------
    ValueError
        If the text is malformed, or names a frame that is not there.
    """
    chosen: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part.strip()!r} is not a frame or range; write such as 0,3-5,8-,-1")
        first = int(match["first"])
        first += count if first < 0 else 0
        last = first
        if match["dash"]:
            last = int(match["last"]) if match["last"] else count - 1
        if not 0 <= first <= last < count:
            raise ValueError(f"{part.strip()!r}: the frames are 0 to {count - 1}")
        chosen.update(range(first, last + 1))
    return sorted(chosen)
