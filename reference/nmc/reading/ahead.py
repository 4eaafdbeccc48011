"""Work on independent groups of frames in threads, with results in order (clauses 4.1 and 7.3)."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from nmc.coding.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package

_Item = TypeVar("_Item")

_ROOM = 1 << 30
"""Bytes of states that threads may hold at once, where the caller does not say how many."""
_STATES = 4
"""States that a thread holds at most: that before, that being made, and what they are made from."""


@dataclass(frozen=True)
class _Failure:
    error: BaseException


_END = object()


_FRAMES_AHEAD = 8
_BYTES_AHEAD = 1 << 24
"""What is asked for ahead of frames that are taken in order, at most."""


def expect(package: Package, manifest: Manifest, frames: range, *, within: range) -> None:
    """Say which segments are read next, so that a server can be asked for them at once.

    Parameters
    ----------
    package, manifest
        The package and its checked manifest.
    frames : range
        Frames that are read now, one after the other.
    within : range
        Some of those behind them are likely to be read after, as far as these go.
    """
    if not frames:
        return
    lengths = manifest.frames.segment_length
    behind = lengths[frames.stop : min(frames.stop + _FRAMES_AHEAD, within.stop)]
    stop = frames.stop + int((behind.cumsum() <= _BYTES_AHEAD).sum())
    every = range(frames.start, stop)
    package.expect(every, [int(lengths[t]) for t in every])


def groups_of(manifest: Manifest) -> list[range]:
    """Return the frames of each group."""
    keys = [t for t in range(len(manifest)) if manifest.frames.is_key(t)]
    return [range(a, b) for a, b in zip(keys, [*keys[1:], len(manifest)], strict=True)]


def shared(manifest: Manifest, groups: int, threads: int | None) -> tuple[int, int]:
    """Return how many groups are worked on at the same time, and threads within each frame.

    Parameters
    ----------
    manifest : Manifest
        It says how large states are.
    groups : int
        How many there are to work on.
    threads : int or None
        Threads in all; None: as many as there are cores, and groups only as their states fit.
    """
    total = available_cores() if threads is None else threads
    most = usual_threads(manifest) if threads is None else threads
    outer = max(1, min(most, groups))
    return outer, max(1, total // outer)


def usual_threads(manifest: Manifest) -> int:
    """Return as many threads as there are cores, while their states take at most 1 GiB."""
    cores = available_cores()
    largest = int(manifest.frames.state_bytes.max(initial=1))
    return max(1, min(cores, _ROOM // (_STATES * max(1, largest))))


def in_order(
    jobs: Sequence[Callable[[], Iterator[_Item]]], threads: int
) -> Generator[_Item, None, None]:
    """Yield what jobs yield, those of the first job first; some jobs run at the same time.

    Parameters
    ----------
    jobs : sequence of callable
        Each returns an iterator, which is run to its end in one thread. What it yields waits until
        those before it are done, so it should be small.
    threads : int
        Jobs at the same time; with 1 they run in the thread of the caller, one after the other.

    Raises
    ------
    BaseException
        What a job raises, at its place. Jobs end at their next item then, and where the caller
        goes on no further or is interrupted.
    """
    if threads <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield from job()
        return
    stop = threading.Event()
    pool = ThreadPoolExecutor(min(threads, len(jobs)), thread_name_prefix="nmc-groups")
    waiting = deque(jobs)
    running: deque[SimpleQueue[Any]] = deque()

    def run(job: Callable[[], Iterator[_Item]], items: SimpleQueue[Any]) -> None:
        try:
            for item in job():
                if stop.is_set():
                    return
                items.put(item)
        except BaseException as error:  # it is raised where its place in the order is
            items.put(_Failure(error))
        else:
            items.put(_END)

    try:
        while waiting or running:
            while waiting and len(running) <= threads:
                items: SimpleQueue[Any] = SimpleQueue()
                running.append(items)
                pool.submit(run, waiting.popleft(), items)
            while (item := running[0].get()) is not _END:
                if isinstance(item, _Failure):
                    raise item.error
                yield item
            running.popleft()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
