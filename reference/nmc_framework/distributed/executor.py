"""What does tasks, here or elsewhere: a task is a function that yields results as it has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias


class DistributionError(RuntimeError):
    """A cluster that cannot be reached, or a task that nobody could finish."""


@dataclass(frozen=True)
class Item:
    """Task ``task`` has yielded ``value``."""

    task: int
    value: Any


@dataclass(frozen=True)
class Done:
    """Task ``task`` has come to its end."""

    task: int


@dataclass(frozen=True)
class Lost:
    """Whoever did task ``task`` is gone, with all that it had not yielded; ``reason`` in words."""

    task: int
    reason: str


Event: TypeAlias = Item | Done | Lost
#: A function of one argument that yields results.
Work: TypeAlias = Callable[[Any], Iterator[Any]]


class Executor(Protocol):
    """Does tasks, each of a number of its caller's."""

    @property
    def slots(self) -> int:
        """How many tasks are worth starting before one has ended."""

    @property
    def resources(self) -> str:
        """What there is to work with, in words."""

    def start(self, task: int, work: Work, job: Any) -> None:
        """Begin to do ``work(job)`` as task ``task``."""

    def next(self) -> Event:
        """Wait for the next result of any task that was started and has not ended.

        What a task itself raises is raised here.
        """

    def close(self) -> None:
        """Stop what is not done."""


class LocalExecutor:
    """Does one task after the other in this process."""

    slots = 1
    resources = "this process"

    def __init__(self) -> None:
        self._started: list[tuple[int, Iterator[Any]]] = []

    def start(self, task: int, work: Work, job: Any) -> None:
        """Begin a task; nothing is done before its result is asked for."""
        self._started.append((task, work(job)))

    def next(self) -> Event:
        """Do the first of them until it yields."""
        task, results = self._started[0]
        for value in results:
            return Item(task, value)
        self._started.pop(0)
        return Done(task)

    def close(self) -> None:
        """Leave undone what has not been asked for."""
        self._started.clear()
