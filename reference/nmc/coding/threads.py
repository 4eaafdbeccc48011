"""Work of one frame in several threads: kernels that let go of the interpreter's lock."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

_Item = TypeVar("_Item")

_SHARE = 4
"""Parts for each thread: one that is held up leaves what is left to the others."""

_LARGE = 1 << 20
"""Bytes of a piece that are worth another thread."""


def available_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parts_of(count: int, threads: int) -> list[slice]:
    """Return slices of so many things that are alike, a few for each thread; none is empty."""
    parts = min(count, 1 if threads <= 1 else _SHARE * threads)
    return [slice(count * k // parts, count * (k + 1) // parts) for k in range(parts)]


def in_threads(jobs: Sequence[Callable[[], None]], threads: int) -> None:
    """Do all jobs, so many at the same time; the caller's thread is one of them.

    Raises
    ------
    BaseException
        What the first of the jobs that fail raises, once no job runs any more.
    """
    if threads <= 1 or len(jobs) <= 1:
        for job in jobs:
            job()
        return
    waiting = deque(enumerate(jobs))
    errors: dict[int, BaseException] = {}

    def work() -> None:
        while not errors:
            try:
                index, job = waiting.popleft()
            except IndexError:
                return
            try:
                job()
            except BaseException as error:  # it is raised where all wait for it
                errors[index] = error

    others = [
        threading.Thread(target=work, name="nmc-frame", daemon=True)
        for _ in range(min(threads, len(jobs)) - 1)
    ]
    for other in others:
        other.start()
    work()
    for other in others:
        other.join()
    if errors:
        raise errors[min(errors)]


def beside(
    pieces: Iterable[Buffer], read: Callable[[Buffer], object], threads: int
) -> Iterator[Buffer]:
    """Yield pieces in order, each of which is read once, too.

    With more than one thread, a large one is read while the caller works on it.
    """
    with ThreadPoolExecutor(1, "nmc-piece") as pool:  # no thread starts before it has work
        for piece in pieces:
            if threads > 1 and memoryview(piece).nbytes >= _LARGE:
                done = pool.submit(read, piece)
                yield piece
                done.result()
            else:
                read(piece)
                yield piece


def one_ahead(jobs: Iterable[Callable[[], _Item]], threads: int) -> Generator[_Item, None, None]:
    """Yield what jobs return, in order.

    With more than one thread, the next job is done while the caller works on what this one
    returned, and none after it: two results are there at a time.

    Raises
    ------
    BaseException
        What a job raises, at its place.
    """
    if threads <= 1:
        for job in jobs:
            yield job()
        return
    with ThreadPoolExecutor(1, "nmc-ahead") as pool:
        waiting = deque[Future[_Item]]()
        for job in jobs:
            waiting.append(pool.submit(job))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
