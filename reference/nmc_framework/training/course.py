"""How far a whole chain is, in iterations, where frames may be limited by time (clause 5.2)."""

from __future__ import annotations

from collections.abc import Collection

from nmc_framework.training.finished import Progress, TrainedFrame
from nmc_framework.training.schedule import Schedule


class Course:
    """Iterations that are done and those that there will be, over all frames of a chain.

    Of a frame that is limited by time nobody knows beforehand how many it will make. The frame in
    hand tells of itself, and later ones are taken to go at its pace.

    Parameters
    ----------
    schedule
        Of each frame.
    frames
        How many the chain has.
    anew
        Frames that learn as frame 0 does: of groups that are trained by themselves, the first.
    """

    def __init__(self, schedule: Schedule, frames: int, anew: Collection[int] = (0,)) -> None:
        first, self._counts, self._seconds = 0, list[int](), list[float | None]()
        for frame in range(frames):
            first = frame if frame in anew else first
            self._counts.append(schedule.iterations_of(frame - first))
            self._seconds.append(schedule.seconds_of(frame - first))

    def at(self, progress: Progress) -> tuple[int, int]:
        """Return (iterations done, iterations in all) when a frame is so far."""
        self._heard(progress.frame, progress.iterations)
        return sum(self._counts[: progress.frame]) + progress.iteration, sum(self._counts)

    def after(self, frame: TrainedFrame) -> tuple[int, int]:
        """Return (iterations done, iterations in all) once a frame is finished."""
        self._heard(frame.index, frame.iterations)
        return sum(self._counts[: frame.index + 1]), sum(self._counts)

    def _heard(self, frame: int, iterations: int) -> None:
        self._counts[frame] = iterations
        taken = self._seconds[frame]
        if not taken:
            return
        for later in range(frame + 1, len(self._counts)):
            seconds = self._seconds[later]
            if seconds is not None:
                self._counts[later] = max(1, round(iterations * seconds / taken))
