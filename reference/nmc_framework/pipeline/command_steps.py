"""A run of commands: each step is one command of ``nmc``, for systems that clause 5 does not draw.

A document of such a run has ``steps``, commands by name in their order; ``{NAME}`` in a command is
the folder of that step, or one of the ``files``. A step depends on the steps and files it names.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from nmc_framework.pipeline.configuration import Configuration
from nmc_framework.pipeline.step import Step, Task
from nmc_framework.pipeline.yaml_document import (
    MAX_BYTES,
    ConfigurationError,
    Document,
    Place,
    read_document,
)

#: Carries out one command: its words without ``nmc``; returns the lines that it printed.
Carry = Callable[[Sequence[str]], list[str]]

_KNOWN = ("work", "files", "steps")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_NAMED = re.compile(r"\{([a-z][a-z0-9_-]*)\}")
#: Steps of a run, and lines of each that are kept; what is more is another program's log.
_MOST, _LINES = 100, 200


@dataclass(frozen=True)
class CommandStep(Step):
    """A step that is a command: its words as they are written, and the files that they name."""

    words: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    def options(self, configuration: Configuration) -> dict[str, Any]:  # noqa: ARG002 - its words
        """Return the command."""
        return {"command": shlex.join(self.words)}

    def files(self, configuration: Configuration) -> dict[str, Path]:
        """Return the files that it names."""
        return {f"files.{name}": configuration.files[f"files.{name}"] for name in self.named}

    def spelt(self, configuration: Configuration) -> list[str]:
        """Return its words with the paths of what they name."""
        paths = {name: configuration.files[f"files.{name}"] for name in self.named}
        paths |= {name: configuration.work / name for name in (*self.needs, self.name)}
        return [_NAMED.sub(lambda found: str(paths[found[1]]), word) for word in self.words]


def examples() -> dict[str, str]:
    """Return the commented documents that a user starts from, by the system's name."""
    folder = resources.files(__package__) / "examples"
    found = {}
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".yaml"):
            found[file.name.removesuffix(".yaml")] = file.read_text(encoding="utf-8")
    return found


def read_commands(path: Path, carry: Carry) -> tuple[Configuration, tuple[CommandStep, ...]] | None:
    """Read a document of commands; None of one without ``steps``, which is of another kind.

    Raises
    ------
    ConfigurationError
        When a step is none, or names what is not there; the line is named.
    """
    with path.open("rb") as file:
        document = read_document(file.read(MAX_BYTES + 1), path.name)
    values = document.values
    if not isinstance(values, dict) or "steps" not in values:
        return None
    for name in values:
        if name not in _KNOWN:
            where = document.where((name,))
            raise ConfigurationError(f"{where} is unknown; allowed are {', '.join(_KNOWN)}")
    folder = path.resolve().parent
    files = _files(document, folder)
    steps: dict[str, CommandStep] = {}
    for name, text in _texts(document, "steps").items():
        steps[name] = _step(document, name, text, tuple(steps), files, carry)
    if not 0 < len(steps) <= _MOST:
        where = document.where(("steps",))
        raise ConfigurationError(f"{where}: there are {len(steps)} steps; 1 to {_MOST} are done")
    work = values.get("work", "work")
    if not isinstance(work, str) or not work:
        raise ConfigurationError(f"{document.where(('work',))}: expected the name of a folder")
    made = Configuration(path.name, folder / work, values, files)
    return made, tuple(steps.values())


def _texts(document: Document, section: str) -> dict[str, str]:
    """Return a mapping of names to texts."""
    found = document.values.get(section) or {}
    if not isinstance(found, dict):
        raise ConfigurationError(f"{document.where((section,))}: expected names with texts")
    for name, text in found.items():
        place: Place = (section, name)
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{document.where(place)}: a name has a-z, 0-9, - and _, such as train"
            )
        if not isinstance(text, str) or not text.strip():
            raise ConfigurationError(f"{document.where(place)}: expected a text")
    return found


def _files(document: Document, folder: Path) -> dict[str, Path]:
    files = {}
    for name, text in _texts(document, "files").items():
        found = folder / Path(text).expanduser()
        if not found.exists():
            raise ConfigurationError(f"{document.where(('files', name))}: there is no {text}")
        files[f"files.{name}"] = found
    return files


def _step(
    document: Document,
    name: str,
    text: str,
    before: Sequence[str],
    files: Mapping[str, Path],
    carry: Carry,
) -> CommandStep:
    where = document.where(("steps", name))
    if f"files.{name}" in files:
        raise ConfigurationError(f"{where}: a file has that name too")
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    words = words[1:] if words[0] == "nmc" else words
    needs: list[str] = []
    named: list[str] = []
    for found in dict.fromkeys(found for word in words for found in _NAMED.findall(word)):
        if found in before:
            needs.append(found)
        elif f"files.{found}" in files:
            named.append(found)
        elif found != name:
            known = ", ".join([*before, *(place.removeprefix("files.") for place in files), name])
            raise ConfigurationError(
                f"{where}: {{{found}}} is no step before it and no file; there are {known}"
            )

    def run(task: Task) -> Mapping[str, Any]:
        return {"said": carry(step.spelt(task.configuration))[:_LINES]}

    step = CommandStep(name, 1, tuple(needs), (), run, words=words, named=tuple(named))
    return step
