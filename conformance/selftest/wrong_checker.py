"""Checkers with a fault: the reference's findings, changed: ``wrong_checker.py FAULT REQUEST …``.

A checker that lacks a check finds nothing where the reference finds one of its codes.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from wrong_requests import carry_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Report = dict[str, Any]
    Finding = dict[str, Any]


def _without(*codes: str) -> Callable[[Report], Report]:
    """Return a change that leaves out the findings whose codes begin so."""

    def change(report: Report) -> Report:
        return _with(report, (f for f in report["findings"] if not f["code"].startswith(codes)))

    return change


def _with(report: Report, findings: Iterable[Finding]) -> Report:
    kept = list(findings)
    return {
        **report,
        "findings": kept,
        "accepted": all(found["severity"] != "error" for found in kept),
    }


def _warnings_are_errors(report: Report) -> Report:
    return _with(report, ({**f, "severity": "error"} for f in report["findings"]))


def _checks_are_warnings(report: Report) -> Report:
    """Take what a decoder need not look at for a matter of taste."""
    mild = ("package/zip-checksum", "segment/sha256", "freezing/")
    return _with(
        report,
        (
            {**f, "severity": "warning"} if f["code"].startswith(mild) else f
            for f in report["findings"]
        ),
    )


def _where(keep: Callable[[Finding], bool]) -> Callable[[Report], Report]:
    return lambda report: _with(report, filter(keep, report["findings"]))


def _in_manifest(found: Finding) -> bool:
    return "pointer" in found["place"] or found["place"]["file"].endswith(".nmc")


def _first_frame(found: Finding) -> bool:
    place = found["place"]
    text = place.get("pointer", place.get("file", ""))
    return not any(f"/{t}/" in text or f"{t:08d}" in text for t in range(1, 400))


def _as_it_is(report: Report) -> Report:
    return report


FAULTS: dict[str, Callable[[Report], Report]] = {
    "checker-no-zip-checksum": _without("package/zip-checksum"),
    "checker-no-sha256": _without("segment/sha256", "segment/misplaced"),
    "checker-no-freezing": _without("freezing/"),
    "checker-no-frozen-changed": _without("freezing/frozen-changed"),
    "checker-no-grad-bits": _without("freezing/requires-grad-bits"),
    "checker-no-decoding": _without("decoding/"),
    "checker-no-zstd": _without("segment/zstd"),
    "checker-no-coder": _without("segment/coder"),
    "checker-no-profiles": _without("profile/"),
    "checker-no-cameras": _without("manifest/cameras"),
    "checker-no-segments": _without("segment/"),
    "checker-no-zip": _without("package/zip"),
    "checker-no-names": _without("package/member-name", "manifest/tensor-name"),
    "checker-no-links": _without("manifest/link", "package/not-a-file"),
    "checker-no-values": _without("manifest/value", "manifest/not-a-number"),
    "checker-no-digest": _without("manifest/digest"),
    "checker-manifest-alone": _where(_in_manifest),
    "checker-first-frame-alone": _where(_first_frame),
    "checker-warnings-are-errors": _warnings_are_errors,
    "checker-mild-errors": _checks_are_warnings,
    "checker-exit-0": _as_it_is,
    "checker-exit-1": _as_it_is,
    "checker-silent": lambda report: _with(report, ()),
}
"""What becomes of a report, by fault."""

EXITS = {"checker-exit-0": 0, "checker-exit-1": 1}
"""Faults of the exit code alone."""


def check(fault: str, path: str) -> tuple[int, Report]:
    """Return the exit code and the report of a wrong checker."""
    import nmc

    report = FAULTS[fault](nmc.check(path).to_json())
    return EXITS.get(fault, int(not report["accepted"])), report


def _once(fault: str, options: Sequence[str]) -> int:
    status, report = check(fault, options[-1])
    print(json.dumps(report))
    return status


def _each(fault: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    status, report = check(fault, asked["input"])
    return {"exit": status, "report": report}


def main(arguments: list[str]) -> int:
    """Carry out one request, or those of the persistent mode."""
    return carry_out(arguments, ["check", "hdf5"], _once, _each)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
