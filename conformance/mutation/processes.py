"""Answers of the process that reads manifests with the HDF5 library, recorded and played back.

It is the same process with the same answer, whatever is mutated elsewhere; to start it hundreds
of times for each mutant would take most of the time.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HEAD = 4 << 20
_LENIENT = 15


@dataclass(frozen=True)
class Recorder:
    """Stands in for the module ``subprocess``.

    Attributes
    ----------
    answers : dict of str to CompletedProcess
        By the start of the file that is asked about, and its size.
    """

    answers: dict[str, subprocess.CompletedProcess[bytes]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    DEVNULL = subprocess.DEVNULL
    TimeoutExpired = subprocess.TimeoutExpired

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Return what the process answers; start it where that is not known."""
        with Path(command[-1]).open("rb") as file:
            head = hashlib.sha256(file.read(_HEAD)).hexdigest()
            key = f"{head} {file.seek(0, os.SEEK_END)}"
        if key not in self.answers:
            options["timeout"] *= _LENIENT  # the machine may have other work
            self.answers[key] = subprocess.run(command, **options)  # noqa: PLW1510, S603
        return self.answers[key]

    def news(self) -> dict[str, subprocess.CompletedProcess[bytes]]:
        """Return the answers that came since this was asked last."""
        fresh = {key: answer for key, answer in self.answers.items() if key not in self._told}
        self._told.update(fresh)
        return fresh
