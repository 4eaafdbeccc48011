"""Sharing the groups of a chain out, and putting what comes back in order and on disk.

Every frame that comes back is on this machine's disk before it counts: a worker that is lost costs
the frames of its group that it had not finished, and so does an interruption here.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import nmc
from nmc_framework.distributed.executor import (
    DistributionError,
    Done,
    Executor,
    Item,
    Lost,
)
from nmc_framework.distributed.groups import Begun, GroupJob, Sent, train_group
from nmc_framework.models import ChainModel, State
from nmc_framework.training import CheckpointFolder, TrainedFrame
from nmc_framework.training.layer_freezing import Freezing

#: How often a group may be lost without one more finished frame, before it is given up.
_ATTEMPTS = 3


def group_firsts(count: int, key_every: int) -> list[int]:
    """Return the numbers of the key frames of a chain of ``count`` frames; 0: the first only."""
    return list(range(0, count, key_every or max(count, 1)))


class Spool:
    """Finished frames that cannot be put into the chain yet, or whose group is not complete.

    A folder of checkpoints a group, below ``folder``; what is there is taken up again.
    """

    def __init__(self, folder: Path, model: ChainModel) -> None:
        self._folder = folder
        self._model = model
        self._open: dict[int, CheckpointFolder] = {}

    def _group(self, first: int) -> CheckpointFolder:
        if first not in self._open:
            self._open[first] = CheckpointFolder(self._folder / f"{first:08d}", self._model)
        return self._open[first]

    def begun(self, first: int) -> Begun | None:
        """Return what there is of a group, if there is any of it."""
        group = self._group(first)
        count = len(group)
        if not count:
            return None
        return Begun(count, dict(group.last_state()), group.last_colour(), group.last_steps())

    def count(self, first: int) -> int:
        """Return how many frames there are of a group."""
        return len(self._group(first))

    def put(self, first: int, frame: TrainedFrame) -> None:
        """Put a frame of a group on disk; ``frame`` is numbered as in the chain."""
        self._group(first).append(replace(frame, index=frame.index - first))

    def frame(self, first: int, index: int) -> TrainedFrame:
        """Return a frame of a group, numbered as in the chain."""
        group, k = self._group(first), index - first
        known = group.record(k)
        return TrainedFrame(
            index=index,
            time=0.0,
            state=group[k],
            freezing=Freezing(known["requires_grad"], tuple(known["exclude_layers"])),
            iterations=known["iterations"],
            seconds=known["seconds"],
            loss=known["loss"],
            colour=group.colour(k),
            steps=group.steps(k),
        )

    def drop(self, first: int) -> None:
        """Remove a group whose frames are all in the chain."""
        self._open.pop(first, None)
        shutil.rmtree(self._folder / f"{first:08d}", ignore_errors=True)
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()


def train_shared(
    executor: Executor,
    firsts: Sequence[int],
    count: int,
    job_of: Callable[[int, int, Begun | None], GroupJob],
    spool: Spool,
    *,
    done: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[TrainedFrame]:
    """Train groups wherever ``executor`` does, and yield the frames of the chain in order.

    Parameters
    ----------
    executor
        Does the groups.
    firsts
        Numbers of the key frames, from 0, ascending; the last group ends with the chain.
    count
        Frames of the chain.
    job_of
        Gives the task of the group from one frame to before another, and what there is of it.
    spool
        Holds what has come back.
    done
        Frames of the chain that there are already; they are not yielded again.
    tell
        Is told of workers that were lost.

    Raises
    ------
    DistributionError
        When the same frame was lost three times.
    """
    ends = dict(zip(firsts, [*firsts[1:], count], strict=True))
    waiting = deque(
        first for first, end in ends.items() if end > done and spool.count(first) < end - first
    )
    # What is asked for now: by task, which is the number of its key frame, the last state of it.
    states: dict[int, State | None] = {}
    attempts: dict[int, int] = {}
    chain = _Chain(ends, done, spool)
    try:
        while chain.next < count:
            while waiting and len(states) < executor.slots:
                first = waiting.popleft()
                begun = spool.begun(first)
                states[first] = begun.state if begun else None
                executor.start(first, train_group, job_of(first, ends[first], begun))
            if states:
                event = executor.next()
                if isinstance(event, Item):
                    states[event.task] = _received(spool, event, states[event.task])
                    attempts[event.task] = 0
                elif isinstance(event, Done):
                    del states[event.task]
                elif chain.received(event.task) == ends[event.task] - event.task:
                    del states[event.task]  # it had sent all that there was to send
                else:
                    del states[event.task]
                    _again(event, attempts, tell, spool)
                    waiting.appendleft(event.task)
            yield from chain.ready()
        # They have sent all that there is, and end at once. Ray ends this process where a task is
        # cancelled in the moment in which it ends.
        while states:
            event = executor.next()
            if not isinstance(event, Item):
                del states[event.task]
    finally:
        executor.close()


class _Chain:
    """Where the chain stands: ``next`` is the frame that it lacks."""

    def __init__(self, ends: dict[int, int], done: int, spool: Spool) -> None:
        self.next = done
        self._ends = ends
        self._spool = spool

    def received(self, first: int) -> int:
        """Return how many frames of a group have come back."""
        end = self._ends[first]
        return end - first if end <= self.next else self._spool.count(first)

    def ready(self) -> Iterator[TrainedFrame]:
        """Yield what can be put into the chain now; drop groups that are all in it."""
        for first, end in self._ends.items():
            if end <= self.next:
                continue
            if self.next < first:
                return
            while self.next < first + self._spool.count(first):
                yield self._spool.frame(first, self.next)
                self.next += 1
            if self.next < end:
                return
            self._spool.drop(first)


def _received(spool: Spool, event: Item, before: State | None) -> State:
    """Put the frame that came on disk; return its state, decoded and compared with its digest."""
    sent: Sent = event.value
    state: State = nmc.apply(before or {}, sent.message)
    spool.put(event.task, replace(sent.frame, state=state))
    return state


def _again(
    event: Lost, attempts: dict[int, int], tell: Callable[[str], None], spool: Spool
) -> None:
    """Count a loss; refuse to go on where there is no end of them."""
    attempts[event.task] = attempts.get(event.task, 0) + 1
    kept = spool.count(event.task)
    if attempts[event.task] >= _ATTEMPTS:
        raise DistributionError(
            f"frame {event.task + kept} was lost {_ATTEMPTS} times ({event.reason}); finished "
            "frames are kept. Look at the memory of the workers, and go on with --resume"
        )
    tell(
        f"a worker was lost ({event.reason}): its group goes on from frame {event.task + kept}, "
        f"{kept} finished frames of it are kept"
    )
