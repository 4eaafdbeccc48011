"""Findings that a refusal should name: code and place, from what a case declares (clause 11.2).

The place is that of the fault, as the case made it: the segment of its frame, the object of the
manifest that differs from the base, or the package itself. Nothing here knows what any
implementation reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from chain import content_of, segment_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cases import Case
    from chain import Array, Edits, Objects

PACKAGE: dict[str, Any] = {"file": ""}
"""The place of the package itself."""

_DERIVED = frozenset(
    {
        "/@manifest_digest",
        "/frames/segment_length",
        "/frames/segment_sha256",
        "/frames/state_digest",
        "/frames/state_bytes",
    }
)
"""Objects that follow from others: the fault is in one of them only where nothing else differs."""

_FIXED = {
    "manifest/unreadable": "/",
    "manifest/digest": "/@manifest_digest",
}
"""Codes that have one place, whatever is wrong."""

_BETWEEN_ROWS = frozenset({"manifest/time-order", "manifest/tensor-duplicate"})
"""Codes of what is wrong between two rows: which of them is named is a matter of choice."""

_OBJECTS = {
    "freezing/exclude-layers-disagree": "/training/exclude_layers",
    "freezing/frozen-changed": "/training/requires_grad",
    "freezing/requires-grad-bits": "/training/requires_grad",
    "manifest/tensor-duplicate": "/model/tensors/name",
    "manifest/tensor-shape": "/model/tensors/shape",
}
"""Codes of one object, for cases that change more than that."""

_EITHER = frozenset({"freezing/exclude-layers-count"})
"""Codes of two objects that disagree: either is as good a place as the other."""

_ROWS = ("/model/tensors/", "/frames/", "/cameras/")
"""Tables whose columns the JSON view has by row (clause 5.8)."""


def expected_findings(case: Case, bases: Mapping[str, Case]) -> list[dict[str, Any]]:
    """Return the finding of a negative vector, or none where its place is a matter of choice.

    Vectors without one are listed with the reason in ``left_open.toml``.
    """
    place = _place(case, bases.get(case.base or "")) if case.place is None else case.place
    return [{"code": case.codes[0], "place": dict(place)}] if place else []


def _place(case: Case, base: Case | None) -> dict[str, Any] | None:
    code, frame = case.codes[0], case.frame
    if code in _FIXED:
        return {"pointer": _FIXED[code]}
    if code == "decoding/state-digest-mismatch":
        return {"pointer": f"/frames/{frame}/state_digest"}
    if code.startswith(("segment/", "decoding/")):
        return {"file": segment_name(frame)}
    if code.startswith("package/"):
        return PACKAGE
    if case.stage == "frame":
        return {"file": segment_name(frame)}
    if code in _EITHER:
        return None
    surplus = _surplus(case.edits)
    if surplus:
        return {"pointer": surplus} if surplus.isprintable() else None
    if base is None or case.raw_input is not None:
        return None
    before = content_of(base.chain, base.edits)[0]
    after = content_of(case.chain, case.edits)[0]
    found = _pointer(before, after, code)
    return found or ({"pointer": _OBJECTS[code]} if code in _OBJECTS else None)


def _surplus(edits: Edits) -> str:
    """Return the object or link that a manifest has beside the usual ones; empty for none."""
    links = list(edits.options.extra_links) if edits.options else []
    if links:
        return f"/{links[0]}"
    seen = list(edits.seen)
    first = seen[0] if seen else ""
    return first if len(seen) < 2 else "/" + first[1:].partition("/")[0].partition("@")[0]


def _pointer(before: Objects, after: Objects, code: str) -> dict[str, Any] | None:
    """Return the one object, or the one row of it, in which two manifests differ."""
    differing = {path for path in before.keys() | after.keys() if _differs(before, after, path)}
    differing.discard("/@manifest_digest")
    chosen = differing - _DERIVED or differing
    if code == "manifest/object-missing":
        chosen &= before.keys() - after.keys()
    if len(chosen) != 1:
        return None
    (path,) = chosen
    if code in _BETWEEN_ROWS:
        return {"pointer": path}
    return {"pointer": _row(path, before.get(path), after.get(path))}


def _differs(before: Objects, after: Objects, path: str) -> bool:
    one, other = before.get(path), after.get(path)
    return one is None or other is None or not _same(one, other)


def _same(one: Array, other: Array) -> bool:
    texts = one.dtype.kind == other.dtype.kind == "S"
    alike = (texts or one.dtype == other.dtype) and one.shape == other.shape
    return alike and bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))


def _row(path: str, before: Array | None, after: Array | None) -> str:
    table = next((t for t in _ROWS if path.startswith(t) and "@" not in path), None)
    if table is None or before is None or after is None or before.shape != after.shape:
        return path
    rows = [i for i in range(len(after)) if not _same(before[i : i + 1], after[i : i + 1])]
    if len(rows) != 1 or before.dtype.kind != after.dtype.kind:
        return path
    return f"{table.rstrip('/')}/{rows[0]}/{path.removeprefix(table)}"
