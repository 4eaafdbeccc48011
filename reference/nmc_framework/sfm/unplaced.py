"""Cameras that could not be placed: what is said where none of them was to be left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nmc_framework.sfm.sfm_options import SfmError
from nmc_framework.sfm.solution import RigSolution
from nmc_framework.sfm.verdict import Reason, Verdict


class UnplacedError(SfmError):
    """Cameras that could not be placed, and were not to be left out.

    Parameters
    ----------
    message
        Which, and what may help.
    names
        Of all cameras.
    missing
        Of those that could not be placed.
    found
        What was found of the others, if anything was.
    """

    def __init__(
        self,
        message: str,
        names: Sequence[str],
        missing: Sequence[str],
        found: RigSolution | None = None,
    ) -> None:
        super().__init__(message)
        self.missing = tuple(missing)
        self.found = found
        reasons = [
            Reason("unplaced", float(len(missing)), self.missing),
            Reason("missing", len(missing) / len(names), self.missing),
        ]
        self.verdict = Verdict(()).and_(reasons)

    def as_json(self) -> dict[str, Any]:
        """Return the figures, and the verdict with its reasons, as JSON values."""
        told: dict[str, Any] = {"cameras": [], "missing": list(self.missing), "points": 0}
        if self.found is not None:
            told = self.found.as_json()
        return told | self.verdict.as_json()
