"""Checks of what a manifest says of the sources of its frames (clause 5.4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc_format.issues import Finding, finding
from nmc_format.manifest import columns
from nmc_format.manifest.json_object import object_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from nmc_format.manifest.record import Manifest

MAX_SOURCE_NAME = 1024
"""Bytes of a source name."""

MAX_EXTRAS = 65_536
"""Bytes of the extras of one frame."""

MAX_ALL_EXTRAS = 2**24
"""Bytes of the extras of all frames."""


def source_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield what is wrong with source names and extras."""
    names, extras = manifest.frames.source_name, manifest.frames.extras
    if extras is not None:
        total = sum(map(len, extras.tolist()))
        if total > MAX_ALL_EXTRAS:
            reason = f"they have {total} bytes together, more than {MAX_ALL_EXTRAS}"
            yield finding("manifest/value", pointer=columns.EXTRAS, reason=reason)
            return
    if names is not None:
        yield from _first_fault(names, columns.SOURCE_NAME, source_name_fault)
    if extras is not None:
        yield from _first_fault(extras, columns.EXTRAS, extras_fault)


def _first_fault(
    column: np.ndarray[Any, Any], path: str, fault: Callable[[str], str]
) -> Iterator[Finding]:
    texts = column.tolist()
    wrong = {text: fault(text.decode("utf-8")) for text in set(texts)}
    t = next((t for t, text in enumerate(texts) if wrong[text]), None)
    if t is not None:
        place = columns.frame_pointer(t, path)
        yield finding("manifest/value", pointer=place, reason=wrong[texts[t]])


def source_name_fault(text: str) -> str:
    """Say why a text is not a source name; empty where it is one."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_SOURCE_NAME:
        return f"the source name has {size} bytes, more than {MAX_SOURCE_NAME}"
    if "/" in text or "\\" in text or text in {".", ".."}:
        return f"the source name {text!r} is not a name of a file alone"
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text):
        return "the source name is Unicode text without NUL"
    return ""


def extras_fault(text: str) -> str:
    """Say why a text is not a record of extras; empty where it is one."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_EXTRAS:
        return f"the extras have {size} bytes, more than {MAX_EXTRAS}"
    fault = object_fault(text) if text not in {"", "{}"} else ""
    return f"the extras: {fault}" if fault else ""
