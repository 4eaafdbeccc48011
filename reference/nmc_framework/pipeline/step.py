"""One step of a run, as data: what it takes, what it depends on, what carries it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nmc_framework.pipeline.configuration import Configuration


class Report(Protocol):
    """Told how much is done, of how much; in words what was just finished, and what is in hand."""

    def __call__(self, done: int, total: int, told: str = "", note: str = "") -> None:
        """Take notice."""


class PipelineError(RuntimeError):
    """A step that cannot be carried out; names it, and what is the matter."""


@dataclass(frozen=True)
class Task:
    """What a step is handed: the configuration, its own folder, and where all steps' folders are.

    ``folder`` is empty, or, for a step that can be taken up again, as an interrupted run left it.
    ``forced`` is a step that is asked for from its beginning, whatever else is known.
    """

    configuration: Configuration
    folder: Path
    report: Report
    forced: bool = False

    def made_by(self, step: str) -> Path:
        """Return the folder of another step."""
        return self.configuration.work / step


@dataclass(frozen=True)
class Step:
    """One step.

    Parameters
    ----------
    name
        Of the step, and of its folder in the work folder.
    version
        Counted up whenever the same inputs would make something else than before.
    needs
        The steps whose results it takes.
    sections
        The parts of the configuration that it depends on; files named there are inputs.
    run
        Carries it out and returns what is worth telling, JSON values.
    optional
        The section without which it is left out.
    resumable
        Whether an interrupted run can be gone on with.
    """

    name: str
    version: int
    needs: tuple[str, ...]
    sections: tuple[str, ...]
    run: Callable[[Task], Mapping[str, Any]]
    optional: str | None = None
    resumable: bool = False

    def wanted(self, configuration: Configuration) -> bool:
        """Whether the configuration asks for it."""
        return self.optional is None or configuration.has(self.optional)

    def options(self, configuration: Configuration) -> dict[str, Any]:
        """Return the options that its results depend on."""
        return {name: configuration.lasting(name) for name in self.sections}

    def files(self, configuration: Configuration) -> dict[str, Path]:
        """Return the files that it reads from outside, by their places in the configuration."""
        found: dict[str, Path] = {}
        for name in self.sections:
            found |= configuration.files_of(name)
        return found
