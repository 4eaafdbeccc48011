"""Carries out the steps of a run in their order, and keeps what need not be done again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from nmc_framework.pipeline.configuration import Configuration
from nmc_framework.pipeline.content import content_digest
from nmc_framework.pipeline.step import PipelineError, Report, Step, Task
from nmc_framework.pipeline.work_folder import Done, Key, WorkFolder

Action = Literal["ran", "kept", "to run", "unknown", "left out"]
#: Shows how a step goes: called with its name, gives a function of (done, in all).
Watch = Callable[[str], AbstractContextManager[Report]]


@dataclass(frozen=True)
class StepReport:
    """What became of a step, and why.

    ``"to run"`` and ``"unknown"`` are said of a run that only looks: a step is unknown when one
    before it would run, whose result may turn out to be what it was.
    """

    step: str
    action: Action
    why: str
    folder: Path
    seconds: float = 0.0
    result: Mapping[str, Any] = field(default_factory=dict)


def run_steps(
    steps: Sequence[Step],
    configuration: Configuration,
    *,
    until: str | None = None,
    force: Collection[str] = (),
    dry: bool = False,
    watch: Watch | None = None,
    validate: Callable[[Configuration], None] | None = None,
) -> Iterator[StepReport]:
    """Carry out steps; yield a report of each as soon as it is done.

    A step is kept when its version, its options and the content of all that it takes are as they
    were when it was done, and its own result still is what it was.

    Parameters
    ----------
    steps
        In an order in which each comes after those it needs.
    configuration
        What is asked for.
    until
        The last step to carry out.
    force
        Steps to carry out in any case, from their beginning.
    dry
        Only say what would be done.
    watch
        Shows progress.
    validate
        Called before the first step that is not kept; raises what is wrong with the configuration
        as a whole.

    Raises
    ------
    PipelineError
        When ``until`` or ``force`` names no step, or a step cannot be carried out. What was
        finished before is kept.
    """
    chosen = _until(steps, until, force)
    work = WorkFolder(configuration.work)
    outputs: dict[str, str | None] = {}  # by step; None where a run that only looks cannot know
    for step in chosen:
        folder = configuration.work / step.name
        if not step.wanted(configuration):
            # What comes after may go without it.
            outputs[step.name] = ""
            why = f"the configuration has no {step.optional}"
            yield StepReport(step.name, "left out", why, folder)
            continue
        open_ends = [name for name in step.needs if outputs[name] is None]
        if open_ends:
            outputs[step.name] = None
            forced = step.name in force
            why = "forced" if forced else f"depends on what {open_ends[0]} will make"
            yield StepReport(step.name, "to run" if forced else "unknown", why, folder)
            continue
        key = _key(step, configuration, outputs)
        done = work.done(step.name)
        found = content_digest(folder) if done else None
        why = "forced" if step.name in force else _why(key, done, found)
        if not why and done:
            outputs[step.name] = done.output
            kept = "version, options and inputs are the same"
            yield StepReport(step.name, "kept", kept, folder, done.seconds, done.result)
            continue
        if validate is not None:
            validate(configuration)
            validate = None
        if dry:
            outputs[step.name] = None
            yield StepReport(step.name, "to run", why, folder)
        else:
            forced = step.name in force
            again = step.resumable and not forced and work.begun(step.name) == key.digest
            begin = Task(configuration, folder, _silent, forced)
            done = _carry_out(step, begin, work, key, watch, again=again)
            outputs[step.name] = done.output
            why = "it was interrupted" if again else why
            yield StepReport(step.name, "ran", why, folder, done.seconds, done.result)


def _until(steps: Sequence[Step], until: str | None, force: Collection[str]) -> Sequence[Step]:
    names = [step.name for step in steps]
    for name in [*force, *([until] if until is not None else [])]:
        if name not in names:
            raise PipelineError(f"no step {name!r}; there are {', '.join(names)}")
    return steps if until is None else steps[: names.index(until) + 1]


def _key(step: Step, configuration: Configuration, outputs: Mapping[str, str | None]) -> Key:
    inputs = {name: outputs[name] or "" for name in step.needs}
    files = step.files(configuration)
    inputs |= {place: content_digest(path) for place, path in files.items()}
    return Key(step.version, step.options(configuration), inputs)


def _why(key: Key, done: Done | None, found: str | None) -> str:
    """Return why a step has to be done, or nothing where its result can be kept."""
    if done is None:
        return "not done yet"
    if key.version != done.key.version:
        return f"the step itself changed: version {done.key.version} to {key.version}"
    changed = [
        f"{place} {_short(before)} to {_short(now)}"
        for place, before, now in _differences(done.key.options, key.options, "")
    ]
    changed += [
        f"the content of {place}" for place, _, _ in _differences(done.key.inputs, key.inputs, "")
    ]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return f"changed: {', '.join(changed[:3])}{more}"
    return "" if found == done.output else "its result was changed or removed"


def _differences(before: Any, now: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in sorted({*before, *now}):
            inner = f"{place}.{name}" if place else name
            yield from _differences(before.get(name), now.get(name), inner)
    elif before != now:
        yield place, before, now


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _carry_out(
    step: Step, task: Task, work: WorkFolder, key: Key, watch: Watch | None, *, again: bool
) -> Done:
    folder = task.folder
    if not again:
        work.begin(step.name, key)
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with (watch or _unwatched)(step.name) as report, _named(step.name):
        result = dict(step.run(replace(task, report=report)))
    seconds = time.perf_counter() - began
    done = Done(key, content_digest(folder), round(seconds, 3), result)
    work.finish(step.name, done)
    return done


@contextmanager
def _named(step: str) -> Iterator[None]:
    """Say which step an error of the framework belongs to."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if not type(error).__module__.startswith("nmc_framework."):
            raise
        raise PipelineError(f"{step}: {error}") from error


@contextmanager
def _unwatched(_: str) -> Iterator[Report]:
    yield _silent


def _silent(done: int, total: int, told: str = "", note: str = "") -> None:
    """Show nothing."""
