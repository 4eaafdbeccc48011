"""What is mutated: modules and functions, and the survivors that change nothing."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from operators import Site, mutants

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDERS = {"nmc_format": ROOT / "format", "nmc": ROOT / "reference"}


@dataclass(frozen=True)
class Scope:
    """What is mutated.

    Attributes
    ----------
    modules : mapping of str to frozenset of str
        By dotted name: the functions left out.
    """

    modules: Mapping[str, frozenset[str]]

    def path(self, module: str) -> Path:
        """Return the source of a module."""
        folder = FOLDERS[module.partition(".")[0]]
        return folder / Path(*module.split(".")).with_suffix(".py")

    def sites(self) -> list[Site]:
        """Return every mutant."""
        return [
            site
            for module, left_out in self.modules.items()
            for site in mutants(module, self.path(module), left_out)
        ]

    def state(self, module: str) -> str:
        """Return what a kept result depends on."""
        return hashlib.sha256(self.path(module).read_bytes()).hexdigest()[:16]


def read_scope() -> Scope:
    """Return the scope as ``scope.toml`` has it."""
    content = tomllib.loads((HERE / "scope.toml").read_text(encoding="utf-8"))
    return Scope({name: frozenset(left) for name, left in content["modules"].items()})


def read_explained() -> dict[str, str]:
    """Return by name the survivors that change nothing, and why."""
    content = tomllib.loads((HERE / "explained.toml").read_text(encoding="utf-8"))
    return {name: group["why"] for group in content["group"] for name in group["mutants"]}
