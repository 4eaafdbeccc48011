"""When each picture was taken, where a data set says so: one camera that moves while things do.

D-NeRF's synthetic scenes (Pumarola et al. 2021) have a ``time`` beside each pose of their
``transforms_*.json``: every picture is of an instant of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from nmc_framework.capture.tested import file_beside, name_apart, stem


def picture_times(path: Path) -> Mapping[str, float]:
    """Return the time of each picture by its name, without folder and suffix.

    Parameters
    ----------
    path
        A camera file that was read before. Of one that is no ``transforms.json``, or that does not
        say the time of every picture, or the same of all, nothing is known.
    """
    beside = file_beside(path)
    trained = _times(path)
    found = {stem(name): time for name, time in trained.items()}
    if beside is not None:
        tested = _times(beside).items()
        found |= {stem(name_apart(name, found)): time for name, time in tested}
    return found if len(set(found.values())) > 1 else {}


def _times(path: Path) -> dict[str, float]:
    """Return the times of one file's pictures, by the names that it has for them."""
    if path.suffix.lower() != ".json":
        return {}
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list):
        return {}
    found: dict[str, float] = {}
    for frame in frames:
        time = frame.get("time") if isinstance(frame, dict) else None
        if not isinstance(time, int | float) or not math.isfinite(time):
            return {}
        found[str(frame.get("file_path", ""))] = float(time)
    return found


def instants_of(times: Mapping[str, float]) -> tuple[Mapping[str, float], int]:
    """Return times as instants of a group, counted from 0, and how many these are.

    There are as many as different times; what lies between them evenly has whole numbers.
    """
    first, last, count = min(times.values()), max(times.values()), len(set(times.values()))
    scale = (count - 1) / (last - first) if last > first else 0.0
    return {name: (time - first) * scale for name, time in times.items()}, count
