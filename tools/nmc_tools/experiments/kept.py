"""What an experiment has worked out, kept by the content of all that it follows from.

A result is found again by the SHA-256 of its inputs: what was interrupted goes on, and what changed
in one option is worked out anew for that option alone.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nmc_framework.distributed.executor import DistributionError, Executor, Item, Lost
from nmc_framework.pipeline.content import values_digest

State = dict[str, np.ndarray[Any, Any]]
Result = TypeVar("Result")


#: How often one thing may be lost with its worker.
_ATTEMPTS = 3


@dataclass(frozen=True, eq=False)
class Wanted:
    """Something to be worked out: what it follows from, how, and whether it is a state."""

    inputs: Mapping[str, Any]
    work: Callable[[], Any]
    state: bool = False


class Kept:
    """A folder of results; ``made`` counts what was worked out, ``found`` what was there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.made = self.found = 0

    def values(self, inputs: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Return JSON values that follow from ``inputs``, JSON values too."""

        def write(path: Path, result: Any) -> None:
            path.write_text(json.dumps({"inputs": inputs, "result": result}), encoding="utf-8")

        return self._result(f"{values_digest(inputs)}.json", work, _values, write)

    def state(self, inputs: Mapping[str, Any], work: Callable[[], State]) -> State:
        """Return a state that follows from ``inputs``."""

        def write(path: Path, state: State) -> None:
            save_file(state, path)

        return self._result(f"{values_digest(inputs)}.safetensors", work, load_file, write)

    def ahead(self, executor: Executor, wanted: Iterable[Wanted]) -> None:
        """Have an executor work out what is not there, several things at a time.

        Raises
        ------
        DistributionError
            When one of them was lost three times.
        """
        missing = dict(enumerate(one for one in wanted if not self._file(one).is_file()))
        waiting, running = deque(missing), set[int]()
        lost: Counter[int] = Counter()
        try:
            while waiting or running:
                while waiting and len(running) < executor.slots:
                    number = waiting.popleft()
                    executor.start(number, _worked, missing[number].work)
                    running.add(number)
                event = executor.next()
                if isinstance(event, Item):
                    self._keep(missing[event.task], event.value)
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

    def _keep(self, one: Wanted, result: Any) -> None:
        if one.state:
            self.state(one.inputs, lambda: result)
        else:
            self.values(one.inputs, lambda: result)

    def _result(
        self,
        name: str,
        work: Callable[[], Result],
        read: Callable[[Path], Result],
        write: Callable[[Path, Result], None],
    ) -> Result:
        """Return what is in a file; where there is none or a damaged one, work it out and write."""
        path = self._folder / name
        try:
            known = read(path)
        except (OSError, ValueError, SafetensorError):
            pass
        else:
            self.found += 1
            return known
        result = work()
        partial = path.with_suffix(".partial")
        write(partial, result)
        partial.replace(path)
        self.made += 1
        return result


def _worked(work: Callable[[], Any]) -> Iterator[Any]:
    yield work()


def _values(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))["result"]
