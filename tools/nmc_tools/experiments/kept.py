"""What an experiment has worked out, kept by the content of all that it follows from.

A result is found again by the SHA-256 of its inputs: what was interrupted goes on, and what changed
in one option is worked out anew for that option alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nmc_framework.pipeline.content import values_digest

State = dict[str, np.ndarray[Any, Any]]


class Kept:
    """A folder of results; ``made`` counts what was worked out, ``found`` what was there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.made = self.found = 0

    def values(self, inputs: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Return JSON values that follow from ``inputs``, JSON values too."""
        path = self._folder / f"{values_digest(inputs)}.json"
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = None
        if known is not None:
            self.found += 1
            return known["result"]
        result = work()
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps({"inputs": inputs, "result": result}), encoding="utf-8")
        partial.replace(path)
        self.made += 1
        return result

    def state(self, inputs: Mapping[str, Any], work: Callable[[], State]) -> State:
        """Return a state that follows from ``inputs``."""
        path = self._folder / f"{values_digest(inputs)}.safetensors"
        try:
            known = load_file(path)
        except (OSError, SafetensorError):
            known = None
        if known is not None:
            self.found += 1
            return dict(known)
        state = work()
        partial = path.with_suffix(".partial")
        save_file(state, partial)
        partial.replace(path)
        self.made += 1
        return state
