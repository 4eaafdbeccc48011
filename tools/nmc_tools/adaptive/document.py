"""The presentation document: qualities of one sequence, and where a client may change.

Its form is ``presentation.schema.json``; ``docs/presentation.md`` says what it means. It comes from
a stranger: what it names lies beside it or below, and its numbers fit each other.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

from nmc_format.issues import FormatError, refuse

MAX_BYTES = 2**24
"""Of a document: a day of groups of a second, of eight qualities, takes half of it."""

VERSION = 1

_URL = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=@%-]+(/[A-Za-z0-9._~!$&'()*+,;=@%-]+)*")


@dataclass(frozen=True)
class Representation:
    """One quality of the sequence.

    Attributes
    ----------
    id : str
        Its name in the document.
    url : str
        Where the package lies, relative to the document.
    digest : str
        Its manifest digest, in hexadecimal digits.
    stop : int or None
        Which state of each frame (clause 12.7); None: the package has no refinements.
    group_bytes : tuple of int
        Bytes of the segments of each group, as far as the stop takes them.
    bandwidth : int
        Bits a second that the largest group takes to come as fast as it is played.
    psnr : float or None
        Declared by the package, the mean of the frames, in dB.
    family : str
        Model family.
    level : int
        Level of the package (clause 10.2).
    """

    id: str
    url: str
    digest: str
    stop: int | None
    group_bytes: tuple[int, ...]
    bandwidth: int
    psnr: float | None
    family: str
    level: int


@dataclass(frozen=True)
class Presentation:
    """Qualities of one sequence.

    Attributes
    ----------
    frames : int
        Frames of the sequence.
    timescale : int
        Ticks of a second.
    duration : int
        Ticks from the first frame to the end of the last.
    starts : tuple of int
        First frame of each group: key frames of all representations.
    times : tuple of int
        When each group begins, in ticks after the first frame.
    representations : tuple of Representation
        From the smallest to the largest.
    """

    frames: int
    timescale: int
    duration: int
    starts: tuple[int, ...]
    times: tuple[int, ...]
    representations: tuple[Representation, ...]

    def group(self, index: int) -> range:
        """Return the frames of a group."""
        ends = (*self.starts[1:], self.frames)
        return range(self.starts[index], ends[index])

    def seconds(self, index: int) -> float:
        """Return how long a group is played."""
        ends = (*self.times[1:], self.duration)
        return (ends[index] - self.times[index]) / self.timescale

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "nmc_presentation": VERSION,
            "frames": self.frames,
            "timescale": self.timescale,
            "duration": self.duration,
            "groups": [
                {"start": start, "time": time}
                for start, time in zip(self.starts, self.times, strict=True)
            ],
            "representations": [
                {
                    "id": r.id,
                    "url": r.url,
                    "digest": r.digest,
                    "stop": r.stop,
                    "family": r.family,
                    "level": r.level,
                    "bandwidth": r.bandwidth,
                    "psnr": r.psnr,
                    "group_bytes": list(r.group_bytes),
                }
                for r in self.representations
            ],
        }


def parse_document(data: bytes, name: str) -> Presentation:
    """Return a presentation document as a structure.

    Parameters
    ----------
    data : bytes
        The document.
    name : str
        For messages.

    Raises
    ------
    FormatError
        If it is none, or points outside, or contradicts itself.
    """
    if len(data) > MAX_BYTES:
        raise _unsound(name, f"it has {len(data)} bytes, more than {MAX_BYTES}")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unsound(name, f"it is not JSON: {error}") from None
    _check_form(found, name)
    found = _whole(found)
    groups = found["groups"]
    made = Presentation(
        found["frames"],
        found["timescale"],
        found["duration"],
        tuple(group["start"] for group in groups),
        tuple(group["time"] for group in groups),
        tuple(
            Representation(
                r["id"],
                r["url"],
                r["digest"],
                r["stop"],
                tuple(r["group_bytes"]),
                r["bandwidth"],
                r["psnr"],
                r["family"],
                r["level"],
            )
            for r in sorted(found["representations"], key=lambda r: sum(r["group_bytes"]))
        ),
    )
    fault = _fault(made)
    if fault:
        raise _unsound(name, fault)
    return made


def _whole(value: Any) -> Any:
    """Return a document with its whole numbers as such; some write 4.0 for 4."""
    if isinstance(value, dict):
        return {name: inner if name == "psnr" else _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) else value


def points_inside(url: str) -> bool:
    """Whether a URL leads to what lies beside its document or below: no scheme, host or dots."""
    if len(url) > 1024 or not _URL.fullmatch(url):
        return False
    parts = unquote(url, errors="replace").split("/")
    return all(
        part
        and not part.startswith(".")
        and part.isprintable()
        and not set(part) & set('\\:?#"<>|')
        for part in parts
    )


def is_document(data: bytes) -> bool:
    """Whether bytes look like a presentation document, not like a package."""
    return data.lstrip()[:1] == b"{"


def _check_form(found: Any, name: str) -> None:
    import jsonschema

    import nmc_spec

    schema = nmc_spec.schema("presentation")
    checker = jsonschema.Draft202012Validator(schema)
    error = jsonschema.exceptions.best_match(checker.iter_errors(found))
    if error is not None:
        place = "/".join(map(str, error.absolute_path))
        words = error.message if len(error.message) < 200 else error.message[:200] + "…"
        raise _unsound(name, f"{place or 'document'}: {words}")


def _fault(made: Presentation) -> str:
    """Return what of a document contradicts itself."""
    if made.starts[0] or made.times[0]:
        return "the first group does not begin with frame 0 at time 0"
    if any(b <= a for a, b in pairwise((*made.starts, made.frames))):
        return "its groups are not in ascending order, or begin after the last frame"
    if any(b <= a for a, b in pairwise((*made.times, made.duration))):
        return "the times of its groups do not ascend to its duration"
    names = [r.id for r in made.representations]
    if len(set(names)) < len(names):
        return "two representations have one id"
    for r in made.representations:
        if not points_inside(r.url):
            return f"representation {r.id!r} points outside, to {r.url!r}"
        if len(r.group_bytes) != len(made.starts):
            return f"representation {r.id!r} has sizes of {len(r.group_bytes)} groups, not all"
    return ""


def _unsound(name: str, reason: str) -> FormatError:
    hint = "make it again with nmc present"
    words = f"not a presentation document: {reason}"
    return refuse("input/unreadable", file=name, reason=words, hint=hint)
