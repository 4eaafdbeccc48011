"""Which quality comes next: throughput and buffer together, as dash.js chooses (DYNAMIC).

Sources: K. Spiteri, R. Urgaonkar, R. K. Sitaraman, "BOLA: Near-Optimal Bitrate Adaptation for
Online Videos", INFOCOM 2016, equations 4 and 9 (BOLA); K. Spiteri, R. Sitaraman, D. Sparacio, "From
Theory to Practice: Improving Bitrate Adaptation in the DASH Reference Player", ACM TOMM 15 (2019),
clauses 5 (which rule when) and 6 (leaving a download). The estimate of throughput is that of
hls.js: the lesser of two means, a slow and a fast one, whose weights halve with time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

SAFETY = 0.9
"""Of the estimated throughput, as in dash.js."""
RESERVE = 0.8
"""Of the target: with less in the buffer, a share of the throughput fills it, unlike in dash.js. A
tunnel comes before its time: who goes up with an empty buffer stalls where the lowest does not."""


@dataclass
class Throughput:
    """An estimate of bytes a second.

    Attributes
    ----------
    halves : tuple of float
        Seconds of download after which a sample counts half.
    """

    halves: tuple[float, float] = (2.0, 5.0)
    _sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _weights: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def add(self, size: int, seconds: float) -> None:
        """Learn from a download of ``size`` bytes."""
        seconds = max(seconds, 1e-4)
        for i, half in enumerate(self.halves):
            kept = 0.5 ** (seconds / half)
            self._sums[i] = kept * self._sums[i] + (1 - kept) * size / seconds
            self._weights[i] = kept * self._weights[i] + (1 - kept)

    def estimate(self) -> float:
        """Return bytes a second; 0 where nothing is known."""
        return min((s / w if w else 0.0) for s, w in zip(self._sums, self._weights, strict=True))


@dataclass(frozen=True)
class Moment:
    """What is known when a group is to be fetched.

    Attributes
    ----------
    sizes : sequence of int
        Bytes of the group in each quality, the smallest first.
    seconds : float
        How long it is played.
    buffer : float
        Seconds of what can be played already.
    throughput : float
        Estimate, bytes a second; 0 where nothing is known.
    """

    sizes: Sequence[int]
    seconds: float
    buffer: float
    throughput: float


class Choice(Protocol):
    """Chooses a quality."""

    @property
    def leaves(self) -> bool:
        """Whether a download that takes too long is left for the smallest quality."""

    def next(self, moment: Moment) -> int:
        """Return the number of the quality, 0 for the smallest."""


@dataclass(frozen=True)
class Always:
    """Always the same quality, counted from the smallest; -1 is the largest."""

    quality: int
    leaves: bool = False

    def next(self, moment: Moment) -> int:
        """Return the number of the quality."""
        return range(len(moment.sizes))[self.quality]


@dataclass
class Dynamic:
    """The throughput decides while the buffer is short, BOLA when it is long.

    Attributes
    ----------
    target : float
        Seconds of buffer at which BOLA takes the best quality.
    """

    target: float = 12.0
    leaves: bool = True
    _by_buffer: bool = False
    _last: int = 0

    def next(self, moment: Moment) -> int:
        """Return the number of the quality."""
        by_throughput = self._by_throughput(moment)
        by_buffer = self._bola(moment)
        if by_buffer > self._last and moment.buffer < 2 * self.target:
            # BOLA-O: no higher than the line bears, so that it does not go to and fro
            by_buffer = max(self._last, min(by_buffer, by_throughput))
        enough = moment.buffer >= self.target / 2
        if enough and by_buffer >= by_throughput:
            self._by_buffer = True
        elif not enough and by_buffer < by_throughput:
            self._by_buffer = False
        chosen = by_buffer if self._by_buffer else by_throughput
        while chosen and not _in_time(moment, chosen):
            chosen -= 1
        self._last = chosen
        return chosen

    def _by_throughput(self, moment: Moment) -> int:
        filled = min(1.0, moment.buffer / (RESERVE * self.target))
        affordable = SAFETY * filled * moment.throughput * moment.seconds
        return max((i for i, size in enumerate(moment.sizes) if size <= affordable), default=0)

    def _bola(self, moment: Moment) -> int:
        """Return the quality of the highest score (INFOCOM 2016, equation 9).

        The utility of a quality is 1 + ln(size / smallest size). V and gamma p are set as dash.js
        sets them: from a least buffer of 10 s and a target 2 s longer for each quality, here as a
        share of the target.
        """
        utilities = [1 + math.log(size / moment.sizes[0]) for size in moment.sizes]
        if utilities[-1] <= 1:
            return len(utilities) - 1
        ratio = 1 + 2 * len(utilities) / 10
        gain = (utilities[-1] - 1) / (ratio - 1)  # gamma p
        weight = self.target / ratio / gain  # V, in seconds
        scores = [
            (weight * (utility + gain) - moment.buffer) / size
            for utility, size in zip(utilities, moment.sizes, strict=True)
        ]
        return max(range(len(scores)), key=lambda i: (scores[i], i))


def _in_time(moment: Moment, quality: int) -> bool:
    """Whether a group would come before what is buffered has been played."""
    if not moment.throughput:
        return False
    return moment.sizes[quality] <= SAFETY * moment.throughput * max(moment.buffer, 0.0)


def worth_leaving(left: int, smallest: int, rate: float, buffer: float) -> bool:
    """Whether a download should be left for the smallest quality (TOMM 2019, clause 6).

    Parameters
    ----------
    left : int
        Bytes that it still takes.
    smallest : int
        Bytes of the group in the smallest quality.
    rate : float
        Bytes a second of this download so far.
    buffer : float
        Seconds of what can be played already.
    """
    return left > rate * buffer and smallest < left
