"""Plays a presentation without a screen: fetches group by group, and tells how it went.

Nothing here knows of sockets or decoders: a line fetches bytes and has a clock, so that recorded
throughput can be played in no time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from nmc_format.issues import FormatError
from nmc_tools.adaptive.choice import Moment, Throughput, worth_leaving

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nmc_tools.adaptive.choice import Choice
    from nmc_tools.adaptive.document import Presentation

PIECE_SECONDS = 0.5
"""A download can be left after pieces that take about as long."""
LEAST_PIECE = 2**16
AT_ONCE = 2**18
"""Bytes of a group that is fetched as a whole, if the buffer holds so many groups:"""
_ROOMY = 4


class Line(Protocol):
    """Where segments come from, and the clock of it."""

    def now(self) -> float:
        """Return seconds."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""

    def ready(self, quality: int) -> bool:
        """Whether a quality can be fetched at once; where not, it is made ready beside playing."""

    def length(self, quality: int, frame: int) -> int:
        """Return how many bytes of a segment a quality takes."""

    def expect(self, quality: int, frames: range) -> None:
        """Hear that these segments are fetched next, whole: one request may bring them all."""

    def fetch(self, quality: int, frame: int, start: int, size: int) -> bytes:
        """Return some bytes of a segment."""


@dataclass(frozen=True)
class Played:
    """One group: which quality, its bytes, and the seconds that they took to come."""

    group: int
    quality: int
    size: int
    seconds: float


@dataclass
class Report:
    """How playing went.

    Attributes
    ----------
    startup : float
        Seconds until the first group could be played.
    stalls : list of (int, float)
        Groups that came late, and by how many seconds.
    played : list of Played
        The groups.
    size, left_size : int
        Bytes in all, and those of downloads that were left.
    requests : int
        How often bytes were asked for.
    refused : list of (int, int, str)
        Groups and qualities that could not be used, and why.
    skipped : list of int
        Groups that could not be played in any quality.
    """

    startup: float = 0.0
    stalls: list[tuple[int, float]] = field(default_factory=list)
    played: list[Played] = field(default_factory=list)
    size: int = 0
    left_size: int = 0
    requests: int = 0
    refused: list[tuple[int, int, str]] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)

    @property
    def switches(self) -> int:
        """How often the quality changed."""
        qualities = [played.quality for played in self.played]
        return sum(a != b for a, b in pairwise(qualities))

    def to_json(self, presentation: Presentation) -> dict[str, Any]:
        """Return all of it as JSON."""
        names = [r.id for r in presentation.representations]
        media = sum(presentation.seconds(p.group) for p in self.played)
        return {
            "frames": presentation.frames,
            "seconds": round(presentation.duration / presentation.timescale, 6),
            "startup_seconds": round(self.startup, 4),
            "stalls": [{"group": g, "seconds": round(s, 4)} for g, s in self.stalls],
            "stall_seconds": round(sum(s for _, s in self.stalls), 4),
            "longest_stall_seconds": round(max((s for _, s in self.stalls), default=0.0), 4),
            "switches": self.switches,
            "bytes": self.size,
            "left_bytes": self.left_size,
            "requests": self.requests,
            "mean_quality": round(
                sum(p.quality for p in self.played) / max(1, len(self.played)), 4
            ),
            "mean_bandwidth": round(8 * sum(p.size for p in self.played) / media) if media else 0,
            "refused": [
                {"group": g, "representation": names[q], "reason": why}
                for g, q, why in self.refused
            ],
            "skipped": self.skipped,
            "groups": [
                {
                    "group": p.group,
                    "representation": names[p.quality],
                    "bytes": p.size,
                    "seconds": round(p.seconds, 4),
                }
                for p in self.played
            ],
        }


class _Left(Exception):  # noqa: N818 - another download is better
    """A download that is not worth its time."""


@dataclass
class Session:
    """One playing of a presentation, from its first group to its last.

    Attributes
    ----------
    presentation : Presentation
        What is played.
    line : Line
        Where segments come from.
    choice : Choice
        Which quality comes next.
    decode : callable
        Told each group that came: its quality, its frames and their segments. It raises
        FormatError where one is not what the package says.
    most : float
        Seconds that are buffered at most.
    """

    presentation: Presentation
    line: Line
    choice: Choice
    decode: Callable[[int, range, Sequence[bytes]], None]
    most: float = 30.0

    def run(self, told: Callable[[int, int], None] = lambda _done, _total: None) -> Report:
        """Play, and return how it went.

        Parameters
        ----------
        told : callable
            Told the groups that came, and how many there are.
        """
        self._report, self._throughput = Report(), Throughput()
        self._began = self.line.now()
        self._end: float | None = None  # when all that came has been played
        count = len(self.presentation.starts)
        for group in range(count):
            self._make_room(group)
            self._group(group)
            told(group + 1, count)
        return self._report

    def _buffer(self) -> float:
        return 0.0 if self._end is None else max(0.0, self._end - self.line.now())

    def _make_room(self, group: int) -> None:
        over = self._buffer() + self.presentation.seconds(group) - self.most
        if over > 0 and self._buffer() > 0:
            self.line.wait(min(over, self._buffer()))

    def _group(self, group: int) -> None:
        sizes = [r.group_bytes[group] for r in self.presentation.representations]
        seconds = self.presentation.seconds(group)
        moment = Moment(sizes, seconds, self._buffer(), self._throughput.estimate())
        quality = self.choice.next(moment)
        while self.choice.leaves and quality and not self.line.ready(quality):
            quality -= 1  # to open a package takes time that is not in its bytes
        others = [quality, *(q for q in range(len(sizes)) if q != quality)]
        began = self.line.now()
        while others:
            quality = others.pop(0)
            try:
                size = self._fetched(group, quality, others)
            except _Left:
                others = [0, *(q for q in others if q)]
            except FormatError as error:
                self._report.refused.append((group, quality, str(error.finding)))
            else:
                self._came(group, Played(group, quality, size, self.line.now() - began), seconds)
                return
        self._report.skipped.append(group)

    def _fetched(self, group: int, quality: int, others: Sequence[int]) -> int:
        """Fetch and decode a group in one quality; return its bytes."""
        frames = self.presentation.group(group)
        smallest = self.presentation.representations[0].group_bytes[group]
        lengths = [self.line.length(quality, t) for t in frames]
        left, came, passed = sum(lengths), 0, 0.0
        segments = []
        roomy = self._buffer() >= _ROOMY * self.presentation.seconds(group)
        if not quality or (left <= AT_ONCE and roomy):  # it goes on where it is left
            self.line.expect(quality, frames)
        for t, length in zip(frames, lengths, strict=True):
            pieces: list[bytes] = []
            at = 0
            while at < length:
                size = min(length - at, self._piece(length))
                began = self.line.now()
                pieces.append(self.line.fetch(quality, t, at, size))
                took = self.line.now() - began
                self._report.requests += 1
                self._report.size += size
                self._throughput.add(size, took)
                at, left, came, passed = at + size, left - size, came + size, passed + took
                rate = came / max(passed, 1e-4)
                adapts = quality and 0 in others and self._end is not None
                if (
                    adapts
                    and self.choice.leaves
                    and worth_leaving(left, smallest, rate, self._buffer())
                ):
                    self._report.left_size += came
                    raise _Left
            segments.append(b"".join(pieces))
        self.decode(quality, frames, segments)
        return came

    def _piece(self, length: int) -> int:
        """Return how much is asked for at a time: all, or what takes half a second."""
        if not self.choice.leaves:
            return length
        rate = self._throughput.estimate()
        return max(LEAST_PIECE, int(rate * PIECE_SECONDS)) if rate else LEAST_PIECE

    def _came(self, group: int, played: Played, seconds: float) -> None:
        now = self.line.now()
        if self._end is None:
            self._report.startup = now - self._began
            self._end = now
        elif now > self._end:
            self._report.stalls.append((group, now - self._end))
            self._end = now
        self._end += seconds
        self._report.played.append(played)
