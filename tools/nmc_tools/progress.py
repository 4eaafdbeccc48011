"""How long work is shown: a bar on a terminal, a line a frame in a pipe, and what Ctrl-C leaves.

Every command that takes longer than a moment shows how it goes through :func:`progress_bar`, on
standard error, so that standard output holds results alone.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

#: Up to so many units each has a line of its own; of more, those that come this long after the
#: last line, in seconds.
_EACH, _APART = 200, 0.5
#: After so many seconds of silence there is a line of what stands beside a bar.
_SILENCE = 20.0
#: What an interrupted command leaves unless it says otherwise.
NOTHING = "nothing was written"


class Report(Protocol):
    """Told how far the work is: so many units of so many.

    ``told`` says in words what was just finished, such as a frame and its loss; where it is given,
    lines are written for such ends alone. ``note`` stands beside a bar for the moment, and has a
    line only after a long silence.
    """

    def __call__(self, done: int, total: int, told: str = "", note: str = "") -> None:
        """Take notice."""


@contextmanager
def progress_bar(
    label: str,
    unit: str = "frames",
    *,
    kept: str | Callable[[], str] = NOTHING,
    resume: str | None = None,
) -> Iterator[Report]:
    """Show on stderr how the block goes; yields a function of (done, in all, in words).

    Parameters
    ----------
    label
        What is being done, to what.
    unit
        What is counted.
    kept
        What is left on disk when the block is interrupted.
    resume
        The option with which the same command goes on, empty where it does so by itself; None where
        it begins again.
    """
    state = _State()
    show = _bar if err.is_terminal else _lines
    try:
        with show(printable(label), unit, state) as report:
            yield report
    except KeyboardInterrupt:
        far = f" after {state.done} of {state.total} {unit}".rstrip() if state.total else ""
        left = kept if isinstance(kept, str) else kept()
        verb = "begin again with" if resume is None else "go on with"
        again = again_with(resume or "")
        text = f"interrupted {printable(label)}{far}: {printable(left)}; {verb}: {again}"
        err.print(text, markup=False)
        raise


def again_with(option: str = "") -> str:
    """Return the command line as it was typed, and ``option`` with it, ready for a shell."""
    name = Path(sys.argv[0]).name
    typed = [name if name != "cli.py" else "nmc", *sys.argv[1:]]
    return printable(shlex.join(typed if not option or option in typed else [*typed, option]))


def printable(text: str) -> str:
    """Return untrusted text as it is, or with all spelt out that a terminal would obey."""
    return text if text.isprintable() else ascii(text)


@dataclass
class _State:
    """How far the work is, and when the last line was written."""

    done: int = 0
    total: int = 0
    began: float = field(default_factory=lambda: _now())  # noqa: PLW0108 - the clock of then
    written: float = -_APART
    by_words: bool = False

    def due(self, done: int, told: str, note: str) -> bool:
        """Whether a line is to be written of this."""
        self.by_words |= bool(told or note)
        if self.by_words:
            return bool(told) or bool(note and _now() - max(self.written, self.began) >= _SILENCE)
        if done == self.done and done < self.total:
            return False
        apart = _now() - self.written >= _APART
        return self.total <= _EACH or apart or done == self.total

    def left(self) -> str:
        """Return the time that went by, and the time left at that pace."""
        passed = _now() - self.began
        if not 0 < self.done < self.total:
            return _clock(passed)
        return f"{_clock(passed)}, {_clock(passed * (self.total - self.done) / self.done)} left"


@contextmanager
def _bar(label: str, unit: str, state: _State) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[told]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(label, total=None, told="")

        def report(done: int, total: int, told: str = "", note: str = "") -> None:
            state.done, state.total = done, total
            progress.update(task, completed=done, total=total)
            if told or note:
                progress.update(task, told=printable(told or note))

        yield report


@contextmanager
def _lines(label: str, unit: str, state: _State) -> Iterator[Report]:
    def report(done: int, total: int, told: str = "", note: str = "") -> None:
        state.total = total
        due = state.due(done, told, note)
        state.done = done
        if due:
            state.written = _now()
            words = printable(told or note) or f"{done} of {total} {unit}".rstrip()
            err.print(f"progress {label}: {words}, {state.left()}", markup=False)

    yield report


def stages(report: Report, names: Sequence[str]) -> StageReport:
    """Return a function of (stage, done, in all) that shows stages as equal parts of one whole."""

    def staged(stage: str, done: int, total: int) -> None:
        share = (names.index(stage) + done / max(total, 1)) / len(names)
        tenth = 10 * done // max(total, 1) != 10 * (done - 1) // max(total, 1)
        report(round(100 * share), 100, f"{stage} {done} of {total}" if tenth else "", stage)

    return staged


class StageReport(Protocol):
    """Told how far a named stage of the work is."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take notice."""


def _now() -> float:
    """Return seconds on a clock that never goes back."""
    return time.monotonic()


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
