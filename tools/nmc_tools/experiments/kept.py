"""What an experiment has worked out, kept by the content of all that it follows from.

A result is found again by the SHA-256 of its inputs: what was interrupted goes on, and what changed
in one option is worked out anew for that option alone. With each result stands what it took, and
on which machine.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from nmc_framework.distributed.executor import DistributionError, Executor, Item, Lost
from nmc_framework.distributed.groups import on_one_thread
from nmc_framework.pipeline.content import values_digest
from nmc_tools.bench.published import machine

State = dict[str, np.ndarray[Any, Any]]


#: How often one thing may be lost with its worker.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Cost:
    """What it took to work something out: seconds of CPU and by the clock, and the machine."""

    cpu: float
    wall: float
    machine: str


@dataclass(frozen=True)
class Spent:
    """What some results took together, whenever they were worked out, and on which machines."""

    cpu: float
    wall: float
    machines: tuple[str, ...]

    @property
    def machine(self) -> str:
        """The machines in words."""
        return "; and on ".join(self.machines)

    def __str__(self) -> str:
        return f"{self.cpu:,.0f} s of CPU, {self.wall:,.0f} s by the clock, summed over its parts"


@dataclass(frozen=True, eq=False)
class Wanted:
    """Something to be worked out: what it follows from, how, and whether it is a state."""

    inputs: Mapping[str, Any]
    work: Callable[[], Any]
    state: bool = False


class Kept:
    """A folder of results; ``made`` counts what was worked out, ``found`` what was there.

    Parameters
    ----------
    folder
        Is made if need be.
    packages
        Distributions whose versions are named with the machine.
    one_thread
        Whether torch works on one thread, here as on the workers of a cluster: sums are the same.
    """

    def __init__(
        self, folder: Path, packages: Sequence[str] = ("torch",), *, one_thread: bool = False
    ) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.made = self.found = 0
        self._measure = partial(_measured, tuple(packages), one_thread)
        self._costs: dict[str, Cost] = {}

    @property
    def spent(self) -> Spent:
        """What all that was asked for has taken."""
        costs = list(self._costs.values())
        return Spent(
            sum(cost.cpu for cost in costs),
            sum(cost.wall for cost in costs),
            tuple(dict.fromkeys(cost.machine for cost in costs)),
        )

    def values(self, inputs: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Return JSON values that follow from ``inputs``, JSON values too."""
        return self._result(Wanted(inputs, work), self._measure)

    def state(self, inputs: Mapping[str, Any], work: Callable[[], State]) -> State:
        """Return a state that follows from ``inputs``."""
        found: State = self._result(Wanted(inputs, work, state=True), self._measure)
        return found

    def ahead(
        self,
        executor: Executor,
        wanted: Iterable[Wanted],
        report: Callable[[int, int, str], None] = lambda *_: None,
    ) -> None:
        """Have an executor work out what is not there, several things at a time.

        ``report`` is told how many of how many are there.

        Raises
        ------
        DistributionError
            When one of them was lost three times.
        """
        by_name = {self._file(one): one for one in wanted}
        missing = dict(enumerate(one for file, one in by_name.items() if not file.is_file()))
        waiting, running = deque(missing), set[int]()
        lost: Counter[int] = Counter()
        done = 0
        try:
            while waiting or running:
                while waiting and len(running) < executor.slots:
                    number = waiting.popleft()
                    executor.start(number, _worked, (self._measure, missing[number].work))
                    running.add(number)
                event = executor.next()
                if isinstance(event, Item):
                    self._keep(missing[event.task], event.value)
                    done += 1
                    report(done, len(missing), f"{done} of {len(missing)} tasks are done")
                    continue
                running.discard(event.task)
                if isinstance(event, Lost):
                    lost[event.task] += 1
                    if lost[event.task] >= _ATTEMPTS:
                        raise DistributionError(
                            f"a part of the experiment was lost {_ATTEMPTS} times "
                            f"({event.reason}); what is worked out is kept"
                        )
                    waiting.append(event.task)
        finally:
            executor.close()

    def _file(self, one: Wanted) -> Path:
        suffix = "safetensors" if one.state else "json"
        return self._folder / f"{values_digest(one.inputs)}.{suffix}"

    def _keep(self, one: Wanted, measured: tuple[Any, Cost]) -> None:
        self._result(one, lambda _: measured)

    def _result(self, one: Wanted, measure: Callable[[Callable[[], Any]], tuple[Any, Cost]]) -> Any:
        """Return what is in a file; where there is none or a damaged one, work it out and write."""
        path = self._file(one)
        try:
            result, cost = (_read_state if one.state else _read_values)(path)
        except (OSError, ValueError, LookupError, TypeError, SafetensorError):
            result, cost = measure(one.work)
            partial_file = path.with_suffix(".partial")
            (_write_state if one.state else _write_values)(partial_file, one.inputs, result, cost)
            partial_file.replace(path)
            self.made += 1
        else:
            self.found += 1
        self._costs[path.name] = cost
        return result


def _worked(job: tuple[Callable[[Callable[[], Any]], Any], Callable[[], Any]]) -> Iterator[Any]:
    measure, work = job
    yield measure(work)


def _measured(
    packages: tuple[str, ...], one_thread: bool, work: Callable[[], Any]
) -> tuple[Any, Cost]:
    """Work something out; return it with what it took, here and in processes that it started."""
    with on_one_thread() if one_thread else nullcontext():
        began, before = time.perf_counter(), sum(os.times()[:4])
        result = work()
        cpu, wall = sum(os.times()[:4]) - before, time.perf_counter() - began
    return result, Cost(cpu, wall, _here(packages))


@cache
def _here(packages: tuple[str, ...]) -> str:
    return machine(packages)


def _read_values(path: Path) -> tuple[Any, Cost]:
    told = json.loads(path.read_text(encoding="utf-8"))
    return told["result"], Cost(**told["cost"])


def _write_values(path: Path, inputs: Mapping[str, Any], result: Any, cost: Cost) -> None:
    told = {"inputs": inputs, "result": result, "cost": asdict(cost)}
    path.write_text(json.dumps(told), encoding="utf-8")


def _read_state(path: Path) -> tuple[State, Cost]:
    with safe_open(path, framework="numpy") as file:
        cost = Cost(**json.loads((file.metadata() or {})["cost"]))
        return {name: file.get_tensor(name) for name in file.keys()}, cost  # noqa: SIM118


def _write_state(path: Path, inputs: Mapping[str, Any], state: State, cost: Cost) -> None:
    told = {"inputs": json.dumps(inputs), "cost": json.dumps(asdict(cost))}
    save_file(state, path, metadata=told)
