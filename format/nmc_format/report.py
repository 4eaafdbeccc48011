"""Reports: everything that a check found (clause 11.2; schema ``report``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nmc_spec

if TYPE_CHECKING:
    from nmc_format.issues import Finding


@dataclass(frozen=True)
class Report:
    """The outcome of checking one package.

    Attributes
    ----------
    path : str
        The package.
    frames : int
        Frames that the manifest declares; 0 where it could not be read.
    decoded : int
        Frames that were decoded and found right.
    findings : tuple of Finding
        Everything found, in the order of the package.
    profile : str
        Profile that the manifest names; empty where it could not be read.
    """

    path: str
    frames: int
    decoded: int
    findings: tuple[Finding, ...]
    profile: str = ""

    @property
    def accepted(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the report by its schema."""
        return {
            "format_version": nmc_spec.FORMAT_VERSIONS[-1],
            "path": self.path,
            "accepted": self.accepted,
            "frames": self.frames,
            "decoded": self.decoded,
            **({"profile": self.profile} if self.profile else {}),
            "findings": [_finding_json(finding) for finding in self.findings],
        }


def _finding_json(finding: Finding) -> dict[str, Any]:
    place = finding.place
    if place.pointer is not None:
        where: dict[str, Any] = {"pointer": place.pointer}
    else:
        where = {"file": place.file, "offset": place.offset}
    return {
        "code": finding.code,
        "severity": finding.severity,
        "place": where,
        "clause": finding.clause,
        "message": finding.message,
        "hint": finding.hint,
    }
