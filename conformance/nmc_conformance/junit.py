"""Results as JUnit XML, for CI systems."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from nmc_conformance.judge import BROKEN, CRASH, FAIL, NOT_SUPPORTED, TIMEOUT, XFAIL, XPASS

if TYPE_CHECKING:
    from nmc_conformance.results import Result, Run

_ELEMENT = {
    FAIL: "failure",
    XPASS: "failure",
    CRASH: "error",
    TIMEOUT: "error",
    BROKEN: "error",
    NOT_SUPPORTED: "skipped",
    XFAIL: "skipped",
}
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _clean(text: str) -> str:
    """Replace what XML cannot hold."""
    return _FORBIDDEN.sub("\ufffd", text)


def junit(run: Run) -> str:
    """Return the document of one run."""
    counts = run.counts
    suite = ET.Element(
        "testsuite",
        name=_clean(f"nmc-conformance.{run.role}.{run.subject['name']}"),
        tests=str(len(run.results)),
        failures=str(counts[FAIL] + counts[XPASS]),
        errors=str(counts[CRASH] + counts[TIMEOUT] + counts[BROKEN]),
        skipped=str(counts[NOT_SUPPORTED] + counts[XFAIL]),
        time=f"{run.seconds:.3f}",
        timestamp=run.started,
    )
    for result in run.results:
        suite.append(_case(result))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _case(result: Result) -> ET.Element:
    chapter, _, name = result.vector.partition("/")
    case = ET.Element(
        "testcase", classname=chapter, name=_clean(name), time=f"{result.seconds:.3f}"
    )
    kind = _ELEMENT.get(result.verdict)
    if kind is not None:
        why = ET.SubElement(case, kind, message=_clean(f"{result.verdict}: {result.detail}"))
        if kind != "skipped":
            why.set("type", result.verdict)
    return case
