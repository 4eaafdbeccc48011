"""Where scenes begin, and which pictures of each are learned from.

Cuts are found by FFmpeg's own filter ``select`` with its measure ``scene`` (the smaller of how much
a picture differs from the one before, and how much that difference changed), which PyAV brings
along. A library for it alone, such as PySceneDetect, would bring OpenCV with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from av.error import BlockingIOError as NothingYet
from av.error import EOFError as Ended
from av.filter import Graph

from nmc_framework.capture import CaptureError

if TYPE_CHECKING:
    from nmc_framework.super_resolution.footage import Footage

#: From which measure of change, 0..1, on a scene is taken to begin. On films at hand cuts have 0.27
#: to 0.69, and nothing else more than 0.09.
CUT = 0.2


class CutDetector:
    """Says of frame after frame whether a scene begins with it; the first begins one."""

    def __init__(self, like: Any) -> None:
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=like.width, height=like.height, format=like.format, time_base=like.time_base
        )
        select = self._graph.add("select", f"gt(scene,{CUT})")
        sink = self._graph.add("buffersink")
        source.link_to(select)
        select.link_to(sink)
        self._graph.configure()
        self._count = 0

    def begins(self, frame: Any) -> bool:
        """Whether a scene begins with the next frame."""
        self._count += 1
        self._graph.push(frame)
        found = False
        while True:
            try:
                self._graph.pull()
            except (NothingYet, Ended):
                return found or self._count == 1
            found = True


@dataclass(frozen=True)
class Scene:
    """Pictures ``first`` to ``end`` - 1 of a video, which have a network of their own.

    ``cut`` says that the video cuts there; where it does not, a long scene goes on.
    """

    first: int
    end: int
    cut: bool

    def __len__(self) -> int:
        return self.end - self.first


def scenes_of(
    footage: Footage, *, seconds: float | None = None, by_cuts: bool = True
) -> list[Scene]:
    """Return the scenes of a video, in order.

    Parameters
    ----------
    footage
        That was looked through.
    seconds
        A longer scene is divided into clips of about so long, all of a scene alike; None divides
        none.
    by_cuts
        Whether scenes begin where the video cuts; else the whole video is one.
    """
    starts = [n for n, moment in enumerate(footage.moments) if not n or (by_cuts and moment.cut)]
    ends = [*starts[1:], len(footage)]
    found = []
    for first, end in zip(starts, ends, strict=True):
        borders = [first, *_divided(footage, first, end, seconds), end]
        found += [Scene(a, b, a == first) for a, b in pairwise(borders)]
    return found


def _divided(footage: Footage, first: int, end: int, seconds: float | None) -> list[int]:
    """Return where a scene is divided into clips."""
    ticks = [moment.ticks for moment in footage.moments[first:end]]
    lasted = (ticks[-1] - ticks[0]) / footage.timescale
    count = 1 if seconds is None else min(end - first, max(1, round(lasted / seconds)))
    wanted = [ticks[0] + (ticks[-1] - ticks[0]) * k / count for k in range(1, count)]
    return sorted({first + bisect_left(ticks, each) for each in wanted} - {first, end})


@dataclass(frozen=True)
class FrameChoice:
    """Which pictures of a scene are learned from: all, so many a second, or I-frames alone."""

    a_second: float | None = None
    intra: bool = False

    @classmethod
    def named(cls, text: str) -> FrameChoice:
        """Return the choice of ``all``, ``iframes``, or pictures a second such as ``2/s``.

        Raises
        ------
        CaptureError
            If it is none of them.
        """
        if text == "all":
            return cls()
        if text == "iframes":
            return cls(intra=True)
        number = text.removesuffix("/s")
        try:
            rate = float(number) if number != text else 0.0
        except ValueError:
            rate = 0.0
        if not 0 < rate < float("inf"):
            raise CaptureError(f"{text!r}: write all, iframes, or such as 2/s")
        return cls(a_second=rate)

    def of(self, footage: Footage, scene: Scene) -> list[int]:
        """Return the numbers of the pictures, ascending; none where a scene has no I-frame."""
        numbers: Sequence[int] = range(scene.first, scene.end)
        if self.intra:
            return [n for n in numbers if footage.moments[n].intra]
        if self.a_second is None:
            return list(numbers)
        found, due = [], 0.0
        start = footage.moments[scene.first].ticks
        for number in numbers:
            passed = (footage.moments[number].ticks - start) / footage.timescale
            if passed >= due - 1e-9:
                found.append(number)
                due = (int(passed * self.a_second + 1e-9) + 1) / self.a_second
        return found


def learned_scenes(
    footage: Footage, scenes: Sequence[Scene], choice: FrameChoice
) -> list[tuple[Scene, list[int]]]:
    """Return scenes with the numbers of the pictures that their networks learn from.

    A scene without any goes with the one before it, or at the beginning with the one after.

    Raises
    ------
    CaptureError
        If no scene has any: a video without I-frames.
    """
    found: list[tuple[Scene, list[int]]] = []
    waiting: Scene | None = None
    for scene in scenes:
        chosen = choice.of(footage, scene)
        if chosen:
            first = scene if waiting is None else Scene(waiting.first, scene.end, waiting.cut)
            found.append((first, chosen))
            waiting = None
        elif found:
            before, its = found[-1]
            found[-1] = (Scene(before.first, scene.end, before.cut), its)
        else:
            waiting = scene if waiting is None else Scene(waiting.first, scene.end, waiting.cut)
    if not found:
        raise CaptureError(
            f"{footage.path.name} has no I-frame that can be decoded; choose pictures by "
            "--frames 2/s or all"
        )
    return found
