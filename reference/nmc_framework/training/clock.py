"""How far a frame's training is: by iterations, or by the time that it may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

#: Of a time budget: the share from which training may end early, where to the clock then jumps,
#: and how many scores in a row that are no better, over which share of the budget, show that
#: nothing is gained any more.
_EARLIEST, _JUMP, _PATIENCE, _SPAN = 0.4, 0.8, 4, 0.1
#: dB that count as better.
_BETTER = 0.05
#: A frame needs this share of the usual iterations, or it stays fog: where the time does not allow
#: them its batches are smaller, down to a share. The iterations between these two tell.
_NEEDED, _SMALLEST, _TRIED = 0.5, 0.25, range(4, 17)


class Clock:
    """The share 0..1 of a frame's training that is done.

    Parameters
    ----------
    iterations
        How many there are where time is not limited; 0 if nobody knows.
    seconds
        How long training may take, where it is; how many iterations fit is then the machine's
        doing, and a chain is not the same bits on another run.
    now
        Seconds of a clock that never goes back.
    """

    def __init__(
        self, iterations: int, seconds: float | None, now: Callable[[], float] = time.perf_counter
    ) -> None:
        self._iterations = iterations
        self._first = 0
        self._seconds = seconds
        self._now = now
        self._began = now()
        self._skipped = 0.0
        self._best = -float("inf")
        self._worse = 0
        self._worse_since = 0.0
        self._times: list[float] = []
        self._share = 1.0

    def progress(self, iteration: int) -> float:
        """Return the share that is done before an iteration, counted from 0; 1 is the end."""
        if self._seconds is None:
            return (iteration - self._first) / self._iterations if self._iterations else 1.0
        elapsed = (self._now() - self._began) / self._seconds if self._seconds > 0 else 1.0
        return min(elapsed + self._skipped, 1.0)

    def total(self, iteration: int) -> int:
        """Return how many iterations there will be, as far as can be told."""
        if self._seconds is None:
            return self._first + self._iterations
        done = self.progress(iteration)
        return max(iteration, round(iteration / done)) if done > 0 else max(iteration, 1)

    def prolong(self, iterations: int, iteration: int) -> None:
        """Begin anew before an iteration, for so many more, if any; where time is not limited."""
        if iterations > 0:
            self._first, self._iterations = iteration, iterations

    def heard(self, score: float, iteration: int) -> None:
        """Take notice of a score in dB; a budget's end is brought forward where nothing is gained.

        What is left then is the fall of the learning rate, which always gains something.
        """
        if self._seconds is None:
            return
        done = self.progress(iteration)
        better = score > self._best + _BETTER
        self._best = max(score, self._best)
        if better or done < _EARLIEST:  # before there are surfaces, scores stand still for long
            self._worse, self._worse_since = 0, done
            return
        self._worse += 1
        if self._worse >= _PATIENCE and done - self._worse_since >= _SPAN and done < _JUMP:
            self._skipped += _JUMP - done

    def share_of_batch(self, iteration: int) -> float:
        """Return which share of a batch to take before an iteration, counted from 0.

        1 where time is not limited, and where it allows for half of the usual iterations. It is
        settled once, by how long the first iterations took.
        """
        if self._seconds is None or not self._iterations or iteration not in _TRIED:
            return self._share
        self._times.append(self._now())
        if iteration == _TRIED[-1]:
            each = median(b - a for a, b in zip(self._times, self._times[1:], strict=False))
            left = self._seconds - (self._times[-1] - self._began)
            fit = iteration + left / max(each, 1e-9)
            self._share = min(max(fit / (_NEEDED * self._iterations), _SMALLEST), 1.0)
        return self._share
