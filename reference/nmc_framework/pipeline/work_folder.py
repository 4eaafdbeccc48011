"""What a work folder knows of the steps done in it: ``run.json``, the keys of the cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nmc_framework.pipeline.content import values_digest
from nmc_framework.pipeline.yaml_document import ConfigurationError

NAME = "run.json"
_VERSION = 1


@dataclass(frozen=True)
class Key:
    """What decides whether a step's result can be kept: its version, its options, its inputs.

    ``inputs`` are digests by name: of other steps' results, and of files.
    """

    version: int
    options: Mapping[str, Any]
    inputs: Mapping[str, str]

    @property
    def digest(self) -> str:
        """One digest over all three."""
        return values_digest(asdict(self))


@dataclass(frozen=True)
class Done:
    """A finished step: the key it was done under, the digest of its result, what it told."""

    key: Key
    output: str
    seconds: float
    result: Mapping[str, Any]


class WorkFolder:
    """The folder of a run and its record; every change is on disk at once.

    Raises
    ------
    ConfigurationError
        When the folder holds files that are no run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / NAME
        if folder.exists() and not folder.is_dir():
            raise ConfigurationError(f"the work folder {folder} is a file; choose another name")
        if folder.is_dir() and not self._path.is_file() and any(folder.iterdir()):
            raise ConfigurationError(
                f"the work folder {folder} holds other files and no {NAME}; choose an empty one"
            )
        self._done, self._begun = self._read()

    def done(self, step: str) -> Done | None:
        """Return what is known of a step, None if it was never finished."""
        return self._done.get(step)

    def begun(self, step: str) -> str | None:
        """Return the digest of the key under which a step was begun and not finished."""
        return self._begun.get(step)

    def begin(self, step: str, key: Key) -> None:
        """Record that a step begins; what an earlier run made of it no longer counts."""
        self._done.pop(step, None)
        self._begun[step] = key.digest
        self._write()

    def finish(self, step: str, done: Done) -> None:
        """Record that a step is finished."""
        self._begun.pop(step, None)
        self._done[step] = done
        self._write()

    def _read(self) -> tuple[dict[str, Done], dict[str, str]]:
        if not self._path.is_file():
            return {}, {}
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
            if record["nmc_run"] != _VERSION:
                return {}, {}
            done = {
                name: Done(Key(**entry["key"]), entry["output"], entry["seconds"], entry["result"])
                for name, entry in record["done"].items()
            }
            return done, {str(k): str(v) for k, v in record["begun"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}, {}  # nothing is known then, and everything is done again

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        done = {name: asdict(entry) for name, entry in self._done.items()}
        record = {"nmc_run": _VERSION, "done": done, "begun": self._begun}
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        partial.replace(self._path)
